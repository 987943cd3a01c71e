using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Groups;

public sealed class StateDifferenceTests
{
    private static readonly GroupId s_group = GroupId.Directory;
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(3);

    [Fact]
    public void ReplicasThatAgreeAreComparedAfterWritesAndThenLeftInPeace()
    {
        var cluster = new GroupCluster(1, nodes: 3, groups: 1, new LsmEngineFactory());
        GroupNode leader = cluster.Leader(s_group);
        cluster.Run(s_soon);
        Assert.All(cluster.Nodes, n => Assert.Equal(0, n.Group(s_group).DigestsCompared));
        cluster.Settle();
        cluster.Run(s_soon);
        Assert.All(cluster.Nodes.Where(n => n != leader), n => Assert.Equal(1, n.Group(s_group).DigestsCompared));
        Assert.All(cluster.Nodes, n => Assert.Equal(leader.Group(s_group).Digest, n.Group(s_group).Digest));
        ulong last = leader.Group(s_group).LastIndex.Value;
        cluster.Run(s_soon);
        Assert.Equal(last, leader.Group(s_group).LastIndex.Value);
    }

    [Fact]
    public void OneThatDiffersStopsAndTheRestGoesOn()
    {
        var cluster = new GroupCluster(2, nodes: 3, groups: 2, new LsmEngineFactory());
        cluster.Settle();
        GroupNode leader = cluster.Leader(s_group);
        GroupNode wrong = cluster.Nodes.First(n => n != leader);
        wrong.Group(s_group).Replica.Engine.AssumeDigest(new StateDigest(666));
        TestWrite write = leader.Write(s_group);
        cluster.RunUntil(() => wrong.Group(s_group).Difference is not null, "it is found out");
        StateDifference difference = wrong.Group(s_group).Difference!;
        Assert.NotEqual(difference.Own, difference.Leaders);
        Assert.Contains(difference.Own.ToString(), wrong.Group(s_group).ApplyFailure, StringComparison.Ordinal);
        Assert.Contains(difference.Leaders.ToString(), wrong.Group(s_group).Refusal!.Message, StringComparison.Ordinal);
        Assert.True(write.IsAcknowledged);
        Assert.False(wrong.Group(s_group).TryReadStale(TimeSpan.FromHours(1), out _));

        // Its other replicas live, and it leads this one never again, whoever is gone.
        TestWrite more = leader.Write(s_group);
        cluster.RunUntil(() => more.IsAcknowledged, "the others write on");
        TestWrite other = cluster.Write(cluster.GroupIds[1]);
        cluster.RunUntil(() => other.IsAcknowledged, "its other group writes on");
        Assert.Null(wrong.Group(cluster.GroupIds[1]).Difference);
        leader.Crash(CrashKind.LoseUnsynced);
        cluster.Run(s_soon);
        Assert.False(wrong.Group(s_group).IsServing);
        Assert.False(wrong.Group(s_group).MayRead());
        leader.Restart();
        TestWrite last = cluster.Write(s_group);
        cluster.RunUntil(() => last.IsAcknowledged, "two of three are enough");
        Assert.False(wrong.Group(s_group).IsServing);
    }

    [Fact]
    public void ARestartMeetsItAgain()
    {
        var cluster = new GroupCluster(3, nodes: 3, groups: 1, new LsmEngineFactory());
        cluster.Settle();
        GroupNode leader = cluster.Leader(s_group);
        GroupNode wrong = cluster.Nodes.First(n => n != leader);
        IStorageEngine engine = wrong.Group(s_group).Replica.Engine;
        engine.AssumeDigest(new StateDigest(666));
        leader.Write(s_group);
        cluster.RunUntil(() => wrong.Group(s_group).Difference is not null, "it is found out");
        StateDifference difference = wrong.Group(s_group).Difference!;
        engine.Flush();
        cluster.Run(s_soon);
        Assert.Equal(wrong.Group(s_group).AppliedIndex.Value, engine.FlushedPosition.Value);
        wrong.Crash(CrashKind.LoseUnsynced);
        wrong.Restart();
        cluster.RunUntil(() => wrong.Group(s_group).Difference is not null, "it is found out again");
        Assert.Equal(difference, wrong.Group(s_group).Difference);
    }

    [Fact]
    public void ALeaderThatDiffersServesNobodyFurther()
    {
        var cluster = new GroupCluster(4, nodes: 3, groups: 1, new LsmEngineFactory());
        cluster.Settle();
        GroupNode leader = cluster.Leader(s_group);
        leader.Group(s_group).Replica.Engine.AssumeDigest(new StateDigest(666));
        leader.Write(s_group);
        cluster.Run(s_soon);
        Assert.All(cluster.Nodes.Where(n => n != leader), n => Assert.NotNull(n.Group(s_group).Difference));
        Assert.False(leader.Group(s_group).HasLease);
        Assert.False(leader.Group(s_group).MayRead());
    }

    [Fact]
    public void ReplicasOfAnOlderVersionBeginTogether()
    {
        var cluster = new GroupCluster(5, nodes: 3, groups: 1, new LsmEngineFactory());
        cluster.Settle();
        foreach (GroupNode node in cluster.Nodes)
            node.Group(s_group).Replica.Engine.AssumeDigest(StateDigest.Unknown);
        cluster.Settle();
        cluster.Run(s_soon);
        Assert.All(cluster.Nodes, n => Assert.False(n.Group(s_group).Digest.IsUnknown));
        cluster.Settle();
        cluster.Run(s_soon);
        Assert.All(cluster.Nodes, n => Assert.Null(n.Group(s_group).Difference));
        Assert.Contains(cluster.Nodes, n => n.Group(s_group).DigestsCompared > 0);
    }

    [Fact]
    public void ManyWritesAreComparedOnTheWay()
    {
        var cluster = new GroupCluster(6, nodes: 3, groups: 1, new LsmEngineFactory());
        GroupNode leader = cluster.Leader(s_group);
        TimeSpan began = cluster.Events.Now;
        for (int i = 0; i < 5000; i++)
            leader.Write(s_group);
        cluster.RunUntil(() => cluster.Writes.TrueForAll(w => w.IsAcknowledged), "all is written");
        Assert.True(cluster.Events.Now - began < TimeSpan.FromSeconds(1));
        cluster.RunUntil(() => cluster.Nodes.Where(n => n != leader).All(n => n.Group(s_group).DigestsCompared > 0), "they are compared");
    }

    [Fact]
    public void ANoteSaysWhatItSays()
    {
        var entry = new BytesBuffer();
        EntryNotes.AppendDigest(entry, new StateDigest(0x0102030405060708), begins: false);
        Assert.Equal("00090108070605040302" + "01", Convert.ToHexString(entry.WrittenSpan));
        Assert.True(EntryNotes.TryReadDigest(entry.WrittenSpan[2..], out StateDigest digest, out bool begins));
        Assert.Equal((0x0102030405060708UL, false), (digest.Value, begins));
        Assert.False(EntryNotes.TryReadDigest(entry.WrittenSpan[3..], out _, out _));
        Assert.False(EntryNotes.TryReadDigest([9, 1, 2, 3, 4, 5, 6, 7, 8], out _, out _));
        Assert.False(EntryNotes.TryReadDigest(new byte[9], out _, out _));
    }
}
