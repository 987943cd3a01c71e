namespace Kvasir.Storage.Scheduling;

/// <summary>
/// The seam for work in the background and for waiting. On the machine jobs run on a few threads; in the simulator they
/// run one by one, in an order the seed decides, whenever somebody waits.
/// </summary>
public interface IScheduler
{
    TimeProvider Time { get; }

    /// <summary>Runs <paramref name="job"/> once, later, on some thread. A job handles its own exceptions.</summary>
    void Schedule(IBackgroundJob job, JobPriority priority);

    /// <summary>Flushes or compactions wait for a thread: one that has a thread should not rest on it. Any thread.</summary>
    bool HasWaitingJobs { get; }

    IWaitPoint CreateWaitPoint();

    /// <summary>
    /// Lets others have the processor first who wait for it; takes no time where there is one for everybody. Any thread.
    /// </summary>
    void Yield();

    /// <summary>Blocks the calling thread for <paramref name="time"/> (imagined time in the simulator).</summary>
    void Pause(TimeSpan time);
}

public interface IBackgroundJob
{
    /// <summary>For logs and metrics.</summary>
    string Name { get; }

    void Run();
}

public enum JobPriority
{
    /// <summary>A caller waits for it: journal commits.</summary>
    Commit,

    /// <summary>
    /// Short, and due soon: making and trimming journal segments, upkeep by the clock. Never waits behind flushes and compactions.
    /// </summary>
    Upkeep,

    /// <summary>Writers will stall without it: flushes, compactions of level zero.</summary>
    Flush,

    /// <summary>Can wait: other compactions, sweeps.</summary>
    Compaction,

    /// <summary>Much data in short pieces, for a copy elsewhere or from there. Waits for no compaction, and callers for none of it.</summary>
    Copy,
}

/// <summary>Where threads wait for a condition that another thread makes true.</summary>
public interface IWaitPoint
{
    /// <summary>Blocks until <paramref name="condition"/> holds; it is looked at again after every <see cref="Pulse"/>.</summary>
    void WaitUntil(Func<bool> condition);

    void Pulse();
}
