using System.Text;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Tests.Nodes;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Groups;

/// <summary>What replicas know of writes that were forwarded, when leads change and replicas begin anew.</summary>
public sealed class SessionTests
{
    private static readonly GroupId s_group = GroupId.Directory;
    private static readonly WriteId s_write = new(7, 1);

    [Fact]
    public void EveryReplicaKnowsWhatItsLogSays()
    {
        var cluster = new GroupCluster(1, nodes: 3, groups: 1);
        cluster.Settle();
        GroupNode leader = cluster.Leader(s_group);
        LogPosition known = leader.Group(s_group).DurablePosition;
        LogPosition position = Write(leader, s_write);
        Assert.Equal($":1 at {position.Value}", Ask(leader.Group(s_group), known));
        cluster.Settle();
        foreach (GroupNode node in cluster.Nodes)
        {
            Assert.Equal($":1 at {position.Value}", Ask(node.Group(s_group), known));
            Assert.Equal("NotApplied", Ask(node.Group(s_group), known, new WriteId(7, 2)));
            Assert.False(node.Group(s_group).Sessions.MayBegin(7, known));
        }

        cluster.Verify();
    }

    [Fact]
    public void WhatIsLostWithALeadIsForgotten()
    {
        var cluster = new GroupCluster(2, nodes: 3, groups: 1);
        cluster.Settle();
        GroupNode old = cluster.Leader(s_group);
        LogPosition known = old.Group(s_group).DurablePosition;
        cluster.Cut(old);
        LogPosition position = Write(old, s_write);
        GroupNode next = cluster.Leader(s_group, among: n => n != old);
        Assert.Equal("NotApplied", Ask(next.Group(s_group), known));
        TestWrite other = next.Write(s_group);
        Assert.True(other.Position >= position);
        cluster.Settle();
        Assert.All(cluster.Nodes, n => Assert.Equal("NotApplied", Ask(n.Group(s_group), known)));

        // As it comes again, so it is known.
        position = Write(cluster.Leader(s_group), s_write);
        cluster.Settle();
        Assert.All(cluster.Nodes, n => Assert.Equal($":1 at {position.Value}", Ask(n.Group(s_group), known)));
    }

    [Theory]
    [InlineData(CrashKind.ProcessKill)]
    [InlineData(CrashKind.LoseUnsynced)]
    public void OneThatBeginsAnewFromItsFilesSaysWhatItDoesNotKnow(CrashKind kind)
    {
        var cluster = new GroupCluster(3, nodes: 3, groups: 1, new LsmEngineFactory());
        cluster.Settle();
        GroupNode leader = cluster.Leader(s_group);
        LogPosition known = leader.Group(s_group).DurablePosition;
        LogPosition flushed = Write(leader, s_write);
        cluster.Settle();
        leader.Group(s_group).Replica.Engine.Flush();
        cluster.Run(TimeSpan.FromSeconds(1));
        WriteId late = new(7, 2);
        LogPosition replayed = Write(leader, late);
        cluster.Settle();
        leader.Crash(kind);
        leader.Restart();
        cluster.Settle();
        RaftGroup group = leader.Group(s_group);
        Assert.True(group.Sessions.Floor >= flushed && group.Sessions.Floor < replayed);
        Assert.Equal("Unknown", Ask(group, known));
        Assert.Equal($":1 at {replayed.Value}", Ask(group, known, late));
        Assert.Equal("NotApplied", Ask(group, replayed, new WriteId(7, 3)));
    }

    [Fact]
    public void OneThatBeginsAnewFromASnapshotSaysWhatItDoesNotKnow()
    {
        ClusterWorld world = ClusterWorld.OfThree(44, new LsmEngineFactory(), journalBytesMax: 256 << 10);
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        world.Put(0, "key", "before");
        LogPosition known = default, position = default;
        GroupId shard = default;
        foreach (ClusterMember member in world.Members[..2])
        {
            if (((IClusteredNode)member.Node).Router.Route(0, Slot.OfKey("key"u8).Value) is not { Kind: RouteKind.Local, Replica: { } replica } route)
                continue;
            shard = route.Group;
            known = replica.Log.DurablePosition;
            member.Do(execution => position = Write(execution, replica, s_write));
        }

        Assert.False(shard.IsNone);
        string large = new('x', 2000);
        int writes = 0;
        world.RunUntil(
            () =>
            {
                world.Put(0, $"key{++writes}", large);
                return world.Members[..2].TrueForAll(m => m.Group(shard).BaseIndex.Value > position.Value);
            },
            "the log is cut");
        away.Restart();
        world.RunUntil(world.IsLevel, "it has caught up", seconds: 120);
        Assert.True(away.Group(shard).BaseIndex.Value > position.Value);
        Assert.Equal("Unknown", Ask(away.Group(shard), known));
        Assert.Equal("NotApplied", Ask(away.Group(shard), away.Group(shard).DurablePosition, new WriteId(7, 2)));
    }

    private static LogPosition Write(GroupNode node, WriteId id)
    {
        LogPosition position = default;
        node.Do(execution => position = Write(execution, node.Group(s_group).Replica, id));
        return position;
    }

    private static LogPosition Write(Execution execution, Replica replica, WriteId id)
    {
        execution.Put(replica, "counter"u8, [], "1"u8, 0);
        execution.Remember(id, ":1"u8);
        execution.Commit();
        return execution.TakeGate().Position;
    }

    private static string Ask(RaftGroup group, LogPosition known, WriteId? id = null)
    {
        WriteFate fate = group.Sessions.Find(id ?? s_write, known, out ReadOnlySpan<byte> reply, out LogPosition position);
        return fate == WriteFate.Applied ? $"{Encoding.ASCII.GetString(reply)} at {position.Value}" : fate.ToString();
    }
}
