using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class ReplicaRuleTests
{
    private static readonly NodeId s_self = new(2);
    private static readonly GroupId s_group = new(2);

    [Theory]
    // Founders, replicas, settled; what is here; what is to be done.
    [InlineData("1 2 3", "1 2 3", false, ReplicaTrace.None, ReplicaDuty.Found)]
    [InlineData("1 2 3", "1 2 3", true, ReplicaTrace.None, ReplicaDuty.Found)]
    [InlineData("1 2 3", "1 3 4", false, ReplicaTrace.None, ReplicaDuty.Found)]
    [InlineData("1 2 3", "1 3 4", true, ReplicaTrace.None, ReplicaDuty.Nothing)]
    [InlineData("1 2 3", "1 2 3", true, ReplicaTrace.Copy, ReplicaDuty.Keep)]
    [InlineData("1", "1 2 3", false, ReplicaTrace.None, ReplicaDuty.Join)]
    [InlineData("1", "1 2 3", true, ReplicaTrace.None, ReplicaDuty.Join)]
    // What was removed never comes back, whatever an old view says.
    [InlineData("1", "1 2 3", true, ReplicaTrace.Removed, ReplicaDuty.Nothing)]
    [InlineData("1 2 3", "1 2 3", true, ReplicaTrace.Removed, ReplicaDuty.Nothing)]
    [InlineData("1", "1 3", false, ReplicaTrace.None, ReplicaDuty.Nothing)]
    [InlineData("1", "1 3", true, ReplicaTrace.Removed, ReplicaDuty.Nothing)]
    [InlineData("1 2 3", "1 3 4", false, ReplicaTrace.Removed, ReplicaDuty.Nothing)]
    // Not named any more is not enough.
    [InlineData("1 2 3", "1 3 4", false, ReplicaTrace.Copy, ReplicaDuty.Keep)]
    [InlineData("1 2 3", "1 3 4", true, ReplicaTrace.Copy, ReplicaDuty.Remove)]
    public void ANodeHasToDoAsTheRecordSays(string founders, string replicas, bool settled, ReplicaTrace trace, ReplicaDuty duty)
    {
        DirectoryView view = ViewOf(founders, replicas, settled);
        Assert.Equal(duty, ReplicaRule.Decide(view, s_self, s_group, trace, generation: 0, isViewFresh: true));
        ReplicaDuty stale = duty == ReplicaDuty.Remove ? ReplicaDuty.Keep : duty;
        Assert.Equal(stale, ReplicaRule.Decide(view, s_self, s_group, trace, generation: 0, isViewFresh: false));
    }

    [Theory]
    // Named in epoch 9 as which copy (-: not at all), settled; which one is here; what is to be done.
    [InlineData("4", true, ReplicaTrace.None, 0, ReplicaDuty.Join)]
    [InlineData("4", true, ReplicaTrace.Removed, 3, ReplicaDuty.Join)]
    [InlineData("4", true, ReplicaTrace.Removed, 4, ReplicaDuty.Nothing)]
    [InlineData("4", true, ReplicaTrace.Removed, 7, ReplicaDuty.Nothing)]
    [InlineData("-", true, ReplicaTrace.Removed, 4, ReplicaDuty.Nothing)]
    [InlineData("4", false, ReplicaTrace.Copy, 4, ReplicaDuty.Keep)]
    // The group had settled without the earlier one, or no other would be named.
    [InlineData("4", false, ReplicaTrace.Copy, 3, ReplicaDuty.Remove)]
    [InlineData("4", true, ReplicaTrace.Copy, 0, ReplicaDuty.Remove)]
    [InlineData("-", true, ReplicaTrace.Copy, 4, ReplicaDuty.Remove)]
    [InlineData("-", false, ReplicaTrace.Copy, 4, ReplicaDuty.Keep)]
    // A record from before the copy was wanted says nothing of it.
    [InlineData("-", true, ReplicaTrace.Copy, 9, ReplicaDuty.Keep)]
    [InlineData("4", true, ReplicaTrace.Copy, 12, ReplicaDuty.Keep)]
    public void AnotherCopyIsAnotherMember(string named, bool settled, ReplicaTrace trace, uint generation, ReplicaDuty duty)
    {
        var draft = new DirectoryDraft(new Clusters(databases: 1).View);
        draft.Put(draft.View.Group(s_group)! with
        {
            Founders = [s_self],
            Replicas = named == "-" ? [new NodeId(1)] : [new NodeId(1), s_self],
            Generations = named == "-" ? [] : [0, uint.Parse(named)],
            Epoch = 9,
            SettledEpoch = settled ? 9UL : 8,
        });
        Assert.Equal(duty, ReplicaRule.Decide(draft.View, s_self, s_group, trace, generation, isViewFresh: true));
    }

    [Fact]
    public void WhatWasDroppedGoesAndWhatIsNotKnownYetStays()
    {
        Clusters cluster = new(databases: 1);
        cluster.Do(DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "a", Shards = 1 }));
        DirectoryView before = new Clusters(databases: 1).View;
        GroupId id = cluster.View.KeyspaceByName("a")!.Groups[0]!.Id;
        Assert.Equal(ReplicaDuty.Keep, ReplicaRule.Decide(before, s_self, id, ReplicaTrace.Copy, generation: 0, isViewFresh: true));
        cluster.Do(DirectoryOperations.DropKeyspace(cluster.View, "a"));
        Assert.Equal(ReplicaDuty.Remove, ReplicaRule.Decide(cluster.View, s_self, id, ReplicaTrace.Copy, generation: 0, isViewFresh: true));
        Assert.Equal(ReplicaDuty.Keep, ReplicaRule.Decide(cluster.View, s_self, id, ReplicaTrace.Copy, generation: 0, isViewFresh: false));
        Assert.Equal(ReplicaDuty.Nothing, ReplicaRule.Decide(cluster.View, s_self, id, ReplicaTrace.None, generation: 0, isViewFresh: true));
    }

    [Fact]
    public void TheDirectoryIsEverywhere()
    {
        Assert.Equal(ReplicaDuty.Join, ReplicaRule.Decide(DirectoryView.Empty, s_self, GroupId.Directory, ReplicaTrace.None, generation: 0, isViewFresh: false));
        Assert.Equal(ReplicaDuty.Keep, ReplicaRule.Decide(new Clusters().View, s_self, GroupId.Directory, ReplicaTrace.Copy, generation: 0, isViewFresh: true));
    }

    private static DirectoryView ViewOf(string founders, string replicas, bool settled)
    {
        var draft = new DirectoryDraft(new Clusters(databases: 1).View);
        draft.Put(draft.View.Group(s_group)! with
        {
            Founders = [.. Nodes(founders)],
            Replicas = [.. Nodes(replicas)],
            Epoch = 3,
            SettledEpoch = settled ? 3UL : 0,
        });
        return draft.View;
    }

    private static IEnumerable<NodeId> Nodes(string text) => text.Split(' ').Select(n => new NodeId(ulong.Parse(n)));
}
