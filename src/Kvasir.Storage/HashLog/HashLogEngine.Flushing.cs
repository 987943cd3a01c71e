using System.Runtime.Intrinsics.X86;
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

/// <summary>From memory into files: what is stable is written, then the index is led there and the memory let go.</summary>
internal sealed unsafe partial class HashLogEngine
{
    // Bounds what a read pays for deletions of ranges that no file has.
    private const int RangesInMemoryMax = 256;

    // Wide enough for memory to answer, few enough for the cache.
    private const int RecordsAhead = 8;

    // Others may free what they have waiting in between.
    private const int RecordsPerEpoch = 1 << 12;

    private readonly Lock _rangesLock = new();
    private readonly Lock _limitLock = new();

    // Under _limitLock. Moments of checkpoints under way, oldest first: what is stable only grows.
    private readonly List<StablePoint> _moments = [];

    /// <summary>Every version up to here is in the files, or superseded by one that is.</summary>
    private ulong _flushedSequence;

    // Somebody waits for this; and what had grown until then is to be flushed together, when it is stable.
    private ulong _flushTarget;
    private ulong _sizeTarget;
    private long _appendedAtTarget;
    private int _rangesAtTarget;
    private long _flushBytes;

    internal bool FlushDue
    {
        get
        {
            if (!FlushMayBeDue)
                return false;
            ulong limit = Limit.Sequence;
            ulong flushed = Volatile.Read(ref _flushedSequence);
            ulong size = Volatile.Read(ref _sizeTarget);
            ulong room = Volatile.Read(ref _roomTarget);
            return limit > flushed && (Volatile.Read(ref _flushTarget) > flushed || (size > flushed && limit >= size) || (room > flushed && limit >= room));
        }
    }

    /// <summary>Whether anybody wants one. Asked with every write that becomes stable: mostly this is all.</summary>
    private bool FlushMayBeDue
    {
        get
        {
            ulong flushed = Volatile.Read(ref _flushedSequence);
            return Volatile.Read(ref _flushTarget) > flushed || Volatile.Read(ref _sizeTarget) > flushed || Volatile.Read(ref _roomTarget) > flushed;
        }
    }

    private StablePoint Limit
    {
        get
        {
            lock (_limitLock)
                return _moments.Count == 0 ? _progress.Stable : _moments[0];
        }
    }

    public void Flush()
    {
        lock (_writerLock)
        {
            ThrowIfDisposed();
            Volatile.Write(ref _flushTarget, Math.Max(_flushTarget, _progress.StableSequence));
        }

        _background.RequestFlush();
    }

    public void WaitForFlush() => WaitUntilFlushed(Volatile.Read(ref _flushTarget));

    public EngineCheckpoint BeginCheckpoint()
    {
        StablePoint moment;
        lock (_writerLock)
        {
            ThrowIfDisposed();
            lock (_limitLock)
            {
                moment = _progress.Stable;
                _moments.Add(moment);
            }

            Volatile.Write(ref _flushTarget, Math.Max(_flushTarget, moment.Sequence));
        }

        _background.RequestFlush();
        return new LogCheckpoint(this, moment);
    }

    internal void PrepareSpares() => _budget.Spares.Prepare();

    /// <summary>Flushes what is stable; false when nothing is due.</summary>
    internal bool FlushOnce()
    {
        _epoch.Advance();
        if (!FlushDue)
        {
            GiveBackActive();
            return false;
        }

        // In this order: a view that comes later sees at least everything up to the limit.
        StablePoint limit = Limit;
        SettleWithLock();
        ulong[] snapshots = _snapshots.Sequences();
        RangeDeletions ranges = Volatile.Read(ref _ranges);
        using var output = new SegmentOutputs(_files, _handles, _folder, _identity, _manifest.NewFileNumber, _options.SegmentBytes);
        using var records = new TokenList<FlushedRecord>();
        foreach (TailChunk chunk in _tail.ChunksAfter(_flushedSequence))
        {
            long ahead = 0;
            long used = chunk.Used;
            for (long at = 0, count = 0; at < used;)
            {
                for (; count < RecordsAhead && ahead < used; count++)
                {
                    var later = (TailRecord*)(chunk.Memory + ahead);
                    ahead += TailRecord.SizeOf(later);
                    ulong next = Volatile.Read(ref later->Next);
                    if (Sse.IsSupported && next != Location.None)
                        Sse.Prefetch0(Location.Address(next));
                }

                count--;
                var record = (TailRecord*)(chunk.Memory + at);
                at += TailRecord.SizeOf(record);
                if (record->Sequence > limit.Sequence)
                    break;
                if (record->Sequence > _flushedSequence && !record->IsWithdrawn)
                    TakeForFlush(record, limit.Sequence, snapshots, ranges, records);
            }
        }

        // By token, so that scans and merges, which go by token, find what they want side by side.
        records.Sort();
        WriteRecords(records.Items, output);
        ulong cleanedTo = snapshots.Length == 0 ? limit.Sequence : Math.Min(limit.Sequence, snapshots[0]);
        List<SegmentFile> added = output.Finish(limit.Sequence, cleanedTo);
        Install(added, limit, ranges, output);

        Interlocked.Add(ref _flushBytes, output.BytesWritten);
        foreach (SegmentFile segment in added)
            segment.HeldBy = snapshots.Length == 0 ? null : snapshots[0];
        for (int i = 0; i < records.Count; i += RecordsPerEpoch)
            LeadHome(records.Items[i..Math.Min(records.Count, i + RecordsPerEpoch)], added);
        Volatile.Write(ref _flushedSequence, limit.Sequence);
        AddSegments(added);
        _tail.MarkFlushed(limit.Sequence);
        NoteFlushed(limit);
        GiveBackActive();
        MakeRoomForKeys(limit.Sequence);
        LetGoOfTail();
        return true;
    }

    /// <summary>
    /// The chunk at the end counts as memory for writes though files have all of it. Where many engines share little memory these chunks may
    /// be all of it, and everybody would wait for somebody else to give some back.
    /// </summary>
    private void GiveBackActive()
    {
        if (_budget.WriteBytes >= MemoryShareAtEase * _budget.WriteLimitBytes && TryCloseActive())
            LetGoOfTail();
    }

    private bool TryCloseActive()
    {
        ulong flushed = Volatile.Read(ref _flushedSequence);
        lock (_writerLock)
        {
            if (!_tail.TryCloseActive(flushed))
                return false;
        }

        _tail.MarkFlushed(flushed);
        return true;
    }

    private void TakeForFlush(TailRecord* record, ulong limit, ulong[] snapshots, RangeDeletions ranges, TokenList<FlushedRecord> records)
    {
        ulong supersededBy = TailRecord.SupersededBy(record);
        bool isSuperseded = supersededBy != 0 && supersededBy <= limit;
        ulong cover = ranges.IsEmpty ? 0 : ranges.FirstCover(TailRecord.Key(record), record->Sequence, limit);
        ulong deadFrom = isSuperseded ? supersededBy : ulong.MaxValue;
        if (cover != 0)
            deadFrom = Math.Min(deadFrom, cover);
        if (deadFrom != ulong.MaxValue && !SnapshotRegister.AnyIn(snapshots, record->Sequence, deadFrom))
            return;

        // Nothing in the files would come back without it.
        ulong token = TailRecord.Token(record);
        if (record->Kind == RecordKind.Tombstone && !isSuperseded && !TailRecord.HasDiskBelow(record) && _oldVersions.Newest(token, record->Check) == Location.None)
            return;
        record->IsWritten = true;
        records.Add(new FlushedRecord(token, (nint)record, isSuperseded));
    }

    private static void WriteRecords(Span<FlushedRecord> records, SegmentOutputs output)
    {
        for (int i = 0; i < records.Length; i++)
        {
            if (Sse.IsSupported && i + RecordsAhead < records.Length)
                TailRecord.Prefetch((TailRecord*)records[i + RecordsAhead].Record);
            ref FlushedRecord flushed = ref records[i];
            var record = (TailRecord*)flushed.Record;
            (flushed.Segment, HintEntry hint) = output.Add(flushed.Token, record->Check, new SegmentRecord
            {
                Kind = record->Kind,
                IsSuperseded = flushed.IsSuperseded,
                Sequence = record->Sequence,
                ExpiresAtMs = TailRecord.ExpiresAtMs(record),
                Key = TailRecord.Key(record),
                Value = TailRecord.Value(record),
            });
            flushed.Location = Location.OnDisk(0, hint.OffsetUnits, hint.LengthUnits);
        }
    }

    private void Install(List<SegmentFile> added, in StablePoint limit, RangeDeletions ranges, SegmentOutputs output)
    {
        lock (_installing)
        {
            LogState state = _manifest.State;
            ulong flushedTo = limit.Sequence;
            RangeDeletions all = new([.. state.Ranges.All, .. ranges.All.Where(r => r.Sequence > state.FlushedSequence && r.Sequence <= flushedTo)]);
            Commit(added, output, state.With(added.Select(s => s.Facts), [], all) with
            {
                FlushedPosition = limit.Position,
                FlushedSequence = flushedTo,
                Digest = _environment.KeepsDigest ? limit.Digest : state.Digest,
            });
        }
    }

    /// <summary>With <c>_installing</c> held. When it fails nobody knows whether a manifest names the outputs: their files stay.</summary>
    private void Commit(List<SegmentFile> added, SegmentOutputs output, LogState next)
    {
        output.KeepFiles();
        try
        {
            _manifest.Commit(next);
        }
        catch
        {
            foreach (SegmentFile segment in added)
                segment.Dispose();
            throw;
        }

        ulong inMemoryFrom = _tail.FirstSequence;
        foreach (SegmentFile segment in added)
            _table.Add(segment, inMemoryFrom);
    }

    /// <summary>
    /// Without locks: the segments are no merge's yet, what lies in memory below goes by this job alone, and what lies below in
    /// the files is there for as long as the epoch is held.
    /// </summary>
    private void LeadHome(Span<FlushedRecord> records, List<SegmentFile> segments)
    {
        int ticket = _epoch.Enter();
        for (int i = 0; i < records.Length; i++)
        {
            // The record, then what lies below it.
            if (Sse.IsSupported && i + (2 * RecordsAhead) < records.Length)
            {
                Sse.Prefetch0((void*)records[i + (2 * RecordsAhead)].Record);
                ulong next = ((TailRecord*)records[i + RecordsAhead].Record)->Previous;
                if (Location.IsMemory(next))
                    Sse.Prefetch0(Location.Address(next));
            }

            ref readonly FlushedRecord flushed = ref records[i];
            var record = (TailRecord*)flushed.Record;
            ulong home = Location.In(segments[flushed.Segment].Slot, flushed.Location);

            // The one below was the newest in the files until now.
            if (TailRecord.DiskBelow(record) is var below and not Location.None)
                _table.NoteDead(below);
            Volatile.Write(ref record->Home, home);
        }

        _epoch.Leave(ticket);
    }

    private void AddSegments(List<SegmentFile> added)
    {
        lock (_installing)
            Volatile.Write(ref _segments, [.. _segments, .. added]);
    }

    private void NoteFlushed(in StablePoint limit)
    {
        lock (_writerLock)
        {
            if (_progress.Published <= limit.Sequence)
                _firstUnflushed = _progress.StagedFirst;
            else if (_firstUnflushed <= limit.Position)
                _firstUnflushed = limit.NextPosition ?? new LogPosition(limit.Position.Value + 1);
        }
    }

    /// <summary>Leads the index from the oldest memory into the files, until what is left fits, or all of it. By the job that flushes alone.</summary>
    private void LetGoOfTail(bool withAll = false)
    {
        while (_tail.OldestFlushed is { } chunk
            && (withAll || _tail.FlushedBytes > _options.TailBytes || _budget.CacheBytes > _budget.CacheLimitBytes))
            LetGo(chunk);
        PruneRanges();
        _epoch.Advance();
    }

    private void LetGo(TailChunk chunk)
    {
        ulong[] snapshots = _snapshots.Sequences();
        ulong oldest = snapshots.Length == 0 ? ulong.MaxValue : snapshots[0];
        long ahead = 0;
        int count = 0;
        for (long at = 0; at < chunk.Used;)
        {
            for (; count < RecordsAhead && ahead < chunk.Used; count++)
            {
                var later = (TailRecord*)(chunk.Memory + ahead);
                ahead += TailRecord.SizeOf(later);
                PrefetchNext(later);
            }

            count--;
            var record = (TailRecord*)(chunk.Memory + at);
            at += TailRecord.SizeOf(record);
            if (!record->IsWithdrawn)
                LetGo(record, oldest);
        }

        // One of them may have been superseded in the midst of this.
        SettleWithLock();
        _tail.Drop(chunk);
        _epoch.Retire(() => chunk.Free(_budget));
    }

    private void SettleWithLock()
    {
        lock (_writerLock)
            Settle();
    }

    /// <summary>Asks for what leads to the record.</summary>
    private void PrefetchNext(TailRecord* record)
    {
        ulong next = Volatile.Read(ref record->Next);
        if (next == Location.None)
            _index.Prefetch(TailRecord.Token(record));
        else if (Sse.IsSupported)
            Sse.Prefetch0(Location.Address(next));
    }

    private void LetGo(TailRecord* record, ulong oldestSnapshot)
    {
        ulong token = TailRecord.Token(record);
        using KeyIndex.HeldShard held = _index.Lock(token);
        ulong next = Volatile.Read(ref record->Next);
        bool isNewest = next == Location.None;
        ulong* there = isNewest ? held.Find(token, record->Check) : &TailRecord.At(next)->Previous;

        // Superseded by a write whose link is pending, or by a few of them: what leads here is found by way of the newest.
        while (next == Location.None && there != null && Location.IsMemory(*there) && TailRecord.At(*there)->Sequence > record->Sequence)
        {
            there = &TailRecord.At(*there)->Previous;
            isNewest = false;
        }

        if (there == null || *there != Location.InMemory(record))
            return;
        ulong below = record->Previous;
        Check.That(!Location.IsMemory(below), "what lies below is let go before");
        if (record->Home == Location.None)
        {
            // It was dead when it was flushed, or nothing had to be deleted.
            if (below == Location.None && isNewest)
                LeadToOld(held, there, token, record->Check);
            else
                Volatile.Write(ref *there, below);
            return;
        }

        if (below != Location.None && oldestSnapshot < record->Sequence)
            _oldVersions.Add(token, record->Check, below, record->Sequence);
        Volatile.Write(ref *there, record->Home);
    }

    /// <summary>
    /// Of a key that nothing is left of but what snapshots see: that is found by way of the index. A deletion of a range, kept for as long,
    /// hides it from all others.
    /// </summary>
    private void LeadToOld(in KeyIndex.HeldShard held, ulong* there, ulong token, uint check)
    {
        // What a snapshot sees that is there now is in an open segment; it stays open for this.
        int ticket = _epoch.Enter();
        ulong old = _oldVersions.Newest(token, check);
        ulong supersededBy = old == Location.None ? 0 : _oldVersions.SupersededAt(token, old) ?? 0;
        bool isSeen = _snapshots.AnyBefore(supersededBy);
        if (isSeen)
        {
            // In this order: it may have been noted as dead, and a merge that goes by notes looks for snapshots, then whether it may.
            _table[old].IgnoreNoted();
            isSeen = _snapshots.AnyBefore(supersededBy);
        }

        if (isSeen)
        {
            _oldVersions.Move(token, old, Location.None);
            Volatile.Write(ref *there, old);
        }
        else
        {
            held.Remove(token, check);
        }

        _epoch.Leave(ticket);
    }

    /// <summary>Deletions of ranges that nothing is left below.</summary>
    private void PruneRanges()
    {
        if (Volatile.Read(ref _ranges).IsEmpty || !_snapshots.IsEmpty)
            return;
        LogState state = _manifest.State;
        ulong inMemoryFrom = _tail.FirstSequence;
        ulong flushed = Volatile.Read(ref _flushedSequence);
        lock (_rangesLock)
        {
            Volatile.Write(ref _ranges, _ranges.Where(
                r => r.Sequence > flushed || r.Sequence > inMemoryFrom || state.Ranges.All.Any(s => s.Sequence == r.Sequence)));
        }
    }

    /// <summary>With <c>_writerLock</c> held: whether enough has grown to be flushed.</summary>
    private bool NoteGrowth()
    {
        long due = Math.Min(_options.FlushBytes, _budget.ActiveLimitBytes);
        if (_budget.ActiveLimitReached || _budget.WriteLimitReached)
            due /= 8;
        int ranges = Volatile.Read(ref _ranges).All.Count;
        if (_tail.Appended - _appendedAtTarget < due && ranges - _rangesAtTarget < RangesInMemoryMax && !NoteGone())
            return false;
        _appendedAtTarget = _tail.Appended;
        _rangesAtTarget = ranges;
        SetSizeTarget();
        return true;
    }

    private void SetSizeTarget()
    {
        // One that is not stable yet stays: it would never be if it moved on with what is written.
        if (_sizeTarget <= Volatile.Read(ref _flushedSequence))
            Volatile.Write(ref _sizeTarget, _progress.Published);
        _progress.Seal();
    }

    private void AskForFlushOfAll()
    {
        lock (_writerLock)
            SetSizeTarget();
        AskForFlush();
    }

    private void AskForFlush()
    {
        _background.RequestFlush();
        if (_progress.StableSequence < Math.Max(Volatile.Read(ref _sizeTarget), Volatile.Read(ref _roomTarget)))
            _environment.StabilityWanted?.Invoke();
    }

    private void WaitUntilFlushed(ulong target, CancellationToken cancellation = default)
    {
        using CancellationTokenRegistration wakes = cancellation.Register(_background.Pulse);
        _background.WaitUntil(() =>
            Volatile.Read(ref _disposed) != 0 || cancellation.IsCancellationRequested || _background.FlushFailure is not null || Volatile.Read(ref _flushedSequence) >= target);
        if (Volatile.Read(ref _flushedSequence) >= target)
            return;
        cancellation.ThrowIfCancellationRequested();
        ThrowIfDisposed();
        if (_background.FlushFailure is { } failure)
            throw new WritesStoppedException($"the flush failed: {failure.Message}", failure);
    }

    private void EndCheckpoint(in StablePoint moment)
    {
        lock (_limitLock)
            _moments.Remove(moment);
        _background.RequestFlush();
    }

    private void WriteCheckpoint(string folder)
    {
        lock (_installing)
        {
            ThrowIfDisposed();
            LogState state = _manifest.State;
            _files.CreateFolder(folder);
            foreach (SegmentFacts segment in state.Segments)
            {
                _files.HardLink(LogFiles.SegmentPath(_folder, segment.Number), LogFiles.SegmentPath(folder, segment.Number));
                if (_files.FileExists(LogFiles.HintPath(_folder, segment.Number)))
                    _files.HardLink(LogFiles.HintPath(_folder, segment.Number), LogFiles.HintPath(folder, segment.Number));
            }

            ManifestStore.CreateFor(_files, folder, state);
        }
    }

    /// <summary>A record on its way into a segment.</summary>
    private struct FlushedRecord(ulong token, nint record, bool isSuperseded) : ITokened
    {
        /// <summary>In the segment, whose place among the open ones is not known yet.</summary>
        public ulong Location;
        public int Segment;

        public readonly ulong Token => token;

        public readonly nint Record => record;

        public readonly bool IsSuperseded => isSuperseded;
    }

    private sealed class LogCheckpoint(HashLogEngine engine, StablePoint moment) : EngineCheckpoint
    {
        private bool _ended;

        public override void WhenInFiles(Action then) =>
            engine._background.WhenFlushed(() => engine._background.FlushFailure is not null || Volatile.Read(ref engine._flushedSequence) >= moment.Sequence, then);

        public override void WriteTo(string folder, CancellationToken cancellation = default)
        {
            ObjectDisposedException.ThrowIf(_ended, this);
            engine.WaitUntilFlushed(moment.Sequence, cancellation);
            engine.WriteCheckpoint(folder);
        }

        public override void Dispose()
        {
            if (_ended)
                return;
            _ended = true;
            engine.EndCheckpoint(moment);
        }
    }
}
