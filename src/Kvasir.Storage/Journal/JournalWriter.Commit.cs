using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Journal;

/// <content>Writing, syncing and changing segments: what the committing thread does.</content>
public sealed partial class JournalWriter
{
    // Enough for all who append, and an end where they never rest.
    private const int YieldsMax = 4;

    private readonly CommitJob _commitJob;
    private readonly byte[] _markBuffer = new byte[JournalFormat.MarkBytes];

    // Under _lock.
    private bool _commitJobScheduled;
    private bool _commitRequested;
    private bool _syncRequested;
    private bool _syncingBeside;

    // What the listener has been told, or another thread is about to tell it.
    private ulong _told;
    private Exception? _syncBesideFailure;

    /// <summary>
    /// Has everything appended so far written in the background, and synced if <paramref name="sync"/>; the
    /// <see cref="Listener"/> hears of it. Requests that come while one is served are served together. Others may append
    /// and write beside the sync.
    /// </summary>
    public void RequestCommit(bool sync)
    {
        lock (_lock)
        {
            _commitRequested = true;
            _syncRequested |= sync;
            if (_commitJobScheduled || _closed)
                return;
            _commitJobScheduled = true;
        }

        _scheduler.Schedule(_commitJob, JobPriority.Commit);
    }

    private void ServeCommitRequests()
    {
        while (true)
        {
            if (Volatile.Read(ref _syncRequested))
                LetOthersAppend();
            bool sync;
            lock (_lock)
            {
                if (!_commitRequested || _closed)
                {
                    _commitJobScheduled = false;
                    return;
                }

                sync = _syncRequested;
                _commitRequested = _syncRequested = false;
            }

            IFile? unsynced = null;
            ulong written = 0;
            EnterCommit();
            try
            {
                if (Failure == JournalFailure.None && !_closed)
                {
                    CommitPending(sync: false);
                    if (sync && TryBeginSyncBeside())
                        (unsynced, written) = (_segment.File, _written);
                    else if (sync)
                        MarkIfIdle();
                }
            }
            finally
            {
                LeaveCommit();
            }

            if (unsynced is not null)
                SyncBeside(unsynced, written);
        }
    }

    /// <summary>
    /// Where every core is busy, those who are about to append have their turn first: then one sync is for all of them, and what a sync
    /// costs (and, in a cluster, the messages behind it) is shared by more. Nobody waits longer for that than for the processor.
    /// </summary>
    private void LetOthersAppend()
    {
        for (int i = 0; i < YieldsMax; i++)
        {
            LogPosition before = AppendedPosition;
            _scheduler.Yield();
            if (AppendedPosition == before)
                return;
        }
    }

    /// <summary>From now until <see cref="SyncBeside"/> is done, nobody else syncs, and the segment stays. In the commit.</summary>
    private bool TryBeginSyncBeside()
    {
        lock (_lock)
        {
            if (_failure != JournalFailure.None || _durable == _written)
                return false;
            Check.That(!_syncingBeside);
            _syncingBeside = true;
            _segmentSyncs++;
            return true;
        }
    }

    /// <summary>
    /// Outside the commit. There is never more than one sync of the file at a time: the system tells of a lost write only
    /// one of those who ask together.
    /// </summary>
    private void SyncBeside(IFile file, ulong written)
    {
        Exception? failure = null;
        long began = _scheduler.Time.GetTimestamp();
        try
        {
            file.Sync(SyncMode.Data);
        }
        catch (StorageException exception)
        {
            failure = exception;
        }

        lock (_lock)
        {
            _syncBesideFailure = failure;
            // After a failure the listener has been told what is durable, and it stays so.
            if (failure is null && _failure == JournalFailure.None)
                NoteSyncLocked(written, began);
        }

        // Only now: who waits for the end finds the failure.
        Volatile.Write(ref _syncingBeside, false);
        _progress.Pulse();
        TellDurable();

        EnterCommit();
        try
        {
            if (failure is null)
                MarkIfIdle();
            else if (Failure == JournalFailure.None)
                Fail(JournalFailure.DiskFailed, failure);
        }
        finally
        {
            LeaveCommit();
        }
    }

    /// <summary>Before another sync of the segment, or before it is let go. In the commit.</summary>
    private void AwaitSyncBeside()
    {
        _progress.WaitUntil(_nobodySyncsBeside);
        Exception? failure;
        lock (_lock)
            failure = _syncBesideFailure;
        if (failure is not null)
            throw new DiskFailedException($"a sync of the journal failed: {failure.Message}", failure);
    }

    /// <summary>Failures are noted and told to the listener, not thrown. Only for who has entered the commit.</summary>
    private void CommitPending(bool sync)
    {
        if (!TryTakePending())
            return;
        try
        {
            foreach (PendingChunk chunk in _writing)
                WriteChunk(chunk);
            if (sync)
                SyncSegment();
        }
        catch (DiskFullException exception) when (_segment.Failed is false)
        {
            FailFull(exception);
        }
        catch (StorageException exception)
        {
            Fail(JournalFailure.DiskFailed, exception);
        }

        lock (_lock)
        {
            foreach (PendingChunk chunk in _writing)
                ReturnChunkLocked(chunk);
            _writing.Clear();
        }

        if (sync)
            MarkIfIdle();
        PrepareNextSegmentIfDue();
    }

    /// <summary>
    /// Nothing waits and all is durable: a mark says so. It survives the process without a sync, and proves after a kill
    /// that what stands before it was durable.
    /// </summary>
    private void MarkIfIdle()
    {
        bool idle;
        lock (_lock)
        {
            idle = _sealed.Count == 0 && !_tail.HasRecords && _durable == _written && _failure == JournalFailure.None && !_closed;
        }

        if (idle && _segment.MarkedEnd != _written)
            WriteMark(JournalEntryKind.Mark, sync: false);
    }

    private bool TryTakePending()
    {
        lock (_lock)
        {
            // After a failed sync the next one may lie; there is none.
            if (_failure != JournalFailure.None)
                return false;
            if (_tail.HasRecords)
                SealTailLocked(0);
            (_writing, _sealed) = (_sealed, _writing);
            return true;
        }
    }

    private void WriteChunk(PendingChunk chunk)
    {
        if (!_segment.HasRoomFor(chunk.Length))
        {
            // All of a segment is durable before the next one has a header: see JournalRecovery.
            SyncSegment();
            StartSegment(chunk.Start, chunk.Length, SyncsAreMany ? _options.FirstSegmentBytes : NextSegmentBytes);
        }

        Check.That(chunk.Start == _segment.EndPosition, $"a chunk of {chunk.Start} in a segment that ends at {_segment.EndPosition}");
        JournalFormat.WriteMark(chunk.Bytes, JournalEntryKind.Mark, CurrentMark(), _seed, chunk.Start);
        _segment.Write(chunk.Bytes.AsSpan(0, chunk.Length));
        lock (_lock)
        {
            Volatile.Write(ref _written, chunk.End);
            _pendingBytes -= chunk.Length - JournalFormat.MarkBytes;
            _writes++;
            _writtenBytes += chunk.Length;
        }
    }

    private void SyncSegment()
    {
        AwaitSyncBeside();
        if (_durable == _written)
            return;
        long began = _scheduler.Time.GetTimestamp();
        _segment.Sync();
        _segmentSyncs++;
        lock (_lock)
            NoteSyncLocked(_written, began);
        _progress.Pulse();
    }

    /// <summary>
    /// Tells the listener how far everything is durable, if it does not know. Outside the commit, and with no sync under way that the caller
    /// would end: who hears of it may append at once, on this thread, so much that it has to commit itself.
    /// </summary>
    private void TellDurable()
    {
        ulong durable;
        lock (_lock)
        {
            if (_told == _durable)
                return;
            Check.That(_told < _durable);
            durable = _told = _durable;
        }

        Listener?.Durable(new LogPosition(durable));
    }

    private void NoteSyncLocked(ulong durable, long began)
    {
        long microseconds = (long)_scheduler.Time.GetElapsedTime(began).TotalMicroseconds;
        Volatile.Write(ref _durable, durable);
        _syncs++;
        _syncMicroseconds += microseconds;
        _slowestSyncMicroseconds = Math.Max(_slowestSyncMicroseconds, microseconds);
    }

    private JournalMark CurrentMark()
    {
        lock (_lock)
            return new JournalMark(new LogPosition(_durable), _oldestNeeded);
    }

    /// <summary>
    /// Writes a mark behind the last record. The next chunk begins with the like and overwrites it, unless it is a
    /// closing one.
    /// </summary>
    private void WriteMark(JournalEntryKind kind, bool sync)
    {
        try
        {
            JournalFormat.WriteMark(_markBuffer, kind, CurrentMark(), _seed, _segment.EndPosition);
            _segment.WriteMark(_markBuffer);
            if (sync)
                _segment.Sync();
        }
        catch (DiskFullException) when (_segment.Failed is false && kind == JournalEntryKind.Mark)
        {
            // It says what is true without it, too; the next one may find room.
        }
        catch (StorageException exception)
        {
            Fail(JournalFailure.DiskFailed, exception);
        }
    }

    private void Fail(JournalFailure failure, Exception cause)
    {
        ulong durable;
        lock (_lock)
        {
            durable = _durable;
            _failure = failure;
            _failureCause = cause;
            if (failure == JournalFailure.DiskFull)
                NoteDroppedLocked(durable, _appended);
            foreach (PendingChunk chunk in _sealed)
                ReturnChunkLocked(chunk);
            _sealed.Clear();
            _tail.Begin(_appended);
            _pendingBytes = 0;
        }

        // Appends are refused from now on, so nobody who hears of it commits.
        TellDurable();
        Listener?.Failed(failure, cause, new LogPosition(durable));
        _progress.Pulse();
    }

    /// <summary>
    /// What was written before the disk was found full is made durable first: all else is dropped, and must not be found by a restart.
    /// </summary>
    private void FailFull(DiskFullException cause)
    {
        try
        {
            SyncSegment();
        }
        catch (StorageException exception)
        {
            Fail(JournalFailure.DiskFailed, exception);
            return;
        }

        Fail(JournalFailure.DiskFull, cause);
    }

    private void NoteDroppedLocked(ulong after, ulong upTo)
    {
        if (after == upTo)
            return;
        if (_dropped.Length > 0 && _dropped[^1].UpTo == after)
            Volatile.Write(ref _dropped, [.. _dropped[..^1], (_dropped[^1].After, upTo)]);
        else
            Volatile.Write(ref _dropped, [.. _dropped, (after, upTo)]);
    }

    private sealed class CommitJob(JournalWriter journal) : IBackgroundJob
    {
        public string Name => "journal commit";

        public void Run() => journal.ServeCommitRequests();
    }
}
