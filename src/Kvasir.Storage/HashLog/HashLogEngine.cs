using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Readers;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;
using Kvasir.Storage.Publishing;

namespace Kvasir.Storage.HashLog;

/// <summary>
/// A log with an index of hashes (Bitcask: Sheehy and Smith 2010; FASTER: Chandramouli et al. 2018): every key in memory, its newest
/// value one read away. Versions are appended to the tail in memory; what is stable is flushed into segments, which never change;
/// merges write what is still alive in them to others. The tail keeps what it flushed for as long as memory allows.
/// <para>
/// The index leads to the newest version of a key, in memory or in a segment. Versions in memory are linked to those below; in files
/// nothing is linked, so a merge may move what it likes. Versions in files that only a snapshot sees are in <see cref="OldVersions"/>.
/// </para>
/// <para>
/// Locks, in the order in which they nest: <c>_writerLock</c> (staging, publishing), <c>_installing</c> (the manifest), those of the
/// index's shards, those of the parts. Reads take none, but for the beginning of a scan. Nobody waits for a job while holding one.
/// </para>
/// </summary>
internal sealed partial class HashLogEngine : IStorageEngine
{
    private readonly string _folder;
    private readonly EngineEnvironment _environment;
    private readonly IFileSystem _files;
    private readonly HashLogOptions _options;
    private readonly MemoryBudget _budget;
    private readonly ManifestStore _manifest;
    private readonly ReclamationEpoch _epoch;
    private readonly KeyIndex _index;
    private readonly SegmentTable _table;
    private readonly SegmentHandles _handles;
    private readonly TailLog _tail;
    private readonly WriteProgress _progress;
    private readonly SnapshotRegister _snapshots = new();
    private readonly OldVersions _oldVersions = new();
    private readonly LogBackground _background;
    private readonly Lock _writerLock = new();
    private readonly PendingLinks _links = new();
    private readonly PendingEntries _pending;
    private readonly Lock _installing = new();
    private readonly ulong _identity;

    // Replaced as a whole, under _installing.
    private SegmentFile[] _segments;
    private RangeDeletions _ranges;
    private int _disposed;

    private HashLogEngine(
        string folder, EngineEnvironment environment, HashLogOptions options, ManifestStore manifest, ReclamationEpoch epoch, SegmentHandles handles,
        LoadedSegments loaded)
    {
        _handles = handles;
        (_folder, _environment, _files, _options, _budget) = (folder, environment, environment.Files, options, environment.Memory);
        (_manifest, _epoch, _index, _table, _segments) = (manifest, epoch, loaded.Index, loaded.Table, loaded.Segments);
        LogState state = manifest.State;
        _identity = state.Identity;
        _ranges = state.Ranges;
        _flushedSequence = state.FlushedSequence;
        _progress = new WriteProgress(state.FlushedSequence, state.FlushedPosition, state.Digest, environment.KeepsDigest);
        _pending = new PendingEntries(_index, _links);
        _budget.AllowIndex(options.IndexBytes);
        _tail = new TailLog(_budget, options.TailChunkBytes);
        _background = new LogBackground(this, environment.Scheduler);
        _background.RequestMerge();
    }

    public static HashLogEngine Open(string folder, EngineEnvironment environment, HashLogOptions options)
    {
        ulong now = (ulong)environment.Scheduler.Time.GetUtcNow().UtcTicks;
        ulong identity = StableHash.Hash64(System.Text.Encoding.UTF8.GetBytes(folder), now);
        ManifestStore manifest = ManifestStore.Open(environment.Files, folder, environment.Owner, identity);
        var epoch = new ReclamationEpoch();
        var handles = new SegmentHandles(environment.Files, options.OpenFilesMax);
        LoadedSegments loaded = LoadedSegments.Load(folder, environment, manifest.State, epoch, handles);
        return new HashLogEngine(folder, environment, options, manifest, epoch, handles, loaded);
    }

    public LogPosition PublishedPosition => _progress.PublishedPosition;

    public LogPosition FlushedPosition => _manifest.State.FlushedPosition;

    public LogPosition? OldestUnflushedPosition
    {
        get
        {
            lock (_writerLock)
                return _firstUnflushed;
        }
    }

    public SequenceNumber LastSequence => new(_progress.Published);

    public SequenceNumber StableSequence => new(_progress.StableSequence);

    public Exception? BackgroundFailure => _background.Failure;

    public bool TryResume() => _background.TryResume();

    public void RequestResume() => _background.RequestResume();

    /// <summary>Files of segments that are open now.</summary>
    internal int OpenSegments => _handles.OpenCount;

    /// <summary>Bytes that the keys take in the index.</summary>
    internal long IndexBytes => _index.UsedBytes;

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        ThrowIfDisposed();
        ulong first = start.IsEmpty ? 0 : StableHash.Hash64(start);
        ulong last = end.IsEmpty ? ulong.MaxValue : StableHash.Hash64(end);
        if (last < first)
            return 0;
        long alive = _tail.UnflushedBytes;
        foreach (SegmentFile segment in Volatile.Read(ref _segments))
            alive += segment.Facts.Bytes - segment.DeadBytes;
        return (long)(((double)last - first) / ulong.MaxValue * Math.Max(alive, 0));
    }

    public EngineStatistics GetStatistics()
    {
        ThrowIfDisposed();
        SettleWithLock();
        long disk = 0, tombstones = 0;
        foreach (SegmentFile segment in Volatile.Read(ref _segments))
        {
            disk += segment.Facts.Bytes;
            tombstones += segment.Facts.Tombstones;
        }

        long indexBytes = _index.AllocatedBytes;
        return new EngineStatistics
        {
            MemoryBytes = _tail.Bytes + indexBytes,
            MemTableBytes = _tail.UnflushedBytes,
            CacheBytes = _tail.FlushedBytes,
            CacheHits = 0,
            CacheMisses = 0,
            DiskBytes = disk,
            UserBytesWritten = Volatile.Read(ref _userBytesWritten),
            FlushBytesWritten = Interlocked.Read(ref _flushBytes),
            CompactionBytesRead = Interlocked.Read(ref _mergeBytesRead),
            CompactionBytesWritten = Interlocked.Read(ref _mergeBytesWritten),
            CompactionDebtBytes = MergeDueBytes(),
            StallMicroseconds = Interlocked.Read(ref _stallMicroseconds),
            EstimatedKeys = Math.Max(0, _index.Count - tombstones),
            IndexBytes = _index.UsedBytes,
            IndexLimitBytes = _index.UsedBytes + Math.Max(0, IndexRoomBytes),
            IndexPercent = IndexPercent,
        };
    }

    /// <summary>
    /// Stops the background jobs (a flush that runs is waited for, a merge given up), and frees all memory. Does not flush: what is
    /// only in memory is in the log.
    /// </summary>
    public void Dispose()
    {
        lock (_writerLock)
        {
            if (_disposed != 0)
                return;
            Volatile.Write(ref _disposed, 1);
        }

        _background.Stop();
        GiveUpMerge();
        lock (_installing)
        {
            // A checkpoint that is being written has come before; others see that it is closed.
        }

        // Readers who came before see that it is closed, or are waited for.
        var wait = default(SpinWait);
        while (!_epoch.TryDrain())
            wait.SpinOnce(sleep1Threshold: -1);
        foreach (SegmentFile segment in _segments)
            segment.Dispose();
        _tail.Free();
        _index.Free();
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
}
