using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

/// <summary>A journal that nobody needs takes little of the disk.</summary>
public sealed class JournalShorteningTests
{
    [Theory]
    [InlineData(CrashKind.LoseUnsynced)]
    [InlineData(CrashKind.ProcessKill)]
    public void AJournalOfWhichNothingIsNeededBecomesOneShortSegment(CrashKind kind)
    {
        var world = new JournalWorld(31);
        JournalWriter journal = world.Open(options: JournalWorld.SmallOptions with { SpareSegmentsMax = 3 });
        LogPosition last = FillSegments(world, journal, 300);
        Assert.True(world.Files.Paths.Count > 3);
        journal.TrimBefore(new LogPosition(last.Value + 1));
        journal.Shorten();
        string only = Assert.Single(world.Files.Paths);
        Assert.Equal(JournalWorld.SmallOptions.FirstSegmentBytes, world.Files.FileLength(only));

        LogPosition next = JournalWorld.Append(journal, "goes on");
        journal.WaitDurable(next);
        world.Crash(kind);
        using (world.Open(last))
            Assert.Equal([(next, "goes on")], world.Replayed);
    }

    [Fact]
    public void ShorteningKeepsWhatIsNeeded()
    {
        var world = new JournalWorld(32);
        JournalWriter journal = world.Open(options: JournalWorld.SmallOptions with { SpareSegmentsMax = 3 });
        FillSegments(world, journal, 300);
        LogPosition middle = FillSegments(world, journal, 100);
        LogPosition last = FillSegments(world, journal, 1);
        journal.TrimBefore(last);
        journal.Shorten();
        Assert.DoesNotContain(world.Files.Paths, path => path.EndsWith(".spare", StringComparison.Ordinal));
        world.Crash(CrashKind.LoseUnsynced);
        using (world.Open(middle))
            Assert.Equal([(last, "0")], world.Replayed.Select(r => (r.Position, r.Payload[..1])));
    }

    [Theory]
    [InlineData(DiskFault.Full)]
    [InlineData(DiskFault.Failed)]
    public void WhatKeepsAJournalFromBecomingShortLosesNothing(DiskFault fault)
    {
        for (int operation = 0; ; operation++)
        {
            var world = new JournalWorld(33);
            JournalWriter journal = world.Open();
            LogPosition last = FillSegments(world, journal, 100);
            journal.TrimBefore(new LogPosition(last.Value + 1));
            var rule = new FaultRule(fault) { Skip = operation, Times = 1 };
            world.Files.Faults.Add(rule);
            journal.Shorten();
            bool met = rule.Times == 0;
            if (journal.Failure == JournalFailure.None)
            {
                world.Files.Faults.Clear();
                journal.WaitDurable(last = JournalWorld.Append(journal, "goes on"));
            }

            world.Crash(CrashKind.LoseUnsynced);
            using (world.Open())
                Assert.True(journal.Failure != JournalFailure.None || world.Replayed[^1] == (last, "goes on"));
            if (!met)
                return;
        }
    }

    /// <summary>As a flush of an embedded store does it beside its writers: one of them may be about to take a spare.</summary>
    [Fact]
    public void ShorteningWaitsForACommitThatIsUnderWay()
    {
        var world = new JournalWorld(34);
        JournalWriter journal = world.Open(options: JournalWorld.SmallOptions with { SpareSegmentsMax = 3 });
        LogPosition last = FillSegments(world, journal, 300);
        journal.TrimBefore(last);
        string[] spares = Spares();
        Assert.NotEmpty(spares);
        bool tried = false;
        world.Files.BeforeOperation = operation =>
        {
            if (operation.Kind != DiskOperationKind.Sync || tried)
                return;
            tried = true;

            // On the thread that commits, which therefore waits for itself for ever.
            Assert.Throws<SimulatedDeadlockException>(journal.Shorten);
            Assert.Equal(spares, Spares());
        };
        journal.WaitDurable(JournalWorld.Append(journal, "goes on"));
        Assert.True(tried);
        world.Files.BeforeOperation = null;
        journal.Shorten();
        Assert.Empty(Spares());
        journal.Dispose();

        string[] Spares() => [.. world.Files.Paths.Where(path => path.EndsWith(".spare", StringComparison.Ordinal))];
    }

    private static LogPosition FillSegments(JournalWorld world, JournalWriter journal, int records)
    {
        LogPosition last = default;
        for (int i = 0; i < records; i++)
        {
            journal.WaitDurable(last = JournalWorld.Append(journal, $"{i}:" + new string('r', 300)));
            world.Scheduler.RunAll();
        }

        return last;
    }
}
