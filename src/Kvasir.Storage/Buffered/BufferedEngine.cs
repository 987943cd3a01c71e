using Kvasir.Primitives;
using Kvasir.Storage.Buffered.MemTables;
using Kvasir.Storage.Buffered.Rows;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Publishing;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// An ordered engine whose writes go to a memtable first; full memtables are frozen and flushed in the background into what lies below,
/// an <see cref="ISortedStore"/>: sorted tables for the log-structured merge tree (O'Neil et al. 1996; LevelDB, RocksDB), a tree for the B+tree.
/// This class holds what is in memory and says when to flush and compact; files are the business of the store.
/// </summary>
/// <remarks>
/// <para>
/// Locks, in the order in which they nest: <c>_writerLock</c> (staging, publishing, freezing), <c>_stateLock</c>
/// (replacing the read state), then those of the parts. Reads take none. Nobody waits for a job while holding one.
/// </para>
/// </remarks>
internal sealed partial class BufferedEngine : IOrderedEngine
{
    private readonly ISortedStore _tables;
    private readonly EngineEnvironment _environment;
    private readonly BufferOptions _options;
    private readonly MemoryBudget _budget;
    private readonly WriteProgress _progress;
    private readonly SnapshotList _snapshots = new();
    private readonly BackgroundWork _background;
    private readonly WriteController _writes;
    private readonly RowCache _rows;
    private readonly Lock _writerLock = new();
    private readonly Lock _stateLock = new();
    private ReadState? _state;
    private bool _disposed;

    /// <summary>Owns the table store.</summary>
    public BufferedEngine(ISortedStore tables, EngineEnvironment environment, BufferOptions options)
    {
        _tables = tables;
        _environment = environment;
        _options = options;
        _budget = environment.Memory;
        _progress = new WriteProgress(tables.FlushedSequence, tables.FlushedPosition, tables.FlushedDigest, environment.KeepsDigest);
        _rows = new RowCache(_budget);
        _active = new MemTable(_budget);
        _state = new ReadState([_active], tables.Acquire());
        _writes = new WriteController(options, environment.Scheduler.Time);
        _background = new BackgroundWork(this, environment.Scheduler, options);
        _frozenAt = environment.Scheduler.Time.GetTimestamp();
        tables.WorkShare = WorkShareOf;
        _background.RequestCompaction();
    }

    public LogPosition PublishedPosition => _progress.PublishedPosition;

    public int KeyBytesMax => _tables.KeyBytesMax;

    public int ValueBytesMax => _tables.ValueBytesMax;

    public LogPosition FlushedPosition => _tables.FlushedPosition;

    public LogPosition? OldestUnflushedPosition
    {
        get
        {
            lock (_writerLock)
            {
                MemTable[] memTables = State.MemTables;
                for (int i = memTables.Length - 1; i >= 0; i--)
                {
                    if (memTables[i].FirstPosition is { } position)
                        return position;
                }

                return null;
            }
        }
    }

    public SequenceNumber LastSequence => new(_progress.Published);

    public SequenceNumber StableSequence => new(_progress.StableSequence);

    // Files that are not written any more may have been stopped by somebody who has told only his caller, or nobody.
    public Exception? BackgroundFailure => _background.Failure ?? _tables.StopReason;

    internal bool CompactionDue
    {
        get
        {
            if (_tables.WaitsForSnapshots)
                _tables.NoteOldestSnapshot(_snapshots.Oldest(this));
            return _tables.CompactionDue;
        }
    }

    internal bool LevelZeroIsDue => _tables.LevelZeroTables >= _options.LevelZeroCompactionTrigger;

    private ReadState State
    {
        get
        {
            ReadState? state = Volatile.Read(ref _state);
            ObjectDisposedException.ThrowIf(state is null, this);
            return state;
        }
    }

    public EngineSnapshot CreateSnapshot()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_tables.KeepsVersions)
            return _snapshots.Take(this);

        // The state must name all that the sequence number covers: it must still be current after that was read.
        while (true)
        {
            ReadState state = Enter(out int stripe);
            SnapshotList.BufferedSnapshot snapshot = _snapshots.Take(this, new HeldState(state, stripe));
            if (Volatile.Read(ref _state) == state)
                return snapshot;
            snapshot.Dispose();
        }
    }

    public bool TryResume()
    {
        if (_tables.StopReason is not null)
            _background.TryRun(_ => _tables.TryResume());
        return _background.TryResume() && _tables.StopReason is null;
    }

    internal bool IsStopped => _tables.StopReason is not null;

    internal void ResumeTables() => _tables.TryResume();

    public void RequestResume() => _background.RequestResume();

    public void Compact(CancellationToken cancellation = default) => CompactRange([], [], cancellation);

    public void CompactRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, CancellationToken cancellation = default)
    {
        byte[]? first = start.IsEmpty ? null : start.ToArray();
        byte[]? behind = end.IsEmpty ? null : end.ToArray();
        bool isOpen = _background.TryRun(stopping =>
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping, cancellation);
            _tables.CompactRange(first, behind, () => _snapshots.Boundaries(this), RefreshTables, either.Token);
            RefreshTables();
        });
        ObjectDisposedException.ThrowIf(!isOpen, this);
    }

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        ReadState state = Enter(out int stripe);
        try
        {
            long bytes = state.Tables.EstimateSize(start, end);
            foreach (MemTable memTable in state.MemTables)
                bytes += memTable.EstimateSize(start, end);
            return bytes;
        }
        finally
        {
            state.Leave(stripe);
        }
    }

    public EngineStatistics GetStatistics()
    {
        ReadState state = Enter(out int stripe);
        try
        {
            SortedStoreStatistics tables = _tables.GetStatistics();
            long memTableBytes = 0, keys = tables.EntryCount;
            foreach (MemTable memTable in state.MemTables)
            {
                memTableBytes += memTable.AllocatedBytes;
                keys += memTable.KeyCount;
            }

            return new EngineStatistics
            {
                MemoryBytes = memTableBytes + tables.CacheBytes,
                MemTableBytes = memTableBytes,
                CacheBytes = tables.CacheBytes,
                CacheHits = tables.CacheHits + _rows.Hits,
                CacheMisses = tables.CacheMisses,
                DiskBytes = tables.DiskBytes,
                UserBytesWritten = Volatile.Read(ref _userBytesWritten),
                FlushBytesWritten = tables.FlushBytesWritten,
                CompactionBytesRead = tables.CompactionBytesRead,
                CompactionBytesWritten = tables.CompactionBytesWritten,
                CompactionDebtBytes = _tables.CompactionDebtBytes,
                StallMicroseconds = _writes.StallMicroseconds,
                EstimatedKeys = keys,
                Levels = tables.Levels,
                TreePages = tables.TreePages,
            };
        }
        finally
        {
            state.Leave(stripe);
        }
    }

    /// <summary>
    /// Stops the background jobs (a flush that runs is waited for, a compaction given up), and frees all memory. Does not flush: what is only in
    /// memory is in the log.
    /// </summary>
    public void Dispose()
    {
        lock (_writerLock)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        _background.Stop();
        ReadState state;
        lock (_stateLock)
        {
            state = _state!;
            Volatile.Write(ref _state, null);
        }

        foreach (MemTable memTable in state.MemTables)
            memTable.Release();
        state.Retire();
        _rows.Free();
        _tables.Dispose();
    }

    /// <summary>Makes reads see the current tables, and lets go of the ones before.</summary>
    internal void RefreshTables()
    {
        lock (_stateLock)
        {
            if (_state is not null)
                Replace(new ReadState(_state.MemTables, _tables.Acquire()));
        }

        Reassess();
    }

    /// <summary>Tells the write controller how things stand now.</summary>
    internal void Reassess()
    {
        if (Volatile.Read(ref _state) is not { } state)
            return;
        _writes.Assess(new WriteLoad(
            FrozenMemTables: state.MemTables.Length - 1,
            MemoryShare: (double)_budget.WriteBytes / _budget.WriteLimitBytes,
            LevelZeroTables: _tables.LevelZeroTables,
            CompactionDebtBytes: _tables.CompactionDebtBytes));
    }

    /// <summary>A snapshot has gone, which may have kept tables that range tombstones cover.</summary>
    internal void LookAgainForCovered()
    {
        if (_tables.WaitsForSnapshots)
            _background.RequestCompaction();
    }

    /// <summary>With <c>_stateLock</c> held.</summary>
    private void Replace(ReadState next)
    {
        ReadState previous = _state!;
        Volatile.Write(ref _state, next);
        previous.Retire();
    }

    /// <summary>What the view reads from: the current state, or the one that its snapshot holds; goes back to <see cref="Leave"/>.</summary>
    private ReadState Enter(in ReadView view, out int stripe, out HeldState? held)
    {
        if (view.Snapshot is not SnapshotList.BufferedSnapshot { Held: { } ofSnapshot } snapshot)
        {
            held = null;
            return Enter(out stripe);
        }

        ObjectDisposedException.ThrowIf(_disposed, this);
        ObjectDisposedException.ThrowIf(!ofSnapshot.TryHold(), snapshot);
        (held, stripe) = (ofSnapshot, 0);
        return ofSnapshot.State;
    }

    private static void Leave(ReadState state, int stripe, HeldState? held)
    {
        if (held is null)
            state.Leave(stripe);
        else
            held.Release();
    }

    private ReadState Enter(out int stripe)
    {
        while (true)
        {
            ReadState state = State;
            if (state.TryEnter(out stripe))
                return state;
        }
    }
}
