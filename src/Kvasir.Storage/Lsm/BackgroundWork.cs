using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Lsm;

/// <summary>
/// The background jobs of one engine: one that flushes, and beside it as many that compact as
/// <see cref="LsmOptions.BackgroundJobsMax"/> leaves, each asked for again by whoever may have made work for it. A failure stops both kinds until
/// <see cref="TryResume"/>.
/// </summary>
internal sealed class BackgroundWork
{
    private readonly LsmEngine _engine;
    private readonly IScheduler _scheduler;
    private readonly IWaitPoint _changed;
    private readonly int _compactionsMax;
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stopping = new();
    private Exception? _failure;
    private bool _flushing;
    private bool _preparing;
    private int _compactions;
    private bool _stopped;

    public BackgroundWork(LsmEngine engine, IScheduler scheduler, LsmOptions options)
    {
        _engine = engine;
        _scheduler = scheduler;
        _changed = scheduler.CreateWaitPoint();
        // One place is kept for the flush: a compaction may last, and writers must not wait for its end.
        _compactionsMax = Math.Max(1, options.BackgroundJobsMax - 1);
    }

    public Exception? Failure => Volatile.Read(ref _failure);

    /// <summary>Blocks until the condition, looked at after every finished piece of work, holds.</summary>
    public void WaitUntil(Func<bool> condition) => _changed.WaitUntil(condition);

    public void Pulse() => _changed.Pulse();

    public void RequestFlush()
    {
        lock (_lock)
        {
            if (_stopped || _flushing || _failure is not null || !_engine.FlushDue)
                return;
            _flushing = true;
        }

        _scheduler.Schedule(new FlushJob(this), JobPriority.Flush);
    }

    public void RequestCompaction()
    {
        lock (_lock)
        {
            if (_stopped || _failure is not null || _compactions >= _compactionsMax || !_engine.CompactionDue)
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

    /// <summary>Clears the failure and tries again; waits for the flush, if one is due, and says whether all is well.</summary>
    public bool TryResume()
    {
        RequestResume();
        _changed.WaitUntil(() => Failure is not null || IsStopped || (!IsFlushing && !_engine.FlushDue));
        return Failure is null && !IsStopped;
    }

    /// <summary>Clears the failure and has everything tried again; returns at once.</summary>
    public void RequestResume()
    {
        lock (_lock)
        {
            if (_stopped)
                return;
            Volatile.Write(ref _failure, null);
        }

        RequestFlush();
        RequestCompaction();
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

    private bool IsStopped
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
                return _flushing || _preparing || _compactions != 0;
        }
    }

    private bool MayGoOn
    {
        get
        {
            lock (_lock)
                return !_stopped && _failure is null;
        }
    }

    private void Fail(Exception failure)
    {
        lock (_lock)
            Volatile.Write(ref _failure, _failure ?? failure);
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
                    work.RequestCompaction();
                    work._changed.Pulse();
                }
            }
            catch (Exception failure)
            {
                // Whatever it was, nothing was installed: reads go on, and writes until memory is full.
                work.Fail(failure);
            }

            lock (work._lock)
                work._flushing = false;
            // One may have come due after the last look.
            work.RequestFlush();
            work._engine.Reassess();
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
            try
            {
                more = work.MayGoOn && work._engine.CompactOnce(work._stopping.Token);
            }
            catch (OperationCanceledException) when (work._stopping.IsCancellationRequested)
            {
                // As if it had never begun: the next start picks it again.
            }
            catch (Exception failure)
            {
                work.Fail(failure);
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
