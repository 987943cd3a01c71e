using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Tests.Scheduling;

public sealed class RetryPaceTests
{
    [Fact]
    public void WhatKeepsFailingRestsLongerAndLongerUntilItEndsWell()
    {
        var scheduler = new SimulatedScheduler(new SeededRandom(1));
        var pace = new RetryPace(scheduler.Time);
        pace.Fail(pace.Begin());
        Assert.True(pace.IsRested);
        Assert.False(pace.IsPersistent);
        foreach (int milliseconds in (int[])[100, 200, 400, 800, 1600, 2000, 2000])
        {
            pace.Fail(pace.Begin());
            Assert.True(pace.IsPersistent);
            scheduler.Pause(TimeSpan.FromMilliseconds(milliseconds - 1));
            Assert.False(pace.IsRested);
            scheduler.Pause(TimeSpan.FromMilliseconds(1));
            Assert.True(pace.IsRested);
        }

        // One that takes long rests in proportion.
        long begunAt = pace.Begin();
        scheduler.Pause(TimeSpan.FromSeconds(3));
        pace.Fail(begunAt);
        scheduler.Pause(TimeSpan.FromSeconds(11.9));
        Assert.False(pace.IsRested);
        scheduler.Pause(TimeSpan.FromSeconds(0.1));
        Assert.True(pace.IsRested);
        pace.Succeed();
        pace.Fail(pace.Begin());
        Assert.True(pace.IsRested);
    }
}
