namespace Kvasir.Storage.Files;

/// <summary>The base of everything that can go wrong between Kvasir and a disk.</summary>
public class StorageException : Exception
{
    public StorageException() { }

    public StorageException(string message) : base(message) { }

    public StorageException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>The system refused a disk operation (EIO and all that is not listed below).</summary>
public class DiskFailedException : StorageException
{
    public DiskFailedException() { }

    public DiskFailedException(string message) : base(message) { }

    public DiskFailedException(string message, Exception? inner) : base(message, inner) { }

    public DiskFailedException(string operation, string path, string reason, Exception? inner = null)
        : base($"{operation} of {path} failed: {reason}", inner)
    {
        Operation = operation;
        Path = path;
        Reason = reason;
    }

    public string? Path { get; }

    protected string? Operation { get; }

    protected string? Reason { get; }

    /// <summary>The same failure, of a file that has had another name since it was opened.</summary>
    public virtual DiskFailedException Under(string path) =>
        Operation is null || Reason is null ? this : new DiskFailedException(Operation, path, Reason, this);
}

/// <summary>A folder does not lie where it lay, or lacks what it cannot be without: nothing of it is opened by its path any more, for good.</summary>
public sealed class FolderLostException : DiskFailedException
{
    public FolderLostException() { }

    public FolderLostException(string message) : base(message) { }

    public FolderLostException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>No space left for a write or a reservation (ENOSPC, EDQUOT). Nothing was promised; space may come back.</summary>
public sealed class DiskFullException : DiskFailedException
{
    public DiskFullException() { }

    public DiskFullException(string message) : base(message) { }

    public DiskFullException(string message, Exception? inner) : base(message, inner) { }

    public DiskFullException(string operation, string path, string reason, Exception? inner = null)
        : base(operation, path, reason, inner) { }

    /// <summary>The write left every byte of the file as it was. Otherwise it may have got a part of its bytes down.</summary>
    public bool WroteNothing { get; init; }

    public override DiskFailedException Under(string path) =>
        Operation is null || Reason is null ? this : new DiskFullException(Operation, path, Reason, this) { WroteNothing = WroteNothing };
}

/// <summary>A second name for a file was asked for on another file system than the file's (EXDEV).</summary>
public sealed class OtherFileSystemException : StorageException
{
    public OtherFileSystemException() { }

    public OtherFileSystemException(string message) : base(message) { }

    public OtherFileSystemException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>A file that a folder must have is not there.</summary>
public sealed class FileMissingException : StorageException
{
    public FileMissingException() { }

    public FileMissingException(string path) : base($"{path} is missing") => Path = path;

    public FileMissingException(string message, Exception? inner) : base(message, inner) { }

    public string? Path { get; }
}

/// <summary>Bytes on disk are not what was written there: names the file and the offset of the damaged unit.</summary>
public sealed class CorruptionException : StorageException
{
    public CorruptionException() { }

    public CorruptionException(string message) : base(message) { }

    public CorruptionException(string message, Exception? inner) : base(message, inner) { }

    public CorruptionException(string path, long offset, string detail)
        : base($"{path} is damaged at offset {offset}: {detail}")
    {
        Path = path;
        Offset = offset;
    }

    public string? Path { get; }

    /// <summary>Byte offset of the damaged unit in the file.</summary>
    public long Offset { get; }
}

/// <summary>The file was written by a newer Kvasir.</summary>
public sealed class FormatTooNewException : StorageException
{
    public FormatTooNewException() { }

    public FormatTooNewException(string message) : base(message) { }

    public FormatTooNewException(string message, Exception? inner) : base(message, inner) { }

    public FormatTooNewException(string path, uint found, uint supported)
        : base($"{path} has format version {found}; this Kvasir reads up to {supported}. Use a newer Kvasir.") { }
}

/// <summary>Another process (or another engine of this one) has the folder open.</summary>
public sealed class FolderInUseException : StorageException
{
    public FolderInUseException() { }

    public FolderInUseException(string message) : base(message) { }

    public FolderInUseException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>
/// The store has met a failure after which it takes no more writes; reads of what is durable go on. The message says
/// what happened and what to do.
/// </summary>
public class WritesStoppedException : StorageException
{
    public WritesStoppedException() { }

    public WritesStoppedException(string message) : base(message) { }

    public WritesStoppedException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>A key is longer than its engine takes. Nothing of the write was taken.</summary>
public sealed class KeyTooLongException : StorageException
{
    public KeyTooLongException() { }

    public KeyTooLongException(string message) : base(message) { }

    public KeyTooLongException(string message, Exception? inner) : base(message, inner) { }

    public KeyTooLongException(int length, int lengthMax)
        : base($"a key of {length} bytes; this engine takes keys of at most {lengthMax}") { }
}

/// <summary>A value is longer than its engine takes. Nothing of the write was taken.</summary>
public sealed class ValueTooLongException : StorageException
{
    public ValueTooLongException() { }

    public ValueTooLongException(string message) : base(message) { }

    public ValueTooLongException(string message, Exception? inner) : base(message, inner) { }

    public ValueTooLongException(int length, int lengthMax)
        : base($"a value of {length} bytes; this engine takes values of at most {lengthMax}") { }
}

/// <summary>
/// The engine knows as many keys as its memory for that holds: it takes no new ones. Nothing of the write was taken. Writes of keys that
/// are there, and deletions, go on.
/// </summary>
public sealed class IndexFullException : StorageException
{
    public IndexFullException() { }

    public IndexFullException(string message) : base(message) { }

    public IndexFullException(string message, Exception? inner) : base(message, inner) { }
}
