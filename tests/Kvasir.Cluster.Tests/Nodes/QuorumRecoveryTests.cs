using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class QuorumRecoveryTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void OneNodeOfThreeGoesOnAlone(int survivor)
    {
        ClusterWorld world = ClusterWorld.OfThree(51, new LsmEngineFactory());
        for (int i = 0; i < 20; i++)
            world.Put(i % 2, $"key{i}", $"value{i}");
        world.RunUntil(world.IsLevel, "all have everything");
        ClusterMember left = world.Members[survivor];
        ulong cluster = ((IClusterTopology)left.Node).ClusterId;
        foreach (ClusterMember member in world.Members)
            member.Crash(CrashKind.LoseUnsynced);

        using (QuorumRecovery recovery = OpenFolderOf(left))
        {
            Assert.Equal(left.Id.Value, recovery.Node);
            Assert.Equal(5, recovery.Copies.Count);
            Assert.All(recovery.Copies, c => Assert.True(c is { CanGoOn: true, IsVoter: true, IsAlone: false }));
            recovery.Commit(newCluster: 77);
        }

        // A second time changes nothing.
        using (QuorumRecovery recovery = OpenFolderOf(left))
        {
            Assert.All(recovery.Copies, c => Assert.True(c.IsAlone));
            recovery.Commit(newCluster: 78);
        }

        left.Restart();
        for (int i = 0; i < 20; i++)
            Assert.Equal($"value{i}", world.Get(i % 2, $"key{i}"));
        world.Put(0, "key0", "afterwards");
        world.Put(1, "key1", "afterwards");
        Assert.Equal(78UL, ((IClusterTopology)left.Node).ClusterId);
        Assert.NotEqual(cluster, ((IClusterTopology)left.Node).ClusterId);
    }

    [Fact]
    public void FreshNodesTakeThePlacesOfTheLost()
    {
        ClusterWorld world = ClusterWorld.OfThree(52, new LsmEngineFactory());
        world.Put(0, "a", "1");
        world.RunUntil(world.IsLevel, "all have everything");
        foreach (ClusterMember member in world.Members)
            member.Crash(CrashKind.LoseUnsynced);
        ClusterMember left = world.Members[0];
        using (QuorumRecovery recovery = OpenFolderOf(left))
            recovery.Commit(newCluster: 77);
        left.Restart();
        world.Put(0, "b", "2");
        world.Add();
        world.Add();
        world.RunUntil(() => left.Node.View.Nodes.ToArray().Count(n => n.Id.Value > 3 && n.State == NodeState.Active) == 2, "the new ones can hold copies");
        foreach (ulong lost in new ulong[] { 2, 3 })
        {
            string? refused = "";
            left.Node.Mailbox.Post(new ActionItem(_ => ((IClusterAdministration)left.Node).Decommission(new NodeId(lost), answer => refused = answer)));
            world.RunUntil(() => refused is not "", "the decommission is answered");
            Assert.Null(refused);
        }

        ulong[] expected = [1, 4, 5];
        world.RunUntil(
            () => left.Node.View.Groups.All(g => g.IsSettled && g.Replicas.Select(r => r.Value).Order().SequenceEqual(expected)),
            "the new ones have their copies", seconds: 120);
        left.Crash(CrashKind.LoseUnsynced);
        Assert.Equal(("1", "2"), (world.Get(0, "a"), world.Get(0, "b")));
    }

    [Fact]
    public void OtherFoldersAreRefused()
    {
        using NodeInMemory world = new();
        var environment = new NodeEnvironment(world.Disk, new SimulatedScheduler(new SeededRandom(1)), [new LsmEngineFactory()], 1);
        StorageException refused = Assert.Throws<StorageException>(() => QuorumRecovery.Open("/data", environment));
        Assert.Contains("is not the folder of a cluster's node", refused.Message, StringComparison.Ordinal);
    }

    private static QuorumRecovery OpenFolderOf(ClusterMember member) =>
        QuorumRecovery.Open("/data", new NodeEnvironment(member.Disk, new SimulatedScheduler(new SeededRandom(1)), [new LsmEngineFactory()], 1));
}
