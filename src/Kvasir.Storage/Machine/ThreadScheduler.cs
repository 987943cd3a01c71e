using Kvasir.Primitives;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Machine;

/// <summary>
/// Background jobs on a few threads of their own. Commits, upkeep and copies have threads that nothing else may take; flushes
/// and compactions share the others, flushes first. A job that throws has a defect and stops the process: going on with
/// half of its work done could lose data.
/// </summary>
public sealed class ThreadScheduler : IScheduler, IDisposable
{
    // Where every core is busy, flushes, compactions and copies get a quarter of one, and callers the rest. When callers outrun
    // them, back-pressure makes callers sleep, and that leaves the processor to the background by itself.
    private const int BackgroundNiceness = 5;

    // One may be writing a segment full of zeros.
    private const int UpkeepThreads = 2;

    // One may be waiting for the disk.
    private const int CopyThreads = 2;

    private readonly Lock _disposeLock = new();
    private readonly WorkQueue _commits = new();
    private readonly WorkQueue _upkeep = new();
    private readonly WorkQueue _others = new();
    private readonly WorkQueue _copies = new();
    private bool _disposed;

    /// <param name="time">The clock.</param>
    /// <param name="backgroundThreads">Threads for flushes and compactions together.</param>
    /// <param name="commitThreads">Threads for commits alone.</param>
    public ThreadScheduler(TimeProvider time, int backgroundThreads = 2, int commitThreads = 1)
    {
        Check.That(backgroundThreads > 0 && commitThreads > 0);
        Time = time;
        for (int i = 0; i < commitThreads; i++)
            Start(_commits, $"kvasir-commit-{i}", niceness: 0, isWaitedFor: true);
        for (int i = 0; i < UpkeepThreads; i++)
            Start(_upkeep, $"kvasir-upkeep-{i}", niceness: 0);
        for (int i = 0; i < backgroundThreads; i++)
            Start(_others, $"kvasir-background-{i}", BackgroundNiceness);
        for (int i = 0; i < CopyThreads; i++)
            Start(_copies, $"kvasir-copy-{i}", BackgroundNiceness);
    }

    public TimeProvider Time { get; }

    public void Schedule(IBackgroundJob job, JobPriority priority)
    {
        WorkQueue queue = priority switch
        {
            JobPriority.Commit => _commits,
            JobPriority.Upkeep => _upkeep,
            JobPriority.Copy => _copies,
            _ => _others,
        };
        Check.That(queue.TryAdd(job, urgent: priority == JobPriority.Flush), $"{job.Name} was scheduled after the end");
    }

    public bool HasWaitingJobs => _others.HasWaiting;

    public IWaitPoint CreateWaitPoint() => FutexWaitPoint.CallNumber != 0 ? new FutexWaitPoint() : new MonitorWaitPoint();

    public void Yield() => Thread.Yield();

    public void Pause(TimeSpan time)
    {
        // Rounded up: a sleep of no milliseconds is none, and a caller that asks again until it need not wait would spin.
        if (time > TimeSpan.Zero)
            Thread.Sleep((int)Math.Min(Math.Ceiling(time.TotalMilliseconds), int.MaxValue));
    }

    /// <summary>
    /// Runs what is queued, and what those jobs schedule, to its end, then stops the threads. Stores that use the
    /// scheduler are disposed first.
    /// </summary>
    public void Dispose()
    {
        lock (_disposeLock)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        // Copies open engines, which flush; flushes may need commits, so commits end last; so may upkeep.
        _copies.CloseAndJoin();
        _others.CloseAndJoin();
        _upkeep.CloseAndJoin();
        _commits.CloseAndJoin();
    }

    private static void Start(WorkQueue queue, string name, int niceness, bool isWaitedFor = false)
    {
        var thread = new Thread(() =>
        {
            if (niceness != 0 && OperatingSystem.IsLinux())
                _ = LibC.SetPriority(which: 0, who: 0, niceness);
            if (isWaitedFor)
                ThreadSlice.AskForShort();
            RunJobs(queue);
        })
        {
            IsBackground = true,
            Name = name,
        };
        queue.Workers.Add(thread);
        thread.Start();
    }

    private static void RunJobs(WorkQueue queue)
    {
        while (queue.Take() is { } job)
        {
            try
            {
                job.Run();
            }
            catch (Exception exception)
            {
                Environment.FailFast($"Kvasir's background job '{job.Name}' failed in a way it does not handle: {exception}", exception);
            }
        }
    }

    private sealed class WorkQueue
    {
        private readonly object _monitor = new();
        private readonly Queue<IBackgroundJob> _urgent = new();
        private readonly Queue<IBackgroundJob> _ordinary = new();
        private bool _closed;

        public List<Thread> Workers { get; } = [];

        public bool TryAdd(IBackgroundJob job, bool urgent)
        {
            lock (_monitor)
            {
                // A worker of this queue looks once more before it ends, so what its own job adds still runs.
                if (_closed && !Workers.Contains(Thread.CurrentThread))
                    return false;
                (urgent ? _urgent : _ordinary).Enqueue(job);
                Monitor.Pulse(_monitor);
                return true;
            }
        }

        public bool HasWaiting
        {
            get
            {
                lock (_monitor)
                    return _urgent.Count != 0 || _ordinary.Count != 0;
            }
        }

        public IBackgroundJob? Take()
        {
            lock (_monitor)
            {
                while (true)
                {
                    if (_urgent.TryDequeue(out IBackgroundJob? job) || _ordinary.TryDequeue(out job))
                        return job;
                    if (_closed)
                        return null;
                    Monitor.Wait(_monitor);
                }
            }
        }

        public void CloseAndJoin()
        {
            lock (_monitor)
            {
                _closed = true;
                Monitor.PulseAll(_monitor);
            }

            foreach (Thread worker in Workers)
                worker.Join();
        }
    }

    private sealed class MonitorWaitPoint : IWaitPoint
    {
        private readonly object _monitor = new();

        // A pulse between the look at the condition and the wait would be lost without this count.
        private long _pulses;
        private int _waiters;

        public void WaitUntil(Func<bool> condition)
        {
            Interlocked.Increment(ref _waiters);
            try
            {
                while (true)
                {
                    long seen = Interlocked.Read(ref _pulses);
                    if (condition())
                        return;
                    lock (_monitor)
                    {
                        while (_pulses == seen)
                            Monitor.Wait(_monitor);
                    }
                }
            }
            finally
            {
                Interlocked.Decrement(ref _waiters);
            }
        }

        public void Pulse()
        {
            // The full fence orders the caller's change before the look at the waiters, as the increment above orders
            // a waiter's entry before its look at the condition: one of the two sees the other.
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref _waiters) == 0)
                return;
            lock (_monitor)
            {
                _pulses++;
                Monitor.PulseAll(_monitor);
            }
        }
    }
}
