using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog;

/// <summary>The way of a write: staged, published, stable.</summary>
internal sealed unsafe partial class HashLogEngine
{
    // Of a key, on the average and with what its region has free.
    private const int IndexBytesPerKey = 32;

    // What the index takes at once when a region is full.
    private const int IndexGrowthBytes = 8 << 10;

    // With less room every key is counted before the next: what is on its way into the index may make it grow.
    private const long PendingRoomBytes = 64L * IndexGrowthBytes;

    // From here on somebody should know, and from there on nobody needs to any more.
    private const double LimitNearAt = 0.8;
    private const double LimitFarAt = 0.75;

    // Of the write memory: from here on writers are slowed, in proportion.
    private const double MemoryShareAtEase = 0.75;

    // Of the write memory: less is not worth a flush while others can make room.
    private const int FlushedPartAtLeast = 8;

    private static readonly TimeSpan s_delayMax = TimeSpan.FromMilliseconds(50);

    // About as long as a flush takes: who looks less often finds the room taken by others.
    private static readonly TimeSpan s_roomPoll = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_delayMin = TimeSpan.FromMilliseconds(1);

    private LogPosition? _firstUnflushed;
    private long _userBytesWritten;
    private long _stallMicroseconds;
    private bool _limitNear;

    // As long as no more is used than when somebody last looked, batches of so many bytes have room.
    private long _indexUsedSeen = -1;
    private long _indexUsedByAllSeen = -1;
    private long _roomyBatchBytes;
    private bool _mayPend;

    public long KeysLeft => KeysIn(IndexRoomBytes);

    /// <summary>That so much of an index has room for.</summary>
    internal static long KeysIn(long indexBytes) => Math.Max(0, (indexBytes - IndexGrowthBytes) / IndexBytesPerKey);

    public StateDigest PublishedDigest => _progress.PublishedDigest;

    public StateDigest StableDigest => _progress.StableDigest;

    public void AssumeDigest(StateDigest digest)
    {
        lock (_writerLock)
            _progress.AssumeDigest(digest);
    }

    public void Stage(ReadOnlySpan<byte> batch)
    {
        lock (_writerLock)
        {
            ThrowIfDisposed();
            ThrowIfWritesStopped();
            CheckRoomFor(batch);
            ulong before = _progress.LastAssigned;
            StageAll(batch, out bool makesSense);
            if (!makesSense)
            {
                Withdraw(before);
                _progress.ForgetStagedAfter(before);
                Check.Fail("a write batch that makes no sense");
            }

            _userBytesWritten += batch.Length;
        }
    }

    public void Apply(ReadOnlySpan<byte> payloads, ReadOnlySpan<LoggedBatch> batches)
    {
        bool wantsFlush;
        lock (_writerLock)
        {
            ThrowIfDisposed();
            ThrowIfWritesStopped();
            Check.That(!_progress.HasStaged, "batches of a log behind what is staged");
            foreach (LoggedBatch batch in batches)
                CheckRoomFor(payloads.Slice(batch.Start, batch.Length));
            foreach (LoggedBatch batch in batches)
            {
                ReadOnlySpan<byte> bytes = payloads.Slice(batch.Start, batch.Length);
                if (bytes.IsEmpty)
                    continue;
                _progress.StageEntry(batch.Position);
                StageAll(bytes, out bool makesSense);
                Check.That(makesSense, "a batch in the log that makes no sense");
                _userBytesWritten += batch.Length;
            }

            if (_progress is not { HasStaged: true, StagedLast: { } last })
                return;
            wantsFlush = PublishStaged(last, awaited: true);
        }

        AfterPublishing(wantsFlush);
    }

    public void Publish(LogPosition position, bool awaited = true)
    {
        bool wantsFlush;
        lock (_writerLock)
        {
            if (!_progress.HasStaged)
                return;
            ThrowIfDisposed();
            wantsFlush = PublishStaged(position, awaited);
        }

        AfterPublishing(wantsFlush);
    }

    public void MarkStable(LogPosition position)
    {
        if (_progress.MarkStable(position) && FlushMayBeDue && !_background.WillLookAgain && FlushDue)
            _background.RequestFlush();
    }

    public void DiscardAfter(LogPosition position)
    {
        lock (_writerLock)
        {
            ThrowIfDisposed();
            Withdraw(_progress.StagedAfter);
            _progress.ForgetStaged();
            if (position >= _progress.PublishedPosition)
                return;
            (LogPosition last, ulong sequence, _) = _progress.DiscardAfter(position);
            Withdraw(sequence);
            if (_firstUnflushed > last)
                _firstUnflushed = null;
        }
    }

    public TimeSpan SuggestWriteDelay(int bytes)
    {
        double share = (double)_budget.WriteBytes / _budget.WriteLimitBytes;
        double pressure = Math.Clamp((share - MemoryShareAtEase) / (1 - MemoryShareAtEase), 0, 1);
        TimeSpan delay = pressure * pressure * s_delayMax;
        if (delay < s_delayMin)
            return TimeSpan.Zero;

        // Others have the memory: whoever looks after all of them has them flush when there is none left, and not before.
        bool isOwn = _tail.UnflushedBytes >= _budget.WriteLimitBytes / FlushedPartAtLeast;
        if (pressure < 1 && !isOwn && !FlushMayBeDue)
            return TimeSpan.Zero;

        // What is in memory may be less than what makes a flush due, where other engines have the rest, or the last flush freed little: who
        // waits here writes nothing that would make it due.
        if (pressure >= 1 || (isOwn && !FlushMayBeDue))
            AskForFlushOfAll();
        if (pressure >= 1)
        {
            _budget.RoomWanted?.Invoke();
            delay = s_roomPoll;
        }

        Interlocked.Add(ref _stallMicroseconds, (long)delay.TotalMicroseconds);
        return delay;
    }

    /// <summary>With <c>_writerLock</c> held. True when there is something to flush.</summary>
    private bool PublishStaged(LogPosition position, bool awaited)
    {
        LogPosition begin = _progress.Publish(position, awaited);
        _firstUnflushed ??= begin;
        return NoteGrowth();
    }

    private void AfterPublishing(bool wantsFlush)
    {
        if (wantsFlush)
            AskForFlush();
        if (_budget.Spares.RunsLow)
            _background.RequestSpares();
    }

    private void StageAll(ReadOnlySpan<byte> batch, out bool makesSense)
    {
        var reader = new BatchReader(batch);
        while (reader.MoveNext())
            StageOne(reader, StableHash.Hash64(reader.Key));
        if (!_mayPend)
            Settle();
        makesSense = !reader.Malformed;
    }

    private void StageOne(in BatchReader operation, ulong token)
    {
        ulong sequence = _progress.Stage(operation);
        if (operation.Kind == BatchOperationKind.DeleteRange)
        {
            if (!operation.Value.IsEmpty && operation.Key.SequenceCompareTo(operation.Value) >= 0)
                return;
            var range = new RangeDeletion(operation.Key.ToArray(), operation.Value.IsEmpty ? null : operation.Value.ToArray(), sequence);
            lock (_rangesLock)
                Volatile.Write(ref _ranges, _ranges.With(range));
            NoteGone(range);
            return;
        }

        uint check = KeyCheck.Of(operation.Key, _identity);

        // A key that is not there need not be deleted.
        if (operation.Kind == BatchOperationKind.Delete && !Contains(token, check))
            return;
        if (operation.Kind == BatchOperationKind.Delete)
            _gone++;
        ReadOnlySpan<byte> value = operation.Kind == BatchOperationKind.Delete ? default : operation.Value;
        RecordKind kind = operation.Kind switch
        {
            BatchOperationKind.Put => RecordKind.Value,
            BatchOperationKind.PutExpiring => RecordKind.ExpiringValue,
            _ => RecordKind.Tombstone,
        };
        TailRecord* record = _tail.Append(kind, operation.Key, value, sequence, check, operation.ExpiresAtMs);
        _tail.Commit(record);
        _pending.Add(token, record);
    }

    private bool Contains(ulong token, uint check)
    {
        if (_pending.Has(token))
            Settle();
        return _index.Contains(token, check);
    }

    /// <summary>Everything that is staged is where the index leads. With the writer's lock.</summary>
    private void Settle()
    {
        _pending.Settle();
        _links.Settle();
    }

    /// <summary>Takes back everything after a sequence number; the numbers stay used.</summary>
    private void Withdraw(ulong after)
    {
        if (_progress.LastAssigned == after)
            return;
        Settle();
        var records = new List<nint>();
        foreach (TailChunk chunk in _tail.ChunksAfter(after))
        {
            for (long at = 0; at < chunk.Used;)
            {
                var record = (TailRecord*)(chunk.Memory + at);
                at += TailRecord.SizeOf(record);
                if (record->Sequence > after && !record->IsWithdrawn)
                    records.Add((nint)record);
            }
        }

        for (int i = records.Count - 1; i >= 0; i--)
            Withdraw((TailRecord*)records[i]);
        lock (_rangesLock)
            Volatile.Write(ref _ranges, _ranges.Where(r => r.Sequence <= after));
    }

    private void Withdraw(TailRecord* record)
    {
        ulong token = TailRecord.Token(record);
        using KeyIndex.HeldShard held = _index.Lock(token);
        ulong* there = held.Find(token, record->Check);
        Check.That(there != null && *there == Location.InMemory(record), "what is withdrawn is not the newest of its key");
        record->IsWithdrawn = true;
        if (record->Previous == Location.None)
        {
            held.Remove(token, record->Check);
            return;
        }

        if (Location.IsMemory(record->Previous))
            Volatile.Write(ref TailRecord.At(record->Previous)->Next, Location.None);
        Volatile.Write(ref *there, record->Previous);
    }

    private void ThrowIfWritesStopped()
    {
        if (_background.FlushFailure is { } failure && _budget.DeletionLimitReached)
        {
            throw new WritesStoppedException(
                $"memory is full and cannot be flushed: {failure.Message} Writes go on when that is put right.", failure);
        }
    }

    /// <summary>Refuses new keys that the index has no room for; keys that are there may be written and deleted.</summary>
    private void CheckRoomFor(ReadOnlySpan<byte> batch)
    {
        long used = _index.UsedBytes;
        long usedByAll = _budget.IndexBytes;
        if (used == _indexUsedSeen && usedByAll == _indexUsedByAllSeen && batch.Length <= _roomyBatchBytes)
            return;
        Settle();
        used = _index.UsedBytes;
        usedByAll = _budget.IndexBytes;
        if (used >= LimitNearAt * _options.IndexBytes && !_limitNear)
        {
            _limitNear = true;
            _environment.LimitNears?.Invoke(
                $"{_folder}: the keys take {used} of {_options.IndexBytes} bytes of memory that they may take; beyond that new ones are refused");
        }
        else if (used < LimitFarAt * _options.IndexBytes)
        {
            _limitNear = false;
        }

        WarnOfAllIndexes();
        (_indexUsedSeen, _indexUsedByAllSeen) = (used, usedByAll);
        long added = IndexGrowthBytes;
        long room = IndexRoomBytes;
        _mayPend = room >= PendingRoomBytes;

        // No operation is shorter than two bytes.
        _roomyBatchBytes = _environment.TakesAll ? long.MaxValue : (room - added) / IndexBytesPerKey * 2;
        if (batch.Length <= _roomyBatchBytes)
            return;
        var reader = new BatchReader(batch);
        while (reader.MoveNext())
        {
            if (reader.Kind is not (BatchOperationKind.Put or BatchOperationKind.PutExpiring)
                || Contains(StableHash.Hash64(reader.Key), KeyCheck.Of(reader.Key, _identity)))
                continue;
            added += IndexBytesPerKey;
            if (added > room)
                throw IndexFull();
        }
    }
}
