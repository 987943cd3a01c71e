using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Simulation.Disks;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>A node on which a shard that it shall have cannot be opened.</summary>
public sealed class UnopenedShardTests
{
    [Fact]
    public void AShardThatCannotBeOpenedIsSaidOnceAndHoldsUpNoOthers()
    {
        ClusterWorld world = ClusterWorld.OfThree(81);
        Create(world, "before");
        world.RunUntil(() => world.Members.TrueForAll(m => m.Node.Host!.Groups.Count == 6), "all have the shard");
        ClusterMember full = world.Members[2];
        GroupId next = new(world.Members[0].Node.View.Groups.Max(g => g.Id.Value) + 1);
        full.Disk.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.CreateFolder, $"/data/replicas/{next}"));
        Create(world, "first");
        Create(world, "second");
        Assert.Null(world.Ask((asked, done) => asked.DropKeyspace("before", done)));

        // The second is opened, and the one that was dropped goes: it may be what fills the disk.
        world.RunUntil(
            () => full.Node.View.Groups.Where(g => g.Id != next).Select(g => g.Id).SequenceEqual(full.Node.Host!.Groups.Select(g => g.Id)), "all but one are as they shall be");
        world.Run(TimeSpan.FromSeconds(5));
        string said = Assert.Single(full.Announced, a => a.Contains("cannot be opened", StringComparison.Ordinal));
        Assert.StartsWith($"shard {next} ", said, StringComparison.Ordinal);
        Assert.Equal(1, ((IClusterTopology)full.Node).Health?.ShardsUnderReplicated);

        // Its leader misses it, too, and goes on doing so: the shard does not sleep without it.
        ClusterMember leader = Assert.Single(world.Members[..2], m => m.Group(next).IsServing);
        for (int i = 0; i < 3; i++)
        {
            DirectoryHealth? health = ((IClusterTopology)leader.Node).Health;
            Assert.Equal((1, 0), (health?.ShardsUnderReplicated, health?.NodesLost));
            world.Run(TimeSpan.FromSeconds(2));
        }

        full.Disk.Faults.Clear();
        world.RunUntil(() => full.Node.Host!.TryFind(next, out _) && world.IsWhole(), "it is opened when there is room");
        world.RunUntil(() => world.Members.TrueForAll(m => ((IClusterTopology)m.Node).Health?.Word == "ok"), "it has all copies, and all say so");
    }

    private static void Create(ClusterWorld world, string name) =>
        Assert.Null(world.Ask((asked, done) => asked.CreateKeyspace(new KeyspaceRequest { Name = name, Shards = 1 }, done)));
}
