using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;

namespace Kvasir.Simulation.Tests.Scheduling;

public sealed class NodeClockTests
{
    private readonly SimulatedClock _world = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    [Fact]
    public void EachBootGivesAnotherOriginAndARateWithinTheBound()
    {
        var clock = new NodeClock(_world);
        var random = new SeededRandom(3);
        for (int i = 0; i < 50; i++)
        {
            clock.Boot(random, 0.1);
            Assert.InRange(clock.Rate, 0.9, 1.1);
            TimeSpan before = clock.Monotonic;
            _world.Advance(TimeSpan.FromSeconds(10));
            Assert.InRange((clock.Monotonic - before).TotalSeconds, 8.999, 11.001);
        }
    }

    [Fact]
    public void TheMonotonicSideNeverJumpsWhateverIsDoneToTheClock()
    {
        var clock = new NodeClock(_world);
        clock.Boot(new SeededRandom(1), 0.1);
        TimeSpan before = clock.Monotonic;
        DateTimeOffset wall = clock.GetUtcNow();
        clock.Drift(0.5);
        Assert.Equal(before, clock.Monotonic);
        Assert.Equal(wall, clock.GetUtcNow());
        clock.SetWall(TimeSpan.FromDays(-3));
        Assert.Equal(before, clock.Monotonic);
        Assert.Equal(wall - TimeSpan.FromDays(3), clock.GetUtcNow());
        _world.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(before + TimeSpan.FromSeconds(1), clock.Monotonic);
    }

    [Theory]
    [InlineData(0.9)]
    [InlineData(1.0)]
    [InlineData(1.1)]
    public void WhenItIsTimeByTheWorldItIsTimeByTheClock(double rate)
    {
        var clock = new NodeClock(_world);
        clock.Drift(rate);
        TimeSpan due = clock.Monotonic + TimeSpan.FromTicks(1_234_567);
        TimeSpan wait = clock.Until(due);
        _world.Advance(wait);
        Assert.InRange((clock.Monotonic - due).Ticks, 0, 3);
        Assert.Equal(TimeSpan.Zero, clock.Until(due));
    }

    [Fact]
    public void TimersRunByTheClock()
    {
        var clock = new NodeClock(_world);
        clock.Drift(0.5);
        int fired = 0;
        using ITimer timer = clock.CreateTimer(_ => fired++, null, TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        _world.Advance(TimeSpan.FromSeconds(1.9));
        Assert.Equal(0, fired);
        _world.Advance(TimeSpan.FromSeconds(0.2));
        Assert.Equal(1, fired);
    }

    [Fact]
    public void EventsHappenInTheOrderOfTheirTimeAndThenOfTheirAsking()
    {
        var events = new EventQueue(_world);
        List<int> happened = [];
        events.After(TimeSpan.FromSeconds(2), () => happened.Add(3));
        events.After(TimeSpan.FromSeconds(1), () =>
        {
            happened.Add(1);
            events.At(TimeSpan.Zero, () => happened.Add(2));
        });
        events.After(TimeSpan.FromSeconds(2), () => happened.Add(4));
        events.After(TimeSpan.FromSeconds(3), () => happened.Add(5));
        events.RunUntil(TimeSpan.FromSeconds(2.5));
        Assert.Equal([1, 2, 3, 4], happened);
        Assert.Equal(TimeSpan.FromSeconds(2.5), events.Now);
    }
}
