using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Tests.Lsm;

/// <summary>Runs jobs when asked to, on the caller's thread, at a time that tests set.</summary>
internal sealed class InlineScheduler : IScheduler
{
    private readonly Queue<IBackgroundJob> _jobs = new();
    private readonly Lock _lock = new();

    public ManualTime Clock { get; } = new();

    public TimeProvider Time => Clock;

    public void Schedule(IBackgroundJob job, JobPriority priority)
    {
        lock (_lock)
            _jobs.Enqueue(job);
    }

    public void RunAll()
    {
        while (true)
        {
            IBackgroundJob job;
            lock (_lock)
            {
                if (!_jobs.TryDequeue(out job!))
                    return;
            }

            job.Run();
        }
    }

    public bool HasWaitingJobs
    {
        get
        {
            lock (_lock)
                return _jobs.Count > 0;
        }
    }

    public IWaitPoint CreateWaitPoint() => new WaitPoint(this);

    /// <summary>What others do who wait for the processor.</summary>
    public Action? OnYield { get; set; }

    public void Yield() => OnYield?.Invoke();

    public void Pause(TimeSpan time) => Clock.NowMs += (long)time.TotalMilliseconds;

    private sealed class WaitPoint(InlineScheduler scheduler) : IWaitPoint
    {
        public void WaitUntil(Func<bool> condition)
        {
            if (condition())
                return;
            scheduler.RunAll();
            if (!condition())
                throw new InvalidOperationException("nobody will make the condition true");
        }

        public void Pulse() { }
    }
}

internal sealed class ManualTime : TimeProvider
{
    public long NowMs { get; set; } = 1_700_000_000_000;

    public override long TimestampFrequency => 1000;

    public override long GetTimestamp() => NowMs;

    public void Advance(TimeSpan time) => NowMs += (long)time.TotalMilliseconds;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(NowMs);
}
