using Kvasir.Cluster.Administration;
using Kvasir.Simulation.Disks;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>What is said when the cluster keeps less than it promises, and how loudly.</summary>
public sealed class HealthNewsTests
{
    [Fact]
    public void FewerCopiesThanPromisedAreSaidAloudUntilTheyAreThere()
    {
        var world = new ClusterWorld(3);
        ClusterMember first = world.Add();
        world.RunUntil(() => HealthOf(first) is "degraded", "it has one copy of three");
        Assert.Single(first.Announced, a => a.Contains("start 2 more, with --join", StringComparison.Ordinal));
        world.Add();
        world.Add();
        world.RunUntil(() => world.Members.TrueForAll(m => HealthOf(m) == "ok"), "all copies are there");
        Assert.Contains(first.Announced, a => a.Contains("all copies that it promised", StringComparison.Ordinal));
        Assert.Empty(first.Warned);

        world.Members[2].Crash(CrashKind.LoseUnsynced);
        world.RunUntil(() => HealthOf(first) is "degraded", "one is silent");
        Assert.Contains("node 3", first.Announced[^1], StringComparison.Ordinal);
        Assert.Equal(first.Announced[^1], Assert.Single(first.Warned));
        world.Members[2].Restart();
        world.RunUntil(() => world.Members.TrueForAll(m => HealthOf(m) == "ok"), "it is back");
        Assert.Contains("all copies that it promised", first.Announced[^1], StringComparison.Ordinal);
        Assert.Single(first.Warned);
    }

    /// <summary>What a start lacks may be on its way, and is a warning only when it does not come.</summary>
    [Fact]
    public void CopiesThatNeverCameAreWarnedOfOnce()
    {
        var world = new ClusterWorld(4);
        ClusterMember first = world.Add();
        world.RunUntil(() => HealthOf(first) is "degraded", "it has one copy of three");
        Assert.Empty(first.Warned);
        world.RunUntil(() => first.Warned.Count > 0, "it is warned of");
        world.Run(TimeSpan.FromSeconds(60));
        Assert.Contains("start 2 more, with --join", Assert.Single(first.Warned), StringComparison.Ordinal);
    }

    private static string? HealthOf(ClusterMember member) => ((IClusterTopology)member.Node).Health?.Word;
}
