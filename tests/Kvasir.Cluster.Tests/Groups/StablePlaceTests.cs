using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Groups;

/// <summary>Where a replica that moves to another engine is copied.</summary>
public sealed class StablePlaceTests
{
    private static readonly Kvasir.Cluster.Groups.GroupId s_group = new(1);

    /// <summary>What of a replica is copied at a place is what any other one has there, whatever it applied together with what comes behind.</summary>
    [Theory]
    [InlineData(47)]
    [InlineData(48)]
    public void WhatIsStableAtAPlaceIsTheSameInEveryReplica(ulong seed)
    {
        var cluster = new GroupCluster(seed, nodes: 3, groups: 1, new LsmEngineFactory());
        GroupNode leader = cluster.Leader(s_group);
        GroupNode follower = cluster.Nodes.First(n => n != leader);
        SortedDictionary<LogIndex, string> seen = [];
        int ofLeader = 0, ofOthers = 0, unsaid = 0;
        for (int i = 0; i < 2000; i++)
        {
            // One that cannot sync applies what others commit, and is stable behind it.
            if (i % 50 == 0)
                follower.IsStalled = !follower.IsStalled;
            if (cluster.Random.OneIn(3))
                cluster.Write(s_group);
            cluster.Run(TimeSpan.FromMicroseconds(500));
            foreach (GroupNode node in cluster.Nodes)
            {
                if (node.Group(s_group).StablePlace is not { } place)
                {
                    unsaid++;
                    continue;
                }

                (ofLeader, ofOthers) = node == leader ? (ofLeader + 1, ofOthers) : (ofLeader, ofOthers + 1);
                string content = node.Content(s_group, ReadView.Stable);
                if (!seen.TryAdd(place, content))
                    Assert.Equal(seen[place], content);
            }
        }

        Assert.Equal(leader, cluster.Leader(s_group));
        Assert.InRange(seen.Count, 100, int.MaxValue);
        Assert.True(ofLeader > 100 && ofOthers > 100 && unsaid > 0, $"{ofLeader} of the leader, {ofOthers} of others, {unsaid} unsaid");
        follower.IsStalled = false;
        cluster.Settle();
        cluster.Verify();
    }
}
