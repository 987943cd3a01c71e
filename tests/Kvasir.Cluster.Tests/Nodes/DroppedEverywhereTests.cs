using System.Text;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Nodes;
using Kvasir.Simulation.Disks;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>When a node says that a keyspace is dropped, no other that can be asked has it any more.</summary>
public sealed class DroppedEverywhereTests
{
    [Fact]
    public void ADropIsAnsweredWhenNobodyHasTheKeyspaceAnyMore()
    {
        ClusterWorld world = ClusterWorld.OfThree(61);
        foreach (ClusterMember leader in world.Members)
        {
            foreach (ClusterMember other in world.Members.Where(m => m != leader))
                world.Network.Slow(leader.Id, other.Id, other.Id.Value * 20);
        }

        for (int i = 0; i < 5; i++)
        {
            Assert.Null(world.Ask((asked, answer) => asked.CreateKeyspace(new KeyspaceRequest { Name = "users", Shards = 1 }, answer)));
            world.RunUntil(() => world.Members.TrueForAll(Has), "all have it");
            Assert.Null(world.Ask(static (asked, answer) => asked.DropKeyspace("users", answer)));
            Assert.DoesNotContain(world.Members, Has);
        }
    }

    [Fact]
    public void WhoCannotBeReachedHoldsUpNobody()
    {
        ClusterWorld world = ClusterWorld.OfThree(62);
        Assert.Null(world.Ask((asked, answer) => asked.CreateKeyspace(new KeyspaceRequest { Name = "users", Shards = 1 }, answer)));
        world.RunUntil(() => world.Members.TrueForAll(Has), "all have it");
        world.Members[2].Crash(CrashKind.LoseUnsynced);
        TimeSpan before = world.Events.Now;
        Assert.Null(world.Ask(static (asked, answer) => asked.DropKeyspace("users", answer)));
        Assert.False(Has(world.Members[0]));
        Assert.True(world.Events.Now - before < TimeSpan.FromSeconds(3), $"{world.Events.Now - before}");
    }

    private static bool Has(ClusterMember member) => ((IClusteredNode)member.Node).Router.FindDatabase(Encoding.UTF8.GetBytes("users")) >= 0;
}
