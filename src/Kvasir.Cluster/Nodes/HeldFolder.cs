using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// A node's folder, which is its own by a lock, and the disk as the node sees it meanwhile. Paths lead to that folder only as
/// long as it lies where it lay: once it was moved or removed, another server's may stand there. From then on nothing is
/// opened, made, renamed or removed by its path, for good: what is put back later need not be what this process has open. Files that
/// are open stay so. Thread-safe.
/// </summary>
internal sealed class HeldFolder : IFileSystem, IDisposable
{
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly IFileLock _lock;
    private readonly Lock _looking = new();
    private volatile string? _loss;
    private bool _hasJournal;
    private bool _isReleased;

    private HeldFolder(IFileSystem files, string folder, IFileLock held)
    {
        _files = files;
        _folder = folder;
        _lock = held;
    }

    /// <summary>Makes the folder where it is missing. <see cref="FolderInUseException"/> where another has it.</summary>
    public static HeldFolder Take(IFileSystem files, string folder)
    {
        files.CreateFolder(folder);
        return new HeldFolder(files, folder, files.Lock(folder + "/LOCK"));
    }

    /// <summary>What is not as it was left; null where nothing is known to be.</summary>
    public string? Loss => _loss;

    /// <summary>True while the folder lies where it lay when it was taken.</summary>
    public bool Look()
    {
        lock (_looking)
        {
            if (!_isReleased && !_lock.IsInPlace)
                _loss ??= $"the data folder {_folder} was moved or removed (or its LOCK file)";
        }

        return _loss is null;
    }

    /// <summary>As <see cref="Look"/>, and that it has what a node's folder cannot be without.</summary>
    public bool LookForParts()
    {
        try
        {
            if (!Look())
                return false;
            if (!_files.FileExists(_folder + "/" + IdentityFile.Name))
                _loss ??= $"{_folder}/{IdentityFile.Name} was removed";
            bool hasJournal = _files.FolderExists(_folder + "/" + KvasirNode.JournalFolder);
            if (Volatile.Read(ref _hasJournal) && !hasJournal)
                _loss ??= $"{_folder}/{KvasirNode.JournalFolder} was moved or removed";
            if (hasJournal)
                Volatile.Write(ref _hasJournal, true);
        }
        catch (StorageException)
        {
            // A disk that cannot tell has not lost anything yet.
        }

        return _loss is null;
    }

    /// <summary>Gives the folder back.</summary>
    public void Dispose()
    {
        Look();
        lock (_looking)
            _isReleased = true;
        _lock.Dispose();
    }

    public IFile Open(string path, FileOpenMode mode) => Disk().Open(path, mode);

    public bool FileExists(string path) => _files.FileExists(path);

    public bool FolderExists(string path) => _files.FolderExists(path);

    public long FileLength(string path) => _files.FileLength(path);

    public void Delete(string path) => Disk().Delete(path);

    public void Rename(string source, string target) => Disk().Rename(source, target);

    public void HardLink(string source, string target) => Disk().HardLink(source, target);

    public void CreateFolder(string path) => Disk().CreateFolder(path);

    public void DeleteFolder(string path) => Disk().DeleteFolder(path);

    public IReadOnlyList<string> ListFiles(string folder) => _files.ListFiles(folder);

    public IReadOnlyList<string> ListFolders(string folder) => _files.ListFolders(folder);

    public void SyncFolder(string path) => Disk().SyncFolder(path);

    public IFileLock Lock(string path) => Disk().Lock(path);

    public IDisposable? LockForReading(string path) => Disk().LockForReading(path);

    public long FreeBytes(string folder) => _files.FreeBytes(folder);

    private IFileSystem Disk() => Look() ? _files : throw new FolderLostException($"{_loss}: nothing is written there any more");
}
