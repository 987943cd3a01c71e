namespace Kvasir.Storage.Files;

/// <summary>
/// The disk seam. Everything that Kvasir knows of a disk goes through here: the machine's own in
/// <c>Kvasir.Storage.Machine</c>, an imagined one that loses, tears and corrupts in <c>Kvasir.Simulation</c>.
/// <para>
/// What is assumed of a disk: a write is durable only after <see cref="IFile.Sync"/> of its file returned; a file's
/// appearance, disappearance or new name is durable only after <see cref="SyncFolder"/> of its folder returned;
/// until then any subset of writes, torn at any sector, may survive a crash, in any order. A rename replaces its
/// target atomically. Nothing else is assumed.
/// </para>
/// Thread-safe. Errors are <see cref="StorageException"/>s.
/// </summary>
public interface IFileSystem
{
    /// <summary>Opens a file; <see cref="FileOpenMode"/> says what must or must not exist before.</summary>
    IFile Open(string path, FileOpenMode mode);

    bool FileExists(string path);

    bool FolderExists(string path);

    /// <summary>Length in bytes of the file at <paramref name="path"/>.</summary>
    long FileLength(string path);

    /// <summary>Removes the name; readers that have it open keep reading. Missing is an error.</summary>
    void Delete(string path);

    /// <summary>Atomically gives <paramref name="source"/> the name <paramref name="target"/>, replacing what was there.</summary>
    void Rename(string source, string target);

    /// <summary>A second name for the same file (the base of checkpoints).</summary>
    void HardLink(string source, string target);

    /// <summary>Makes the folder and its parents where they are missing, and makes their appearance durable.</summary>
    void CreateFolder(string path);

    /// <summary>Removes an empty folder.</summary>
    void DeleteFolder(string path);

    /// <summary>Names (not paths) of the files in a folder, in ordinal order.</summary>
    IReadOnlyList<string> ListFiles(string folder);

    /// <summary>Names (not paths) of the folders in a folder, in ordinal order.</summary>
    IReadOnlyList<string> ListFolders(string folder);

    /// <summary>Makes creations, deletions and renames in the folder durable.</summary>
    void SyncFolder(string path);

    /// <summary>
    /// Takes the exclusive lock that lies at <paramref name="path"/> until disposed or until the process dies.
    /// Held by another: <see cref="FolderInUseException"/>.
    /// </summary>
    IFileLock Lock(string path);

    /// <summary>
    /// As <see cref="Lock"/>, for those who only read, and also where the folder cannot be written: a lock that lies there is
    /// taken all the same; null where there is none and none can be made.
    /// </summary>
    IDisposable? LockForReading(string path) => Lock(path);

    /// <summary>Bytes that an ordinary user may still write on the disk of this folder.</summary>
    long FreeBytes(string folder);
}

/// <summary>A lock that is held until it is disposed. Thread-safe, but not beside its disposal.</summary>
public interface IFileLock : IDisposable
{
    /// <summary>
    /// The file that was locked still lies at its path: nobody moved it, removed it, or put another in its place. True, too, where the
    /// disk cannot tell.
    /// </summary>
    bool IsInPlace { get; }
}

public enum FileOpenMode
{
    /// <summary>Must exist; opened for reading only.</summary>
    Read,

    /// <summary>Must exist; opened for reading and writing.</summary>
    ReadWrite,

    /// <summary>Must not exist; created for reading and writing.</summary>
    CreateNew,
}

/// <summary>
/// An open file, read and written at explicit positions. Reads are thread-safe beside each other and beside writes of
/// other regions; writes to one file come from one thread at a time.
/// </summary>
public interface IFile : IDisposable
{
    string Path { get; }

    /// <summary>Length in bytes.</summary>
    long Length { get; }

    /// <summary>Reads up to the span's length at <paramref name="offset"/>; fewer bytes only at the end of the file.</summary>
    int Read(Span<byte> destination, long offset);

    /// <summary>Writes all of <paramref name="source"/> at <paramref name="offset"/>, growing the file if need be.</summary>
    void Write(ReadOnlySpan<byte> source, long offset);

    /// <summary>
    /// Returns only when everything written before is on stable storage. <see cref="SyncMode.Data"/> suffices where
    /// the length did not change. After a failure the file must not be trusted again: the kernel may have dropped
    /// the dirty pages, and a second call would lie (Rebello et al., "Can Applications Recover from fsync Failures?").
    /// </summary>
    void Sync(SyncMode mode);

    /// <summary>
    /// A hint: begin to write this part to the disk, so that a later <see cref="Sync"/> has less to wait for. Promises
    /// nothing; what goes wrong is told by that sync.
    /// </summary>
    void BeginWriteBack(long offset, long length)
    {
    }

    /// <summary>Cuts or grows (with zeros) the file.</summary>
    void SetLength(long length);

    /// <summary>
    /// Reserves blocks so that later writes below <paramref name="length"/> cannot run out of space; grows the file
    /// with zeros where it is shorter. <see cref="DiskFullException"/> when the space is not there.
    /// </summary>
    void Allocate(long length);

    /// <summary>
    /// The first <paramref name="length"/> bytes as memory to read, which may be more than the file has: what is written later
    /// shows, but beyond the end of the file nothing may be touched. Null where this disk has no maps, or an error under one would end the
    /// process; then read positionally.
    /// </summary>
    IFileMap? Map(long length) => null;
}

/// <summary>
/// A part of a file as memory, until disposed. Whoever disposes it knows that nobody reads any more. What cannot be read under a
/// map reads as zeros: bytes that were never read before are to be read by <see cref="IFile.Read"/> first, which says why, and after
/// every use of the map <see cref="Broken"/> is to be looked at.
/// </summary>
public unsafe interface IFileMap : IDisposable
{
    byte* Start { get; }

    /// <summary>Bytes of addresses, whatever the length of the file.</summary>
    long Length { get; }

    /// <summary>
    /// Not zero once a part of it could not be read: its zeros stay, whatever is written later, so nothing that is read from this map
    /// counts any more. Good until the map is disposed.
    /// </summary>
    long* Broken { get; }
}

public enum SyncMode
{
    /// <summary>Content, and the length if it changed (fdatasync).</summary>
    Data,

    /// <summary>Content and all metadata (fsync).</summary>
    Full,
}
