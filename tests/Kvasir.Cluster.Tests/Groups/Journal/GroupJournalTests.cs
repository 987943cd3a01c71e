using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using static Kvasir.Cluster.Tests.Groups.Journal.GroupWorld;

namespace Kvasir.Cluster.Tests.Groups.Journal;

public sealed class GroupJournalTests
{
    [Fact]
    public void AnEmptyFolderHoldsNoGroup()
    {
        using var world = new GroupWorld(1);
        Assert.Empty(world.Journal.Recovered);
        Assert.False(world.Read(1, 1, 1).Found);
        Assert.Equal(world.Journal.AppendedPosition, world.Journal.Write());
        world.Reopen();
        Assert.Empty(world.Journal.Recovered);
    }

    [Fact]
    public void WhatAGroupWroteIsThereAfterACrash()
    {
        using var world = new GroupWorld(2);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, NoOp(1), Normal(1, "a"), Changing(1, new Configuration([new MemberId(1), new MemberId(2)], [new MemberId(4)])));
        world.Vote(1, 3, 2);
        world.Append(1, NoOp(3), Normal(3, ""));
        world.Sync();
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
        RaftRecovery recovery = world.Journal.Recovered[new GroupId(1)];
        Assert.Equal([new TermRun(new LogIndex(1), new Term(1)), new TermRun(new LogIndex(4), new Term(3))], recovery.Terms);
        Assert.Equal(2, recovery.Configurations.Count);
        Assert.Equal(new HardState(new Term(3), new MemberId(2)), recovery.HardState);
    }

    [Fact]
    public void AllGroupsOfATurnShareOneRecordAndOneSync()
    {
        using var world = new GroupWorld(3);
        for (uint group = 1; group <= 20; group++)
        {
            world.Found(group);
            world.Vote(group, 1, 1);
            world.Append(group, NoOp(1), Normal(1, $"of {group}"));
        }

        long records = world.Journal.Statistics.Records, syncs = world.Journal.Statistics.Syncs;
        world.Sync();
        Assert.Equal(records + 1, world.Journal.Statistics.Records);
        Assert.Equal(syncs + 1, world.Journal.Statistics.Syncs);
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
    }

    [Fact]
    public void ManyLogsAreReadTogetherWithoutReadingTheJournalOnceForEach()
    {
        const uint Groups = 32;
        const ulong Entries = 500;
        using var world = new GroupWorld(5, options: new JournalOptions { FirstSegmentBytes = 1 << 20, SegmentBytes = 4 << 20 });
        for (uint group = 1; group <= Groups; group++)
            world.Found(group);
        for (ulong i = 1; i <= Entries; i++)
        {
            for (uint group = 1; group <= Groups; group++)
                world.Append(group, Normal(1, $"{group} {i} {new string('x', 500)}"));
            world.Journal.Write();
        }

        world.Sync();
        ulong[] next = [.. Enumerable.Repeat(1UL, (int)Groups + 1)];
        while (next[Groups] <= Entries)
        {
            for (uint group = 1; group <= Groups; group++)
            {
                var id = new GroupId(group);
                LogIndex last = world.Journal.Fit(id, new LogIndex(next[group]), new LogIndex(Entries), 256 << 10, out _);
                (bool found, ReadEntries read) = world.Read(group, next[group], last.Value);
                Assert.True(found);
                read.Match(world[group], new LogIndex(next[group]), $"group {group}");
                next[group] = last.Value + 1;
            }
        }

        Assert.All(next[1..], n => Assert.Equal(Entries + 1, n));
        Assert.InRange(world.Journal.Readings.Bytes, world.Journal.RetainedBytes / 2, 2 * world.Journal.RetainedBytes);
    }

    [Fact]
    public void ATurnIsThereAsAWholeOrNotAtAll()
    {
        using var world = new GroupWorld(4);
        world.Found(1);
        world.Found(2);
        world.Sync();
        var before = new SortedList<GroupId, LogModel>(world.Logs);
        world.Append(1, Normal(1, new string('a', 3000)));
        world.Vote(1, 1, 1);
        world.Append(2, Normal(1, new string('b', 3000)));
        world.Vote(2, 1, 1);
        world.Journal.Write();
        world.Files.Faults.Add(new FaultRule(DiskFault.Crash, DiskOperationKind.Sync));
        Assert.Throws<SimulatedCrashException>(world.Journal.SyncInline);
        for (ulong seed = 0; seed < 40; seed++)
        {
            SimulatedFileSystem left = world.Files.AfterCrash(new SeededRandom(seed), CrashKind.TearBytes);
            var other = new GroupWorld(seed, left);
            other.Verify(other.Journal.Recovered[new GroupId(1)].LastIndex == LogIndex.Zero ? before : world.Logs, $"seed {seed}");
            other.Dispose();
        }

        world.Failures.Add(JournalFailure.DiskFailed);
    }

    [Fact]
    public void WhatWasTruncatedDoesNotComeBackAndItsSuccessorsAreRead()
    {
        using var world = new GroupWorld(5);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, Normal(1, "1"), Normal(1, "2"), Normal(1, "3"), Normal(1, "4"));
        world.Sync();
        world.Vote(1, 2, 2);
        world.Overwrite(1, 3, Normal(2, "3'"));
        world.Sync();
        Assert.True(world.Read(1, 1, 9).Found);
        world.Read(1, 1, 9).Entries.Match(world[1], new LogIndex(1), "before");
        Assert.Equal(3, world.Read(1, 1, 9).Entries.Entries.Count);
        world.Overwrite(1, 2);
        world.Sync();
        Assert.False(world.Read(1, 2, 3).Found);
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
        Assert.Equal(new LogIndex(1), world.Journal.Recovered[new GroupId(1)].LastIndex);
    }

    [Fact]
    public void EntriesThatAreOverwrittenWithinATurnAreReadAsTheLastOnesSay()
    {
        using var world = new GroupWorld(6);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, Normal(1, "1"), Normal(1, "2"), Normal(1, "3"));
        world.Vote(1, 2, 2);
        world.Overwrite(1, 2, Normal(2, "2'"), Normal(2, "3'"));
        world.Append(1, Normal(2, "4"));
        world.Sync();
        world.Read(1, 1, 9).Entries.Match(world[1], new LogIndex(1), "before");
        Assert.Equal(4, world.Read(1, 1, 9).Entries.Entries.Count);
        world.Reopen();
        world.Verify(world.Logs, "opened again");
    }

    [Fact]
    public void ALogGoesOnBehindASnapshot()
    {
        using var world = new GroupWorld(7);
        world.Join(4);
        world.Vote(4, 2, 0);
        world.Append(4, Normal(1, "old"), Normal(2, "older"));
        world.Sync();
        var configuration = new ConfigurationEntry(new LogIndex(70), new Term(4), Three);
        world.Persist(
            4,
            new HardState(new Term(5), MemberId.None),
            appended: [Normal(5, "101"), Normal(5, "102")],
            snapshot: (new LogIndex(100), new Term(4), configuration));
        world.Sync();
        Assert.False(world.Read(4, 1, 200).Found);
        Assert.Equal(2, world.Read(4, 101, 200).Entries.Entries.Count);
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
        Assert.Equal([configuration], world.Journal.Recovered[new GroupId(4)].Configurations);
        world.Append(4, Normal(5, "103"));
        world.Sync();
        world.Reopen();
        world.Verify(world.Logs, "opened again");
    }

    [Fact]
    public void ARemovedReplicaKeepsItsPromises()
    {
        using var world = new GroupWorld(8);
        world.Found(1);
        world.Found(2);
        world.Vote(1, 7, 3);
        world.Append(1, Normal(7, "gone"));
        world.Remove(1);
        world.Sync();
        Assert.False(world.Read(1, 1, 1).Found);
        Assert.Throws<InvariantViolationException>(() => world.Journal.Remove(new GroupId(1)));
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
        Assert.Equal([new GroupId(2)], world.Journal.Recovered.Keys);

        // A vote for another member in the term of the promise.
        Assert.Throws<InvariantViolationException>(() => world.Vote(1, 7, 2));
        world.Crash(CrashKind.LoseUnsynced);
        world.Logs[new GroupId(1)] = LogModel.Joining with { State = new HardState(new Term(7), new MemberId(3)), IsRemoved = true };
        world.Join(1);
        Assert.Equal(new HardState(new Term(7), new MemberId(3)), world[1].State);
        world.Append(1, Normal(7, "back"));
        world.Sync();
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after it came back");
    }

    [Fact]
    public void AReplicaThatComesBackIsAnotherMember()
    {
        using var world = new GroupWorld(10);
        world.Found(1);
        world.Append(1, Normal(7, "gone"));
        world.Remove(1);
        world.Join(1, generation: 3);
        world.Append(1, Normal(7, "back"));
        world.Sync();
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after it came back");
        Assert.Equal("1.3", world.Journal.Recovered[new GroupId(1)].Id.ToString());
        world.Remove(1);
        Assert.Throws<InvariantViolationException>(() => world.Journal.Join(new GroupId(1), 2));
        world.Sync();
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after it went again");
        world.Join(1, generation: 300);
        world.Sync();
        world.Reopen();
        world.Verify(world.Logs, "after it came back again");
    }

    [Fact]
    public void AReplicaThatNobodyAnnouncedBeginsEmpty()
    {
        using var world = new GroupWorld(9);
        world.Persist(3, new HardState(new Term(2), MemberId.None), appended: [Normal(1, "a"), Changing(2, Three)]);
        world.Sync();
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(world.Logs, "after the crash");
    }

    [Fact]
    public void AMemberCanBeMadeFromWhateverIsRecovered()
    {
        using var world = new GroupWorld(14);
        world.Found(1);
        world.Join(2);
        world.Join(3);
        world.Vote(3, 2, 0);
        world.Append(3, Changing(1, Three), Normal(2, "a"));
        world.Join(4);
        world.Persist(
            4,
            new HardState(new Term(5), MemberId.None),
            appended: [Normal(5, "a")],
            snapshot: (new LogIndex(100), new Term(4), new ConfigurationEntry(new LogIndex(70), new Term(4), Three)));
        world.Sync();
        world.Reopen();
        foreach ((GroupId group, RaftRecovery recovery) in world.Journal.Recovered)
        {
            var member = new RaftMember(new RaftSettings(), recovery, new NoSizes(), world.Random.Fork(), TimeSpan.Zero);
            Assert.Equal(world[group.Value].Last, member.LastIndex);
            Assert.Equal(world[group.Value].ConfigurationAt(world[group.Value].Last).Configuration, member.Configuration);
            Assert.Equal(world[group.Value].OriginConfiguration, member.ConfigurationAt(member.BaseIndex));
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 100)]
    [InlineData(37, 41)]
    [InlineData(99, 100)]
    [InlineData(100, 100)]
    public void AnyRangeIsRead(ulong first, ulong last)
    {
        using GroupWorld world = Hundred();
        (bool found, ReadEntries read) = world.Read(1, first, last);
        Assert.True(found);
        Assert.Equal((int)(last - first) + 1, read.Entries.Count);
        read.Match(world[1], new LogIndex(first), "read");
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(400, 1)]
    [InlineData(401, 1)]
    [InlineData(802, 2)]
    [InlineData(5000, 12)]
    public void ReadingEndsAtSoManyBytesButNeverBeforeOneEntry(long bytesMax, int entries)
    {
        using GroupWorld world = Hundred();
        (_, ReadEntries read) = world.Read(1, 11, 100, bytesMax);
        Assert.Equal(entries, read.Entries.Count);
    }

    [Fact]
    public void WhatIsNotHandedToTheSystemYetIsNotRead()
    {
        using var world = new GroupWorld(10);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, Normal(1, "1"));
        Assert.False(world.Read(1, 1, 1).Found);
        world.Journal.Write();
        Assert.False(world.Read(1, 1, 1).Found);
        world.Journal.SyncInline();
        Assert.True(world.Read(1, 1, 1).Found);
        world.Append(1, Normal(1, "2"));
        world.Journal.Write();
        Assert.Single(world.Read(1, 1, 2).Entries.Entries);
    }

    [Fact]
    public void SizesAreKnownCloseEnoughToFillAMessage()
    {
        using GroupWorld world = Hundred();
        foreach (ulong first in new ulong[] { 1, 50, 99 })
        {
            foreach (long max in new long[] { 0, 1000, 7000, 1 << 20 })
            {
                LogIndex fit = world.Journal.Fit(new GroupId(1), new LogIndex(first), new LogIndex(100), max, out long bytes);
                Assert.InRange(fit.Value, first, 100UL);
                long real = 0;
                for (ulong i = first; i <= fit.Value; i++)
                    real += world[1][new LogIndex(i)].Bytes.Length;
                Assert.InRange(bytes, real / 2, real * 2);
                Assert.True(real <= Math.Max(2 * max, 500), $"{real} bytes where {max} were asked for");
                Assert.True(fit.Value == 100 || real + 500 > max / 2);
            }
        }

        Assert.Equal(new LogIndex(200), world.Journal.Fit(new GroupId(1), new LogIndex(200), new LogIndex(300), 10, out _));
        Assert.Equal(new LogIndex(1), world.Journal.Fit(new GroupId(9), new LogIndex(1), new LogIndex(3), 10, out _));
    }

    [Fact]
    public void AProbeIsARecordThoughNothingIsGathered()
    {
        using var world = new GroupWorld(11);
        world.Found(1);
        world.Sync();
        long syncs = world.Journal.Statistics.Syncs;
        world.Journal.SyncInline();
        Assert.Equal(syncs, world.Journal.Statistics.Syncs);
        world.Journal.Probe();
        world.Sync();
        Assert.Equal(syncs + 1, world.Journal.Statistics.Syncs);
        world.Reopen();
        world.Verify(world.Logs, "opened again");
    }

    /// <summary>It does not go on by itself then, and who waits for room must hear of it.</summary>
    [Fact]
    public void AFullDiskThatFailsWhileRoomIsLookedForIsToldOf()
    {
        using var world = new GroupWorld(13);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Sync();
        world.Files.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Allocate));
        world.Append(1, Normal(1, new string('x', 9000)));
        world.Journal.Write();
        world.Journal.SyncInline();
        Assert.Equal([JournalFailure.DiskFull], world.Failures);
        world.Files.Faults.Clear();
        world.Files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync));
        world.Files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Write));
        Assert.False(world.Journal.TryMakeRoom());
        Assert.Equal([JournalFailure.DiskFull, JournalFailure.DiskFailed], world.Failures);
        Assert.Equal(JournalFailure.DiskFailed, world.Journal.Failure);
        Assert.False(world.Journal.TryMakeRoom());
        Assert.Equal(2, world.Failures.Count);
    }

    [Theory]
    [InlineData(DiskFault.Failed, DiskOperationKind.Sync, JournalFailure.DiskFailed)]
    [InlineData(DiskFault.Failed, DiskOperationKind.Write, JournalFailure.DiskFailed)]
    [InlineData(DiskFault.Full, DiskOperationKind.Allocate, JournalFailure.DiskFull)]
    public void NothingIsReportedDurableAfterAFailure(DiskFault fault, DiskOperationKind kind, JournalFailure expected)
    {
        using var world = new GroupWorld(12);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, Normal(1, "kept"));
        world.Sync();
        var before = new SortedList<GroupId, LogModel>(world.Logs);
        LogPosition durable = world.Durable;
        world.Files.Faults.Add(new FaultRule(fault, kind));
        world.Append(1, Normal(1, new string('x', 9000)));
        Assert.NotEqual(LogPosition.Max, world.Journal.Write());
        world.Journal.SyncInline();
        Assert.Equal([expected], world.Failures);
        Assert.Equal(expected, world.Journal.Failure);
        world.Files.Faults.Clear();
        world.Append(1, Normal(1, "late"));
        Assert.Equal(LogPosition.Max, world.Journal.Write());
        Assert.Equal(LogPosition.Max, world.Journal.Write());
        world.Journal.SyncInline();
        world.Journal.RequestSync();
        world.Scheduler.RunAll();
        world.Journal.TrimNow();
        world.Scheduler.RunAll();
        Assert.Equal(durable, world.Durable);
        Assert.Single(world.Read(1, 1, 1).Entries.Entries);
        Assert.Single(world.Failures);
        world.Crash(CrashKind.LoseUnsynced);
        world.Verify(before, "after the failure");
    }

    [Fact]
    public void WhatNobodyMayAskForIsRefusedLoudly()
    {
        using var world = new GroupWorld(13);
        world.Found(1);
        world.Vote(1, 5, 1);
        world.Append(1, Normal(1, "1"), Normal(1, "2"));
        world.Sync();
        Assert.Throws<InvariantViolationException>(() => world.Journal.Found(new GroupId(1), Three));
        Assert.Throws<InvariantViolationException>(() => world.Journal.Compacted(new GroupId(1), new LogIndex(3), new Term(1), default, default));
        Assert.Throws<InvariantViolationException>(() => world.Vote(1, 4, 1));
    }

    /// <summary>A hundred entries of 401 bytes in records of various sizes, and another group's between them.</summary>
    private static GroupWorld Hundred()
    {
        var world = new GroupWorld(99);
        world.Found(1);
        world.Found(2);
        world.Vote(1, 1, 1);
        world.Vote(2, 1, 1);
        while (world[1].Entries.Length < 100)
        {
            int count = Math.Min(1 + world.Random.Next(7), 100 - world[1].Entries.Length);
            ModelEntry[] entries = new ModelEntry[count];
            for (int i = 0; i < count; i++)
                entries[i] = Normal(1, $"{world[1].Entries.Length + i,4}" + new string('x', 397));
            world.Append(1, entries);
            world.Append(2, Normal(1, new string('y', 50)));
            if (world.Random.OneIn(3))
                world.Sync();
            else
                world.Journal.Write();
        }

        world.Sync();
        return world;
    }

    private sealed class NoSizes : Raft.Replication.IEntrySizes
    {
        public LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes)
        {
            bytes = 0;
            return last;
        }
    }
}
