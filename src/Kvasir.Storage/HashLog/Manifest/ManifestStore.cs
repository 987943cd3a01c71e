using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.HashLog.Manifest;

/// <summary>
/// The manifest of one folder: one file, replaced as a whole by a rename, which is the only moment at which anything about the files
/// changes. Segments are few and large, so that to write all of their names costs less than to keep a log of changes. One caller at a
/// time, except for file numbers.
/// </summary>
internal sealed class ManifestStore
{
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly BytesBuffer _bytes = new();

    /// <summary>Segments of states whose rename may or may not be found after a crash, until one succeeds.</summary>
    private readonly List<ulong> _doubtful = [];
    private ulong _lastFileNumber;

    private ManifestStore(IFileSystem files, string folder, LogState state)
    {
        _files = files;
        _folder = folder;
        State = state;
        _lastFileNumber = state.NextFileNumber - 1;
    }

    /// <summary>What is durable.</summary>
    public LogState State { get; private set; }

    /// <summary>Opens what is there, or makes it where nothing is; <paramref name="newIdentity"/> is for that.</summary>
    public static ManifestStore Open(IFileSystem files, string folder, EngineOwner owner, ulong newIdentity)
    {
        files.CreateFolder(folder);
        IReadOnlyList<string> names = files.ListFiles(folder);
        string path = LogFiles.Join(folder, LogFiles.ManifestName);
        bool present = files.FileExists(path);

        // The name may be in the page cache only, from an opening that was killed: what follows builds on it.
        if (present)
            files.SyncFolder(folder);
        else
            RefuseUnlessNew(folder, names);
        LogState state = present ? ManifestFormat.Read(files, path) : new LogState { Identity = newIdentity, Digest = StateDigest.Unknown };
        if (FindOtherOwner(folder, state, owner) is { } stranger)
            throw new CorruptionException(stranger.Path, stranger.Offset, stranger.Detail);
        foreach (SegmentFacts segment in state.Segments)
        {
            if (!files.FileExists(LogFiles.SegmentPath(folder, segment.Number)))
                throw new FileMissingException(LogFiles.SegmentPath(folder, segment.Number));
        }

        var store = new ManifestStore(files, folder, state);
        foreach (string name in names)
        {
            if (LogFiles.TryParseSegment(name, out ulong number) || LogFiles.TryParseHint(name, out number))
                store._lastFileNumber = Math.Max(store._lastFileNumber, number);
        }

        try
        {
            if (!present || (state.Owner.IsNone && !owner.IsNone))
                store.Commit(state with { Owner = owner });
        }
        catch (DiskFullException) when (present)
        {
            // Reads can be served; the next opening tells it again.
        }

        store.DeleteLeftovers(names);
        return store;
    }

    /// <summary>Writes the manifest of a folder that holds the segments of the state already.</summary>
    public static void CreateFor(IFileSystem files, string folder, LogState state) => new ManifestStore(files, folder, state).Write(state);

    /// <summary>What the folder's manifest says; reads only.</summary>
    public static LogState Load(IFileSystem files, string folder) => ManifestFormat.Read(files, LogFiles.Join(folder, LogFiles.ManifestName));

    /// <summary>What is wrong with a folder that says that it is another owner's; null for nothing.</summary>
    public static DamageFinding? FindOtherOwner(string folder, LogState state, EngineOwner owner) =>
        owner.IsNone || state.Owner.IsNone || state.Owner == owner
            ? null
            : new DamageFinding(LogFiles.Join(folder, LogFiles.ManifestName), 0, $"the folder is {state.Owner}, and stands in the place of {owner}");

    /// <summary>Thread-safe.</summary>
    public ulong NewFileNumber() => Interlocked.Increment(ref _lastFileNumber);

    /// <summary>
    /// Returns when the state is durable. When it fails it may or may not be found after a crash; either way the state here stays as it
    /// was, and the files of both sides stay until a later one has succeeded.
    /// </summary>
    public LogState Commit(LogState next)
    {
        next = next with { NextFileNumber = Volatile.Read(ref _lastFileNumber) + 1 };
        try
        {
            Write(next);
        }
        catch
        {
            foreach (SegmentFacts segment in next.Segments)
            {
                if (!State.Segments.Any(s => s.Number == segment.Number))
                    _doubtful.Add(segment.Number);
            }

            throw;
        }

        State = next;
        foreach (ulong number in _doubtful)
        {
            if (next.Segments.All(s => s.Number != number))
                DeleteSegment(number);
        }

        _doubtful.Clear();
        return next;
    }

    /// <summary>No manifest names it. What cannot be deleted is left to the next opening.</summary>
    public void DeleteSegment(ulong number)
    {
        TryDelete(LogFiles.SegmentName(number));
        TryDelete(LogFiles.HintName(number));
    }

    /// <summary>Without a manifest a folder is new, unless a segment says that there was one.</summary>
    public static void RefuseUnlessNew(string folder, IReadOnlyList<string> names)
    {
        foreach (string name in names)
        {
            if (LogFiles.TryParseSegment(name, out _))
                throw new FileMissingException($"{LogFiles.Join(folder, LogFiles.ManifestName)} is missing, though there is {name}", inner: null);
        }
    }

    private void Write(LogState state)
    {
        ManifestFormat.Write(_bytes, state);

        // What it names is found by name: that is durable before it is.
        _files.SyncFolder(_folder);
        AtomicFile.Replace(_files, LogFiles.Join(_folder, LogFiles.ManifestName), _bytes.WrittenSpan);
    }

    private void DeleteLeftovers(IReadOnlyList<string> names)
    {
        foreach (string name in names)
        {
            bool isOurs = LogFiles.TryParseSegment(name, out ulong number) || LogFiles.TryParseHint(name, out number);
            if (name == LogFiles.ManifestTemporaryName || (isOurs && State.Segments.All(s => s.Number != number)))
                TryDelete(name);
        }
    }

    private void TryDelete(string name)
    {
        try
        {
            string path = LogFiles.Join(_folder, name);
            if (_files.FileExists(path))
                _files.Delete(path);
        }
        catch (StorageException)
        {
            // Nothing names it; the next opening tries again.
        }
    }
}
