using Kvasir.Storage.Machine;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Tests.Scheduling;

public sealed class ThreadSchedulerTests
{
    /// <summary>Each kind has threads of its own, but for flushes and compactions, which share theirs: no other waits for them.</summary>
    [Theory]
    [InlineData(JobPriority.Commit)]
    [InlineData(JobPriority.Upkeep)]
    [InlineData(JobPriority.Copy)]
    public void WhereAllCompactionsAreBusyTheOthersRun(JobPriority priority)
    {
        using var goesOn = new ManualResetEventSlim();
        using var ran = new ManualResetEventSlim();
        using var scheduler = new ThreadScheduler(TimeProvider.System, backgroundThreads: 2);
        try
        {
            for (int i = 0; i < 2; i++)
                scheduler.Schedule(new Job(goesOn.Wait), JobPriority.Compaction);
            scheduler.Schedule(new Job(ran.Set), priority);
            Assert.True(ran.Wait(TimeSpan.FromMinutes(1)));
        }
        finally
        {
            goesOn.Set();
        }
    }

    /// <summary>A copy opens an engine at its end, which may flush and commit: that, too, is run before the threads end.</summary>
    [Theory]
    [InlineData(JobPriority.Flush)]
    [InlineData(JobPriority.Upkeep)]
    [InlineData(JobPriority.Commit)]
    public void WhatACopySchedulesWhileTheThreadsEndIsRun(JobPriority priority)
    {
        bool ran = false;
        using var begun = new ManualResetEventSlim();
        using var ends = new ManualResetEventSlim();
        var scheduler = new ThreadScheduler(TimeProvider.System);
        scheduler.Schedule(
            new Job(() =>
            {
                begun.Set();
                ends.Wait();
                scheduler.Schedule(new Job(() => ran = true), priority);
            }),
            JobPriority.Copy);
        begun.Wait();
        var ending = new Thread(scheduler.Dispose);
        ending.Start();
        ends.Set();
        ending.Join();
        Assert.True(ran);
    }

    private sealed class Job(Action run) : IBackgroundJob
    {
        public string Name => "a job of a test";

        public void Run() => run();
    }
}
