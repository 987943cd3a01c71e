using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Disks;

/// <summary>
/// An imagined disk in memory that keeps what was synced apart from what was not, and can lose, tear, corrupt, fail, fill
/// up and stop, by a seed. It promises exactly what <see cref="IFileSystem"/> says may be assumed, and nothing more.
/// <para>
/// For a crash matrix, set <see cref="BeforeOperation"/> and take <see cref="AfterCrash"/> there: one run of a workload
/// yields the disk after a crash at every operation.
/// </para>
/// </summary>
public sealed class SimulatedFileSystem : IFileSystem
{
    private readonly Lock _lock = new();
    private readonly SeededRandom _random;
    private readonly SortedDictionary<string, SimulatedInode> _names = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, SimulatedInode> _durableNames = new(StringComparer.Ordinal);
    private readonly List<NameChange> _unsyncedNames = [];
    private readonly SortedSet<string> _folders = new(StringComparer.Ordinal);
    private readonly HashSet<SimulatedInode> _locks = [];
    private bool _stopped;
    private int _openFiles;

    public SimulatedFileSystem(SeededRandom random) => _random = random;

    /// <summary>Called before every operation, which it may turn into a fault, or into a crash by throwing.</summary>
    public Action<DiskOperation>? BeforeOperation { get; set; }

    public IList<FaultRule> Faults { get; } = [];

    /// <summary>Imagined time that operations take: <see cref="Latency"/> moves it.</summary>
    public SimulatedClock? Clock { get; set; }

    public Func<DiskOperation, TimeSpan>? Latency { get; set; }

    /// <summary>Bytes of all files together before the disk is full.</summary>
    public long CapacityBytes { get; set; } = long.MaxValue;

    /// <summary>Operations so far.</summary>
    public long OperationCount { get; private set; }

    /// <summary>Successful syncs of files so far.</summary>
    public long SyncCount { get; private set; }

    /// <summary>Those that nobody has disposed of.</summary>
    public int OpenFiles => Volatile.Read(ref _openFiles);

    /// <summary>A digest of every operation so far: two runs of one seed must agree on it.</summary>
    public ulong Fingerprint { get; private set; }

    /// <summary>From now on every call throws <see cref="SimulatedCrashException"/>; <see cref="AfterCrash"/> still works.</summary>
    public void Stop() => _stopped = true;

    /// <summary>The disk as a restarted machine finds it. This one stays as it is and may go on.</summary>
    public SimulatedFileSystem AfterCrash(SeededRandom random, CrashKind kind)
    {
        lock (_lock)
        {
            var left = new SimulatedFileSystem(random) { CapacityBytes = CapacityBytes, Clock = Clock, Latency = Latency };
            left._folders.UnionWith(_folders);
            var copies = new Dictionary<SimulatedInode, SimulatedInode>(ReferenceEqualityComparer.Instance);
            if (kind == CrashKind.ProcessKill)
            {
                CopyNames(_names, left._names, inode => inode.Clone(), copies);
                CopyNames(_durableNames, left._durableNames, inode => inode.Clone(), copies);
                foreach (NameChange change in _unsyncedNames)
                {
                    if (!copies.TryGetValue(change.Inode, out SimulatedInode? copied))
                        copies.Add(change.Inode, copied = change.Inode.Clone());
                    left._unsyncedNames.Add(change with { Inode = copied });
                }

                return left;
            }

            var names = new SortedDictionary<string, SimulatedInode>(_durableNames, StringComparer.Ordinal);
            foreach (NameChange change in _unsyncedNames)
            {
                if (kind != CrashKind.LoseUnsynced && random.OneIn(2))
                    change.ApplyTo(names);
            }

            CopyNames(names, left._names, inode => inode.AfterPowerLoss(random, kind), copies);
            CopyNames(names, left._durableNames, inode => inode.AfterPowerLoss(random, kind), copies);
            foreach (string path in names.Keys)
                left.AddFolders(FolderOf(path));
            return left;
        }
    }

    /// <summary>An independent copy in the same state.</summary>
    public SimulatedFileSystem Clone() => AfterCrash(_random.Fork(), CrashKind.ProcessKill);

    /// <summary>The maps of a file lose a part of it: the disk failed when the system wanted to read it again.</summary>
    public void FailMaps(string path, long offset, int length)
    {
        lock (_lock)
            _names[path].FailMaps(offset, length);
    }

    /// <summary>Damages a byte at rest.</summary>
    public void FlipBit(string path, long offset, int bit)
    {
        lock (_lock)
            _names[path].FlipBit(offset, bit);
    }

    /// <summary>Paths of all files, ascending.</summary>
    public IReadOnlyList<string> Paths => [.. _names.Keys];

    public byte[] ReadAll(string path)
    {
        SimulatedInode inode = _names[path];
        byte[] bytes = new byte[inode.Current.Length];
        inode.Current.Read(bytes, 0);
        return bytes;
    }

    /// <summary>Sets the content of a file, synced, without counting as an operation.</summary>
    public void WriteAll(string path, ReadOnlySpan<byte> content)
    {
        AddFolders(FolderOf(path));
        var inode = new SimulatedInode();
        inode.Write(content, 0);
        inode.Sync();
        _names[path] = inode;
        _durableNames[path] = inode;
    }

    public IFile Open(string path, FileOpenMode mode)
    {
        path = Normalize(path);
        lock (_lock)
        {
            bool create = mode == FileOpenMode.CreateNew;
            ThrowIf(Begin(create ? DiskOperationKind.Create : DiskOperationKind.Open, path), "open", path);
            if (!create)
                return NewFile(path, Find(path), isWritable: mode == FileOpenMode.ReadWrite);
            if (!_folders.Contains(FolderOf(path)))
                throw new FileMissingException(FolderOf(path));
            if (_names.ContainsKey(path))
                throw new DiskFailedException("open", path, "File exists");
            var inode = new SimulatedInode();
            AddName(new NameChange(path, Source: null, inode));
            return NewFile(path, inode, isWritable: true);
        }
    }

    public bool FileExists(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Look, path), "stat", path);
            return _names.ContainsKey(path);
        }
    }

    public bool FolderExists(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Look, path), "stat", path);
            return _folders.Contains(path);
        }
    }

    public long FileLength(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Look, path), "stat", path);
            return Find(path).Current.Length;
        }
    }

    public void Delete(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Delete, path), "unlink", path);
            AddName(new NameChange(Target: null, path, Find(path)));
        }
    }

    public void Rename(string source, string target)
    {
        source = Normalize(source);
        target = Normalize(target);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Rename, target), "rename", source);
            SimulatedInode inode = Find(source);
            if (!_folders.Contains(FolderOf(target)))
                throw new FileMissingException(FolderOf(target));
            if (FolderOf(source) == FolderOf(target))
            {
                AddName(new NameChange(target, source, inode));
                return;
            }

            // Two folders, each with its own sync.
            AddName(new NameChange(target, Source: null, inode));
            AddName(new NameChange(Target: null, source, inode));
        }
    }

    public void HardLink(string source, string target)
    {
        source = Normalize(source);
        target = Normalize(target);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.HardLink, target), "link", target);
            SimulatedInode inode = Find(source);
            if (!_folders.Contains(FolderOf(target)))
                throw new FileMissingException(FolderOf(target));
            if (_names.ContainsKey(target))
                throw new DiskFailedException("link", target, "File exists");
            AddName(new NameChange(target, Source: null, inode));
        }
    }

    public void CreateFolder(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.CreateFolder, path), "mkdir", path);
            AddFolders(path);
        }
    }

    public void DeleteFolder(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.DeleteFolder, path), "rmdir", path);
            if (!_folders.Contains(path))
                throw new FileMissingException(path);
            if (NamesIn(_names.Keys, path).Count > 0 || NamesIn(_folders, path).Count > 0)
                throw new DiskFailedException("rmdir", path, "Directory not empty");
            _folders.Remove(path);
        }
    }

    public IReadOnlyList<string> ListFiles(string folder) => List(folder, _names.Keys);

    public IReadOnlyList<string> ListFolders(string folder) => List(folder, _folders);

    public void SyncFolder(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.SyncFolder, path), "fsync", path);
            if (!_folders.Contains(path))
                throw new FileMissingException(path);
            foreach (NameChange change in _unsyncedNames)
            {
                if (change.Folder == path)
                    change.ApplyTo(_durableNames);
            }

            _unsyncedNames.RemoveAll(change => change.Folder == path);
        }
    }

    public IFileLock Lock(string path)
    {
        path = Normalize(path);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Lock, path), "lock", path);
            if (!_names.ContainsKey(path))
                AddName(new NameChange(path, Source: null, new SimulatedInode()));
            SimulatedInode inode = _names[path];
            if (!_locks.Add(inode))
                throw new FolderInUseException($"{path} is locked by another store");
            return new HeldLock(this, path, inode);
        }
    }

    public long FreeBytes(string folder)
    {
        lock (_lock)
            return CapacityBytes - UsedBytes();
    }

    internal void NoteClosed() => Interlocked.Decrement(ref _openFiles);

    internal int Read(SimulatedFile file, Span<byte> destination, long offset)
    {
        lock (_lock)
        {
            DiskFault fault = Begin(DiskOperationKind.Read, file.Path, offset, destination.Length);
            int read = file.Inode.Current.Read(destination, offset);
            if (fault == DiskFault.FlipBit)
            {
                if (read > 0)
                    destination[_random.Next(read)] ^= (byte)(1 << _random.Next(8));
            }
            else
            {
                ThrowIf(fault, "read", file.Path);
            }

            return read;
        }
    }

    internal void Write(SimulatedFile file, ReadOnlySpan<byte> source, long offset)
    {
        lock (_lock)
        {
            Check.That(file.Writable, $"{file.Path} was opened for reading");
            DiskFault fault = Begin(DiskOperationKind.Write, file.Path, offset, source.Length);
            if (fault == DiskFault.None && !Fits(file.Inode, offset + source.Length))
                fault = DiskFault.Full;
            if (fault != DiskFault.None)
                source = source[.._random.Next(source.Length + 1)];
            if (fault != DiskFault.Full || Fits(file.Inode, offset + source.Length))
                file.Inode.Write(source, offset);
            if (fault == DiskFault.Full && source.IsEmpty)
                throw new DiskFullException("write", file.Path, "No space left on device (simulated)") { WroteNothing = true };
            ThrowIf(fault, "write", file.Path);
        }
    }

    internal void Sync(SimulatedFile file)
    {
        lock (_lock)
        {
            DiskFault fault = Begin(DiskOperationKind.Sync, file.Path);
            if (fault != DiskFault.None)
                file.Inode.FailSync(_random);
            ThrowIf(fault, "fsync", file.Path);
            file.Inode.Sync();
            SyncCount++;
        }
    }

    internal void SetLength(SimulatedFile file, long length, bool allocate)
    {
        lock (_lock)
        {
            Check.That(file.Writable, $"{file.Path} was opened for reading");
            string call = allocate ? "fallocate" : "ftruncate";
            ThrowIf(Begin(allocate ? DiskOperationKind.Allocate : DiskOperationKind.SetLength, file.Path, length), call, file.Path);
            if (!Fits(file.Inode, length))
                throw new DiskFullException(call, file.Path, "No space left on device");
            if (!allocate || length > file.Inode.Current.Length)
                file.Inode.SetLength(length);
        }
    }

    internal IFileMap Map(SimulatedFile file, long length)
    {
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Map, file.Path, length), "mmap", file.Path);
            return file.Inode.Map(length);
        }
    }

    private static void CopyNames(
        SortedDictionary<string, SimulatedInode> source,
        SortedDictionary<string, SimulatedInode> target,
        Func<SimulatedInode, SimulatedInode> copy,
        Dictionary<SimulatedInode, SimulatedInode> copies)
    {
        foreach ((string path, SimulatedInode inode) in source)
        {
            if (!copies.TryGetValue(inode, out SimulatedInode? copied))
                copies.Add(inode, copied = copy(inode));
            target.Add(path, copied);
        }
    }

    private static string Normalize(string path) => path.Length > 1 && path[^1] == '/' ? path[..^1] : path;

    private static string FolderOf(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash <= 0 ? "/" : path[..slash];
    }

    private static List<string> NamesIn(IEnumerable<string> paths, string folder)
    {
        List<string> names = [];
        foreach (string path in paths)
        {
            if (path.Length > 1 && FolderOf(path) == folder)
                names.Add(path[(path.LastIndexOf('/') + 1)..]);
        }

        return names;
    }

    private static void ThrowIf(DiskFault fault, string call, string path)
    {
        switch (fault)
        {
            case DiskFault.Full:
                throw new DiskFullException(call, path, "No space left on device (simulated)");
            case DiskFault.Failed:
                throw new DiskFailedException(call, path, "Input/output error (simulated)");
            default:
                return;
        }
    }

    private DiskFault Begin(DiskOperationKind kind, string path, long offset = 0, int length = 0)
    {
        if (_stopped)
            throw new SimulatedCrashException();
        var operation = new DiskOperation(++OperationCount, kind, path, offset, length);
        Fingerprint = (Fingerprint * 0x100000001B3)
            ^ StableHash.Hash64(System.Runtime.InteropServices.MemoryMarshal.AsBytes(path.AsSpan()), (ulong)kind)
            ^ ((ulong)offset << 20) ^ (ulong)length;
        BeforeOperation?.Invoke(operation);
        if (Clock is not null && Latency is not null)
            Clock.Elapse(Latency(operation));
        foreach (FaultRule rule in Faults)
        {
            if (!rule.Applies(operation))
                continue;
            if (rule.Fault != DiskFault.Crash)
                return rule.Fault;
            Stop();
            throw new SimulatedCrashException();
        }

        return DiskFault.None;
    }

    private SimulatedInode Find(string path) =>
        _names.TryGetValue(path, out SimulatedInode? inode) ? inode : throw new FileMissingException(path);

    private SimulatedFile NewFile(string path, SimulatedInode inode, bool isWritable)
    {
        Interlocked.Increment(ref _openFiles);
        return new SimulatedFile(this, path, inode, isWritable);
    }

    private void AddName(NameChange change)
    {
        change.ApplyTo(_names);
        _unsyncedNames.Add(change);
    }

    private void AddFolders(string path)
    {
        while (_folders.Add(path) && path != "/")
            path = FolderOf(path);
    }

    private List<string> List(string folder, IEnumerable<string> paths)
    {
        folder = Normalize(folder);
        lock (_lock)
        {
            ThrowIf(Begin(DiskOperationKind.Look, folder), "list", folder);
            if (!_folders.Contains(folder))
                throw new FileMissingException(folder);
            return NamesIn(paths, folder);
        }
    }

    private bool Fits(SimulatedInode inode, long length) =>
        CapacityBytes == long.MaxValue || length <= inode.Current.Length
        || UsedBytes() + (length - inode.Current.Length) <= CapacityBytes;

    private long UsedBytes()
    {
        var seen = new HashSet<SimulatedInode>(ReferenceEqualityComparer.Instance);
        long bytes = 0;
        foreach (SimulatedInode inode in _names.Values)
            bytes += seen.Add(inode) ? inode.Current.Length : 0;
        return bytes;
    }

    /// <summary>A name given (target), taken away (source), or both at once.</summary>
    private readonly record struct NameChange(string? Target, string? Source, SimulatedInode Inode)
    {
        public string Folder => FolderOf(Target ?? Source!);

        public void ApplyTo(SortedDictionary<string, SimulatedInode> names)
        {
            if (Source is not null && names.TryGetValue(Source, out SimulatedInode? found) && found == Inode)
                names.Remove(Source);
            if (Target is not null)
                names[Target] = Inode;
        }
    }

    private sealed class HeldLock(SimulatedFileSystem owner, string path, SimulatedInode inode) : IFileLock
    {
        public bool IsInPlace
        {
            get
            {
                lock (owner._lock)
                    return owner._names.TryGetValue(path, out SimulatedInode? found) && found == inode;
            }
        }

        public void Dispose()
        {
            lock (owner._lock)
                owner._locks.Remove(inode);
        }
    }
}
