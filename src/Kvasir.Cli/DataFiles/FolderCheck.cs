using System.Collections.Concurrent;
using Kvasir.Cli.CommandLine;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Checking;
using Kvasir.Storage.BTree.Sorted;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Store;

namespace Kvasir.Cli.DataFiles;

/// <summary>
/// Checks everything in a folder, whoever made it: a server, an embedded store, or an engine alone. Changes nothing but
/// the lock that it holds meanwhile.
/// </summary>
internal sealed class FolderCheck(IFileSystem files, Action<string, long> progress)
{
    // Looked at from another thread when the check is given up.
    private readonly ConcurrentQueue<DamageFinding> _findings = [];
    private readonly ConcurrentDictionary<string, bool> _unread = new(StringComparer.Ordinal);

    /// <summary>The folder cannot be written and has no lock: it was checked without.</summary>
    public bool IsUnlocked { get; private set; }

    /// <summary>All that is found by now; from any thread.</summary>
    public IReadOnlyList<DamageFinding> Findings
    {
        get
        {
            // What cannot be read holds nothing of the log: that is told by what is wrong with it.
            DamageFinding[] all = [.. _findings];
            return [.. all.Where(f => !_unread.ContainsKey(f.Path) || !Array.Exists(all, o => o.Path.StartsWith(f.Path + "/", StringComparison.Ordinal)))];
        }
    }

    public IReadOnlyList<DamageFinding> Run(string folder)
    {
        if (files.FileExists(folder) && BTreeInspector.Knows(files, folder))
            CheckTree(folder);
        else
            CheckFolder(folder);

        return Findings;
    }

    /// <summary>One file that a program has as a B+tree store.</summary>
    private void CheckTree(string path)
    {
        using IDisposable? locked = Lock(BTreeStore.LockPath(path), path);
        IsUnlocked |= locked is null;
        Add(BTreeVerifier.Verify(files, path));
        progress(path, LengthOf(path));
    }

    private void CheckFolder(string folder)
    {
        if (!files.FolderExists(folder))
            throw new UsageException(files.FileExists(folder) ? $"{folder} is a file, and no B+tree store; kvasir inspect looks at files" : $"there is no folder {folder}");
        bool isNode = files.FileExists(NodeInspector.IdentityPath(folder)) || NodeInspector.ListKeyspaces(files, folder).Count > 0;
        bool isStore = files.FileExists(StoreInspector.IdentityPath(folder)) || files.FolderExists(folder + "/engine");
        bool isEngine = EngineFiles.Of(files, folder) is not null;
        if (!isNode && !isStore && !isEngine)
            throw new UsageException($"{folder} is no data folder of Kvasir: it has none of NODE, STORE, CURRENT, HASHLOG and tree");
        using IDisposable? locked = isEngine && !isNode && !isStore ? LockOfEngine(folder) : Lock(NodeInspector.LockPath(folder), folder);
        IsUnlocked |= locked is null;
        if (isNode && ClusterInspector.IsOfCluster(files, folder))
            CheckNodeOfCluster(folder);
        else if (isNode)
            CheckNode(folder);
        else if (isStore)
            CheckStore(folder);
        else
            CheckEngine(folder, mustExist: true);
    }

    // Only a tree has a lock of its own: the others' owners have one, and know that nobody else opens them.
    private IDisposable? LockOfEngine(string folder) =>
        TreeVerifier.Knows(files, folder) ? Lock(TreeVerifier.LockPath(folder), folder) : NoLock.Instance;

    private IDisposable? Lock(string path, string folder)
    {
        try
        {
            return files.LockForReading(path);
        }
        catch (FolderInUseException e)
        {
            throw new UsageException($"{folder} is open in another process; stop it, or verify a checkpoint of it", e);
        }
    }

    private void CheckNode(string folder)
    {
        string identity = NodeInspector.IdentityPath(folder);
        IReadOnlyList<string> required = [];
        IReadOnlyDictionary<string, EngineOwner> owners = new SortedDictionary<string, EngineOwner>(StringComparer.Ordinal);
        try
        {
            InspectedPart part = NodeInspector.Inspect(files, identity);
            progress(identity, part.Length);
            required = NodeInspector.RequiredKeyspaces(files, folder);
            owners = NodeInspector.OwnersOfKeyspaces(files, folder);
            string table = NodeInspector.TablePath(folder);
            if (files.FileExists(table))
                progress(table, LengthOf(table));
            TellOfFlushed(folder);
            Add(NodeInspector.VerifyFlushed(files, folder, FlushedPosition));
            CheckJournal(NodeInspector.JournalFolder(folder), NodeInspector.ExpectedJournal(files, folder, FlushedPosition));
        }
        catch (StorageException e)
        {
            _findings.Enqueue(Finding(e, identity));
            CheckJournal(NodeInspector.JournalFolder(folder), new JournalOptions());
        }

        foreach (string engine in required)
            CheckEngine(engine, mustExist: true, owners.GetValueOrDefault(engine));
        foreach (string engine in NodeInspector.ListKeyspaces(files, folder).Except(required, StringComparer.Ordinal))
            CheckEngine(engine, mustExist: false);
        CheckCheckpoints(NodeInspector.CheckpointsFolder(folder));
    }

    /// <summary>Those that the server itself made. One without an identity was not completed, and is of no use to anybody.</summary>
    private void CheckCheckpoints(string folder)
    {
        if (!files.FolderExists(folder))
            return;
        foreach (string name in files.ListFolders(folder))
        {
            string checkpoint = folder + "/" + name;
            if (!files.FileExists(NodeInspector.IdentityPath(checkpoint)))
                continue;
            using IDisposable? locked = Lock(NodeInspector.LockPath(checkpoint), checkpoint);
            IsUnlocked |= locked is null;
            CheckNode(checkpoint);
        }
    }

    private LogPosition FlushedPosition(string engine)
    {
        LogPosition position = EngineFiles.Of(files, engine)?.FlushedPosition(files, engine) ?? LogPosition.Zero;
        if (position == LogPosition.Zero)
            _unread[engine] = true;
        return position;
    }

    private void CheckNodeOfCluster(string folder)
    {
        IReadOnlyList<string> needed = [];
        CheckFile(NodeInspector.IdentityPath(folder), path => NodeInspector.Inspect(files, path));
        CheckFile(ClusterInspector.MembershipPath(folder), path => ClusterInspector.InspectMembership(files, path));
        string journal = NodeInspector.JournalFolder(folder);
        try
        {
            foreach (JournalFinding finding in ClusterInspector.VerifyJournal(files, folder, FlushedPosition, out needed))
                _findings.Enqueue(new DamageFinding(finding.File, finding.Offset, finding.Detail));
            TellOfSegments(journal);
        }
        catch (StorageException e)
        {
            _findings.Enqueue(Finding(e, journal));
        }

        foreach (string replica in needed)
            CheckEngine(replica, mustExist: true);
        foreach (string replica in ClusterInspector.ListReplicas(files, folder).Except(needed, StringComparer.Ordinal))
            CheckEngine(replica, mustExist: false);
    }

    private void CheckFile(string path, Func<string, InspectedPart> inspect)
    {
        try
        {
            progress(path, inspect(path).Length);
        }
        catch (StorageException e)
        {
            _findings.Enqueue(Finding(e, path));
        }
    }

    private void CheckStore(string folder)
    {
        // A checkpoint of a store has an engine and no journal.
        string identity = StoreInspector.IdentityPath(folder);
        EngineFiles? kind = null;
        try
        {
            if (files.FileExists(identity))
            {
                progress(identity, LengthOf(identity));
                kind = NamedIn(identity, StoreInspector.EngineName(files, folder));
            }

            if (StoreInspector.FindMissingFile(files, folder) is { } gone)
                _findings.Enqueue(gone);
            TellOfFlushed(folder);
            LogPosition flushed = FlushedPosition(folder + "/engine");
            if (files.FileExists(identity) && StoreInspector.FindMissing(files, folder, flushed) is { } missing)
                _findings.Enqueue(missing);
            CheckJournal(folder + "/journal", files.FileExists(identity)
                ? StoreInspector.ExpectedJournal(files, folder, flushed)
                : new JournalOptions());
        }
        catch (StorageException e)
        {
            _findings.Enqueue(Finding(e, identity));
        }

        CheckEngine(folder + "/engine", mustExist: true, kind: kind);
    }

    private void CheckJournal(string folder, JournalOptions expected)
    {
        if (!files.FolderExists(folder) && !expected.MustExist)
            return;
        foreach (JournalFinding finding in JournalVerifier.Verify(files, folder, expected))
            _findings.Enqueue(new DamageFinding(finding.File, finding.Offset, finding.Detail));
        TellOfSegments(folder);
    }

    private void TellOfFlushed(string folder)
    {
        string path = FlushedFile.PathIn(folder);
        if (files.FileExists(path))
            progress(path, LengthOf(path));
    }

    private void TellOfSegments(string folder)
    {
        if (!files.FolderExists(folder))
            return;
        foreach (string name in files.ListFiles(folder))
        {
            if (name.EndsWith(".segment", StringComparison.Ordinal))
                progress(folder + "/" + name, LengthOf(folder + "/" + name));
        }
    }

    // What cannot be looked at has been found by then.
    private long LengthOf(string path)
    {
        try
        {
            return files.FileLength(path);
        }
        catch (StorageException)
        {
            return 0;
        }
    }

    private EngineFiles? NamedIn(string identity, string name)
    {
        if (EngineFiles.Named(name) is { } kind)
            return kind;
        _findings.Enqueue(new DamageFinding(identity, 0, $"there is no engine '{name}'"));
        return null;
    }

    /// <summary>By its files, or as <paramref name="kind"/> where its owner knows what it must be.</summary>
    private void CheckEngine(string folder, bool mustExist, EngineOwner owner = default, EngineFiles? kind = null)
    {
        kind ??= EngineFiles.Of(files, folder);
        if (kind is not null && files.FolderExists(folder))
            VerifyEngine(folder, kind, mustExist, owner);
        else if (mustExist)
            _findings.Enqueue(new DamageFinding(folder, 0, files.FolderExists(folder) ? EngineFiles.NoneIn(folder) : "the folder is missing"));
    }

    /// <summary>What is found of each file is there as soon as the file is done: a large engine takes its time.</summary>
    private void VerifyEngine(string folder, EngineFiles kind, bool mustExist, EngineOwner owner)
    {
        List<DamageFinding> found = [];
        int told = 0;
        void Tell()
        {
            while (told < found.Count)
                _findings.Enqueue(found[told++]);
        }

        kind.Verify(
            files, folder, (path, length) =>
            {
                Tell();
                progress(path, length);
            }, mustExist, owner, found);
        Tell();
    }

    private void Add(IReadOnlyList<DamageFinding> findings)
    {
        foreach (DamageFinding finding in findings)
            _findings.Enqueue(finding);
    }

    private static DamageFinding Finding(StorageException e, string path) => e is CorruptionException { Path: not null } damage
        ? new DamageFinding(damage.Path, damage.Offset, damage.Message)
        : new DamageFinding(path, 0, e.Message);

    private sealed class NoLock : IDisposable
    {
        public static readonly NoLock Instance = new();

        public void Dispose()
        {
        }
    }
}
