using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Buffered.MemTables;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Publishing;

namespace Kvasir.Storage.Buffered;

/// <summary>The way of a write: staged, published, stable, frozen, flushed.</summary>
internal sealed unsafe partial class BufferedEngine
{
    // Bounds what a read pays for range tombstones that are still in memory, where they are looked through one by one.
    private const int RangeTombstonesPerMemTableMax = 256;

    // Range tombstones that free this part of a table, in whole tables, are worth a flush before the memtable is full.
    private const int FreedPartOfTableDue = 16;

    // And this part of what is flushed early for them.
    private const int FreedPartOfMemTableDue = 2;

    private const int StagedTogether = 16;

    // Nodes of staged mutations in order, so that they can be withdrawn; kept below this length when idle.
    private const int StagedNodesKept = 4096;

    private MemTable _active;
    private nint[] _stagedNodes = new nint[64];
    private int _stagedNodeCount;
    private long _userBytesWritten;
    private ulong _flushTarget;
    private bool _freezeRequested;
    private bool _expectsNoReads;
    private bool _rangesStaged;
    private ulong _rangesWeighedTo;
    private long _rangesFree;

    // One fills, one is flushed, and there is room to wait.
    private long MemTableBytesMax => Math.Min(_options.MemTableBytes, _budget.ActiveLimitBytes);

    public void Stage(ReadOnlySpan<byte> batch)
    {
        lock (_writerLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ThrowIfWritesStopped();
            int nodesBefore = _stagedNodeCount;
            ulong sequenceBefore = _progress.LastAssigned;
            var reader = new BatchReader(batch);
            if (reader.MoveNext())
            {
                StageOne(reader, StableHash.Hash64(reader.Key));
                if (!reader.IsAtEnd)
                    StageRest(ref reader);
            }

            if (reader.Malformed)
            {
                Withdraw(nodesBefore, sequenceBefore);
                _progress.ForgetStagedAfter(sequenceBefore);
                Check.Fail("a write batch that makes no sense");
            }

            _userBytesWritten += batch.Length;
            _writes.Charge(batch.Length);
        }
    }

    public StateDigest PublishedDigest => _progress.PublishedDigest;

    public StateDigest StableDigest => _progress.StableDigest;

    public void AssumeDigest(StateDigest digest)
    {
        lock (_writerLock)
            _progress.AssumeDigest(digest);
    }

    public void Publish(LogPosition position, bool awaited = true)
    {
        bool frozen;
        lock (_writerLock)
        {
            if (!_progress.HasStaged)
                return;
            ObjectDisposedException.ThrowIf(_disposed, this);
            frozen = PublishStaged(position, awaited);
        }

        AfterPublishing(frozen);
    }

    public void MarkStable(LogPosition position)
    {
        if (_progress.MarkStable(position) && Volatile.Read(ref _state) is { MemTables.Length: > 1 })
            _background.RequestFlush();
    }

    public void DiscardAfter(LogPosition position)
    {
        bool frozen;
        lock (_writerLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            Withdraw(0, _progress.StagedAfter);
            _progress.ForgetStaged();
            ForgetStagedNodes();
            if (position < _progress.PublishedPosition)
                DiscardPublished(position);
            frozen = MaybeFreeze();
        }

        if (frozen)
            AfterFreeze();
    }

    public void Flush()
    {
        lock (_writerLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            RequestFlushTo(_progress.StableSequence);
        }

        AfterFreeze();
    }

    public void WaitForFlush()
    {
        ulong target;
        lock (_writerLock)
            target = _flushTarget;
        WaitUntilFlushed(target);
    }

    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows)
    {
        Check.That(!_environment.KeepsDigest, "an ingest into an engine that keeps a digest of what is published");

        // What lies in memory is looked at before tables, so nothing older may be left there.
        if (HoldsInMemory(_progress.Published))
        {
            Check.That(StableSequence == LastSequence, "an ingest while something is not stable");
            Flush();
            WaitForFlush();
        }

        lock (_writerLock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            Check.That(!_progress.HasStaged, "an ingest between staging and publishing");

            // When it fails the tables may or may not be in the files, with this number.
            _tables.Ingest(rows, _progress.Assign());
            RefreshTables();
            _progress.PublishDurable();
        }

        _background.RequestCompaction();
    }

    /// <summary>Whether the oldest frozen memtable is all stable, or a flush was asked for that is not done.</summary>
    internal bool FlushDue
    {
        get
        {
            if (Volatile.Read(ref _state) is not { MemTables: var memTables })
                return false;
            StablePoint limit = Limit;
            if (memTables.Length > 1 && memTables[^1].LastPosition <= limit.Position)
                return true;
            return HoldsInMemory(Math.Min(Volatile.Read(ref _flushTarget), limit.Sequence));
        }
    }

    /// <summary>
    /// Flushes the oldest frozen memtables that are stable, several in one go; where there are none, but
    /// <see cref="Flush"/> asked for it, the stable part of the oldest memtable. False when nothing was due.
    /// </summary>
    internal bool FlushOnce()
    {
        StablePoint limit = Limit;
        List<MemTable> taken = TakeForFlush(limit.Position);
        if (taken.Count == 0)
            return HoldsInMemory(Math.Min(Volatile.Read(ref _flushTarget), limit.Sequence)) && FlushPart(limit);
        try
        {
            WriteTables(taken, taken[^1].LastPosition, ulong.MaxValue, taken[^1].LastDigest);
            UpdateRows(taken);
            lock (_stateLock)
                Replace(new ReadState(_state!.MemTables[..^taken.Count], _tables.Acquire()));
            foreach (MemTable memTable in taken)
                memTable.Release();
        }
        finally
        {
            foreach (MemTable memTable in taken)
                memTable.Release();
        }

        Reassess();
        ReweighRanges();
        return true;
    }

    internal void PrepareSpares() => _budget.Spares.Prepare();

    internal bool CompactOnce(CancellationToken cancellation)
    {
        if (!_tables.RunCompaction(() => _snapshots.Boundaries(this), cancellation))
            return false;
        RefreshTables();
        return true;
    }

    internal bool DropCovered()
    {
        if (!_tables.DropCovered(() => _snapshots.Boundaries(this)))
            return false;
        RefreshTables();
        return true;
    }

    /// <summary>With <c>_writerLock</c> held. True when the memtable was frozen.</summary>
    private bool PublishStaged(LogPosition position, bool awaited)
    {
        LogPosition begin = _progress.Publish(position, awaited);
        _active.FirstPosition ??= begin;
        ForgetStagedNodes();
        if (_rangesStaged)
        {
            _rangesStaged = false;
            WeighRanges();
        }

        return MaybeFreeze();
    }

    private void AfterPublishing(bool frozen)
    {
        if (frozen)
            AfterFreeze();
        if (_budget.Spares.RunsLow)
            _background.RequestSpares();
    }

    // What is flushed stays in the memtable, too, until the rest of it is stable: reads look there first, and later
    // flushes begin above it.
    private bool FlushPart(in StablePoint limit)
    {
        MemTable memTable;
        lock (_stateLock)
        {
            memTable = _state!.MemTables[^1];
            memTable.AddReference();
        }

        try
        {
            if (limit.Sequence <= memTable.FlushedSequence)
                return false;
            WriteTables([memTable], limit.Position, limit.Sequence, limit.Digest);
            lock (_writerLock)
            {
                memTable.FlushedSequence = limit.Sequence;
                if (memTable.FirstPosition <= limit.Position)
                    memTable.FirstPosition = FirstAfter(limit, memTable);
            }
        }
        finally
        {
            memTable.Release();
        }

        RefreshTables();
        return true;
    }

    // Writers may have added to it since the limit was looked at: then right behind the limit is early enough.
    private LogPosition? FirstAfter(in StablePoint limit, MemTable memTable)
    {
        ulong last = Math.Min(_progress.Published, Math.Min(memTable.LastSequence, memTable.SequenceLimit));
        if (last <= limit.Sequence)
            return memTable == _active ? _progress.StagedFirst : null;
        return limit.NextPosition ?? new LogPosition(limit.Position.Value + 1);
    }

    private void WriteTables(List<MemTable> memTables, LogPosition position, ulong sequence, StateDigest digest)
    {
        var sources = new List<InternalIterator>();
        var tombstones = new List<RangeTombstone>();
        // A snapshot that comes later sees at least what is published by now, and so the newest of what is flushed.
        ulong[] snapshots = _tables.KeepsVersions ? _snapshots.Boundaries(this) : [];
        ulong oldestSnapshot = snapshots.Length == 0 ? ulong.MaxValue : snapshots[0];
        ulong lastSequence = _tables.FlushedSequence;
        foreach (MemTable memTable in memTables)
        {
            ulong after = memTable.FlushedSequence;
            memTable.AddVersionIterators(sources, after, sequence, oldestSnapshot);
            memTable.AddRangeTombstones(tombstones, after, sequence);
            ulong last = Math.Min(sequence, Math.Min(memTable.LastSequence, memTable.SequenceLimit));
            lastSequence = Math.Max(lastSequence, last);
        }

        using var source = new FlushIterator(MergingIterator.Over(sources), tombstones, snapshots, _environment.ExpiryHorizonMs);
        source.SeekToFirst();
        _tables.Flush(source, tombstones, position, lastSequence, digest);
    }

    private void UpdateRows(List<MemTable> flushed)
    {
        var tombstones = new List<RangeTombstone>();
        foreach (MemTable memTable in flushed)
        {
            _rows.Update(memTable, adds: _options.KeepsFlushedRows && !Volatile.Read(ref _expectsNoReads));
            memTable.AddRangeTombstones(tombstones, after: 0, ulong.MaxValue);
        }

        _rows.RemoveCovered(new RangeTombstoneFragments(tombstones));
    }

    /// <summary>Oldest first, each with a reference.</summary>
    private List<MemTable> TakeForFlush(LogPosition limit)
    {
        var taken = new List<MemTable>();
        lock (_stateLock)
        {
            MemTable[] memTables = _state!.MemTables;
            long bytes = 0;

            // Where a flush found no room: with the newest range tombstones nothing need be written of what they cover.
            int coveringAt = memTables.Length;
            if (_background.FlushFailsAgain)
                coveringAt = Array.FindIndex(memTables, 1, static m => m.RangeTombstoneCount > 0) is var at and > 0 ? at : coveringAt;
            for (int i = memTables.Length - 1; i > 0; i--)
            {
                bytes += memTables[i].UsedBytes;
                if (memTables[i].LastPosition > limit)
                    break;
                if (taken.Count != 0 && bytes > 2 * _options.MemTableBytes && i < coveringAt)
                    break;
                memTables[i].AddReference();
                taken.Add(memTables[i]);
            }
        }

        return taken;
    }

    /// <summary>
    /// Each key would wait for memory by itself; asked for together they wait at the same time. What a follower applies is
    /// mostly of many keys.
    /// </summary>
    private void StageRest(ref BatchReader reader)
    {
        Span<ulong> hashes = stackalloc ulong[StagedTogether];
        Span<nint> nodes = stackalloc nint[StagedTogether];
        while (!reader.IsAtEnd && !reader.Malformed)
        {
            BatchReader ahead = reader;
            int count = 0;
            while (count < StagedTogether && ahead.MoveNext())
                hashes[count++] = StableHash.Hash64(ahead.Key);
            _active.PrefetchSlots(hashes[..count]);
            nodes.Clear();
            _active.PrefetchNodes(hashes[..count], nodes);
            for (int i = 0; i < count && reader.MoveNext(); i++)
                StageOne(reader, hashes[i]);
            if (count == 0)
                reader.MoveNext();
        }
    }

    private void StageOne(in BatchReader operation, ulong hash)
    {
        ulong sequence = _progress.Stage(operation);
        if (operation.Kind == BatchOperationKind.DeleteRange)
        {
            byte[]? end = operation.Value.IsEmpty ? null : operation.Value.ToArray();
            _rangesStaged = true;
            _active.AddRangeTombstone(new RangeTombstone(operation.Key.ToArray(), end, sequence));
            return;
        }

        ValueKind kind = operation.Kind switch
        {
            BatchOperationKind.Put => ValueKind.Value,
            BatchOperationKind.PutExpiring => ValueKind.ExpiringValue,
            _ => ValueKind.Tombstone,
        };
        ReadOnlySpan<byte> value = kind == ValueKind.Tombstone ? default : operation.Value;
        if (_stagedNodeCount == _stagedNodes.Length)
            Array.Resize(ref _stagedNodes, _stagedNodes.Length * 2);
        _stagedNodes[_stagedNodeCount++] =
            (nint)_active.Add(operation.Key, hash, sequence, kind, value, operation.ExpiresAtMs);
    }

    /// <summary>Takes back staged mutations. Their sequence numbers stay used.</summary>
    private void Withdraw(int nodesBefore, ulong sequenceBefore)
    {
        while (_stagedNodeCount > nodesBefore)
            MemTable.Withdraw((KeyNode*)_stagedNodes[--_stagedNodeCount]);
        _active.WithdrawRangeTombstones(sequenceBefore);
    }

    private void ForgetStagedNodes()
    {
        _stagedNodeCount = 0;
        if (_stagedNodes.Length > StagedNodesKept)
            _stagedNodes = new nint[StagedNodesKept];
    }

    // The memtables forget by a limit on what may be seen; the active one may not go on, since new sequence numbers lie
    // above the limit.
    private void DiscardPublished(LogPosition position)
    {
        LogPosition before = _progress.PublishedPosition;
        (LogPosition last, ulong sequence, StateDigest digest) = _progress.DiscardAfter(position);
        foreach (MemTable memTable in State.MemTables)
        {
            if (memTable == _active)
                memTable.LastPosition = before;
            if (memTable.LastPosition <= last)
                continue;
            memTable.LastPosition = last;
            memTable.LastDigest = digest;
            memTable.SequenceLimit = sequence;
            if (memTable.FirstPosition > last)
                memTable.FirstPosition = null;
        }

        Freeze();
    }

    private bool MaybeFreeze()
    {
        long used = _active.UsedBytes;
        // Other engines use the same budget: together they fill as much as one may, and then what is in this one goes, unless it
        // would hardly help.
        bool full = used >= MemTableBytesMax
            || (used >= MemTableBytesMax / 8 && (_budget.ActiveLimitReached || _budget.WriteLimitReached))
            || _active.RangeTombstoneCount >= RangeTombstonesPerMemTableMax;
        if (!full && !(_freezeRequested && _active.FirstPosition is not null))
        {
            _freezeRequested = false;
            return false;
        }

        Freeze();
        return true;
    }

    /// <summary>
    /// Tables that range tombstones cover go when the tombstones are in tables, too: where they free much, that is not left
    /// to the memtable's filling. Weighs those that were published since the last time. With <c>_writerLock</c> held.
    /// </summary>
    private void WeighRanges()
    {
        ReadState state = Enter(out int stripe);
        try
        {
            // Frozen memtables may cover the same, or become tables that are covered: it is weighed when they are flushed. Where
            // they cannot be, what these free may be the room for it.
            if (state.MemTables.Length > 1 && !_background.FlushFailsAgain)
                return;
            var tombstones = new List<RangeTombstone>();
            _active.AddRangeTombstones(tombstones, Math.Max(_rangesWeighedTo, _active.FlushedSequence), _progress.Published);
            foreach (RangeTombstone tombstone in tombstones)
                _rangesFree += state.Tables.UncoveredBytesWithin(tombstone.Start, tombstone.End);
            _rangesWeighedTo = _progress.Published;
        }
        finally
        {
            state.Leave(stripe);
        }

        if (_rangesFree >= _options.TableBytes / FreedPartOfTableDue && _rangesFree >= _active.UsedBytes / FreedPartOfMemTableDue)
            _freezeRequested = true;
    }

    /// <summary>New tables are there: weighs all range tombstones of the active memtable.</summary>
    private void ReweighRanges()
    {
        bool frozen = false;
        lock (_writerLock)
        {
            if (_disposed || _active.RangeTombstoneCount == 0)
                return;
            _rangesWeighedTo = 0;
            _rangesFree = 0;
            WeighRanges();
            if (!_progress.HasStaged)
                frozen = MaybeFreeze();
        }

        if (frozen)
            AfterFreeze();
    }

    /// <summary>With <c>_writerLock</c> held.</summary>
    private void RequestFlushTo(ulong sequence)
    {
        Volatile.Write(ref _flushTarget, Math.Max(_flushTarget, sequence));
        if (_progress.HasStaged)
            _freezeRequested = true;
        else if (_active.FirstPosition is not null)
            Freeze();
    }

    /// <summary>With <c>_writerLock</c> held and nothing staged.</summary>
    private void Freeze()
    {
        _freezeRequested = false;
        _rangesFree = 0;
        _active.LastPosition = _progress.PublishedPosition;
        _active.LastDigest = _progress.PublishedDigest;
        _active.Freeze();
        NoteFill();
        _progress.Seal();
        var next = new MemTable(_budget, _active.KeyCount);
        lock (_stateLock)
            Replace(new ReadState([next, .. _state!.MemTables], _tables.Acquire()));
        _active = next;
    }

    private void AfterFreeze()
    {
        Reassess();
        _rows.Trim();
        _background.RequestFlush();
        if (Volatile.Read(ref _state) is { MemTables: { Length: > 1 } memTables } && memTables[1].LastPosition > _progress.StablePosition)
            _environment.StabilityWanted?.Invoke();
    }

    /// <summary>Whether a mutation up to <paramref name="sequence"/> is only in memory.</summary>
    private bool HoldsInMemory(ulong sequence)
    {
        if (Volatile.Read(ref _state) is not { } state)
            return false;
        foreach (MemTable memTable in state.MemTables)
        {
            ulong first = memTable.FirstSequence;
            if (first != 0 && first <= sequence && memTable.FlushedSequence < Math.Min(sequence, memTable.LastSequence))
                return true;
        }

        return false;
    }

    private void ThrowIfWritesStopped()
    {
        if (_background.FlushFailure is { } failure && _budget.DeletionLimitReached)
        {
            throw new WritesStoppedException(
                $"memory is full and cannot be flushed: {failure.Message} Writes go on when that is put right.", failure);
        }
    }
}
