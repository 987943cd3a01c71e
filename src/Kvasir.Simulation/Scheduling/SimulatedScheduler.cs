using Kvasir.Primitives;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Simulation.Scheduling;

/// <summary>
/// Background work on one thread: jobs run one by one, whole, in an order the seed decides, whenever somebody waits or
/// the driver says so. Not thread-safe by intent: everything happens on the thread that simulates.
/// </summary>
public sealed class SimulatedScheduler : IScheduler
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly SeededRandom _random;
    private readonly List<IBackgroundJob> _jobs = [];

    public SimulatedScheduler(SeededRandom random, SimulatedClock? clock = null)
    {
        _random = random;
        Clock = clock ?? new SimulatedClock(s_start);
    }

    public SimulatedClock Clock { get; }

    public TimeProvider Time => Clock;

    public int JobsWaiting => _jobs.Count;

    /// <summary>A job is under way.</summary>
    public bool IsRunningJob { get; private set; }

    /// <summary>A digest of every choice made: two runs of one seed must agree on it.</summary>
    public ulong Fingerprint { get; private set; }

    public void Schedule(IBackgroundJob job, JobPriority priority) => _jobs.Add(job);

    public bool HasWaitingJobs => _jobs.Count > 0;

    public IWaitPoint CreateWaitPoint() => new SimulatedWaitPoint(this);

    /// <summary>Everybody has a processor.</summary>
    public void Yield()
    {
    }

    /// <summary>Moves time; some of the waiting jobs may run meanwhile.</summary>
    public void Pause(TimeSpan time)
    {
        Clock.Advance(time);
        while (_jobs.Count > 0 && _random.OneIn(2))
            RunOne();
    }

    /// <summary>Runs one waiting job; false when there is none.</summary>
    public bool RunOne()
    {
        if (_jobs.Count == 0)
            return false;
        int index = _random.Next(_jobs.Count);
        IBackgroundJob job = _jobs[index];
        _jobs.RemoveAt(index);
        Fingerprint = (Fingerprint * 0x100000001B3) ^ StableHash.Hash64(System.Text.Encoding.UTF8.GetBytes(job.Name));
        bool within = IsRunningJob;
        IsRunningJob = true;
        try
        {
            job.Run();
        }
        finally
        {
            IsRunningJob = within;
        }

        return true;
    }

    /// <summary>Runs jobs, and those they schedule, until none waits.</summary>
    public void RunAll()
    {
        while (RunOne())
        {
        }
    }

    private sealed class SimulatedWaitPoint(SimulatedScheduler scheduler) : IWaitPoint
    {
        public void WaitUntil(Func<bool> condition)
        {
            while (!condition())
            {
                if (scheduler.RunOne() || scheduler.Clock.FireDue())
                    continue;
                if (scheduler.Clock.NextDue() is not { } due)
                    throw new SimulatedDeadlockException($"{condition.Method.DeclaringType?.FullName}.{condition.Method.Name}");
                scheduler.Clock.Advance(due - scheduler.Clock.GetUtcNow());
            }
        }

        public void Pulse()
        {
        }
    }
}

/// <summary>Somebody waits for a condition that nothing in the simulated world can make true any more.</summary>
public sealed class SimulatedDeadlockException : Exception
{
    public SimulatedDeadlockException() { }

    public SimulatedDeadlockException(string waitsFor)
        : base($"deadlock: no job and no timer is left that could satisfy {waitsFor}") { }

    public SimulatedDeadlockException(string message, Exception inner) : base(message, inner) { }
}
