using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.Lsm;

/// <summary>
/// Files in memory, with a count of changes to the disk and a switch that makes everything after the n-th fail: enough
/// to stop an operation at each of its steps. What a crash loses is the simulated file system's business.
/// </summary>
internal sealed class MemoryFileSystem : IFileSystem
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, Content> _files = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _folders = new(StringComparer.Ordinal);

    /// <summary>Writes, syncs, renames, deletions so far.</summary>
    public int Changes { get; private set; }

    /// <summary>Changes from this one on fail.</summary>
    public int FailFrom { get; set; } = int.MaxValue;

    public int OpenFiles { get; private set; }

    public IEnumerable<string> Paths
    {
        get
        {
            lock (_lock)
                return [.. _files.Keys];
        }
    }

    public byte[] Bytes(string path)
    {
        lock (_lock)
            return _files[path].Bytes[..(int)_files[path].Length];
    }

    public void SetBytes(string path, byte[] bytes)
    {
        lock (_lock)
            _files[path] = new Content { Bytes = bytes, Length = bytes.Length };
    }

    /// <summary>A disk of its own with the same files.</summary>
    public MemoryFileSystem Clone()
    {
        var clone = new MemoryFileSystem();
        lock (_lock)
        {
            foreach ((string path, Content content) in _files)
                clone._files.Add(path, new Content { Bytes = content.Bytes[..(int)content.Length], Length = content.Length });
            clone._folders.UnionWith(_folders);
        }

        return clone;
    }

    public IFile Open(string path, FileOpenMode mode)
    {
        lock (_lock)
        {
            if (mode == FileOpenMode.CreateNew)
            {
                Change("create", path);
                if (!_files.TryAdd(path, new Content()))
                    throw new DiskFailedException("create", path, "exists");
            }
            else if (!_files.ContainsKey(path))
            {
                throw new FileMissingException(path);
            }

            OpenFiles++;
            return new MemoryFile(this, path, _files[path]);
        }
    }

    public bool FileExists(string path)
    {
        lock (_lock)
            return _files.ContainsKey(path);
    }

    public bool FolderExists(string path)
    {
        lock (_lock)
            return _folders.Contains(path);
    }

    public long FileLength(string path)
    {
        lock (_lock)
            return _files.TryGetValue(path, out Content? content) ? content.Length : throw new FileMissingException(path);
    }

    public void Delete(string path)
    {
        lock (_lock)
        {
            Change("delete", path);
            if (!_files.Remove(path))
                throw new FileMissingException(path);
        }
    }

    public void Rename(string source, string target)
    {
        lock (_lock)
        {
            Change("rename", source);
            if (!_files.Remove(source, out Content? content))
                throw new FileMissingException(source);
            _files[target] = content;
        }
    }

    public void HardLink(string source, string target)
    {
        lock (_lock)
        {
            Change("link", source);
            _files.Add(target, _files[source]);
        }
    }

    public void CreateFolder(string path)
    {
        lock (_lock)
            _folders.Add(path);
    }

    public void DeleteFolder(string path)
    {
        lock (_lock)
            _folders.Remove(path);
    }

    public IReadOnlyList<string> ListFiles(string folder)
    {
        lock (_lock)
            return [.. _files.Keys.Where(p => Path.GetDirectoryName(p) == folder).Select(p => Path.GetFileName(p)!)];
    }

    public IReadOnlyList<string> ListFolders(string folder) => [];

    public void SyncFolder(string path)
    {
        lock (_lock)
            Change("sync", path);
    }

    public IFileLock Lock(string path) => new NoLock();

    public long FreeBytes(string folder) => long.MaxValue;

    private void Change(string operation, string path)
    {
        if (Changes >= FailFrom)
            throw new DiskFailedException(operation, path, "planned");
        Changes++;
    }

    private sealed class Content
    {
        public byte[] Bytes = [];
        public long Length;
    }

    private sealed class MemoryFile(MemoryFileSystem owner, string path, Content content) : IFile
    {
        private bool _disposed;

        public string Path => path;

        public long Length
        {
            get
            {
                lock (owner._lock)
                    return content.Length;
            }
        }

        public int Read(Span<byte> destination, long offset)
        {
            lock (owner._lock)
            {
                if (offset < 0)
                    throw new DiskFailedException("read", path, "negative offset");
                int count = (int)Math.Clamp(content.Length - offset, 0, destination.Length);
                if (count > 0)
                    content.Bytes.AsSpan((int)offset, count).CopyTo(destination);
                return count;
            }
        }

        public void Write(ReadOnlySpan<byte> source, long offset)
        {
            lock (owner._lock)
            {
                owner.Change("write", path);
                int end = (int)offset + source.Length;
                if (content.Bytes.Length < end)
                    Array.Resize(ref content.Bytes, Math.Max(end, content.Bytes.Length * 2));
                source.CopyTo(content.Bytes.AsSpan((int)offset));
                content.Length = Math.Max(content.Length, end);
            }
        }

        public void Sync(SyncMode mode)
        {
            lock (owner._lock)
                owner.Change("sync", path);
        }

        public void SetLength(long length) => throw new NotSupportedException();

        public void Allocate(long length) => throw new NotSupportedException();

        public void Dispose()
        {
            lock (owner._lock)
            {
                if (!_disposed)
                    owner.OpenFiles--;
                _disposed = true;
            }
        }
    }

    private sealed class NoLock : IFileLock
    {
        public bool IsInPlace => true;

        public void Dispose()
        {
        }
    }
}
