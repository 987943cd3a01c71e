using FsCheck;
using FsCheck.Fluent;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class PlacementTests
{
    private static readonly string[] s_zones = ["", "zone=a", "zone=b", "zone=c", "region=eu,zone=a", "region=eu,zone=b", "region=us,zone=a"];

    private static readonly Gen<Step> s_step =
        from verb in Gen.Frequency((5, Gen.Constant(Verb.Join)), (3, Gen.Elements(Enum.GetValues<Verb>())))
        from node in Gen.Choose(0, 20)
        from choice in Gen.Choose(0, 20)
        select new Step(verb, node, choice);

    private static readonly Arbitrary<Step[]> s_story =
        Gen.Choose(1, 25).SelectMany(n => Gen.ListOf(s_step, n)).Select(l => l.ToArray()).ToArbitrary();

    [Fact]
    public void WhateverComesAndGoesCopiesEndUpWhereTheyBelong() =>
        Prop.ForAll(s_story, steps =>
        {
            Clusters cluster = new(databases: 2);
            foreach (Step step in steps)
            {
                Do(cluster, step, zones: true);
                cluster.Settle(new UpkeepSettings { MovesMax = 1 + (step.Choice % 4) });
                CopiesAreWhereTheyBelong(cluster.View);
                CopiesAreApart(cluster.View);
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void WherePlacesDoNotMatterNodesHaveEquallyManyGiveOrTakeOne() =>
        Prop.ForAll(s_story, steps =>
        {
            Clusters cluster = new(databases: 3);
            foreach (Step step in steps)
                Do(cluster, step, zones: false);
            cluster.Settle();
            CopiesAreWhereTheyBelong(cluster.View);
            int[] copies = [.. cluster.View.Nodes.Where(n => n.State == NodeState.Active).Select(n => CopiesOf(cluster.View, n.Id))];
            Assert.True(copies.Length == 0 || copies.Max() - copies.Min() <= 1, string.Join(" ", copies));
            LeadersAreSpread(cluster.View);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void WhoFoundedAGroupDoesNotChangeAndNewReplicasAreANewEpoch() =>
        Prop.ForAll(s_story, steps =>
        {
            Clusters cluster = new(databases: 2);
            foreach (Step step in steps)
            {
                DirectoryView before = cluster.View;
                Do(cluster, step, zones: true);
                cluster.Do(DirectoryUpkeep.Next(cluster.View, [], new UpkeepSettings()));
                foreach (GroupRecord group in cluster.View.Groups)
                {
                    if (before.Group(group.Id) is not { } was)
                        continue;
                    Assert.Equal(was.Founders.AsEnumerable(), group.Founders);
                    Assert.Equal(was.Replicas.SequenceEqual(group.Replicas), was.Epoch == group.Epoch);
                    Assert.Equal(was.SettledEpoch, group.SettledEpoch);
                }

                if (step.Choice % 2 == 0)
                    cluster.SettleGroups();
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void TheSameStoryEndsInTheSameBytes() =>
        Prop.ForAll(s_story, steps =>
        {
            string[] ends = [Told(steps), Told(steps)];
            Assert.Equal(ends[0], ends[1]);
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    public void ANewcomerTakesItsShareAndNothingElseMoves(int nodes)
    {
        Clusters cluster = new();
        for (int i = 1; i < nodes; i++)
            cluster.Join();
        cluster.Settle();
        DirectoryView before = cluster.View;
        NodeId newcomer = cluster.Join();
        cluster.Settle();
        int moved = 0;
        foreach (GroupRecord group in cluster.View.Groups.Where(g => g.Id != GroupId.Directory))
        {
            NodeId[] added = [.. group.Replicas.Except(before.Group(group.Id)!.Replicas)];
            Assert.True(added.Length == 0 || added.SequenceEqual([newcomer]), $"group {group.Id}: {string.Join(" ", added)}");
            moved += added.Length;
        }

        Assert.Equal(64 * 3 / (nodes + 1), moved);
    }

    [Fact]
    public void ThreeNodesHaveEverythingAndLeadAThirdEach()
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Join();
        cluster.Settle();
        Assert.All(cluster.View.Groups, g => Assert.Equal([1UL, 2, 3], g.Replicas.Select(n => n.Value)));
        int[] leads = [.. cluster.View.Nodes.Select(n => cluster.View.Groups.Count(g => g.PreferredLeader == n.Id))];
        Assert.Equal([21, 21, 22], leads.Order());
        Assert.True(cluster.Group(1).PreferredLeader.IsNone);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void EveryKeyspaceIsLedByAllNodes(bool oneByOne)
    {
        Clusters cluster = new();
        cluster.Join();
        if (oneByOne)
            cluster.Settle();
        cluster.Join();
        cluster.Settle();
        foreach (KeyspaceShards keyspace in cluster.View.Keyspaces.Where(k => !k.Record.IsSystem))
        {
            GroupRecord?[] groups = keyspace.Groups.ToArray();
            int[] leads = [.. cluster.View.Nodes.Select(n => groups.Count(g => g!.PreferredLeader == n.Id))];
            Assert.True(leads.Order().SequenceEqual([1, 1, 2]), $"{keyspace.Record.Name}: {string.Join(" ", leads)}");
        }
    }

    [Theory]
    [InlineData("zone=a", "zone=a", "zone=b", "zone=c")]
    [InlineData("zone=a", "zone=a", "zone=a", "zone=b", "zone=c", "zone=c")]
    [InlineData("region=eu,zone=a", "region=eu,zone=b", "region=us,zone=a", "region=us,zone=b", "region=us,zone=b", "region=asia,zone=a")]
    public void CopiesAreOneInEachPlaceWhereThereAreEnough(params string[] places)
    {
        Clusters cluster = new(locality: places[0]);
        foreach (string place in places[1..])
        {
            cluster.Join(place);
            cluster.Settle();
        }

        foreach (GroupRecord group in cluster.View.Groups.Where(g => g.Id != GroupId.Directory))
            Assert.Equal(3, group.Replicas.Select(id => cluster.View.Node(id)!.Locality.Labels[0]).Distinct().Count());
    }

    [Fact]
    public void ADrainMovesLeadersAndNoCopies()
    {
        Clusters cluster = new();
        for (int i = 0; i < 4; i++)
            cluster.Join();
        cluster.Settle();
        DirectoryView before = cluster.View;
        cluster.Do(DirectoryOperations.Drain(cluster.View, new NodeId(3)));
        cluster.Settle();
        foreach (GroupRecord group in cluster.View.Groups)
        {
            Assert.Equal(before.Group(group.Id)!.Replicas.AsEnumerable(), group.Replicas);
            Assert.NotEqual(new NodeId(3), group.PreferredLeader);
        }

        LeadersAreSpread(cluster.View);
    }

    [Fact]
    public void ADeathMovesOnlyWhatTheDeadNodeHad()
    {
        Clusters cluster = new();
        for (int i = 0; i < 5; i++)
            cluster.Join();
        cluster.Settle();
        DirectoryView before = cluster.View;
        cluster.Do(DirectoryOperations.Dead(cluster.View, new NodeId(2)));
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [], new UpkeepSettings { MovesMax = 0 }));
        foreach (GroupRecord group in cluster.View.Groups)
        {
            NodeId[] stayed = [.. before.Group(group.Id)!.Replicas.Where(n => n != new NodeId(2))];
            Assert.All(stayed, n => Assert.Contains(n, group.Replicas));
            Assert.Equal(before.Group(group.Id)!.Replicas.Length, group.Replicas.Length);
            Assert.Equal(before.Group(group.Id)!.IsReplica(new NodeId(2)), !group.IsSettled);
        }
    }

    [Fact]
    public void ThoseWhoDirectAreThreeOrFive()
    {
        Clusters cluster = new(databases: 1);
        int[] voters = new int[8];
        for (int nodes = 1; nodes <= 7; nodes++)
        {
            cluster.Settle();
            voters[nodes] = cluster.Group(1).Replicas.Length;
            cluster.Join();
        }

        Assert.Equal([0, 1, 2, 3, 3, 5, 5, 5], voters);
    }

    [Fact]
    public void AChoiceOfAPersonStaysUntilItCannotBe()
    {
        Clusters cluster = new();
        for (int i = 0; i < 3; i++)
            cluster.Join();
        cluster.Settle();
        NodeId chosen = cluster.Group(2).Replicas[2];
        GroupId[] all = [.. cluster.View.Groups.Where(g => g.IsReplica(chosen) && g.Id != GroupId.Directory).Select(g => g.Id)];
        foreach (GroupId id in all)
            cluster.Do(DirectoryOperations.SetPreferredLeader(cluster.View, id, chosen));
        cluster.Settle();
        Assert.All(all, id => Assert.Equal(chosen, cluster.View.Group(id)!.PreferredLeader));

        cluster.Do(DirectoryOperations.SetPreferredLeader(cluster.View, all[0], NodeId.None));
        cluster.Settle();
        Assert.NotEqual(chosen, cluster.View.Group(all[0])!.PreferredLeader);

        cluster.Do(DirectoryOperations.Drain(cluster.View, chosen));
        cluster.Settle();
        Assert.DoesNotContain(cluster.View.Groups, g => g.PreferredLeader == chosen || g.IsLeaderPinned);
    }

    [Fact]
    public void OnlySoManyMovesForBalanceAreUnderWay()
    {
        Clusters cluster = new();
        for (int i = 0; i < 5; i++)
            cluster.Join();
        cluster.Settle();
        cluster.Join();
        var settings = new UpkeepSettings { MovesMax = 5 };
        for (int i = 0; i < 3; i++)
            cluster.Do(DirectoryUpkeep.Next(cluster.View, [], settings));
        Assert.Equal(5, cluster.View.Groups.Count(g => !g.IsSettled));
    }

    [Fact]
    public void ArrivalsAreLetInAndTheSilentAreGivenUpOneByOneAndOnlyWhileMostAreHeardOf()
    {
        Clusters cluster = new();
        for (int i = 0; i < 4; i++)
            cluster.Join();
        NodeId arriving = cluster.Join(activate: false);
        cluster.Settle();
        var settings = new UpkeepSettings { DeadAfter = TimeSpan.FromMinutes(1) };
        Assert.Empty(Next(cluster, settings, (6, 0, false)).Changes);
        Assert.Empty(Next(cluster, settings, (6, 3, true)).Changes);
        cluster.Do(Next(cluster, settings, (6, 0, true)));
        Assert.Equal(NodeState.Active, cluster.View.Node(arriving)?.State);
        cluster.Settle();

        Assert.Empty(Next(cluster, settings, (2, 59, true), (3, 59, true)).Changes);
        Assert.Empty(Next(cluster, settings, (2, 60, true), (3, 60, true), (4, 60, true)).Changes);
        cluster.Do(Next(cluster, settings, (3, 60, true), (2, 61, true)));
        Assert.Equal([2UL], cluster.View.Nodes.Where(n => n.State == NodeState.Dead).Select(n => n.Id.Value));
        cluster.Do(Next(cluster, settings, (3, 60, true)));
        Assert.Equal([2UL, 3], cluster.View.Nodes.Where(n => n.State == NodeState.Dead).Select(n => n.Id.Value));

        cluster.Settle();
        cluster.Do(DirectoryOperations.Drain(cluster.View, new NodeId(4)));
        cluster.Settle();
        Assert.Empty(Next(cluster, settings, (4, 600, false)).Changes);
    }

    private static DirectoryDecision Next(Clusters cluster, UpkeepSettings settings, params (ulong Node, int Silent, bool Has)[] standings) =>
        DirectoryUpkeep.Next(cluster.View, [.. standings.Select(s => new NodeStanding(new NodeId(s.Node), TimeSpan.FromSeconds(s.Silent), s.Has))], settings);

    private static string Told(Step[] steps)
    {
        Clusters cluster = new(databases: 2);
        foreach (Step step in steps)
        {
            Do(cluster, step, zones: true);
            cluster.Settle();
        }

        return string.Join('\n', cluster.View.Groups.Select(g => $"{g.Id}: {string.Join(" ", g.Replicas)} led by {g.PreferredLeader}, {g.Epoch}"));
    }

    /// <summary>Refusals are part of the story.</summary>
    private static void Do(Clusters cluster, Step step, bool zones)
    {
        DirectoryView view = cluster.View;
        var node = new NodeId((ulong)(1 + (step.Node % view.Nodes.Length)));
        DirectoryDecision decision;
        switch (step.Verb)
        {
            case Verb.Join when view.Nodes.Count(n => n.IsServing) < 9:
                cluster.Join(zones ? s_zones[step.Choice % s_zones.Length] : "");
                return;
            case Verb.Drain:
                decision = DirectoryOperations.Drain(view, node);
                break;
            case Verb.Activate:
                decision = DirectoryOperations.Activate(view, node);
                break;
            case Verb.Dead:
                decision = DirectoryOperations.Dead(view, node);
                break;
            case Verb.Return:
                NodeRecord back = view.Node(node)!;
                decision = DirectoryOperations.Join(view, Clusters.Request(back.Identity, back.Locality.ToString()), out _);
                break;
            case Verb.Decommission:
                decision = DirectoryOperations.Decommission(view, node, force: step.Choice % 2 == 0);
                break;
            case Verb.Create:
                decision = DirectoryOperations.CreateKeyspace(view,
                    new KeyspaceRequest { Name = "k" + step.Choice, Shards = 1 << (step.Node % 4), Replicas = 1 + (step.Choice % 3 * 2) });
                break;
            case Verb.Drop:
                decision = DirectoryOperations.DropKeyspace(view, "k" + step.Choice);
                break;
            default:
                return;
        }

        if (!decision.IsRefused)
            cluster.Do(decision);
    }

    private static void CopiesAreWhereTheyBelong(DirectoryView view)
    {
        NodeId[] takers = [.. view.Nodes.Where(n => n.State == NodeState.Active).Select(n => n.Id)];
        foreach (GroupRecord group in view.Groups)
        {
            int wanted = group.Id == GroupId.Directory ? (view.Nodes.Count(n => n.IsServing) >= 5 ? 5 : 3) : view.Keyspace(group.Keyspace)!.Record.Replicas;
            Assert.Equal(group.Replicas.Distinct().Order(), group.Replicas.AsEnumerable());
            NodeId[] present = [.. group.Replicas.Where(id => view.Node(id)!.IsServing)];
            Assert.True(present.Length == Math.Min(wanted, present.Union(takers).Count()), $"{group.Id} is on {string.Join(" ", group.Replicas)}");
            Assert.True(group.Replicas.Length <= Math.Max(1, wanted));
            Assert.True(present.Length == 0 || group.Replicas.All(id => view.Node(id)!.State != NodeState.Decommissioned));
        }
    }

    /// <summary>No place has two copies, of which one may move, while another place with a node for it has none.</summary>
    private static void CopiesAreApart(DirectoryView view)
    {
        foreach (GroupRecord group in view.Groups.Where(g => g.Id != GroupId.Directory && g.Replicas.All(id => view.Node(id)!.IsServing)))
        {
            NodeRecord[] replicas = [.. group.Replicas.Select(id => view.Node(id)!)];
            foreach (NodeRecord from in replicas.Where(n => n.State == NodeState.Active))
            {
                if (replicas.Count(n => n.Locality.Equals(from.Locality)) < 2)
                    continue;
                foreach (NodeRecord to in view.Nodes.Where(n => n.State == NodeState.Active))
                {
                    Assert.True(replicas.Any(n => n.Locality.Equals(to.Locality)) || Distance(replicas, from, from) >= Distance(replicas, from, to),
                        $"{group.Id} is on {string.Join(" ", group.Replicas)}, {from.Id} ({from.Locality}) could be {to.Id} ({to.Locality})");
                }
            }
        }
    }

    private static int Distance(NodeRecord[] replicas, NodeRecord without, NodeRecord with) =>
        replicas.Where(n => n != without).Sum(n => n.Locality.DistanceTo(with.Locality));

    private static void LeadersAreSpread(DirectoryView view)
    {
        foreach (GroupRecord group in view.Groups.Where(g => g.Id != GroupId.Directory))
        {
            NodeId[] able = [.. group.Replicas.Where(id => view.Node(id)!.State == NodeState.Active)];
            if (able.Length == 0)
                continue;
            Assert.Contains(group.PreferredLeader, able);
            Assert.All(able, id => Assert.True(LeadsOf(view, group.PreferredLeader) - LeadsOf(view, id) < 2 || group.IsLeaderPinned));
        }
    }

    private static int CopiesOf(DirectoryView view, NodeId node) => view.Groups.Count(g => g.Id != GroupId.Directory && g.IsReplica(node));

    private static int LeadsOf(DirectoryView view, NodeId node) => view.Groups.Count(g => g.Id != GroupId.Directory && g.PreferredLeader == node);

    private enum Verb
    {
        Join,
        Drain,
        Activate,
        Dead,
        Return,
        Decommission,
        Create,
        Drop,
    }

    private sealed record Step(Verb Verb, int Node, int Choice);
}
