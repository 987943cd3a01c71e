using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Journal;

/// <content>Making segments ahead of need, and letting go of those that are not needed any more.</content>
public sealed partial class JournalWriter
{
    private const int SegmentGrowth = 4;

    // A segment with fewer syncs than this is not worth being written ahead.
    private const int ManySyncs = 16;

    private readonly PrepareJob _prepareJob;
    private int _segmentSyncs;

    // Under _lock. Segments before the active one, oldest first.
    private readonly List<RetainedSegment> _retained;
    private ulong _oldestNeeded;
    private ulong _trimBefore;

    // Segments before this one are being let go, by this writer: one that a trim before a crash left over is still there.
    private ulong _letGoBefore;
    private bool _trimming;
    private PrepareState _prepare;

    private enum PrepareState
    {
        Idle,
        Scheduled,
        Running,

        /// <summary>The disk refused; asked again when the segment changes.</summary>
        Failed,
    }

    /// <summary>Bytes of records that the journal still holds.</summary>
    public long RetainedBytes
    {
        get
        {
            lock (_lock)
            {
                long bytes = (long)(_written - Math.Min(_written, _segment.BasePosition));
                foreach (RetainedSegment segment in _retained)
                    bytes += (long)(segment.EndPosition - segment.BasePosition);
                return bytes;
            }
        }
    }

    /// <summary>
    /// Records before <paramref name="position"/> are not needed again: segments that hold nothing else are recycled or
    /// deleted. Works while the disk is full, too.
    /// </summary>
    public void TrimBefore(LogPosition position)
    {
        lock (_lock)
        {
            _trimBefore = Math.Max(_trimBefore, position.Value);
            if (_trimming || _closed || _failure == JournalFailure.DiskFailed || TrimmableLocked() == 0)
                return;
            _trimming = true;
        }

        try
        {
            while (Trim())
            {
            }
        }
        catch (StorageException exception)
        {
            EnterCommit();
            Fail(JournalFailure.DiskFailed, exception);
            LeaveCommit();
        }
        finally
        {
            lock (_lock)
                _trimming = false;
            _progress.Pulse();
        }
    }

    /// <summary>
    /// For when nobody is writing, and what is kept for the next writes would be most of what disk and memory hold: deletes
    /// the spare segments, and goes on in a short one if nothing in the active one is needed. Where that fails the
    /// journal stays as it is.
    /// </summary>
    public void Shorten()
    {
        DeleteSpares();
        if (TryLeaveSegment())
        {
            TrimBefore(LogPosition.Zero);
            DeleteSpares();
        }

        lock (_lock)
        {
            while (_pool.Count > IdleChunksMax)
                _pool.Pop();
        }
    }

    /// <summary>Not beside a commit: who starts a segment has seen to it that there is a spare before it takes that.</summary>
    private void DeleteSpares()
    {
        EnterCommit();
        try
        {
            _folder.DeleteSpares();
        }
        finally
        {
            LeaveCommit();
        }
    }

    private bool TryLeaveSegment()
    {
        EnterCommit();
        try
        {
            lock (_lock)
            {
                if (_closed || _failure != JournalFailure.None || !NothingIsNeededLocked || _tail.HasRecords || _sealed.Count > 0)
                    return false;
            }

            if (_segment.FileLength <= _options.FirstSegmentBytes)
                return false;
            SyncSegment();
            StartSegment(_appended, JournalFormat.MarkBytes, _options.FirstSegmentBytes);
            return true;
        }
        catch (DiskFullException) when (_segment.Failed is false)
        {
            return false;
        }
        catch (StorageException exception)
        {
            Fail(JournalFailure.DiskFailed, exception);
            return false;
        }
        finally
        {
            LeaveCommit();
        }
    }

    // Marks may stand behind the last record; nobody needs those.
    private bool NothingIsNeededLocked => _trimBefore > _lastRecord;

    private int TrimmableLocked()
    {
        if (NothingIsNeededLocked)
            return _retained.Count;
        int count = 0;
        while (count < _retained.Count && _retained[count].EndPosition < _trimBefore)
            count++;
        return count;
    }

    private bool Trim()
    {
        int count;
        lock (_lock)
        {
            count = TrimmableLocked();
            if (count == 0 || _closed)
                return false;
        }

        if (BeforeLettingGo is { } asked && !asked())
            return false;
        lock (_lock)
            _oldestNeeded = _letGoBefore = count < _retained.Count ? _retained[count].Sequence : _segment.Sequence;

        // First it is durable that they may be missing: a start finds out otherwise that they are.
        EnterCommit();
        try
        {
            if (_closed)
                return false;
            if (Failure == JournalFailure.None)
            {
                SealTrimMark();
                CommitPending(sync: true);
            }

            if (Failure == JournalFailure.DiskFull && !TryAppendMarkWhileFull())
                return false;
            if (Failure == JournalFailure.DiskFailed)
                return false;
        }
        finally
        {
            LeaveCommit();
        }

        for (int i = 0; i < count; i++)
        {
            ulong sequence;
            lock (_lock)
                sequence = _retained[0].Sequence;
            int sparesMax = Failure == JournalFailure.None ? _options.SpareSegmentsMax : 0;
            _folder.Remove(sequence, _options.SegmentBytes, sparesMax);
            lock (_lock)
                _retained.RemoveAt(0);
        }

        return true;
    }

    /// <summary>
    /// Makes a chunk of a mark alone where no records wait. It must not be one that the next chunk overwrites: that write
    /// may tear, and what it stood for, that older segments may be missing, would be forgotten.
    /// </summary>
    private void SealTrimMark()
    {
        lock (_lock)
        {
            if (_tail.HasRecords || _sealed.Count > 0)
                return;
            PendingChunk mark = _tail;
            _sealed.Add(mark);
            Volatile.Write(ref _appended, mark.End);
            _tail = _pool.TryPop(out PendingChunk? pooled) ? pooled : new PendingChunk(PendingChunk.OrdinaryBytes);
            _tail.Begin(_appended);
        }
    }

    /// <summary>While the disk is full nothing else is written behind it: the segment ends with the mark, durably.</summary>
    private bool TryAppendMarkWhileFull()
    {
        if (!_segment.HasRoomFor(JournalFormat.MarkBytes))
            return false;
        try
        {
            JournalFormat.WriteMark(_markBuffer, JournalEntryKind.Mark, CurrentMark(), _seed, _segment.EndPosition);
            _segment.Write(_markBuffer);
            _segment.Sync();
        }
        catch (DiskFullException) when (_segment.Failed is false)
        {
            return false;
        }
        catch (StorageException exception)
        {
            Fail(JournalFailure.DiskFailed, exception);
            return false;
        }

        lock (_lock)
        {
            if (_appended < _segment.EndPosition)
            {
                Volatile.Write(ref _appended, _segment.EndPosition);
                _tail.Begin(_appended);
            }
        }

        return true;
    }

    private bool SyncsAreMany => Volatile.Read(ref _segmentSyncs) >= ManySyncs;

    /// <param name="basePosition">The position of its first byte.</param>
    /// <param name="firstBytes">Of its first chunk.</param>
    /// <param name="bytes">Of the file, where no spare is ready.</param>
    private void StartSegment(ulong basePosition, int firstBytes, long bytes)
    {
        long needed = ActiveSegment.LengthFor(firstBytes);
        if (!_folder.HasSpare(needed))
            WaitForRunningPrepare();
        if (!_folder.HasSpare(needed))
            _folder.MakeSpare(Math.Max(needed, bytes), SyncsAreMany);

        ulong oldest;
        lock (_lock)
            oldest = _oldestNeeded;
        var header = new SegmentHeader(_journalId, _segment.Sequence + 1, basePosition, _segment.EndPosition, oldest);
        ActiveSegment next = ActiveSegment.Start(_folder, header, needed);
        ActiveSegment previous = _segment;
        previous.MarkContinued(CurrentMark(), _seed);
        lock (_lock)
        {
            _retained.Add(previous.ToRetained());
            _segment = next;
            _segmentSyncs = 0;
            if (_prepare == PrepareState.Failed)
                _prepare = PrepareState.Idle;
        }

        previous.File.Dispose();
    }

    private void PrepareNextSegmentIfDue()
    {
        if (!_segment.IsHalfFull || _folder.HasSpare(NextSegmentBytes))
            return;
        lock (_lock)
        {
            if (_prepare != PrepareState.Idle || _closed || _failure != JournalFailure.None)
                return;
            _prepare = PrepareState.Scheduled;
        }

        _scheduler.Schedule(_prepareJob, JobPriority.Upkeep);
    }

    private long NextSegmentBytes => Math.Min(_segment.FileLength * SegmentGrowth, _options.SegmentBytes);

    private void Prepare()
    {
        long length;
        lock (_lock)
        {
            // Who needed the segment first may have made it; nobody waits for a job that has not begun.
            if (_prepare != PrepareState.Scheduled || _closed)
                return;

            _prepare = PrepareState.Running;
            length = NextSegmentBytes;
        }

        PrepareState outcome = PrepareState.Idle;
        try
        {
            if (!_folder.HasSpare(length))
                _folder.MakeSpare(length, SyncsAreMany);
        }
        catch (StorageException)
        {
            // Not yet anybody's loss: the commit that needs the segment tries itself, and reports.
            outcome = PrepareState.Failed;
        }
        finally
        {
            lock (_lock)
                _prepare = outcome;
            _progress.Pulse();
        }
    }

    private void WaitForRunningPrepare()
    {
        lock (_lock)
        {
            if (_prepare == PrepareState.Scheduled)
                _prepare = PrepareState.Idle;
            if (_prepare != PrepareState.Running)
                return;
        }

        _progress.WaitUntil(() =>
        {
            lock (_lock)
                return _prepare != PrepareState.Running;
        });
    }

    private bool IsWorkingOnFiles()
    {
        lock (_lock)
            return _prepare == PrepareState.Running || _trimming || _syncingBeside;
    }

    private sealed class PrepareJob(JournalWriter journal) : IBackgroundJob
    {
        public string Name => "journal segment preparation";

        public void Run() => journal.Prepare();
    }
}
