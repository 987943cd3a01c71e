using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Any disk, with somebody who hears of every change before it is made, and may fail it by throwing.</summary>
internal sealed class ObservedFileSystem(IFileSystem inner) : IFileSystem
{
    private int _openFiles;

    public Action<DiskOperationKind, string>? BeforeChange { get; set; }

    /// <summary>Those that nobody has disposed of.</summary>
    public int OpenFiles => Volatile.Read(ref _openFiles);

    public IFile Open(string path, FileOpenMode mode)
    {
        if (mode == FileOpenMode.CreateNew)
            BeforeChange?.Invoke(DiskOperationKind.Create, path);
        var file = new ObservedFile(this, inner.Open(path, mode));
        Interlocked.Increment(ref _openFiles);
        return file;
    }

    public bool FileExists(string path) => inner.FileExists(path);

    public bool FolderExists(string path) => inner.FolderExists(path);

    public long FileLength(string path) => inner.FileLength(path);

    public void Delete(string path)
    {
        BeforeChange?.Invoke(DiskOperationKind.Delete, path);
        inner.Delete(path);
    }

    public void Rename(string source, string target)
    {
        BeforeChange?.Invoke(DiskOperationKind.Rename, target);
        inner.Rename(source, target);
    }

    public void HardLink(string source, string target)
    {
        BeforeChange?.Invoke(DiskOperationKind.HardLink, target);
        inner.HardLink(source, target);
    }

    public void CreateFolder(string path)
    {
        BeforeChange?.Invoke(DiskOperationKind.CreateFolder, path);
        inner.CreateFolder(path);
    }

    public void DeleteFolder(string path) => inner.DeleteFolder(path);

    public IReadOnlyList<string> ListFiles(string folder) => inner.ListFiles(folder);

    public IReadOnlyList<string> ListFolders(string folder) => inner.ListFolders(folder);

    public void SyncFolder(string path)
    {
        BeforeChange?.Invoke(DiskOperationKind.SyncFolder, path);
        inner.SyncFolder(path);
    }

    public IFileLock Lock(string path) => inner.Lock(path);

    public IDisposable? LockForReading(string path) => inner.LockForReading(path);

    public long FreeBytes(string folder) => inner.FreeBytes(folder);

    private sealed class ObservedFile(ObservedFileSystem owner, IFile file) : IFile
    {
        private bool _disposed;

        public string Path => file.Path;

        public long Length => file.Length;

        public int Read(Span<byte> destination, long offset) => file.Read(destination, offset);

        public void Write(ReadOnlySpan<byte> source, long offset)
        {
            owner.BeforeChange?.Invoke(DiskOperationKind.Write, Path);
            file.Write(source, offset);
        }

        public void Sync(SyncMode mode)
        {
            owner.BeforeChange?.Invoke(DiskOperationKind.Sync, Path);
            file.Sync(mode);
        }

        public void BeginWriteBack(long offset, long length) => file.BeginWriteBack(offset, length);

        public void SetLength(long length)
        {
            owner.BeforeChange?.Invoke(DiskOperationKind.SetLength, Path);
            file.SetLength(length);
        }

        public void Allocate(long length)
        {
            owner.BeforeChange?.Invoke(DiskOperationKind.Allocate, Path);
            file.Allocate(length);
        }

        public IFileMap? Map(long length) => file.Map(length);

        public void Dispose()
        {
            if (!_disposed)
                Interlocked.Decrement(ref owner._openFiles);
            _disposed = true;
            file.Dispose();
        }
    }
}
