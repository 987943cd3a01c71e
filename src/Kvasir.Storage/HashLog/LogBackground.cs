using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.HashLog;

/// <summary>
/// The background jobs of one engine: one that flushes, one that merges, each asked for again by whoever may have made work for it. A
/// flush that fails stops both until <see cref="TryResume"/>; a merge that fails stops merges alone, since flushes may be what makes
/// room, and is tried again after ever longer pauses.
/// </summary>
internal sealed class LogBackground
{
    private readonly HashLogEngine _engine;
    private readonly IScheduler _scheduler;
    private readonly IWaitPoint _changed;
    private readonly ConditionWatch _flushed = new();
    private readonly Lock _lock = new();
    private readonly RetryPace _mergePace;
    private Exception? _flushFailure;
    private Exception? _mergeFailure;
    private bool _flushing;
    private bool _merging;
    private bool _mergeRetryIsDue;
    private bool _preparing;
    private bool _stopped;
    private long _mergeBegunAt;

    public LogBackground(HashLogEngine engine, IScheduler scheduler)
    {
        _engine = engine;
        _scheduler = scheduler;
        _changed = scheduler.CreateWaitPoint();
        _mergePace = new RetryPace(scheduler.Time);
    }

    public Exception? Failure => FlushFailure ?? Volatile.Read(ref _mergeFailure);

    /// <summary>What keeps memory from being flushed.</summary>
    public Exception? FlushFailure => Volatile.Read(ref _flushFailure);

    public bool IsStopped
    {
        get
        {
            lock (_lock)
                return _stopped;
        }
    }

    /// <summary>
    /// A flush is under way, and looks at its end at whatever the caller has done before: nobody need ask for another.
    /// </summary>
    public bool WillLookAgain
    {
        get
        {
            // Either this is seen to be over here, or what was done is seen there.
            Interlocked.MemoryBarrier();
            return Volatile.Read(ref _flushing);
        }
    }

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

    public void RequestMerge()
    {
        lock (_lock)
        {
            if (_stopped || _merging || _flushFailure is not null || (_mergeFailure is not null && !_mergeRetryIsDue) || !_engine.MergeDue)
                return;
            _merging = true;
            _mergeRetryIsDue = false;
            _mergeBegunAt = _mergePace.Begin();
        }

        _scheduler.Schedule(new MergeJob(this), JobPriority.Compaction);
    }

    /// <summary>Has memory made ready for the next writes.</summary>
    public void RequestSpares()
    {
        // Asked for with every write until it is done.
        if (Volatile.Read(ref _preparing))
            return;
        lock (_lock)
        {
            if (_stopped || _preparing)
                return;
            _preparing = true;
        }

        // Writers wait for the system when it comes late: never behind a flush.
        _scheduler.Schedule(new SparesJob(this), JobPriority.Upkeep);
    }

    /// <summary>Waits until no merge runs, and keeps others from it until <see cref="EndOwnMerge"/>; false when the engine is closed.</summary>
    public bool TryBeginOwnMerge(CancellationToken cancellation)
    {
        bool begun = false;
        using CancellationTokenRegistration wakes = cancellation.Register(_changed.Pulse);
        _changed.WaitUntil(() =>
        {
            lock (_lock)
            {
                if (_stopped || cancellation.IsCancellationRequested)
                    return true;
                if (_merging)
                    return false;
                return begun = _merging = true;
            }
        });
        if (!begun)
            cancellation.ThrowIfCancellationRequested();
        return begun;
    }

    public void EndOwnMerge()
    {
        lock (_lock)
            _merging = false;
        _changed.Pulse();
        RequestMerge();
    }

    /// <summary>Tries again what failed; waits for the flush, if one is due, and says whether all is well.</summary>
    public bool TryResume()
    {
        RequestResume();
        _changed.WaitUntil(() => FlushFailure is not null || IsStopped || (!IsFlushing && !_engine.FlushDue));
        return Failure is null && !IsStopped;
    }

    public void RequestResume()
    {
        lock (_lock)
        {
            if (_stopped)
                return;
            Volatile.Write(ref _flushFailure, null);
            if (_mergeFailure is not null && _mergePace.IsRested)
            {
                // What failed again and again is told until it has ended well.
                if (_mergePace.IsPersistent && _engine.MergeDue)
                    _mergeRetryIsDue = !_merging;
                else
                    Volatile.Write(ref _mergeFailure, null);
            }
        }

        RequestFlush();
        RequestMerge();
    }

    /// <summary>No job starts any more; returns when none runs.</summary>
    public void Stop()
    {
        lock (_lock)
            _stopped = true;
        _changed.Pulse();
        _changed.WaitUntil(() =>
        {
            lock (_lock)
                return !_flushing && !_merging && !_preparing;
        });
    }

    private void MergeFailed(Exception failure)
    {
        lock (_lock)
        {
            _mergePace.Fail(_mergeBegunAt);
            Volatile.Write(ref _mergeFailure, failure);
        }
    }

    private void MergeEnded(bool isWell)
    {
        lock (_lock)
        {
            _merging = false;
            if (!isWell || _stopped)
                return;
            _mergePace.Succeed();
            Volatile.Write(ref _mergeFailure, null);
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

    private sealed class FlushJob(LogBackground work) : IBackgroundJob
    {
        public string Name => "log flush";

        public void Run()
        {
            try
            {
                while (!work.IsStopped && work._engine.FlushOnce())
                {
                    work._changed.Pulse();
                    work._flushed.Look();
                }
            }
            catch (Exception failure)
            {
                // Whatever it was, nothing was installed: reads go on, and writes until memory is full.
                Volatile.Write(ref work._flushFailure, failure);
            }

            // While nobody closes what it is about.
            work._flushed.Look();
            lock (work._lock)
                work._flushing = false;

            // One may have come due after the last look.
            work.RequestFlush();
            work.RequestMerge();
            work._changed.Pulse();
        }
    }

    private sealed class MergeJob(LogBackground work) : IBackgroundJob
    {
        public string Name => "log merge";

        public void Run()
        {
            bool goesOn = false;
            bool hasFailed = false;
            try
            {
                goesOn = !work.IsStopped && work._engine.MergeStep();
            }
            catch (Exception failure)
            {
                work._engine.GiveUpMerge();
                work.MergeFailed(failure);
                hasFailed = true;
            }

            if (goesOn && !work.IsStopped)
            {
                work._scheduler.Schedule(this, JobPriority.Compaction);
                return;
            }

            work.MergeEnded(isWell: !hasFailed);
            work.RequestMerge();
            work._changed.Pulse();
        }
    }

    private sealed class SparesJob(LogBackground work) : IBackgroundJob
    {
        public string Name => "log memory";

        public void Run()
        {
            work._engine.PrepareSpares();
            lock (work._lock)
                work._preparing = false;
            work._changed.Pulse();
        }
    }
}
