using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>Nodes that were cut off for a while, and what goes on by itself when they are back.</summary>
public sealed class CutOffTests
{
    [Fact]
    public void WhoWasCutOffWhileTheDirectoryMovedToStrangersFindsItAgain()
    {
        var world = new ClusterWorld(22);
        world.Network.NeedsIntroduction = true;
        for (int i = 0; i < 4; i++)
            world.Add();
        world.RunUntil(() => world.Members.TrueForAll(m => m.Node.View.Groups is { Length: > 1 } groups && groups.All(g => g.IsSettled && g.Replicas.Length == 3)), "all have their copies");

        // It is given nothing meanwhile.
        ClusterMember away = world.Members[3];
        Ask(world, (node, done) => node.Drain(away.Id, done));
        world.RunUntil(() => away.Node.View.Node(away.Id)!.State == NodeState.Draining, "it knows");
        foreach (ClusterMember other in world.Members[..3])
        {
            world.Network.Cut(other.Id, away.Id);
            world.Network.Cut(away.Id, other.Id);
        }

        // The first two leave for good, and neither the third nor who is away leads what is left.
        for (int i = 0; i < 3; i++)
        {
            ClusterMember stranger = world.Add();
            world.Network.Cut(stranger.Id, away.Id);
            world.Network.Cut(away.Id, stranger.Id);
        }

        foreach (ClusterMember leaving in world.Members[..2])
        {
            Ask(world, (node, done) => node.Decommission(leaving.Id, done));
            DirectoryView View() => world.Members[4].Node.View;
            world.RunUntil(() => !View().IsMember(View().Node(leaving.Id)!), "it has left");
            leaving.Crash(CrashKind.ProcessKill);
        }

        ClusterMember known = world.Members[2];
        known.Crash(CrashKind.ProcessKill);
        world.RunUntil(() => world.Members[4..].Exists(m => m.Group(GroupId.Directory).IsServing), "a stranger leads");
        known.Restart();
        world.RunUntil(() => known.Node.Host is not null && world.Members[4..].Exists(m => m.Id == known.Group(GroupId.Directory).Leader), "it follows a stranger");
        world.Network.MendAll();
        world.RunUntil(
            () => known.Group(GroupId.Directory).AppliedIndex == away.Group(GroupId.Directory).AppliedIndex && world.Members[4..].TrueForAll(m => away.Node.IsReachable(m.Id)),
            "who was away has heard of them", seconds: 20);
        Assert.Equal(NodeState.Draining, known.Node.View.Node(away.Id)!.State);
    }

    [Fact]
    public void WhoWasTakenOutMeanwhileHearsOfItAndEnds()
    {
        ClusterWorld world = ClusterWorld.OfThree(34);
        ClusterMember away = world.Members[0];
        ClusterMember successor = world.Add();
        world.RunUntil(() => successor.Node.View.Node(successor.Id)?.State == NodeState.Active, "there are enough without it");
        foreach (ClusterMember other in world.Members[1..])
        {
            world.Network.Cut(other.Id, away.Id);
            world.Network.Cut(away.Id, other.Id);
        }

        Ask(world, (node, done) => node.Decommission(away.Id, done));
        DirectoryView View() => successor.Node.View;
        world.RunUntil(() => !View().IsMember(View().Node(away.Id)!), "it has left");
        Assert.Null(away.Node.Refused);
        world.Network.MendAll();
        world.RunUntil(() => away.Node.Refused is not null, "it hears of it", seconds: 20);
        Assert.Contains("was decommissioned", away.Node.Refused, StringComparison.Ordinal);
    }

    /// <summary>It would find itself there, and warn of it.</summary>
    [Fact]
    public void NodesThatComeBackTogetherDoNotAskThemselves()
    {
        for (ulong seed = 60; seed < 70; seed++)
        {
            ClusterWorld world = ClusterWorld.OfThree(seed);
            world.Members.ForEach(static m => m.Stop());
            world.Members.ForEach(static m => m.Restart());
            world.Put(0, "key", "value");
            world.Run(TimeSpan.FromSeconds(2));
            Assert.All(world.Members, static m => Assert.DoesNotContain(m.Link.Address with { Node = NodeId.None }, m.Asked));
        }
    }

    [Fact]
    public void WhoTakesTheAddressOfALostNodeDoesNotLookForThatOneThere()
    {
        ClusterWorld world = ClusterWorld.OfThree(35);
        ClusterMember lost = world.Members[2];
        lost.Crash(CrashKind.LoseUnsynced);
        Assert.Null(world.Ask((node, done) => node.Drain(lost.Id, done)));
        ClusterMember successor = world.Add(at: lost.Link.Address);
        world.RunUntil(() => successor.Node.View.Node(successor.Id)?.State == NodeState.Active, "it is one of the cluster's");
        Assert.Contains(successor.Heard, p => p.Node == world.Members[0].Id);
        Assert.DoesNotContain(successor.Heard, p => p.Node == lost.Id);
    }

    private static void Ask(ClusterWorld world, Action<IClusterAdministration, Action<string?>> question)
    {
        string? answer = "";
        ClusterMember asked = world.Members[^1];
        for (int i = 0; i < 100 && answer is not null; i++)
        {
            answer = "";
            asked.Do(_ => question(asked.Node, error => answer = error));
            world.RunUntil(() => answer != "", "there is an answer");
            world.Run(TimeSpan.FromMilliseconds(100));
        }

        Assert.Null(answer);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void ASnapshotGoesOnWhereItWasWhenTheLinkIsBack(bool isNoticed, bool isOfRows)
    {
        IEngineFactory engines = new LsmEngineFactory();
        var world = new ClusterWorld(46, isOfRows ? new HookedEngineFactory(engines) : engines, journalBytesMax: 256 << 10) { SnapshotBytesPerSecond = 400 << 10 };
        world.MakeThree();
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);

        // Which no engine makes smaller.
        string large = new([.. Enumerable.Range(0, 20_000).Select(_ => (char)('a' + world.Random.Next(26)))]);
        for (int i = 0; i < 300; i++)
            world.Put(0, $"key{i}", large + i);
        world.RunUntil(
            () =>
            {
                world.Put(1, "more", large);
                return world.Members[0].Node.View.Groups.Any(g => world.Members[..2].TrueForAll(
                    m => m.Node.Host!.TryFind(g.Id, out RaftGroup? group) && group.BaseIndex > new LogIndex(50)));
            },
            "the log is cut");
        away.Restart();
        world.RunUntil(() => world.Members[..2].Sum(m => m.Node.Snapshots!.BytesSent) > 1 << 20, "half of it has come");
        ulong[] streams = Streams();
        Assert.NotEmpty(streams);
        for (int round = 0; round < 2; round++)
        {
            foreach (ClusterMember other in world.Members[..2])
            {
                world.Network.Cut(other.Id, away.Id);
                world.Network.Cut(away.Id, other.Id);
                if (!isNoticed)
                    continue;
                ((ITransportListener)other.Node).Disconnected(away.Id);
                ((ITransportListener)away.Node).Disconnected(other.Id);
            }

            world.Run(TimeSpan.FromSeconds(4));
            world.Network.MendAll();
            foreach (ClusterMember other in isNoticed ? world.Members[..2] : [])
            {
                ((ITransportListener)other.Node).Connected(away.Id);
                ((ITransportListener)away.Node).Connected(other.Id);
            }

            world.Run(TimeSpan.FromSeconds(2));
            Assert.Subset(new HashSet<ulong>(Streams()), new HashSet<ulong>(streams));
        }

        world.RunUntil(world.IsLevel, "it has caught up", seconds: 120);
        ulong[] Streams() => [.. world.Members[..2].SelectMany(m => m.Node.Snapshots!.Streams)];
        foreach (var group in world.Members[0].Node.View.Groups)
            Assert.Equal(world.Members[0].Content(group.Id), away.Content(group.Id));
    }
}
