using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Merge;
using Kvasir.Storage.HashLog.Readers;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog;

/// <summary>
/// Merges: what is alive in some segments is written to others, step by step, while everything else goes on. A merge decides by what
/// the files held when it began; what has changed since is found out when the index is led to the copies.
/// </summary>
internal sealed unsafe partial class HashLogEngine
{
    // Few deletions of ranges cost reads little; to look for what they cover costs as much as the segments are large.
    private const int RangesUntilMerge = 16;

    // Of a segment: where so little is alive, copying it costs next to nothing.
    private const double NothingAliveAt = 0.9;

    private LogMerge? _merge;
    private long _mergeBytesRead;
    private long _mergeBytesWritten;

    internal bool MergeDue => _merge is not null || PickMerge().Count > 0;

    public void Compact(CancellationToken cancellation = default)
    {
        ThrowIfDisposed();
        if (!_background.TryBeginOwnMerge(cancellation))
            ThrowIfDisposed();
        try
        {
            List<SegmentFile> inputs = [.. Volatile.Read(ref _segments).Where(s => s.DeadEntries > 0 || s.Facts.Tombstones > 0
                || s.Facts.ExpiringBytes > 0 || _manifest.State.Ranges.All.Any(r => r.Sequence > s.Facts.CleanedTo))];
            if (inputs.Count > 0)
            {
                _merge = BeginMerge(inputs);
                while (MergeStep())
                {
                    cancellation.ThrowIfCancellationRequested();
                    ThrowIfDisposed();
                }
            }
        }
        catch
        {
            GiveUpMerge();
            throw;
        }
        finally
        {
            _background.EndOwnMerge();
        }
    }

    /// <summary>Goes on with the merge under way, or with one that is due; true when there is more of it.</summary>
    internal bool MergeStep()
    {
        _epoch.Advance(withFiles: true);
        if (_merge is null)
        {
            List<SegmentFile> inputs = PickMerge();
            if (inputs.Count == 0)
                return false;
            _merge = BeginMerge(inputs);
        }

        if (CopyStep(_merge))
            return true;
        FinishMerge(_merge);
        _merge = null;
        PruneRanges();
        TrimIndex();
        _epoch.Advance(withFiles: true);
        return false;
    }

    /// <summary>What was copied is deleted; the segments stay as they are.</summary>
    internal void GiveUpMerge()
    {
        if (_merge is null)
            return;
        foreach (SegmentFile input in _merge.Inputs)
            input.IsBusy = false;
        _merge.Dispose();
        _merge = null;
    }

    /// <summary>
    /// Those with the most garbage, when there is too much in all of them together, or nearly nothing else in one; else the small ones,
    /// when they are many. Segments decay at different speeds: who waits for the sum, and takes the worst, copies a fraction of what is
    /// copied where each goes as soon as it has its share (Rosenblum and Ousterhout 1992, section 3.5).
    /// </summary>
    private List<SegmentFile> PickMerge()
    {
        List<SegmentFile> garbage = GarbageSegments(withBusy: false);
        if (garbage.Count > 0)
            return Some(garbage, 1);
        if (GoneSegments(withBusy: false) is { Count: > 0 } gone)
            return Some(gone, 1);
        List<SegmentFile> small = [.. SmallSegments().Where(static s => !s.IsBusy)];
        return small.Count > _options.SmallSegmentsMax ? Some(small, 2) : [];
    }

    /// <summary>Of the segments that a merge is due for, or reads: not of those whose garbage is too little for one, or kept for a snapshot.</summary>
    private long MergeDueBytes()
    {
        HashSet<SegmentFile> due = [.. GarbageSegments(withBusy: true), .. GoneSegments(withBusy: true)];
        List<SegmentFile> small = [.. SmallSegments()];
        if (small.Count > _options.SmallSegmentsMax)
            due.UnionWith(small);
        return due.Sum(static s => s.Facts.Bytes);
    }

    /// <summary>What must be cleaned whatever the others are like, then those with the most garbage.</summary>
    private List<SegmentFile> GarbageSegments(bool withBusy)
    {
        SegmentFile[] segments = Volatile.Read(ref _segments);
        RangeDeletions ranges = _manifest.State.Ranges;
        ulong[] snapshots = _snapshots.Sequences();
        ulong? oldest = snapshots.Length == 0 ? null : snapshots[0];
        long horizon = segments.Length == 0 ? 0 : _environment.ExpiryHorizonMs;
        List<SegmentFile> open = [.. segments.Where(s => (withBusy || !s.IsBusy) && (s.HeldBy is not { } holder || holder != oldest))];
        List<SegmentFile> garbage = [.. open.Where(s => MustBeCleaned(s, ranges, horizon))];
        garbage.AddRange(WorstOf(open.Except(garbage)));
        return garbage;
    }

    private IEnumerable<SegmentFile> SmallSegments() => Volatile.Read(ref _segments).Where(s => s.Facts.Bytes < _options.SegmentBytes / 4);

    /// <summary>As many of those with the most garbage as bring all of them below what there may be, or have nothing else.</summary>
    private List<SegmentFile> WorstOf(IEnumerable<SegmentFile> segments)
    {
        // What is garbage grows meanwhile.
        List<(SegmentFile Segment, long Garbage)> seen = [.. segments.Select(static s => (s, s.DeadBytes))];
        long bytes = seen.Sum(static s => s.Segment.Facts.Bytes);
        long dead = seen.Sum(static s => s.Garbage);
        var worst = new List<SegmentFile>();
        foreach ((SegmentFile segment, long garbage) in seen.OrderByDescending(static s => (double)s.Garbage / s.Segment.Facts.Bytes))
        {
            long all = segment.Facts.Bytes;
            if (garbage < _options.GarbageRatio * all || (dead < _options.GarbageRatio * bytes && garbage < NothingAliveAt * all))
                break;
            worst.Add(segment);
            bytes -= garbage;
            dead -= garbage;
        }

        return worst;
    }

    private static bool MustBeCleaned(SegmentFile segment, RangeDeletions ranges, long horizon)
    {
        SegmentFacts facts = segment.Facts;
        return (facts.LastDeadlineMs != 0 && facts.LastDeadlineMs <= horizon && facts.ExpiringBytes >= facts.Bytes / 2)
            || ranges.All.Any(r => r.Sequence > facts.CleanedTo && r.Sequence > facts.SmallestSequence
                && (r is { Start.Length: 0, End: null } || ranges.All.Count >= RangesUntilMerge));
    }

    private List<SegmentFile> Some(List<SegmentFile> segments, int countMin)
    {
        var some = new List<SegmentFile>();
        long bytes = 0;
        foreach (SegmentFile segment in segments)
        {
            bytes += segment.Facts.Bytes;
            if (some.Count >= countMin && bytes > _options.MergeBytesMax)
                break;
            some.Add(segment);
        }

        return some;
    }

    private LogMerge BeginMerge(List<SegmentFile> inputs)
    {
        // In this order: a view that comes later sees at least what was flushed by then, or was about to be led there, and superseded what is dead.
        // And it shows nothing that expires by the horizon.
        ulong flushed = Volatile.Read(ref _flushedSequence);
        List<DeadMarks> dead = [.. inputs.Select(static s => s.MarkDead())];
        long horizon = _environment.ExpiryHorizonMs;
        ulong[] snapshots = _snapshots.Sequences();
        foreach (SegmentFile input in inputs)
            input.IsBusy = true;
        return new LogMerge(inputs, dead, flushed, snapshots, _manifest.State.Ranges, horizon)
        {
            Outputs = new SegmentOutputs(_files, _handles, _folder, _identity, _manifest.NewFileNumber, _options.SegmentBytes),
        };
    }

    private bool CopyStep(LogMerge merge)
    {
        long read = 0;
        while (read < _options.MergeStepBytes)
        {
            if (!merge.MoveNext(out SegmentRecord record))
                return false;
            read += merge.RecordBytes;
            Interlocked.Add(ref _mergeBytesRead, merge.RecordBytes);
            if (merge.IsKnownDead)
                continue;
            ulong token = merge.Token;
            uint check = KeyCheck.Of(record.Key, _identity);
            ulong supersededBy;
            int ticket = _epoch.Enter();
            merge.Prefetch(_index);
            bool isDead = merge.IsUnwatched && IsDeadFor(token, check, merge);
            _epoch.Leave(ticket);
            if (isDead)
                continue;
            using (KeyIndex.HeldShard held = _index.Lock(token))
                supersededBy = SupersededAt(held, token, check, merge.Location, merge.FlushedSequence);
            switch (merge.Decide(record, supersededBy, sequence => IsOldest(merge, sequence)))
            {
                case MergeDecision.Copy:
                    merge.Copy(token, check, record, isSuperseded: false);
                    break;
                case MergeDecision.CopySuperseded:
                    merge.Copy(token, check, record, isSuperseded: true);
                    break;
                case MergeDecision.Bury:
                    merge.Copy(token, check, new SegmentRecord { Kind = RecordKind.Tombstone, Sequence = record.Sequence, Key = record.Key }, isSuperseded: false);
                    break;
                case MergeDecision.Drop:
                    merge.Drop(token, check, record);
                    break;
            }
        }

        return true;
    }

    /// <summary>
    /// Whether the newest version in the files, as of the beginning of a merge without snapshots, is in memory, too, and is another than
    /// this one. Whatever still names this one then lies below that in memory, is never read, and goes before the name is given again
    /// (<see cref="SegmentTable"/>). Without the lock, which writers want: a chain is a walk over memory. Inside the epoch.
    /// </summary>
    private bool IsDeadFor(ulong token, uint check, LogMerge merge)
    {
        ulong at = _index.Lookup(token, check);
        while (Location.IsMemory(at) && TailRecord.At(at)->Sequence > merge.FlushedSequence)
            at = Volatile.Read(ref TailRecord.At(at)->Previous);
        ulong home = Location.IsMemory(at) ? Volatile.Read(ref TailRecord.At(at)->Home) : Location.None;
        return home != Location.None && home != merge.Location;
    }

    /// <summary>
    /// At which sequence number the version at a location was superseded by one in the files; the largest number when it is the newest
    /// in the files, zero when nobody can come to it any more.
    /// </summary>
    private ulong SupersededAt(in KeyIndex.HeldShard held, ulong token, uint check, ulong location, ulong flushed)
    {
        ulong supersededBy = ulong.MaxValue;
        ulong* there = held.Find(token, check);
        ulong at = there == null ? Location.None : *there;
        while (Location.IsMemory(at))
        {
            TailRecord* record = TailRecord.At(at);
            if (record->Home == location)
                return supersededBy;
            if (record->Sequence <= flushed)
                supersededBy = record->Sequence;
            at = record->Previous;
        }

        if (at == location)
            return supersededBy;

        // One that was superseded since the merge began was the newest of the files when it did.
        ulong old = _oldVersions.SupersededAt(token, location) ?? 0;
        return old > flushed ? ulong.MaxValue : old;
    }

    /// <summary>Whether no other segment can hold a version that was superseded at or before this sequence number.</summary>
    private bool IsOldest(LogMerge merge, ulong sequence)
    {
        foreach (SegmentFile segment in Volatile.Read(ref _segments))
        {
            if (segment.Facts.SmallestSequence < sequence && segment.Facts.CleanedTo < sequence && segment.DeadEntries > 0
                && !merge.Inputs.Contains(segment))
                return false;
        }

        return true;
    }

    private void FinishMerge(LogMerge merge)
    {
        ulong cleanedTo = merge.OldestSnapshot is { } oldest ? Math.Min(oldest, merge.FlushedSequence) : merge.FlushedSequence;
        bool isOldest = merge.IsUnwatched && IsOldest(merge, merge.Inputs.Max(static s => s.Facts.LargestSequence));
        List<SegmentFile> added = merge.Outputs.Finish(merge.FlushedSequence, cleanedTo);
        Interlocked.Add(ref _mergeBytesWritten, merge.Outputs.BytesWritten);
        List<ulong> removed = [.. merge.Inputs.Select(s => s.Facts.Number)];
        lock (_installing)
        {
            LogState state = _manifest.State;
            Commit(added, merge.Outputs, state.With(added.Select(s => s.Facts), removed, state.Ranges));
        }

        foreach (SegmentFile segment in added)
        {
            segment.HeldBy = merge.OldestSnapshot;
            segment.KeepsTombstones = isOldest;
        }

        foreach (ref readonly MergeMove move in merge.Moves.Items)
            Lead(move, added);
        merge.Dispose();
        lock (_installing)
            Volatile.Write(ref _segments, [.. _segments.Where(s => !merge.Inputs.Contains(s)), .. added]);
        foreach (SegmentFile input in merge.Inputs)
        {
            _epoch.RetireFile(() =>
            {
                _table.Remove(input, merge.FlushedSequence);
                input.Dispose();
                _manifest.DeleteSegment(input.Facts.Number);
            });
        }

        ulong[] snapshots = _snapshots.Sequences();
        _oldVersions.Trim(snapshots.Length == 0 ? null : snapshots[0]);
    }

    /// <summary>From a record to its copy, wherever it is named; what was dropped is named nowhere any more.</summary>
    private void Lead(in MergeMove move, List<SegmentFile> outputs)
    {
        ulong to = move.Output < 0 ? Location.None : Location.OnDisk(outputs[move.Output].Slot, move.OffsetUnits, move.LengthUnits);
        using KeyIndex.HeldShard held = _index.Lock(move.Token);
        ulong* there = held.Find(move.Token, move.Check);
        bool isNewest = true;
        ulong flushed = Volatile.Read(ref _flushedSequence);
        for (ulong* at = there; at != null && *at != Location.None;)
        {
            if (*at == move.From)
            {
                // What superseded it was dead when it was flushed, and memory has let go of it since.
                if (to == Location.None && at == there)
                    LeadToOld(held, there, move.Token, move.Check);
                else
                    Volatile.Write(ref *at, to);
                if (!isNewest && to != Location.None)
                    _table.AddDead(to);
                return;
            }

            if (!Location.IsMemory(*at))
                break;
            TailRecord* record = TailRecord.At(*at);
            if (record->Home == move.From)
            {
                Volatile.Write(ref record->Home, to);
                if (move.Output == MergeMove.NothingWithAllBelow)
                    Volatile.Write(ref record->Previous, Location.None);
                if (!isNewest && to != Location.None)
                    _table.AddDead(to);
                return;
            }

            isNewest &= record->Sequence > flushed;
            at = &record->Previous;
        }

        _oldVersions.Move(move.Token, move.From, to);
        if (to != Location.None)
            _table.AddDead(to);
    }
}
