using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Network;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Groups;

public sealed class RaftGroupTests
{
    private static readonly GroupId s_group = GroupId.Directory;

    [Fact]
    public void AGroupElectsAndReplicates()
    {
        var cluster = new GroupCluster(1, nodes: 3, groups: 1);
        TestWrite write = cluster.Write(s_group);
        Assert.True(write.IsOpen);
        cluster.RunUntil(() => write.IsAcknowledged, "the write is acknowledged");
        cluster.Settle();
        cluster.Verify();
    }

    [Fact]
    public void ANodeAloneIsItsOwnMajority()
    {
        var cluster = new GroupCluster(2, nodes: 1, groups: 2);
        for (int i = 0; i < 20; i++)
            cluster.Write(cluster.GroupIds[i % 2]);
        cluster.RunUntil(() => cluster.Writes.TrueForAll(w => w.IsAcknowledged), "all writes are acknowledged");
        cluster.Nodes[0].Crash(CrashKind.LoseUnsynced);
        cluster.Settle();
        cluster.Verify();
    }

    [Fact]
    public void AWriteIsNotAcknowledgedBeforeAMajorityHasItOnDisk()
    {
        var cluster = new GroupCluster(3, nodes: 3, groups: 1);
        GroupNode leader = cluster.Leader(s_group);
        cluster.Run(TimeSpan.FromMilliseconds(200));
        foreach (GroupNode node in cluster.Nodes.Where(n => n != leader))
            node.IsStalled = true;
        TestWrite write = leader.Write(s_group);
        cluster.Run(TimeSpan.FromMilliseconds(100));
        Assert.True(write.IsOpen);
        cluster.Nodes.First(n => n != leader).IsStalled = false;
        cluster.RunUntil(() => write.IsAcknowledged, "the write is acknowledged");
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(14)]
    [InlineData(15)]
    public void EachNodeInTurnMayDieWithoutItsUnsyncedData(ulong seed)
    {
        var cluster = new GroupCluster(seed, nodes: 3, groups: 3);
        for (int round = 0; round < 9; round++)
        {
            GroupNode victim = cluster.Nodes[round % 3];
            for (int i = 0; i < 30; i++)
            {
                cluster.Write(cluster.GroupIds[i % 3]);
                cluster.Run(TimeSpan.FromMilliseconds(cluster.Random.Next(3)));
                if (i == 15)
                    victim.Crash(cluster.Random.OneIn(2) ? CrashKind.LoseUnsynced : CrashKind.LoseSubset);
            }

            victim.Restart();
            cluster.Run(TimeSpan.FromMilliseconds(cluster.Random.Next(800)));
        }

        cluster.Settle();
        Assert.True(cluster.Writes.Count(w => w.IsAcknowledged) > 150);
        cluster.Verify();
    }

    [Fact]
    public void AllNodesMayDieAtOnce()
    {
        var cluster = new GroupCluster(21, nodes: 3, groups: 4, new LsmEngineFactory());
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < 40; i++)
            {
                cluster.Write(cluster.GroupIds[i % 4], bytes: 300);
                cluster.Run(TimeSpan.FromMilliseconds(1));
                if (i == 20)
                {
                    foreach (GroupNode node in cluster.Nodes)
                        node.Host.Groups[round].Replica.Engine.Flush();
                }
            }

            foreach (GroupNode node in cluster.Nodes)
                node.Crash(CrashKind.LoseUnsynced);
            foreach (GroupNode node in cluster.Nodes)
                node.Restart();
        }

        cluster.Settle();
        Assert.True(cluster.Writes.Count(w => w.IsAcknowledged) > 100);
        cluster.Verify();
    }

    [Fact]
    public void WhoLosesLeadershipForgetsWhatWasNotCommitted()
    {
        var cluster = new GroupCluster(31, nodes: 3, groups: 1);
        TestWrite before = cluster.Write(s_group);
        cluster.RunUntil(() => before.IsAcknowledged, "the write is acknowledged");
        GroupNode old = cluster.Leader(s_group);
        cluster.Cut(old);
        TestWrite lost = old.Write(s_group);
        Assert.Contains(lost.ToString(), old.Content(s_group), StringComparison.Ordinal);

        GroupNode next = cluster.Leader(s_group, n => n != old);
        cluster.RunUntil(() => lost.IsLost, "the old leader has given up");
        Assert.DoesNotContain(lost.ToString(), old.Content(s_group), StringComparison.Ordinal);
        Assert.Contains(before.ToString(), old.Content(s_group), StringComparison.Ordinal);
        Assert.Equal("TRYAGAIN", old.Group(s_group).Refusal!.Code);
        Assert.False(old.Group(s_group).MayRead());

        // At the place of the one that was lost.
        TestWrite other = next.Write(s_group);
        Assert.False(lost.IsOverruled);
        cluster.Settle();
        Assert.True(other.IsAcknowledged);
        Assert.True(lost.IsOverruled);
        Assert.False(lost.IsAcknowledged);
        Assert.DoesNotContain(lost.ToString(), old.Content(s_group), StringComparison.Ordinal);
        cluster.Verify();
    }

    [Fact]
    public void WhatAnotherLeaderCommitsIsAppliedAgain()
    {
        var cluster = new GroupCluster(32, nodes: 3, groups: 1);
        GroupNode old = cluster.Leader(s_group);
        cluster.Run(TimeSpan.FromMilliseconds(100));
        GroupNode[] others = [.. cluster.Nodes.Where(n => n != old)];

        // The write reaches the others, and no word of that comes back.
        foreach (GroupNode other in others)
            cluster.Network.Cut(other.Id, old.Id);
        TestWrite write = old.Write(s_group);
        cluster.Leader(s_group, n => n != old);
        cluster.RunUntil(() => write.IsLost, "the old leader has given up");
        Assert.DoesNotContain(write.ToString(), old.Content(s_group), StringComparison.Ordinal);
        cluster.RunUntil(() => others.All(n => n.Content(s_group).Contains(write.ToString(), StringComparison.Ordinal)), "the others have committed it");
        Assert.False(write.IsAcknowledged);
        cluster.Settle();
        Assert.Contains(write.ToString(), old.Content(s_group), StringComparison.Ordinal);

        // Who waited for it hears that it was done.
        Assert.True(write.IsAcknowledged);
        cluster.Verify();
    }

    [Theory]
    [InlineData(1 << 20)]
    [InlineData(3000)]
    [InlineData(1)]
    public void AFollowerThatWasAwayCatchesUpFromTheJournal(long oldBytesPerTurn)
    {
        var cluster = new GroupCluster(41, nodes: 3, groups: 2, oldBytesPerTurn: oldBytesPerTurn);
        GroupNode away = cluster.Nodes.First(n => n != cluster.Leader(s_group));
        away.Crash(CrashKind.LoseUnsynced);
        for (int i = 0; i < 600; i++)
        {
            cluster.Write(cluster.GroupIds[i % 2], bytes: 1 + cluster.Random.Next(2000));
            if (i % 10 == 0)
                cluster.Run(TimeSpan.FromMilliseconds(2));
        }

        cluster.Run(TimeSpan.FromMilliseconds(100));
        foreach (GroupNode node in cluster.Nodes.Where(n => n != away))
            node.Do(_ => node.Group(s_group).Shed(0));
        Assert.True(cluster.Leader(s_group).Group(s_group).Entries.First > new LogIndex(200));
        Assert.True(cluster.Leader(s_group).Group(s_group).BaseIndex < new LogIndex(5));
        away.Restart();
        cluster.Settle();
        Assert.True(cluster.Writes.TrueForAll(w => w.IsAcknowledged));
        cluster.Verify();
    }

    [Fact]
    public void WhatALaggingFollowerIsSentComesInTurnsWithOtherWork()
    {
        const int AppendBytes = 4 << 10, OldBytes = 8 << 10;
        var settings = new RaftSettings { QuiesceAfter = TimeSpan.MaxValue, AppendBytesMax = AppendBytes };
        var cluster = new GroupCluster(42, nodes: 3, groups: 4, settings: settings, oldBytesPerTurn: OldBytes);
        GroupNode leader = cluster.Leader(s_group);
        GroupNode away = cluster.Nodes.First(n => n != leader);
        away.Crash(CrashKind.LoseUnsynced);
        for (int i = 0; i < 400; i++)
        {
            cluster.Write(cluster.GroupIds[i % 4], bytes: 1000);
            cluster.Run(TimeSpan.FromMilliseconds(1));
        }

        cluster.Run(TimeSpan.FromMilliseconds(100));
        Assert.InRange(away.LargestReceived, 0, AppendBytes);
        away.Restart();
        cluster.Settle();
        cluster.Verify();

        // One append more than is left may always go.
        Assert.InRange(away.LargestReceived, AppendBytes, OldBytes + AppendBytes + 1024);
    }

    [Theory]
    [InlineData(45)]
    [InlineData(46)]
    public void EntriesThatAreAppliedTogetherAndThoseThatAreTooLargeForItKeepTheirOrder(ulong seed)
    {
        // Small ones by the dozen, and some about as large as what is copied at most; the digests that the leader sends tell their order.
        var cluster = new GroupCluster(seed, nodes: 3, groups: 2, new Storage.Lsm.LsmEngineFactory());
        GroupNode away = cluster.Nodes.First(n => n != cluster.Leader(s_group));
        away.Crash(CrashKind.LoseUnsynced);
        for (int i = 0; i < 300; i++)
        {
            int bytes = cluster.Random.OneIn(10) ? GatheredEntries.CopiedBytesMax - 100 + cluster.Random.Next(200) : cluster.Random.Next(300);
            cluster.Write(cluster.GroupIds[i % 2], bytes);
            if (cluster.Random.OneIn(3))
                cluster.Run(TimeSpan.FromMilliseconds(1));
        }

        cluster.Run(TimeSpan.FromMilliseconds(100));
        away.Restart();
        cluster.Settle();
        Assert.True(cluster.Writes.TrueForAll(w => w.IsAcknowledged));
        cluster.RunUntil(() => away.Group(s_group).DigestsCompared > 0, "they are compared");
        cluster.Verify();
    }

    [Theory]
    [InlineData(2, 0, 500)]
    [InlineData(20, 4000, 8000)]
    public void AFollowerPausesAsItsEngineAsksWhereThatIsWorthAStepOfTheClock(int pauseMs, double leastMs, double mostMs)
    {
        const int Entries = 200;
        var engines = new Nodes.HookedEngineFactory(new Simulation.Models.ModelEngineFactory());
        var cluster = new GroupCluster(43, nodes: 3, groups: 1, engines);
        GroupNode away = cluster.Nodes.First(n => n != cluster.Leader(s_group));
        away.Crash(CrashKind.LoseUnsynced);
        TestWrite? last = null;
        for (int i = 0; i < Entries; i++)
            last = cluster.Write(s_group);
        cluster.RunUntil(() => last!.IsAcknowledged, "all is written");
        engines.WriteDelay = TimeSpan.FromMilliseconds(pauseMs);
        away.Restart();
        TimeSpan began = cluster.Events.Now;
        cluster.RunUntil(() => away.Group(s_group).AppliedIndex.Value >= last!.Position.Value, "it has applied what it missed");
        Assert.InRange((cluster.Events.Now - began).TotalMilliseconds, leastMs, mostMs);
        engines.WriteDelay = null;
        cluster.Settle();
        cluster.Verify();
    }

    [Fact]
    public void WhatIsCommittedInTheDirectoryIsAppliedEverywhereBeforeTheNextHeartbeat()
    {
        for (ulong seed = 44; seed < 54; seed++)
        {
            var cluster = new GroupCluster(seed, nodes: 3, groups: 1);
            GroupNode leader = cluster.Leader(GroupId.Directory);
            cluster.Run(TimeSpan.FromMilliseconds(500 + cluster.Random.Next(100)));
            TestWrite write = leader.Write(GroupId.Directory);
            cluster.RunUntil(() => write.IsAcknowledged, "the write is acknowledged");
            TimeSpan began = cluster.Events.Now;
            cluster.RunUntil(
                () => cluster.Nodes.TrueForAll(n => n.Group(GroupId.Directory).AppliedIndex.Value >= write.Position.Value),
                "all have applied it");

            // An acknowledgement may still be on its way from the slower one, behind its disk; then the news of the commit.
            Assert.InRange((cluster.Events.Now - began).TotalMilliseconds, 0, 30);
        }
    }

    [Fact]
    public void LeadersHoldTheirLeasesWhileNobodyWrites()
    {
        var cluster = new GroupCluster(51, nodes: 3, groups: 3);
        GroupNode[] leaders = [.. cluster.GroupIds.Select(g => cluster.Leader(g))];
        for (int i = 0; i < 200; i++)
        {
            cluster.Run(TimeSpan.FromMilliseconds(25));
            for (int g = 0; g < leaders.Length; g++)
                Assert.True(leaders[g].Group(cluster.GroupIds[g]).HasLease);
        }
    }

    [Fact]
    public void ALeaderThatIsCutOffStopsReadingBeforeAnotherBegins()
    {
        for (ulong seed = 60; seed < 70; seed++)
        {
            var cluster = new GroupCluster(seed, nodes: 3, groups: 1);
            GroupNode old = cluster.Leader(s_group);
            cluster.Cut(old);
            cluster.RunUntil(
                () =>
                {
                    bool next = cluster.Nodes.Exists(n => n != old && n.Group(s_group).Role == RaftRole.Leader);
                    Assert.False(next && old.Group(s_group).HasLease, $"seed {seed}: two may read");
                    return next;
                },
                "another leads");
        }
    }

    [Fact]
    public void AReadNeedsOneRoundAndNoDisk()
    {
        var cluster = new GroupCluster(55, nodes: 3, groups: 1);
        GroupNode leader = cluster.Leader(s_group);
        RaftGroup group = leader.Group(s_group);
        leader.IsStalled = true;
        cluster.RunUntil(() => !group.HasLease, "the disk has been silent for too long");
        Assert.Equal(RaftRole.Leader, group.Role);
        ReadClaim claim = default;
        leader.Do(_ => Assert.False(group.MayRead(ref claim)));
        cluster.Run(TimeSpan.FromMilliseconds(15));
        Assert.False(group.HasLease);
        leader.Do(_ => Assert.True(group.MayRead(ref claim)));

        // It was that read's alone.
        ReadClaim another = default;
        leader.Do(_ => Assert.False(group.MayRead(ref another)));
        leader.Do(_ => Assert.False(group.MayRead(ref another)));
    }

    [Fact]
    public void AReadOfALeaderThatIsCutOffIsNeverAnswered()
    {
        var cluster = new GroupCluster(56, nodes: 3, groups: 1);
        GroupNode old = cluster.Leader(s_group);
        cluster.Cut(old);
        cluster.RunUntil(() => !old.Group(s_group).HasLease, "the lease ends");
        ReadClaim claim = default;
        old.Do(_ => Assert.False(old.Group(s_group).MayRead(ref claim)));
        for (int i = 0; i < 1000; i++)
        {
            cluster.Run(TimeSpan.FromMilliseconds(1));
            old.Do(_ => Assert.False(old.Group(s_group).MayRead(ref claim)));
        }
    }

    [Fact]
    public void AnIdleGroupSleepsAndWakesForAReadInOneRound()
    {
        var cluster = new GroupCluster(57, nodes: 3, groups: 3, settings: new RaftSettings());
        GroupId asleep = cluster.GroupIds[1];
        GroupNode leader = cluster.Leader(asleep);
        cluster.RunUntil(() => cluster.Nodes.TrueForAll(n => n.Group(asleep).IsQuiet), "everybody sleeps");
        Assert.False(cluster.Nodes.Exists(n => n.Group(s_group).IsQuiet));
        cluster.Run(TimeSpan.FromSeconds(10));
        Assert.True(cluster.Nodes.TrueForAll(n => n.Group(asleep).IsQuiet));
        Assert.False(leader.Group(asleep).HasLease);
        ReadClaim claim = default;
        leader.Do(_ => Assert.False(leader.Group(asleep).MayRead(ref claim)));
        cluster.Run(TimeSpan.FromMilliseconds(15));
        leader.Do(_ => Assert.True(leader.Group(asleep).MayRead(ref claim)));
        TestWrite write = leader.Write(asleep);
        cluster.RunUntil(() => write.IsAcknowledged, "the write is acknowledged");
        cluster.Settle();
        cluster.Verify();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AfterItsLeadersDeathAGroupElectsAtOnceWhetherItSleepsOrNot(bool sleeps)
    {
        const int Groups = 40;
        for (ulong seed = 150; seed < 160; seed++)
        {
            var cluster = new GroupCluster(seed, nodes: 3, Groups, settings: sleeps ? new RaftSettings() : null);
            cluster.Network.Behaviour = cluster.Network.Behaviour with { NoticedAfter = TimeSpan.FromMilliseconds(1) };
            foreach (GroupId group in cluster.GroupIds)
                _ = cluster.Leader(group);
            GroupNode dead = cluster.Leader(cluster.GroupIds[^1]);
            GroupId[] led = [.. cluster.GroupIds.Where(g => cluster.Leader(g) == dead)];
            if (sleeps)
                cluster.RunUntil(() => led.All(g => g == s_group || dead.Group(g).IsQuiet), "what it leads sleeps");
            dead.Crash(CrashKind.LoseUnsynced);
            TimeSpan died = cluster.Events.Now;
            foreach (GroupId group in led)
                _ = cluster.Leader(group, n => n != dead);

            // Faith in the dead leader lasts for 250 ms; the rest is an election.
            Assert.InRange((cluster.Events.Now - died).TotalMilliseconds, 0, 450);
        }
    }

    [Fact]
    public void LeadershipIsHandedOver()
    {
        var cluster = new GroupCluster(71, nodes: 3, groups: 1);
        GroupNode old = cluster.Leader(s_group);
        GroupNode next = cluster.Nodes.First(n => n != old);
        TestWrite before = old.Write(s_group);
        old.Do(_ => Assert.True(old.Group(s_group).TryTransfer(GroupMember.Of(next.Id))));
        Assert.NotNull(old.Group(s_group).Refusal);
        cluster.RunUntil(() => next.Group(s_group).HasLease, "the other leads");
        Assert.Equal(next.Id, old.Group(s_group).Leader);
        Assert.Equal("NOTLEADER", old.Group(s_group).Refusal!.Code);
        cluster.Settle();
        Assert.Contains(before.ToString(), next.Content(s_group), StringComparison.Ordinal);
        cluster.Verify();
    }

    [Fact]
    public void WhatIsMeantForAnEarlierCopyIsNotHeard()
    {
        var cluster = new GroupCluster(72, nodes: 3, groups: 1);
        GroupNode leader = cluster.Leader(s_group);
        NodeId other = cluster.Nodes.First(n => n != leader).Id;
        ulong term = leader.Group(s_group).Term;
        leader.Do(_ => leader.Host.Receive(other, Higher(from: 0, to: 1)));
        Assert.Equal(term, leader.Group(s_group).Term);
        Assert.Equal(RaftRole.Leader, leader.Group(s_group).Role);
        leader.Do(_ => leader.Host.Receive(other, Higher(from: 0, to: 0)));
        Assert.Equal(term + 9, leader.Group(s_group).Term);

        // A refusal from a later term, which no leader outlives.
        byte[] Higher(uint from, uint to)
        {
            var bytes = new BytesBuffer();
            RaftMessageCodec.BeginBatch(bytes);
            RaftMessageCodec.End(bytes, RaftMessageCodec.Begin(bytes, s_group, new RaftMessage
            {
                Kind = MessageKind.AppendResponse,
                Flags = MessageFlags.Reject,
                From = GroupMember.Of(other, from),
                To = GroupMember.Of(leader.Id, to),
                Term = new Term(term + 9),
            }));
            return bytes.WrittenSpan.ToArray();
        }
    }

    [Fact]
    public void ADiskThatHangsCostsLeadership()
    {
        var cluster = new GroupCluster(81, nodes: 3, groups: 1);
        GroupNode old = cluster.Leader(s_group);
        old.IsStalled = true;
        TestWrite write = old.Write(s_group);
        cluster.RunUntil(() => write.IsAcknowledged, "the others have it");
        GroupNode next = cluster.Leader(s_group, n => n != old);
        cluster.RunUntil(() => old.Group(s_group).Role != RaftRole.Leader, "the old one has given up");
        Assert.True(next.Group(s_group).HasLease);
        cluster.Run(TimeSpan.FromSeconds(5));
        Assert.NotEqual(RaftRole.Leader, old.Group(s_group).Role);
        old.IsStalled = false;
        cluster.Settle();
        cluster.Verify();
    }

    [Fact]
    public void TheLogIsCutBehindWhatTheEngineHas()
    {
        var cluster = new GroupCluster(91, nodes: 3, groups: 1);
        for (int i = 0; i < 50; i++)
            cluster.Write(s_group);
        cluster.Settle();
        foreach (GroupNode node in cluster.Nodes)
        {
            RaftGroup group = node.Group(s_group);
            node.Do(_ => group.Compact(LogIndex.Max));
            Assert.Equal(new LogIndex(group.Replica.Engine.OldestUnflushedPosition!.Value.Value - 1), group.BaseIndex);
            group.Replica.Engine.Flush();
            while (node.Scheduler.RunOne())
            {
            }

            // Up to the end, although a no-op lies behind the last write that the engine knows of.
            node.Do(_ => group.Compact(LogIndex.Max));
            Assert.Equal(group.AppliedIndex, group.BaseIndex);
        }

        foreach (GroupNode node in cluster.Nodes)
            node.Crash(CrashKind.LoseUnsynced);
        foreach (GroupNode node in cluster.Nodes)
            node.Restart();
        cluster.Settle();
        cluster.Verify();
    }

    [Theory]
    [InlineData(101)]
    [InlineData(102)]
    [InlineData(103)]
    [InlineData(104)]
    public void NothingAcknowledgedIsLostOnABadNetwork(ulong seed)
    {
        var cluster = new GroupCluster(seed, nodes: 5, groups: 2);
        cluster.Network.Behaviour = new NetworkConditions { Loss = 0.02, Duplication = 0.02, Reorders = true, LinkBytesMax = 64 << 10 };
        for (int i = 0; i < 400; i++)
        {
            cluster.Run(TimeSpan.FromMilliseconds(cluster.Random.Next(10)));
            GroupId group = cluster.GroupIds[i % 2];
            GroupNode? any = cluster.Nodes.Find(n => !n.IsDown && n.Group(group).Refusal is null);
            any?.Write(group, bytes: 1 + cluster.Random.Next(500));
            GroupNode victim = cluster.Nodes[cluster.Random.Next(5)];
            switch (cluster.Random.Next(40))
            {
                case 0:
                    cluster.Cut(victim);
                    break;
                case 1:
                    cluster.Network.MendAll();
                    break;
                case 2 when cluster.Nodes.TrueForAll(n => !n.IsDown):
                    victim.Crash(CrashKind.LoseSubset);
                    break;
                case 3 when victim.IsDown:
                    victim.Restart();
                    break;
                case 4 when !victim.IsDown:
                    victim.Do(_ => victim.Group(group).Shed(0));
                    break;
            }
        }

        cluster.Network.Behaviour = new NetworkConditions();
        cluster.Settle();
        Assert.True(cluster.Writes.Count(w => w.IsAcknowledged) > 50);
        cluster.Verify();
    }

    [Fact]
    public void AProposalAllocatesNothing()
    {
        var cluster = new GroupCluster(111, nodes: 1, groups: 1, new LsmEngineFactory());
        GroupNode node = cluster.Leader(s_group);
        var item = new PutItem(node.Group(s_group).Replica);
        Put(20_000);

        // A collection that another thread needs counts the rest of this one's block as allocated: not in each of these.
        Assert.InRange(Enumerable.Range(0, 5).Min(_ => Put(2000)), 0, 2000 * 8);

        // The disk's jobs, which are made of objects here, are not counted.
        long Put(int times)
        {
            long bytes = 0;
            for (int i = 0; i < times; i++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                node.Post(item);
                bytes += GC.GetAllocatedBytesForCurrentThread() - before;
                if (i % 10 == 0)
                    cluster.Run(TimeSpan.FromMilliseconds(1));
            }

            return bytes;
        }
    }

    private sealed class PutItem(Replica replica) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            execution.Put(replica, "key"u8, [], "a value of twenty bytes"u8, 0);
            execution.Commit();
            execution.TakeGate();
        }
    }
}
