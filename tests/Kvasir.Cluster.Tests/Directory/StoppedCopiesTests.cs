using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class StoppedCopiesTests
{
    private static readonly GroupId s_group = new(2);

    [Fact]
    public void WhereThereIsNoOtherNodeAnotherCopyIsMadeOnTheSame()
    {
        Clusters cluster = Of(3);
        GroupRecord before = cluster.Group(2);
        CopyReplacement replacement = Next(cluster, Told(cluster, (2, 3)))!.Value;
        Assert.Equal(new CopyReplacement(s_group, before.MemberOn(new NodeId(3)), new NodeId(3)), replacement);
        GroupRecord after = cluster.Group(2);
        Assert.Equal(before.Replicas.AsEnumerable(), after.Replicas);
        Assert.Equal((before.Epoch + 1, (uint)before.Epoch), (after.Epoch, after.MemberOn(new NodeId(3)).Generation));
        Assert.Equal(before.MemberOn(new NodeId(1)), after.MemberOn(new NodeId(1)));
        Assert.Empty(after.Leaving);

        // What is told of the one before means nothing any more.
        cluster.SettleGroups();
        Assert.Null(Next(cluster, Told(cluster, (2, 3, (int)before.MemberOn(new NodeId(3)).Generation))));
    }

    [Fact]
    public void AnotherNodeIsPreferredAndTheStoppedCopyLeaves()
    {
        Clusters cluster = Of(4);
        NodeId other = cluster.View.Nodes.Select(n => n.Id).Single(id => !cluster.Group(2).IsReplica(id));
        NodeId stopped = cluster.Group(2).Replicas[1];
        CopyReplacement replacement = Next(cluster, Told(cluster, (2, (int)stopped.Value)))!.Value;
        Assert.Equal((other, stopped), (replacement.On, GroupMember.NodeOf(replacement.Stopped)));
        Assert.Equal([replacement.Stopped], cluster.Group(2).Leaving.AsEnumerable());
        Assert.True(cluster.Group(2).IsReplica(other) && !cluster.Group(2).IsReplica(stopped));
    }

    [Fact]
    public void OneAtATime()
    {
        Clusters cluster = Of(3);
        StoppedCopies stopped = Told(cluster, (2, 1), (3, 1), (4, 2));
        Assert.Equal(new GroupId(2), Next(cluster, stopped)!.Value.Group);
        Assert.Null(Next(cluster, stopped));
        cluster.SettleGroups();
        Assert.Equal(new GroupId(3), Next(cluster, stopped)!.Value.Group);
        Assert.Null(Next(cluster, stopped));
        cluster.SettleGroups();
        Assert.Equal(new GroupId(4), Next(cluster, stopped)!.Value.Group);
    }

    [Fact]
    public void OneThatStopsBeforeItVotesIsReplacedToo()
    {
        Clusters cluster = Of(3);
        Assert.NotNull(Next(cluster, Told(cluster, (2, 3))));
        MemberId second = cluster.Group(2).MemberOn(new NodeId(3));
        StoppedCopies stopped = Told(cluster, (2, 3));
        Assert.Equal(second, Next(cluster, stopped)!.Value.Stopped);
        Assert.True(cluster.Group(2).MemberOn(new NodeId(3)).Generation > second.Generation);
        Assert.Empty(cluster.Group(2).Leaving);
    }

    [Theory]
    // Who is silent, and which copies of the shard are stopped.
    [InlineData("2", "3")]
    [InlineData("", "1 3")]
    [InlineData("1 2", "3")]
    public void NotWithoutAMajorityOfGoodCopies(string silent, string stopped)
    {
        Clusters cluster = Of(3);
        GroupRecord before = cluster.Group(2);
        int[] away = [.. silent.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
        Assert.Null(Next(cluster, Told(cluster, [.. stopped.Split(' ').Select(n => (2, int.Parse(n)))]), away));
        Assert.Equal(before, cluster.Group(2));
    }

    [Fact]
    public void AShardThatCannotBeHealedHoldsUpNoOther()
    {
        Clusters cluster = Of(3);
        Assert.Equal(new GroupId(3), Next(cluster, Told(cluster, (2, 1), (2, 2), (3, 1)))!.Value.Group);
    }

    [Fact]
    public void WhoeverIsNamedAgainWhileAStoppedCopyLeavesIsAnother()
    {
        Clusters cluster = Of(4);
        NodeId stopped = cluster.Group(2).Replicas[1];
        StoppedCopies copies = Told(cluster, (2, (int)stopped.Value));
        NodeId other = Next(cluster, copies)!.Value.On;

        // The one that was to take its place dies before the group has settled.
        cluster.Do(DirectoryOperations.Dead(cluster.View, other));
        Next(cluster, copies);
        Assert.Equal(3, cluster.Group(2).Replicas.Length);
        Assert.True(cluster.Group(2).MemberOn(stopped).Generation > 0);
        Assert.DoesNotContain(cluster.Group(2).Leaving, m => GroupMember.NodeOf(m) == stopped);
    }

    [Fact]
    public void TheDirectoryItselfAndItsSettingAreLeftAlone()
    {
        Clusters cluster = Of(3);
        Assert.Null(Next(cluster, Told(cluster, (1, 2))));
        Assert.Null(Next(cluster, Told(cluster, (2, 2)), settings: new UpkeepSettings { ReplacesStopped = false }));
    }

    [Fact]
    public void WhatIsNotToldAgainIsForgottenAndWhatStopsAgainWaitsLonger()
    {
        StoppedCopies copies = new();
        MemberId member = GroupMember.Of(new NodeId(3), 4);
        copies.Tell(new NodeId(3), [new StoppedCopy(s_group, 4)], TimeSpan.FromSeconds(1));
        Assert.True(copies.IsStopped(s_group, member) && !copies.IsStopped(s_group, GroupMember.Of(new NodeId(3), 5)));
        copies.Forget(TimeSpan.FromSeconds(3));
        Assert.True(copies.IsStopped(s_group, member));
        copies.Forget(TimeSpan.FromSeconds(10));
        Assert.True(copies.IsEmpty);

        TimeSpan now = TimeSpan.FromSeconds(10);
        List<double> pauses = [];
        for (int i = 0; i < 10; i++)
        {
            Assert.True(copies.IsDue(s_group, now));
            copies.Replaced(s_group, now);
            TimeSpan at = now;
            while (!copies.IsDue(s_group, now))
                now += TimeSpan.FromSeconds(1);
            pauses.Add((now - at).TotalSeconds);
        }

        Assert.Equal([5, 10, 20, 40, 80, 160, 320, 600, 600, 600], pauses);
        copies.Replaced(s_group, now + TimeSpan.FromHours(2));
        Assert.True(copies.IsDue(s_group, now + TimeSpan.FromHours(2) + TimeSpan.FromSeconds(5)));
        Assert.True(copies.IsDue(new GroupId(9), TimeSpan.Zero));
    }

    private static Clusters Of(int nodes)
    {
        Clusters cluster = new(databases: 1);
        for (int i = 1; i < nodes; i++)
            cluster.Join();
        cluster.Settle();
        return cluster;
    }

    private static StoppedCopies Told(Clusters cluster, params (int Group, int Node)[] copies) =>
        Told(cluster, [.. copies.Select(c => (c.Group, c.Node, (int)cluster.Group((uint)c.Group).MemberOn(new NodeId((ulong)c.Node)).Generation))]);

    private static StoppedCopies Told(Clusters cluster, params (int Group, int Node, int Generation)[] copies)
    {
        Assert.NotEmpty(cluster.View.Groups);
        StoppedCopies told = new();
        foreach ((int group, int node, int generation) in copies)
            told.Tell(new NodeId((ulong)node), [new StoppedCopy(new GroupId((uint)group), (uint)generation)], TimeSpan.Zero);
        return told;
    }

    private static CopyReplacement? Next(Clusters cluster, StoppedCopies stopped, int[]? silent = null, UpkeepSettings? settings = null)
    {
        NodeStanding[] standings = [.. cluster.View.Nodes.Select(n =>
            new NodeStanding(n.Id, silent?.Contains((int)n.Id.Value) == true ? TimeSpan.FromSeconds(10) : TimeSpan.Zero, HasDirectory: true))];
        if (cluster.View.Nodes.Any(n => n.State == NodeState.Dead))
            standings = [.. standings.Where(s => cluster.View.Node(s.Node)!.State != NodeState.Dead)];
        cluster.Do(DirectoryUpkeep.Next(cluster.View, standings, settings ?? new UpkeepSettings(), stopped, TimeSpan.Zero, out CopyReplacement? replacement));
        return replacement;
    }
}
