using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>
/// Of a node's journal one segment cannot be read any more: that is told, the logs begin behind it as soon as the engines' files hold what it
/// says, and who would need its entries gets a snapshot.
/// </summary>
public sealed class UnreadableJournalTests
{
    private const string Segment = "00000000000000000003.segment";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AFollowerThatNeedsWhatCannotBeReadGetsASnapshot(bool isDamaged)
    {
        ClusterWorld world = ClusterWorld.OfThree(51, new LsmEngineFactory());
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        for (int i = 0; i < 600; i++)
            world.Put(0, $"key{i}", ClusterWorld.Large + i);
        foreach (ClusterMember member in world.Members[..2])
            Break(member, isDamaged);
        away.Restart();
        world.RunUntil(() => away.Node.Host is not null && world.IsLevel(), "it has caught up", seconds: 120);
        world.AssertSameContent();
        ClusterMember[] asked = [.. world.Members[..2].Where(HasTold)];
        Assert.NotEmpty(asked);
        Assert.All(asked, static m => Assert.Single(m.Announced, static a => a.Contains(Segment, StringComparison.Ordinal)));

        // It is rid of the segment, says so, and can be started again.
        world.RunUntil(() => asked.All(static m => !m.Disk.FileExists("/data/journal/" + Segment)), "the segment is let go");
        world.RunUntil(() => asked.All(static m => m.Node.Host!.Journal.Unreadable is null), "nothing is left that cannot be read");
        world.RunUntil(() => asked.All(static m => m.Announced.Exists(static a => a.Contains("no longer needs", StringComparison.Ordinal))), "they say so");
        world.Run(TimeSpan.FromSeconds(2));
        foreach (ClusterMember member in asked)
        {
            member.Crash(CrashKind.LoseUnsynced);
            member.Restart();
        }

        Assert.Equal(ClusterWorld.Large + 599, world.Get(0, "key599"));
        Assert.Equal(ClusterWorld.Large + 100, world.Get(0, "key100"));
    }

    [Fact]
    public void ACopyWhoseOwnEntriesAreDamagedIsStoppedAndItsNodeLives()
    {
        ClusterWorld world = Restarted(52, out ClusterMember member);
        Break(member, isDamaged: true);
        GroupId shard = world.Members[0].Node.View.Groups.First(static g => g.Id != GroupId.Directory).Id;
        world.RunUntil(() => member.Group(shard).IsOut, "its copy is stopped");
        world.RunUntil(
            () => member.Announced.Exists(a => a.StartsWith($"shard {shard}: /data/journal/{Segment} is damaged", StringComparison.Ordinal)), "it says so");
        Assert.Equal(ClusterWorld.Large + 599, world.Get(0, "key599"));
        Assert.All(world.Members[..2], static m => Assert.DoesNotContain(m.Node.Host!.Groups, static g => g.IsOut));
    }

    [Fact]
    public void WhomTheDiskDoesNotGiveItsOwnEntriesWaitsAndSaysSo()
    {
        ClusterWorld world = Restarted(53, out ClusterMember member);
        Break(member, isDamaged: false);
        world.RunUntil(() => member.Node.Host!.Groups.Any(static g => g.ApplyFailure?.Contains(Segment, StringComparison.Ordinal) == true), "its status says why");
        world.Run(TimeSpan.FromSeconds(5));
        Assert.Single(member.Announced, static a => a.Contains(Segment, StringComparison.Ordinal));
        Assert.DoesNotContain(member.Node.Host!.Groups, static g => g.IsOut);
        member.Disk.Faults.Clear();
        world.RunUntil(() => world.IsLevel(), "it has caught up");
        world.AssertSameContent();
    }

    /// <summary>Of this member the engines have nothing yet of what its journal says.</summary>
    private static ClusterWorld Restarted(ulong seed, out ClusterMember member)
    {
        ClusterWorld world = ClusterWorld.OfThree(seed, new LsmEngineFactory());
        for (int i = 0; i < 600; i++)
            world.Put(0, $"key{i}", ClusterWorld.Large + i);
        world.RunUntil(world.IsLevel, "all have it");
        member = world.Members[2];
        member.Crash(CrashKind.LoseUnsynced);
        member.Restart();
        return world;
    }

    private static bool HasTold(ClusterMember member) => member.Announced.Exists(static a => a.Contains(Segment, StringComparison.Ordinal));

    private static void Break(ClusterMember member, bool isDamaged)
    {
        string path = "/data/journal/" + Segment;
        Assert.True(member.Disk.FileExists(path));
        if (!isDamaged)
        {
            member.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Read, Segment));
            return;
        }

        for (int offset = 10_000; offset < member.Disk.FileLength(path); offset += 3000)
            member.Disk.FlipBit(path, offset, 3);
    }
}
