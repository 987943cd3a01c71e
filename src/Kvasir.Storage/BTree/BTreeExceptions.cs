using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree;

/// <summary>The file has as many pages as its format can count. A file with larger pages can have more.</summary>
public sealed class BTreeFullException : StorageException
{
    public BTreeFullException() { }

    public BTreeFullException(string message) : base(message) { }

    public BTreeFullException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>A read transaction has lived longer than the store lets readers live, and was ended: begin a new one.</summary>
public sealed class ReaderTooOldException : StorageException
{
    public ReaderTooOldException() { }

    public ReaderTooOldException(string message) : base(message) { }

    public ReaderTooOldException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>A key names a bucket where a value was meant, or a value where a bucket was meant.</summary>
public sealed class WrongEntryKindException : StorageException
{
    public WrongEntryKindException() { }

    public WrongEntryKindException(string message) : base(message) { }

    public WrongEntryKindException(string message, Exception? inner) : base(message, inner) { }
}
