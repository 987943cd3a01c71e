using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Journal;
using static Kvasir.Cluster.Tests.Groups.Journal.GroupWorld;

namespace Kvasir.Cluster.Tests.Groups.Journal;

public sealed class GroupJournalTrimTests
{
    [Fact]
    public void WhatTheEnginesHaveIsLetGoAndTheRestStays()
    {
        using GroupWorld world = Busy(1);
        long before = world.Journal.RetainedBytes;
        world.Compact(1, 150);
        Assert.Equal(new GroupId(1), Trim(world));
        Assert.InRange(world.Journal.RetainedBytes, 1, before / 2);
        Assert.False(world.Read(1, 150, 200).Found);
        (_, ReadEntries read) = world.Read(1, 151, 200);
        Assert.Equal(50, read.Entries.Count);
        read.Match(world[1], new LogIndex(151), "after the trim");
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
        Assert.Equal(new LogIndex(150), world.Journal.Recovered[new GroupId(1)].SnapshotIndex);
    }

    [Fact]
    public void GroupsThatRestHoldNothingBack()
    {
        using GroupWorld world = Busy(2);
        Assert.InRange(SegmentsBefore(world), 2, 9);
        world.Compact(1, 200);
        Assert.Equal(GroupId.None, Trim(world));
        Assert.Equal(0, SegmentsBefore(world));

        // Founded, joined, removed, compacted and reset ones, all of which wrote in the beginning alone.
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
        Assert.Equal(new HardState(new Term(9), new MemberId(3)), world.Journal.Recovered[new GroupId(4)].HardState);

        // And again, with what was written again.
        Fill(world, 200);
        world.Compact(1, world[1].Last.Value);
        Trim(world);
        Assert.Equal(0, SegmentsBefore(world));
        world.Crash(CrashKind.ProcessKill);
        world.Verify(world.Logs, "after the second crash");
    }

    [Fact]
    public void AGroupWhoseEngineIsBehindIsNamedAndHoldsItsEntries()
    {
        using GroupWorld world = Busy(3);
        world.Append(3, Normal(1, "not flushed"));
        world.Sync();
        Fill(world, 200);
        world.Compact(1, world[1].Last.Value);
        Assert.Equal(new GroupId(3), Trim(world));
        long held = world.Journal.RetainedBytes;
        Assert.Single(world.Read(3, world[3].Last.Value, world[3].Last.Value).Entries.Entries);
        world.Compact(3, world[3].Last.Value);
        Assert.Equal(GroupId.None, Trim(world));
        Assert.InRange(world.Journal.RetainedBytes, 0, held / 2);
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
    }

    [Fact]
    public void SegmentsGoOnlyWhenWhatReplacesThemIsDurable()
    {
        using GroupWorld world = Busy(4);
        world.Compact(1, 200);
        int before = SegmentsBefore(world);
        world.Journal.TrimNow();
        Assert.Equal(before, SegmentsBefore(world));

        // A second call while the first is under way writes nothing.
        long records = world.Journal.Statistics.Records;
        world.Journal.TrimNow();
        Assert.Equal(records, world.Journal.Statistics.Records);
        SimulatedFileSystem left = world.Files.AfterCrash(new SeededRandom(1), CrashKind.LoseUnsynced);
        using (var other = new GroupWorld(1, left))
            other.Verify(world.Logs, "before they are durable");
        world.Scheduler.RunAll();
        Assert.Equal(0, SegmentsBefore(world));
    }

    [Fact]
    public void NothingIsWrittenAgainWhereNoSegmentWouldGo()
    {
        using var world = new GroupWorld(5);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, Normal(1, "a"));
        world.Sync();
        world.Compact(1, 1);
        long records = world.Journal.Statistics.Records;
        Assert.Equal(GroupId.None, Trim(world));
        Assert.Equal(records, world.Journal.Statistics.Records);
    }

    [Fact]
    public void AFullDiskBeforeTheDescriptorsAreDurableLosesNoSegment()
    {
        // The order of background jobs is the seed's.
        for (ulong seed = 20; seed < 40; seed++)
        {
            using GroupWorld world = Busy(seed);
            world.Compact(1, 200);
            int before = SegmentsBefore(world);

            // What waits needs a segment of its own, with the descriptors behind it, and there is none.
            var durable = new SortedList<GroupId, LogModel>(world.Logs);
            world.Append(1, Normal(1, new string('x', 20_000)));
            world.Journal.Write();
            world.Files.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Allocate));
            Trim(world);
            Assert.Equal([JournalFailure.DiskFull], world.Failures);
            Assert.Equal(before, SegmentsBefore(world));
            world.Files.Faults.Clear();
            world.Crash(CrashKind.LoseUnsynced);
            world.Verify(durable, $"seed {seed}, after the full disk");
        }
    }

    [Fact]
    public void AThousandGroupsThatRestCostOneSmallRecord()
    {
        using var world = new GroupWorld(7);
        for (uint group = 1; group <= 1000; group++)
            world.Found(group);
        world.Vote(1, 1, 1);
        world.Sync();
        Fill(world, 300);
        world.Compact(1, world[1].Last.Value);
        long written = world.Journal.Statistics.WrittenBytes;
        Trim(world);
        Assert.InRange(world.Journal.Statistics.WrittenBytes - written, 1, 30_000);
        Assert.InRange(SegmentsBefore(world), 0, 1);
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
    }

    [Fact]
    public void ATruncationOfWhatWasTrimmedAwayIsUnderstood()
    {
        // The journal's first segment ends with entries; the next begins with a truncation that reaches into them.
        using var world = new GroupWorld(8);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, [.. Enumerable.Range(1, 30).Select(i => Normal(1, $"{i}" + new string('x', 200)))]);
        world.Sync();
        world.Found(2);
        world.Vote(2, 1, 1);
        world.Append(2, Normal(1, new string('y', 3000)));
        world.Sync();
        world.Vote(1, 2, 2);
        world.Overwrite(1, 21, [.. Enumerable.Range(21, 40).Select(i => Normal(2, $"{i}" + new string('z', 150)))]);
        world.Sync();
        world.Compact(1, 40);
        world.Compact(2, 1);
        Trim(world);
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
        Assert.Equal(new LogIndex(40), world.Journal.Recovered[new GroupId(1)].SnapshotIndex);
    }

    /// <summary>Group 1 has written 200 entries over several segments; the others wrote in the beginning and rest.</summary>
    private static GroupWorld Busy(ulong seed)
    {
        var world = new GroupWorld(seed);
        world.Found(1);
        world.Found(2);
        world.Join(3);
        world.Join(4);
        world.Found(5);
        world.Found(6);
        world.Vote(1, 1, 1);
        world.Vote(3, 1, 0);
        world.Append(3, Changing(1, Three), Normal(1, "flushed"));
        world.Vote(4, 9, 3);
        world.Vote(5, 2, 1);
        world.Remove(5);
        var configuration = new ConfigurationEntry(new LogIndex(4), new Term(1), Three);
        world.Persist(6, new HardState(new Term(3), MemberId.None), snapshot: (new LogIndex(10), new Term(2), configuration));
        world.Sync();
        world.Compact(3, 2);
        Fill(world, 200);
        return world;
    }

    private static void Fill(GroupWorld world, int entries)
    {
        for (int i = 0; i < entries; i++)
        {
            world.Append(1, Normal(Math.Max(1, world[1].State.Term.Value), $"{i}" + new string('x', 150)));
            if (i % 3 == 2)
                world.Sync();
        }

        world.Sync();
    }

    private static GroupId Trim(GroupWorld world)
    {
        GroupId holder = world.Journal.TrimNow();
        world.Scheduler.RunAll();
        return holder;
    }

    /// <summary>Segments before the one that takes records.</summary>
    private static int SegmentsBefore(GroupWorld world) =>
        world.Files.Paths.Count(path => path.EndsWith(".segment", StringComparison.Ordinal)) - 1;
}
