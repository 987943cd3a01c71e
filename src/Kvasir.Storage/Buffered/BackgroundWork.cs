using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// The background jobs of one engine: one that flushes, and beside it as many that compact as
/// <see cref="BufferOptions.BackgroundJobsMax"/> leaves, each asked for again by whoever may have made work for it.
/// <para>
/// A flush that fails stops both kinds until <see cref="TryResume"/>. A compaction that fails stops compactions alone, since flushes
/// may be what makes room; those that write nothing go on. When it fails twice in a row it stays told, and writers need not wait for
/// it, until one has ended well; tried again it is after ever longer pauses, since each try may fill the disk and give it back.
/// </para>
/// </summary>
internal sealed class BackgroundWork
{
    private readonly BufferedEngine _engine;
    private readonly IScheduler _scheduler;
    private readonly IWaitPoint _changed;
    private readonly ConditionWatch _flushed = new();
    private readonly int _compactionsMax;
    private readonly Lock _lock = new();
    private readonly RetryPace _compactionPace;
    private readonly CancellationTokenSource _stopping = new();
    private Exception? _flushFailure;
    private Exception? _compactionFailure;
    private bool _retryIsDue;
    private bool _flushFailsAgain;
    private bool _flushing;
    private bool _preparing;
    private bool _resuming;
    private int _compactions;
    private int _callers;
    private bool _stopped;

    public BackgroundWork(BufferedEngine engine, IScheduler scheduler, BufferOptions options)
    {
        _engine = engine;
        _scheduler = scheduler;
        _changed = scheduler.CreateWaitPoint();
        _compactionPace = new RetryPace(scheduler.Time);

        // One place is kept for the flush: a compaction may last, and writers must not wait for its end.
        _compactionsMax = Math.Max(1, options.BackgroundJobsMax - 1);
    }

    public Exception? Failure => FlushFailure ?? Volatile.Read(ref _compactionFailure);

    /// <summary>What keeps memory from being flushed.</summary>
    public Exception? FlushFailure => Volatile.Read(ref _flushFailure);

    /// <summary>From a flush that failed until one ends well.</summary>
    public bool FlushFailsAgain => Volatile.Read(ref _flushFailsAgain);

    /// <summary>Blocks until the condition, looked at after every finished piece of work, holds.</summary>
    public void WaitUntil(Func<bool> condition) => _changed.WaitUntil(condition);

    public void Pulse() => _changed.Pulse();

    /// <summary>Calls this once when the condition, looked at after every flush, holds; does not block.</summary>
    public void WhenFlushed(Func<bool> condition, Action then) => _flushed.When(condition, then);

    public void RequestFlush()
    {
        lock (_lock)
        {
            if (_stopped || _flushing || _flushFailure is not null || !_engine.FlushDue)
                return;
            _flushing = true;
        }

        _scheduler.Schedule(new FlushJob(this), JobPriority.Flush);
    }

    public void RequestCompaction()
    {
        lock (_lock)
        {
            if (_stopped || _compactions >= _compactionsMax || !_engine.CompactionDue)
                return;
            _compactions++;
        }

        // Level zero holds up writers; the rest can wait.
        JobPriority priority = _engine.LevelZeroIsDue ? JobPriority.Flush : JobPriority.Compaction;
        _scheduler.Schedule(new CompactionJob(this), priority);
    }

    /// <summary>Has memory made ready for the next writes.</summary>
    public void RequestSpares()
    {
        if (Volatile.Read(ref _preparing))
            return;
        lock (_lock)
        {
            if (_stopped || _preparing)
                return;
            _preparing = true;
        }

        _scheduler.Schedule(new SparesJob(this), JobPriority.Flush);
    }

    /// <summary>
    /// Tries again what failed; waits for the flush, if one is due, and says whether all is well. A compaction is not waited for.
    /// </summary>
    public bool TryResume()
    {
        RequestResume();
        _changed.WaitUntil(() => FlushFailure is not null || IsStopped || (!IsFlushing && !_engine.FlushDue));
        return Failure is null && !IsStopped;
    }

    /// <summary>Has everything tried again, a compaction that keeps failing when its time has come; returns at once.</summary>
    public void RequestResume()
    {
        lock (_lock)
        {
            if (_stopped)
                return;
            Volatile.Write(ref _flushFailure, null);
            if (_compactionFailure is not null && _compactionPace.IsRested)
            {
                // What failed again and again is told until it has ended well.
                if (_compactionPace.IsPersistent && _engine.CompactionDue)
                    _retryIsDue = _compactions == 0;
                else
                    Volatile.Write(ref _compactionFailure, null);
            }
        }

        if (_engine.IsStopped)
            RequestTables();
        RequestFlush();
        RequestCompaction();
    }

    /// <summary>Has the files below made fit for writing again; a flush comes behind it.</summary>
    private void RequestTables()
    {
        lock (_lock)
        {
            if (_stopped || _resuming)
                return;
            _resuming = true;
        }

        _scheduler.Schedule(new ResumeJob(this), JobPriority.Flush);
    }

    /// <summary>
    /// Does on the caller's thread what <see cref="Stop"/> must wait for; false when that has come before, or has had it given up.
    /// </summary>
    public bool TryRun(Action<CancellationToken> work)
    {
        CancellationToken stopping;
        lock (_lock)
        {
            if (_stopped)
                return false;
            _callers++;
            stopping = _stopping.Token;
        }

        try
        {
            work(stopping);
            return true;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            return false;
        }
        finally
        {
            lock (_lock)
                _callers--;
            _changed.Pulse();
        }
    }

    /// <summary>No job starts any more, and a compaction is given up; returns when none runs.</summary>
    public void Stop()
    {
        lock (_lock)
            _stopped = true;
        _stopping.Cancel();
        _changed.Pulse();
        _changed.WaitUntil(() => !IsBusy);
        _stopping.Dispose();
    }

    /// <summary>No job begins any more, and somebody waits for those that run.</summary>
    public bool IsStopped
    {
        get
        {
            lock (_lock)
                return _stopped;
        }
    }

    private bool IsFlushing
    {
        get
        {
            lock (_lock)
                return _flushing;
        }
    }

    private bool IsBusy
    {
        get
        {
            lock (_lock)
                return _flushing || _preparing || _resuming || _compactions != 0 || _callers != 0;
        }
    }

    private bool MayGoOn
    {
        get
        {
            lock (_lock)
                return !_stopped && _flushFailure is null;
        }
    }

    private void FlushFailed(Exception failure)
    {
        lock (_lock)
        {
            Volatile.Write(ref _flushFailure, failure);
            Volatile.Write(ref _flushFailsAgain, true);
        }
    }

    private void FlushEnded() => Volatile.Write(ref _flushFailsAgain, false);

    /// <summary>Whether a compaction may write tables now, and not only let go of some.</summary>
    private bool TryBeginRewriting()
    {
        lock (_lock)
        {
            if (_flushFailure is not null)
                return false;
            bool may = _compactionFailure is null || _retryIsDue;
            _retryIsDue = false;
            return may;
        }
    }

    private void CompactionFailed(Exception failure, long begunAt)
    {
        lock (_lock)
        {
            _compactionPace.Fail(begunAt);
            _retryIsDue = false;
            Volatile.Write(ref _compactionFailure, failure);
        }
    }

    private void CompactionEnded(bool rewriting, bool didSomething)
    {
        lock (_lock)
        {
            if (rewriting)
            {
                _compactionPace.Succeed();
                Volatile.Write(ref _compactionFailure, null);
            }
            else if (didSomething)
            {
                // There is room that was not there before.
                _compactionPace.EndRest();
            }
        }
    }

    private sealed class FlushJob(BackgroundWork work) : IBackgroundJob
    {
        public string Name => "lsm flush";

        public void Run()
        {
            try
            {
                while (work.MayGoOn && work._engine.FlushOnce())
                {
                    work.FlushEnded();
                    work.RequestCompaction();
                    work._changed.Pulse();
                    work._flushed.Look();
                }
            }
            catch (Exception failure)
            {
                // Whatever it was, nothing was installed: reads go on, and writes until memory is full.
                work.FlushFailed(failure);
            }

            // While nobody closes what it is about.
            work._flushed.Look();
            lock (work._lock)
                work._flushing = false;
            // One may have come due after the last look.
            work.RequestFlush();
            work._engine.Reassess();
            work._changed.Pulse();
        }
    }

    private sealed class ResumeJob(BackgroundWork work) : IBackgroundJob
    {
        public string Name => "resume files";

        public void Run()
        {
            work._engine.ResumeTables();
            lock (work._lock)
                work._resuming = false;
            work.RequestFlush();
            work._changed.Pulse();
        }
    }

    private sealed class SparesJob(BackgroundWork work) : IBackgroundJob
    {
        public string Name => "lsm memory";

        public void Run()
        {
            work._engine.PrepareSpares();
            lock (work._lock)
                Volatile.Write(ref work._preparing, false);
            work._changed.Pulse();
        }
    }

    private sealed class CompactionJob(BackgroundWork work) : IBackgroundJob
    {
        public string Name => "lsm compaction";

        public void Run()
        {
            bool more = false;
            long begunAt = work._compactionPace.Begin();
            try
            {
                if (!work.IsStopped)
                {
                    bool rewriting = work.TryBeginRewriting();
                    more = rewriting ? work._engine.CompactOnce(work._stopping.Token) : work._engine.DropCovered();
                    work.CompactionEnded(rewriting, more);
                }
            }
            catch (OperationCanceledException) when (work._stopping.IsCancellationRequested)
            {
                // As if it had never begun: the next start picks it again.
            }
            catch (Exception failure)
            {
                work.CompactionFailed(failure, begunAt);
            }

            lock (work._lock)
                work._compactions--;
            if (more)
            {
                // One for this job, and one for what it may have made possible beside it.
                work.RequestCompaction();
                work.RequestCompaction();
            }

            work._changed.Pulse();
        }
    }
}
