using Kvasir.Cluster.Groups;

namespace Kvasir.Cluster.Tests.Groups;

/// <summary>What becomes of writes whose leader leads no more before it saw them committed.</summary>
public sealed class DoubtTests
{
    private static readonly GroupId s_group = GroupId.Directory;

    [Fact]
    public void WhoHearsOfNoOtherLeaderSaysInTimeThatNobodyKnows()
    {
        var cluster = new GroupCluster(33, nodes: 3, groups: 1);
        GroupNode old = cluster.Leader(s_group);
        cluster.Run(TimeSpan.FromMilliseconds(100));
        cluster.Cut(old);
        TestWrite write = old.Write(s_group);
        cluster.RunUntil(() => write.IsLost, "the old leader has given up");
        cluster.Run(new GroupHostOptions().DoubtPatience - TimeSpan.FromMilliseconds(500));
        Assert.False(write.IsUnresolved);
        cluster.Run(TimeSpan.FromMilliseconds(600));
        Assert.True(write.IsUnresolved);
        cluster.Settle();
        Assert.False(write.IsAcknowledged);
        cluster.Verify();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void OfManyThatAreInDoubtThoseThatReachedTheOthersAreDone(bool isSeenByOne)
    {
        var cluster = new GroupCluster(34, nodes: 3, groups: 1);
        GroupNode old = cluster.Leader(s_group);
        cluster.Run(TimeSpan.FromMilliseconds(100));
        GroupNode[] others = [.. cluster.Nodes.Where(n => n != old)];
        foreach (GroupNode other in others)
            cluster.Network.Cut(other.Id, old.Id);
        TestWrite[] reached = [.. Enumerable.Range(0, 3).Select(_ => old.Write(s_group))];
        cluster.Run(TimeSpan.FromMilliseconds(20));
        cluster.Network.Cut(old.Id, others[0].Id);
        if (!isSeenByOne)
            cluster.Network.Cut(old.Id, others[1].Id);
        TestWrite[] behind = [.. Enumerable.Range(0, 3).Select(_ => old.Write(s_group))];
        cluster.RunUntil(() => behind[2].IsLost, "the old leader has given up");
        GroupNode next = cluster.Leader(s_group, n => n != old);
        TestWrite later = next.Write(s_group);
        cluster.Settle();
        Assert.True(later.IsAcknowledged);
        Assert.All(reached, w => Assert.True(w.IsAcknowledged));

        // One voter alone has them beside the old leader: who has more is elected, or the other one is, before it hears of that.
        Assert.All(behind, w => Assert.True(w.IsAcknowledged != w.IsOverruled));
        Assert.True(isSeenByOne || behind[0].IsOverruled);
        cluster.Verify();
    }
}
