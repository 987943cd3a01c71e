using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Tests.Scheduling;

/// <summary>Any scheduler; tells of the moment before a thread is blocked, and before a job is scheduled.</summary>
internal sealed class WatchedScheduler(IScheduler inner) : IScheduler
{
    /// <summary>The number of the thread whose waits are told of.</summary>
    public int Waits { get; set; }

    public Action? WaitBegins { get; set; }

    public Action<IBackgroundJob>? BeforeSchedule { get; set; }

    public TimeProvider Time => inner.Time;

    public bool HasWaitingJobs => inner.HasWaitingJobs;

    public void Schedule(IBackgroundJob job, JobPriority priority)
    {
        BeforeSchedule?.Invoke(job);
        inner.Schedule(job, priority);
    }

    public IWaitPoint CreateWaitPoint() => new WatchedPoint(this, inner.CreateWaitPoint());

    public void Yield() => inner.Yield();

    public void Pause(TimeSpan time) => inner.Pause(time);

    private sealed class WatchedPoint(WatchedScheduler owner, IWaitPoint inner) : IWaitPoint
    {
        public void WaitUntil(Func<bool> condition)
        {
            if (owner.Waits == Environment.CurrentManagedThreadId && !condition())
                owner.WaitBegins?.Invoke();
            inner.WaitUntil(condition);
        }

        public void Pulse() => inner.Pulse();
    }
}
