using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Simulation.Tests.Scheduling;

public sealed class SimulatedSchedulerTests
{
    [Fact]
    public void WaitingRunsJobsInAnOrderTheSeedDecides()
    {
        var orders = new HashSet<string>(StringComparer.Ordinal);
        for (ulong seed = 0; seed < 20; seed++)
        {
            Assert.Equal(Run(seed), Run(seed));
            orders.Add(Run(seed));
        }

        Assert.True(orders.Count > 1);
    }

    [Fact]
    public void WaitingForWhatCannotHappenIsADeadlock()
    {
        var scheduler = new SimulatedScheduler(new SeededRandom(1));
        Assert.Throws<SimulatedDeadlockException>(() => scheduler.CreateWaitPoint().WaitUntil(() => false));
    }

    [Fact]
    public void WaitingMovesTimeToTheNextTimer()
    {
        var scheduler = new SimulatedScheduler(new SeededRandom(1));
        DateTimeOffset start = scheduler.Time.GetUtcNow();
        bool fired = false;
        using ITimer timer = scheduler.Time.CreateTimer(_ => fired = true, null, TimeSpan.FromHours(1), Timeout.InfiniteTimeSpan);
        scheduler.CreateWaitPoint().WaitUntil(() => fired);
        Assert.Equal(start + TimeSpan.FromHours(1), scheduler.Time.GetUtcNow());
        scheduler.Pause(TimeSpan.FromSeconds(5));
        Assert.Equal(start + TimeSpan.FromHours(1) + TimeSpan.FromSeconds(5), scheduler.Time.GetUtcNow());
    }

    private static string Run(ulong seed)
    {
        var scheduler = new SimulatedScheduler(new SeededRandom(seed));
        string order = "";
        for (int i = 0; i < 5; i++)
        {
            int number = i;
            scheduler.Schedule(new Job(() => order += number), JobPriority.Flush);
        }

        scheduler.CreateWaitPoint().WaitUntil(() => order.Length == 5);
        return order;
    }

    private sealed class Job(Action action) : IBackgroundJob
    {
        public string Name => "test";

        public void Run() => action();
    }
}
