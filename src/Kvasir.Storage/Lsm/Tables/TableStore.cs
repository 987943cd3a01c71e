using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.Compaction;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// The files of one LSM engine: SSTables by level, the manifest that names them, and what rewrites them.
/// <para>
/// <b>Locks.</b> <c>_installing</c> is held while one edit goes into the manifest, syncs included, and is taken first;
/// <c>_lock</c> guards which tables are being read by compactions and the picture derived from the set. Readers take
/// neither: they take a reference on the current set.
/// </para>
/// <para>
/// <b>A file lives</b> from before the edit that adds it is durable until no set names it. When an edit fails half way,
/// nobody knows whether the disk holds it; tables on both sides are kept until a new manifest has been installed.
/// </para>
/// </summary>
internal sealed partial class TableStore : ISortedStore
{
    private readonly string _folder;
    private readonly IFileSystem _files;
    private readonly EngineEnvironment _environment;
    private readonly IScheduler _scheduler;
    private readonly LsmOptions _options;
    private readonly BlockCache _blocks;
    private readonly TableCache _tables;
    private readonly CompactionPicker _picker;
    private readonly ManifestLog _manifest;
    private readonly ObsoleteFiles _obsolete;
    private readonly IWaitPoint _compactionEnded;
    private readonly Lock _installing = new();
    private readonly Lock _lock = new();
    private readonly List<CompactionPlan> _running = [];
    private readonly WorkPace _pace;
    private TableSet _current;
    private LevelTargets _targets;
    private long _nextExpiryMs;
    private long _debt;
    private bool _due;
    private int _manualWaiting;
    private ulong _oldestSnapshot;
    private long _flushBytes;
    private long _compactionBytesRead;
    private long _compactionBytesWritten;
    private bool _disposed;

    private TableStore(string folder, EngineEnvironment environment, LsmOptions options, BlockCache blocks, ManifestLog manifest)
    {
        _folder = folder;
        _files = environment.Files;
        _environment = environment;
        _scheduler = environment.Scheduler;
        _options = options;
        _blocks = blocks;
        _tables = new TableCache(_files, folder, blocks, options.OpenFilesMax, options.VerifyChecksums);
        _picker = new CompactionPicker(options);
        _obsolete = new ObsoleteFiles(_files, folder, _tables, _scheduler);
        _compactionEnded = _scheduler.CreateWaitPoint();
        _pace = new WorkPace(_scheduler);
        _manifest = manifest;
        _current = BuildSet(_manifest.State);
        _targets = LevelTargets.Compute(_current, options);
        Refresh();
    }

    public Func<bool, double> WorkShare
    {
        set => _pace.Share = value;
    }

    public int KeyBytesMax => int.MaxValue;

    public int ValueBytesMax => int.MaxValue;

    public bool KeepsVersions => true;

    public LogPosition FlushedPosition => Volatile.Read(ref _current).FlushedPosition;

    public StateDigest FlushedDigest => Volatile.Read(ref _current).FlushedDigest;

    public ulong FlushedSequence => Volatile.Read(ref _current).LastSequence;

    public bool CompactionDue
    {
        get
        {
            if (Volatile.Read(ref _due))
                return true;
            if (ExpiryHorizonMs() < Volatile.Read(ref _nextExpiryMs))
                return false;
            lock (_lock)
            {
                _due = Pick() is not null;
                if (!_due)
                    _nextExpiryMs = ExpiryHorizonMs() + ExpiryRecheckMs;
                return _due;
            }
        }
    }

    public long CompactionDebtBytes => Volatile.Read(ref _debt);

    public int LevelZeroTables => Volatile.Read(ref _current).Level(0).Length;

    private const long ExpiryRecheckMs = 30_000;

    /// <summary>
    /// Opens the tables of <paramref name="folder"/>, or makes them when there are none. Everything that the manifest
    /// names must be there; what it does not name is removed.
    /// </summary>
    public static TableStore Open(string folder, EngineEnvironment environment, LsmOptions options)
    {
        environment.Files.CreateFolder(folder);
        BlockCache blocks = BlockCache.Join(environment.Memory);
        ManifestLog? manifest = null;
        try
        {
            manifest = ManifestLog.Open(environment.Files, folder, environment.Owner);
            return new TableStore(folder, environment, options, blocks, manifest);
        }
        catch
        {
            manifest?.Dispose();
            blocks.Leave();
            throw;
        }
    }

    public ISortedView Acquire() => AcquireSet();

    public void Flush(
        InternalIterator source, IReadOnlyList<RangeTombstone> tombstones, LogPosition position, ulong lastSequence, StateDigest digest = default)
    {
        var edit = new TableSetEdit { FlushedPosition = position, LastSequence = lastSequence, Digest = digest };
        List<RangeTombstone> ranges = [.. tombstones.Where(t => t.End is null || t.Start.AsSpan().SequenceCompareTo(t.End) < 0)];
        using var outputs = new TableOutputs(
            _files, _folder, level: 0, _manifest.NewFileNumber, WriterOptions(level: 0), (_, _) => ranges, _pace);
        for (source.SeekToFirst(); source.Valid; source.Next())
            outputs.Add(source.UserKey, source.Trailer, source.ExpiresAtMs, source.Value);
        edit.Added.AddRange(outputs.Finish());
        Install(edit);
        MarkCovered(ranges);
        Interlocked.Add(ref _flushBytes, outputs.BytesWritten);
    }

    public void Checkpoint(string folder, CancellationToken cancellation = default)
    {
        TableSet set = AcquireSet();
        try
        {
            _files.CreateFolder(folder);
            var state = new ManifestState
            {
                FlushedPosition = set.FlushedPosition,
                Digest = set.FlushedDigest,
                LastSequence = set.LastSequence,
                NextFileNumber = 2,
                Owner = _manifest.State.Owner,
            };
            for (int level = 0; level < set.LevelCount; level++)
            {
                foreach (TableFile table in set.Level(level))
                {
                    _files.HardLink(TableFiles.TablePath(_folder, table.Number), TableFiles.TablePath(folder, table.Number));
                    state.Add(new ManifestTable(level, table.Number, table.SizeBytes, table.Properties));
                    state.NextFileNumber = Math.Max(state.NextFileNumber, table.Number + 1);
                }
            }

            ManifestLog.CreateFor(_files, folder, state);
        }
        finally
        {
            set.Release();
        }
    }

    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> sorted, ulong sequence)
    {
        // Written for the deepest level, where it will mostly end up.
        using var outputs = new TableOutputs(
            _files, _folder, level: 0, _manifest.NewFileNumber, WriterOptions(_options.LevelCount - 1), static (_, _) => []);
        var trailer = new Trailer(sequence, ValueKind.Value);
        foreach ((ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value) in sorted)
        {
            if (outputs.CurrentBytes >= _options.TableBytes)
                outputs.Split(key.Span);
            outputs.Add(key.Span, trailer, expiresAtMs: 0, value.Span);
        }

        List<ManifestTable> written = outputs.Finish();
        if (written.Count == 0)
            return;
        lock (_installing)
        {
            int level = LevelForIngest(written);
            var edit = new TableSetEdit { LastSequence = Math.Max(sequence, _current.LastSequence) };
            edit.Added.AddRange(written.Select(t => t with { Level = level }));
            Install(edit);
        }

        Interlocked.Add(ref _flushBytes, outputs.BytesWritten);
    }

    public SortedStoreStatistics GetStatistics()
    {
        TableSet set = AcquireSet();
        try
        {
            long entries = 0;
            long bytes = 0;
            var levels = new List<(int, long)>();
            for (int level = 0; level < set.LevelCount; level++)
            {
                long levelBytes = TableSet.Bytes(set.Level(level));
                bytes += levelBytes;
                levels.Add((set.Level(level).Length, levelBytes));
                foreach (TableFile table in set.Level(level))
                    entries += table.Properties.EntryCount - table.Properties.TombstoneCount;
            }

            return new SortedStoreStatistics
            {
                DiskBytes = bytes,
                FlushBytesWritten = Interlocked.Read(ref _flushBytes),
                CompactionBytesRead = Interlocked.Read(ref _compactionBytesRead),
                CompactionBytesWritten = Interlocked.Read(ref _compactionBytesWritten),
                EntryCount = entries,
                CacheBytes = _blocks.Budget.CacheBytes,
                CacheHits = _blocks.Hits,
                CacheMisses = _blocks.Misses,
                Levels = levels,
            };
        }
        finally
        {
            set.Release();
        }
    }

    /// <summary>Background work has ended; views that are still held keep their tables' readers until released.</summary>
    public void Dispose()
    {
        lock (_installing)
        {
            if (_disposed)
                return;
            Volatile.Write(ref _disposed, true);
            _obsolete.Purge();
            _obsolete.Stop();
            _manifest.Dispose();
            _current.Release();
            _tables.CloseAll();
            _blocks.Leave();
        }
    }

    internal TableSet AcquireSet()
    {
        while (true)
        {
            TableSet set = Volatile.Read(ref _current);
            if (set.TryAddReference())
                return set;

            // The one whose view is of earlier tables may come here after the end: background work cannot, statistics can.
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), this);
        }
    }

    internal int OpenTables => _tables.OpenCount;

    /// <summary>
    /// Makes an edit durable, then current. Owns the edit's new files from here on: when it fails they stay until it is
    /// certain that no manifest names them.
    /// </summary>
    private void Install(TableSetEdit edit)
    {
        lock (_installing)
        {
            Check.That(!_disposed, $"the tables of {_folder} are closed");
            ManifestState state = _manifest.Commit(edit);
            TableSet next = BuildSet(state);
            TableSet before = _current;
            lock (_lock)
            {
                Volatile.Write(ref _current, next);
                Refresh();
            }

            before.Release();
        }
    }

    /// <summary>The set of a manifest state, with the tables of the current one where they are the same.</summary>
    private TableSet BuildSet(ManifestState state)
    {
        var known = new Dictionary<ulong, TableFile>();
        if (_current is not null)
        {
            for (int level = 0; level < _current.LevelCount; level++)
            {
                foreach (TableFile table in _current.Level(level))
                    known.Add(table.Number, table);
            }
        }

        int count = Math.Max(2, _options.LevelCount);
        foreach (ManifestTable table in state.Tables)
            count = Math.Max(count, table.Level + 1);
        var levels = new List<TableFile>[count];
        for (int level = 0; level < count; level++)
            levels[level] = [];
        foreach (ManifestTable table in state.Tables)
        {
            if (!known.TryGetValue(table.Number, out TableFile? file))
                file = new TableFile(table.Number, table.SizeBytes, table.Properties, _tables);
            levels[table.Level].Add(file);
        }

        levels[0].Sort(static (a, b) => a.Properties.LargestSequence != b.Properties.LargestSequence
            ? b.Properties.LargestSequence.CompareTo(a.Properties.LargestSequence)
            : b.Number.CompareTo(a.Number));
        for (int level = 1; level < count; level++)
            levels[level].Sort(static (a, b) => a.Bounds.Start.AsSpan().SequenceCompareTo(b.Bounds.Start));
        return new TableSet([.. levels.Select(l => l.ToArray())], state.FlushedPosition, state.LastSequence, _obsolete.Drop)
        {
            FlushedDigest = state.Digest,
        };
    }

    /// <summary>The deepest level at which, and above which, nothing overlaps the new tables.</summary>
    private int LevelForIngest(List<ManifestTable> written)
    {
        KeyBounds hull = BoundsOf(written[0]);
        foreach (ManifestTable table in written)
            hull = hull.Union(BoundsOf(table));
        lock (_lock)
        {
            foreach (TableFile table in _current.Level(0))
            {
                if (table.Bounds.Overlaps(hull))
                    return 0;
            }

            int deepest = 0;
            for (int level = 1; level < _options.LevelCount; level++)
            {
                bool free = CompactionPicker.Overlapping(_current.Level(level), hull).Length == 0;
                foreach (CompactionPlan plan in _running)
                    free &= plan.OutputLevel != level || !plan.Hull.Overlaps(hull);
                if (!free)
                    break;
                deepest = level;
            }

            return deepest;
        }

        static KeyBounds BoundsOf(ManifestTable table) =>
            new(table.Properties.SmallestKey, table.Properties.LargestKey, table.Properties.LargestInclusive);
    }

    private SSTableWriterOptions WriterOptions(int level) => new()
    {
        BlockBytes = _options.BlockBytes,
        RestartInterval = _options.RestartInterval,
        FilterBitsPerKey = _options.FilterBitsPerKey,
        Compress = level >= _options.CompressFromLevel,
        CreatedAtMs = NowMs(),
        Memory = _blocks.Budget,
    };

    /// <summary>Up to here, what has expired counts as dead.</summary>
    private long ExpiryHorizonMs() => _environment.ExpiryHorizonMs;

    private long NowMs() => _scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();
}
