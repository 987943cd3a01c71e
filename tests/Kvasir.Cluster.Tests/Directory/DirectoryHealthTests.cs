using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class DirectoryHealthTests
{
    [Fact]
    public void AClusterOfOneSaysThatItKeepsFewerCopiesThanItPromises()
    {
        Clusters cluster = new();
        cluster.Settle();
        DirectoryHealth health = DirectoryHealth.Of(cluster.View, _ => false);
        Assert.Equal((1, 65, 65, 0), (health.NodesActive, health.Shards, health.ShardsUnderReplicated, health.ShardsUnavailable));
        Assert.Equal("degraded", health.Word);
        Assert.Equal(["65 of 65 shards have fewer copies than promised (down to 1 of 3): 1 node is there and 3 are needed; start 2 more, with --join"],
            health.Problems.AsEnumerable());
    }

    [Fact]
    public void ItHealsWhenNodesCome()
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Join();
        cluster.SettleGroups();
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [], new UpkeepSettings()));
        DirectoryHealth moving = DirectoryHealth.Of(cluster.View, _ => false);
        Assert.Equal(("degraded", 65), (moving.Word, moving.ShardsMoving));
        Assert.Equal(["65 of 65 shards have copies that are still being made"], moving.Problems.AsEnumerable());
        cluster.Settle();
        DirectoryHealth health = DirectoryHealth.Of(cluster.View, _ => false);
        Assert.Equal(("ok", true, 0), (health.Word, health.IsWhole, health.ShardsMoving));
        Assert.Empty(health.Problems);
    }

    [Fact]
    public void StoppedCopiesCountForNothing()
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Join();
        cluster.Settle();
        MemberId stopped = cluster.Group(7).MemberOn(new NodeId(2));
        DirectoryHealth health = DirectoryHealth.Of(cluster.View, _ => false, (group, member) => group == new GroupId(7) && member == stopped);
        Assert.Equal(("degraded", 1, 1, 0), (health.Word, health.CopiesStopped, health.ShardsUnderReplicated, health.ShardsUnavailable));
        Assert.Contains("1 copy is stopped", Assert.Single(health.Problems), StringComparison.Ordinal);
        health = DirectoryHealth.Of(cluster.View, node => node == new NodeId(3), (group, member) => group == new GroupId(7) && member == stopped);
        Assert.Equal(1, health.ShardsUnavailable);
    }

    [Fact]
    public void SilentAndDeadNodesCountForNothing()
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Join();
        cluster.Settle();
        DirectoryHealth silent = DirectoryHealth.Of(cluster.View, n => n == new NodeId(2));
        Assert.Equal(("degraded", 1, 0), (silent.Word, silent.NodesLost, silent.ShardsUnavailable));
        Assert.Equal(
            ["65 of 65 shards have fewer copies than promised (down to 2 of 3): 2 nodes are there and 3 are needed; start 1 more, with --join",
                "node 2 (10.0.0.2:7000) is silent"],
            silent.Problems.AsEnumerable());

        cluster.Do(DirectoryOperations.Dead(cluster.View, new NodeId(3)));
        DirectoryHealth lost = DirectoryHealth.Of(cluster.View, n => n == new NodeId(2));
        Assert.Equal(("unavailable", 2, 65), (lost.Word, lost.NodesLost, lost.ShardsUnavailable));
        Assert.Equal("65 of 65 shards have lost their majority and take no writes", lost.Problems[0]);
        Assert.Equal("node 3 (10.0.0.3:7000) is dead", lost.Problems[^1]);
    }
}
