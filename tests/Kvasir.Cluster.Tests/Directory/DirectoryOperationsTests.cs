using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class DirectoryOperationsTests
{
    [Theory]
    [InlineData(0, "a:1", "a:2", 4, 3, "not 0")]
    [InlineData(1, "a", "a:2", 4, 3, "where other nodes reach it")]
    [InlineData(1, ":1", "a:2", 4, 3, "where other nodes reach it")]
    [InlineData(1, "a:70000", "a:2", 4, 3, "where other nodes reach it")]
    [InlineData(1, "a:1", "a:0", 4, 3, "where clients reach it")]
    [InlineData(1, "a:1", "a b:2", 4, 3, "where clients reach it")]
    [InlineData(1, "a:1", "a:2", 3, 3, "power of two")]
    [InlineData(1, "a:1", "a:2", 4, 2, "odd")]
    public void AClusterIsNotFoundedOnNonsense(ulong id, string peer, string resp, int shards, int replicas, string reason)
    {
        DirectoryDecision decision = DirectoryOperations.Found(new FoundRequest
        {
            ClusterId = id,
            Node = new JoinRequest { Identity = 1, PeerAddress = peer, RespAddress = resp },
            ShardsPerDatabase = shards,
            Replicas = replicas,
        });
        Assert.Contains(reason, decision.Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void TheSameFolderGetsTheSameNumberHoweverOftenItAsks()
    {
        Clusters cluster = new();
        JoinRequest request = Clusters.Request(9, "zone=a");
        cluster.Do(DirectoryOperations.Join(cluster.View, request, out NodeId first));
        cluster.Do(DirectoryOperations.Join(cluster.View, request, out NodeId again));
        Assert.Equal(new NodeId(2), first);
        Assert.Equal(first, again);
        Assert.Equal(NodeState.Joining, cluster.View.Node(first)?.State);

        cluster.Do(DirectoryOperations.Activate(cluster.View, first));
        JoinRequest moved = request with { Node = first, ClusterId = 77, PeerAddress = "elsewhere:1", RespAddress = "elsewhere:2", Locality = Locality.None };
        cluster.Do(DirectoryOperations.Join(cluster.View, moved, out again));
        NodeRecord node = cluster.View.Node(first)!;
        Assert.Equal(first, again);
        Assert.Equal(("elsewhere:1", "elsewhere:2", Locality.None), (node.PeerAddress, node.RespAddress, node.Locality));
        Assert.Equal((NodeState.Active, 3UL), (node.State, node.Incarnation));
        Assert.Equal(2, cluster.View.Nodes.Length);
    }

    [Fact]
    public void NumbersAreNotGivenTwice()
    {
        Clusters cluster = new();
        cluster.Do(DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "a", Shards = 2 }));
        KeyspaceShards a = cluster.View.KeyspaceByName("a")!;
        cluster.Do(DirectoryOperations.DropKeyspace(cluster.View, "a"));
        Assert.True(cluster.View.IsDropped(a.Groups[0]!.Id));
        Assert.False(cluster.View.IsDropped(new GroupId(a.Groups[1]!.Id.Value + 1)));
        cluster.Do(DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "a", Shards = 2 }));
        KeyspaceShards b = cluster.View.KeyspaceByName("a")!;
        Assert.True(b.Record.Id > a.Record.Id);
        Assert.True(b.Groups[0]!.Id > a.Groups[1]!.Id);

        NodeId two = cluster.Join();
        cluster.Do(DirectoryOperations.Decommission(cluster.View, two, force: false));
        Assert.Equal(new NodeId(3), cluster.Join());
    }

    [Fact]
    public void AKnownFolderMayComeBackAtAnothersAddress()
    {
        Clusters cluster = new();
        NodeId two = cluster.Join();
        JoinRequest moved = Clusters.Request(2) with { PeerAddress = "10.0.0.1:7000" };
        cluster.Do(DirectoryOperations.Join(cluster.View, moved, out NodeId id));
        Assert.Equal(two, id);
        Assert.Equal("10.0.0.1:7000", cluster.View.Node(two)!.PeerAddress);
        Assert.Equal(NodeState.Active, cluster.View.Node(new NodeId(1))!.State);
    }

    public static TheoryData<string, JoinRequest> Strangers()
    {
        JoinRequest request = Clusters.Request(9);
        return new TheoryData<string, JoinRequest>
        {
            { "belongs to the cluster 0000000000000005, and this is 000000000000004d", request with { ClusterId = 5 } },
            { "says that it is node 2, whose folder is another one", request with { ClusterId = 77, Node = new NodeId(2) } },
            { "is the address of node 1, which is active", request with { PeerAddress = "10.0.0.1:7000" } },
            { "no address of a node", request with { PeerAddress = "10.0.0.9" } },
            { "no address of a node", request with { RespAddress = "" } },
            { "no address of a node", request with { HttpAddress = "http" } },
            { "was decommissioned", Clusters.Request(3) },
        };
    }

    [Theory]
    [MemberData(nameof(Strangers))]
    public void AStrangerIsTurnedAwayWithAReason(string reason, JoinRequest request)
    {
        Clusters cluster = new();
        cluster.Join();
        NodeId gone = cluster.Join();
        cluster.Do(DirectoryOperations.Decommission(cluster.View, gone, force: true));
        cluster.Settle();
        DirectoryDecision decision = DirectoryOperations.Join(cluster.View, request, out NodeId id);
        Assert.Contains(reason, decision.Refusal, StringComparison.Ordinal);
        Assert.Empty(decision.Changes);
        Assert.True(id.IsNone);
    }

    [Fact]
    public void NobodyJoinsWhatIsNotFounded() =>
        Assert.Contains("no cluster yet", DirectoryOperations.Join(DirectoryView.Empty, Clusters.Request(1), out _).Refusal, StringComparison.Ordinal);

    [Fact]
    public void ANodeThatIsDrainedAndEmptiedComesBackUnderANewNumberAndTheOldOneIsDead()
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Join();
        cluster.Settle();
        cluster.Do(DirectoryOperations.Drain(cluster.View, new NodeId(3)));
        JoinRequest emptied = Clusters.Request(9) with { PeerAddress = "10.0.0.3:7000" };
        cluster.Do(DirectoryOperations.Join(cluster.View, emptied, out NodeId id));
        Assert.Equal(new NodeId(4), id);
        Assert.Equal(NodeState.Dead, cluster.View.Node(new NodeId(3))?.State);

        // It was heard of a moment ago, before its folder was emptied.
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [new NodeStanding(new NodeId(3), TimeSpan.Zero, HasDirectory: true)], new UpkeepSettings()));
        Assert.Equal(NodeState.Dead, cluster.View.Node(new NodeId(3))?.State);
        cluster.Do(DirectoryOperations.Activate(cluster.View, id));
        cluster.Settle();
        Assert.All(cluster.View.Groups, g => Assert.Equal([1UL, 2, 4], g.Replicas.Select(n => n.Value)));

        // Nobody waits for it any more.
        Assert.Equal(NodeState.Decommissioned, cluster.View.Node(new NodeId(3))?.State);
        Assert.False(cluster.View.IsMember(cluster.View.Node(new NodeId(3))!));

        // Nor calls it where another lives, while something else moves.
        cluster.Join();
        cluster.Settle();
        cluster.Do(DirectoryOperations.Decommission(cluster.View, new NodeId(2), force: false));
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [], new UpkeepSettings()));
        Assert.Contains(cluster.View.Groups, g => !g.IsSettled);
        Assert.True(cluster.View.IsReplaced(cluster.View.Node(new NodeId(3))!));
        Assert.False(cluster.View.IsReplaced(cluster.View.Node(new NodeId(2))!));
    }

    [Fact]
    public void ANodeThatWasTakenForDeadIsThereAgainWhenItIsHeardOf()
    {
        Clusters cluster = new();
        for (int i = 0; i < 3; i++)
            cluster.Join();
        cluster.Settle();
        cluster.Do(DirectoryOperations.Dead(cluster.View, new NodeId(3)));
        cluster.Settle();
        Assert.All(cluster.View.Groups, g => Assert.False(g.IsReplica(new NodeId(3))));
        NodeStanding silent = new(new NodeId(3), TimeSpan.FromMinutes(9), HasDirectory: true);
        Assert.Empty(DirectoryUpkeep.Next(cluster.View, [silent], new UpkeepSettings()).Changes);
        NodeStanding behind = new(new NodeId(3), TimeSpan.Zero, HasDirectory: false);
        Assert.Empty(DirectoryUpkeep.Next(cluster.View, [behind], new UpkeepSettings()).Changes);
        NodeStanding there = new(new NodeId(3), TimeSpan.Zero, HasDirectory: true);
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [there], new UpkeepSettings()));
        Assert.Equal(NodeState.Joining, cluster.View.Node(new NodeId(3))?.State);
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [there], new UpkeepSettings()));
        Assert.Equal(NodeState.Active, cluster.View.Node(new NodeId(3))?.State);
    }

    [Fact]
    public void ANodeThatLeavesIsSpokenWithUntilEveryGroupHasSettledWithoutIt()
    {
        Clusters cluster = new();
        for (int i = 0; i < 3; i++)
            cluster.Join();
        cluster.Settle();
        cluster.Do(DirectoryOperations.Decommission(cluster.View, new NodeId(2), force: false));
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [], new UpkeepSettings()));
        cluster.Do(DirectoryOperations.Join(cluster.View, Clusters.Request(2), out NodeId id));
        Assert.Equal((new NodeId(2), NodeState.Decommissioned), (id, cluster.View.Node(id)!.State));
        Assert.Contains(JoinReply.Accept(cluster.View, id).Nodes, n => n.Node == id);
        cluster.Settle();
        Assert.False(cluster.View.IsMember(cluster.View.Node(id)!));
        Assert.Contains("was decommissioned", DirectoryOperations.Join(cluster.View, Clusters.Request(2), out _).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void ADrainedNodeThatStartsAgainIsActive()
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Do(DirectoryOperations.Drain(cluster.View, new NodeId(2)));
        Assert.Equal(NodeState.Draining, cluster.View.Node(new NodeId(2))?.State);
        cluster.Do(DirectoryOperations.Join(cluster.View, Clusters.Request(2), out _));
        Assert.Equal(NodeState.Active, cluster.View.Node(new NodeId(2))?.State);
    }

    [Fact]
    public void ADeadNodeThatStartsAgainIsBack()
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Join();
        cluster.Settle();
        cluster.Do(DirectoryOperations.Dead(cluster.View, new NodeId(3)));
        // Nobody can take its place: it has it still.
        cluster.Settle();
        Assert.True(cluster.Group(2).IsReplica(new NodeId(3)));
        cluster.Do(DirectoryOperations.Join(cluster.View, Clusters.Request(3) with { Node = new NodeId(3), ClusterId = 77 }, out NodeId id));
        Assert.Equal((new NodeId(3), NodeState.Active), (id, cluster.View.Node(id)!.State));
    }

    [Fact]
    public void ADeadNodeWhosePlacesWereTakenMustCatchUpFirst()
    {
        Clusters cluster = new();
        for (int i = 0; i < 3; i++)
            cluster.Join();
        cluster.Settle();
        cluster.Do(DirectoryOperations.Dead(cluster.View, new NodeId(3)));
        cluster.Settle();
        Assert.All(cluster.View.Groups, g => Assert.Equal([1UL, 2, 4], g.Replicas.Select(n => n.Value)));
        cluster.Do(DirectoryOperations.Join(cluster.View, Clusters.Request(3), out NodeId id));
        Assert.Equal((new NodeId(3), NodeState.Joining), (id, cluster.View.Node(id)!.State));
    }

    [Theory]
    [InlineData("drain 1", "the last one")]
    [InlineData("drain 9", "there is no node 9")]
    [InlineData("decommission 1", "the last one")]
    [InlineData("dead 1", "the last one")]
    [InlineData("drop nothing", "there is no keyspace 'nothing'")]
    [InlineData("drop system", "the cluster's own")]
    [InlineData("drop db3", "SELECT 3")]
    [InlineData("leader 2 7", "holds no copy")]
    [InlineData("leader 99 1", "there is no group 99")]
    [InlineData("swap 0 16", "out of range")]
    [InlineData("swap -1 0", "out of range")]
    public void WhatOneNodeAloneCannotDoIsRefused(string words, string reason) =>
        Assert.Contains(reason, Ask(new Clusters(), words).Refusal, StringComparison.Ordinal);

    [Theory]
    [InlineData("drain 2", "", "")]
    [InlineData("activate 2", "drain 2", "")]
    [InlineData("activate 2", "dead 2", "comes back by starting")]
    [InlineData("activate 2", "force 2", "is decommissioned")]
    [InlineData("drain 2", "dead 2", "is dead")]
    [InlineData("drain 1", "drain 2; drain 3", "the last one")]
    [InlineData("dead 1", "dead 2; force 3", "the last one")]
    [InlineData("dead 2", "force 2", "is decommissioned")]
    [InlineData("decommission 3", "", "64 shards would have fewer copies than promised, with 2 nodes left")]
    [InlineData("force 3", "", "")]
    [InlineData("decommission 3", "join", "")]
    [InlineData("decommission 3", "dead 3", "")]
    [InlineData("leader 2 3", "", "")]
    [InlineData("leader 2 3", "drain 3", "is draining")]
    [InlineData("leader 2 0", "drain 3", "")]
    [InlineData("swap 3 5", "", "")]
    public void AmongThreeNodes(string words, string before, string reason)
    {
        Clusters cluster = new();
        cluster.Join();
        cluster.Join();
        cluster.Settle();
        foreach (string step in before.Split("; ", StringSplitOptions.RemoveEmptyEntries))
        {
            if (step == "join")
                cluster.Join();
            else
                cluster.Do(Ask(cluster, step));
        }

        DirectoryDecision decision = Ask(cluster, words);
        if (reason.Length == 0)
            cluster.Do(decision);
        else
            Assert.Contains(reason, decision.Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void SwappedDatabasesAreFoundUnderEachOthersIndex()
    {
        Clusters cluster = new();
        cluster.Do(DirectoryOperations.SwapDatabases(cluster.View, 3, 5));
        Assert.Equal(("db5", "db3"), (cluster.View.KeyspaceOfDatabase(3)!.Record.Name, cluster.View.KeyspaceOfDatabase(5)!.Record.Name));
        Assert.Empty(DirectoryOperations.SwapDatabases(cluster.View, 3, 3).Changes);
    }

    [Fact]
    public void ReportsOfOtherEpochsAndGroupsArePassedOver()
    {
        Clusters cluster = new();
        Assert.Empty(DirectoryOperations.Settle(cluster.View, [new GroupReport(new GroupId(2), 2), new GroupReport(new GroupId(999), 1)]).Changes);
        DirectoryDecision decision = DirectoryOperations.Settle(cluster.View, [new GroupReport(new GroupId(2), 1), new GroupReport(new GroupId(2), 1)]);
        Assert.Single(decision.Changes);
        cluster.Do(decision);
        Assert.True(cluster.Group(2).IsSettled);
        Assert.Empty(DirectoryOperations.Settle(cluster.View, [new GroupReport(new GroupId(2), 1)]).Changes);
    }

    [Fact]
    public void ANodeThatIsNamedAnewIsTheSameMemberUntilTheGroupHasSettledWithoutIt()
    {
        Clusters cluster = new();
        Move("1 2 3");
        cluster.SettleGroups();
        string first = Members();
        Assert.Equal("1 2.1 3.1", first);
        Move("1 2 4");
        Assert.Equal(("1 2.1 4.2", "3.1"), (Members(), Leaving()));
        Move("1 2 3");
        Assert.Equal((first, "4.2"), (Members(), Leaving()));
        Move("2 4 5");
        Assert.Equal(("2.1 4.2 5.4", "1 3.1"), (Members(), Leaving()));
        cluster.SettleGroups();
        Assert.Equal(("2.1 4.2 5.4", ""), (Members(), Leaving()));
        Move("1 2 3");
        Assert.Equal(("1.5 2.1 3.5", "4.2 5.4"), (Members(), Leaving()));

        // Copies of the directory are never removed.
        Move("1 2 3", GroupId.Directory);
        cluster.SettleGroups();
        Move("4 5 6", GroupId.Directory);
        Assert.Equal("4 5 6", string.Join(' ', cluster.View.Group(GroupId.Directory)!.Members));
        Assert.Empty(cluster.View.Group(GroupId.Directory)!.Leaving);

        string Members() => string.Join(' ', cluster.Group(2).Members);

        string Leaving() => string.Join(' ', cluster.Group(2).Leaving);

        void Move(string nodes, GroupId? group = null)
        {
            var draft = new DirectoryDraft(cluster.View);
            draft.Put(Placement.Moved(cluster.View.Group(group ?? new GroupId(2))!, nodes.Split(' ').Select(n => new NodeId(ulong.Parse(n)))));
            cluster.Do(draft.Grant());
        }
    }

    [Fact]
    public void AKeyspaceIsFoundedWhereThereIsRoomAndNeverWithOneThatJoins()
    {
        Clusters cluster = new();
        cluster.Join("zone=b");
        cluster.Join("zone=c", activate: false);
        cluster.Do(DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "users", Shards = 8 }));
        foreach (GroupRecord? group in cluster.View.KeyspaceByName("users")!.Groups)
        {
            Assert.Equal([1UL, 2], group!.Replicas.Select(n => n.Value));
            Assert.Equal(group.Replicas.AsEnumerable(), group.Founders);
            Assert.False(group.IsSettled);
        }
    }

    private static DirectoryDecision Ask(Clusters cluster, string words)
    {
        string[] parts = words.Split(' ');
        ulong number = parts.Length > 1 && ulong.TryParse(parts[1], out ulong read) ? read : 0;
        DirectoryView view = cluster.View;
        return parts[0] switch
        {
            "drain" => DirectoryOperations.Drain(view, new NodeId(number)),
            "activate" => DirectoryOperations.Activate(view, new NodeId(number)),
            "dead" => DirectoryOperations.Dead(view, new NodeId(number)),
            "decommission" => DirectoryOperations.Decommission(view, new NodeId(number), force: false),
            "force" => DirectoryOperations.Decommission(view, new NodeId(number), force: true),
            "drop" => DirectoryOperations.DropKeyspace(view, parts[1]),
            "leader" => DirectoryOperations.SetPreferredLeader(view, new GroupId((uint)number), new NodeId(ulong.Parse(parts[2]))),
            "swap" => DirectoryOperations.SwapDatabases(view, int.Parse(parts[1]), int.Parse(parts[2])),
            _ => throw new ArgumentException(words, nameof(words)),
        };
    }
}
