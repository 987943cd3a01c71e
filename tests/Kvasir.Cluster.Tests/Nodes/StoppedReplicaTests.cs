using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>Copies that are damaged, or differ, stop; and the cluster makes others.</summary>
public sealed class StoppedReplicaTests
{
    [Fact]
    public void ACopyThatDiffersIsMadeAnewWhereThereIsNoOtherNode()
    {
        ClusterWorld world = Filled(1, nodes: 3, out GroupId shard);
        ClusterMember wrong = world.Members.First(m => !m.Group(shard).IsServing);
        MemberId before = wrong.Group(shard).Member.Id;
        Spoil(world, wrong, shard);
        world.RunUntil(() => wrong.Node.Host!.TryFind(shard, out RaftGroup? group) && group.Member.Id.Generation > before.Generation, "it is made anew", seconds: 20);
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it has caught up");
        Assert.Empty(((IClusterTopology)wrong.Node).Stopped);
        Assert.Contains(world.Members, m => m.Announced.Contains($"shard {shard}: the copy on node {wrong.Id} is stopped, and is made anew"));
        Assert.Single(wrong.Warned, w => w.StartsWith($"shard {shard}: ", StringComparison.Ordinal) && w.Contains("another copy is made", StringComparison.Ordinal));
        Assert.All(world.Members, m => Assert.DoesNotContain(m.Warned, w => w.EndsWith("is made anew", StringComparison.Ordinal)));
        Assert.All(world.Members, m => Assert.Equal(world.Members[0].Content(shard), m.Content(shard)));
        Assert.True(wrong.Group(shard).Configuration.IsVoter(wrong.Group(shard).Member.Id));
        Assert.Equal(3, wrong.Group(shard).Configuration.Voters.Length);

        // And so after a start.
        foreach (ClusterMember member in world.Members)
            member.Crash(CrashKind.LoseUnsynced);
        foreach (ClusterMember member in world.Members)
            member.Restart();
        Assert.Equal("value1", world.Get(0, "key1"));
        Assert.True(wrong.Group(shard).Member.Id.Generation > before.Generation);
        world.RunUntil(() => world.Members.TrueForAll(m => m.Node.View.Groups.Length > 1 && ((IClusterTopology)m.Node).Health?.Word == "ok"), "all is well");
    }

    [Fact]
    public void AGroupThatSleepsWakesWhenItsLeadersCopyIsMadeAnew()
    {
        ClusterWorld world = Filled(7, nodes: 3, out GroupId shard);
        ClusterMember leader = world.Members.Single(m => m.Group(shard).IsServing);
        MemberId before = leader.Group(shard).Member.Id;
        world.RunUntil(() => world.Members.TrueForAll(m => m.Group(shard).IsQuiet), "it sleeps");
        leader.Do(_ => leader.Group(shard).Damaged(new CorruptionException("a table", 0, "so the test says")));
        world.RunUntil(() => leader.Node.Host!.TryFind(shard, out RaftGroup? group) && group.Member.Id.Generation > before.Generation, "it is made anew", seconds: 20);
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it has caught up");
        Assert.All(world.Members, m => Assert.Equal(world.Members[0].Content(shard), m.Content(shard)));
    }

    [Fact]
    public void AGroupThatSleepsWakesWhenItsLeadersCopyIsMadeElsewhere()
    {
        ClusterWorld world = Filled(8, nodes: 4, out GroupId shard);
        ClusterMember leader = world.Members.Single(m => m.Node.Host!.TryFind(shard, out RaftGroup? group) && group.IsServing);
        ClusterMember[] keepers = [.. world.Members.Where(m => m.Node.Host!.TryFind(shard, out _))];
        world.RunUntil(() => Array.TrueForAll(keepers, m => m.Group(shard).IsQuiet), "it sleeps");
        leader.Do(_ => leader.Group(shard).Damaged(new CorruptionException("a table", 0, "so the test says")));
        world.RunUntil(
            () => world.Members[0].Node.View.Group(shard) is { IsSettled: true } record && !record.IsReplica(leader.Id), "another has it", seconds: 30);
        world.RunUntil(() => !leader.Node.Host!.TryFind(shard, out _), "it is gone here");
        world.Put(0, "key1", "new");
        ClusterMember other = world.Members.Single(m => m != leader && !keepers.Contains(m));
        world.RunUntil(() => other.Group(shard).AppliedIndex == other.Group(shard).LastIndex && other.Content(shard) == keepers.First(m => m != leader).Content(shard), "it has caught up");
    }

    [Fact]
    public void AnotherNodeTakesThePlaceOfACopyThatDiffers()
    {
        ClusterWorld world = Filled(2, nodes: 4, out GroupId shard);
        ClusterMember wrong = world.Members.First(m => m.Node.Host!.TryFind(shard, out RaftGroup? group) && !group.IsServing);
        ClusterMember other = world.Members.Single(m => !m.Node.Host!.TryFind(shard, out _));
        Spoil(world, wrong, shard);
        world.RunUntil(
            () => world.Members[0].Node.View.Group(shard) is { IsSettled: true } record && record.IsReplica(other.Id) && !record.IsReplica(wrong.Id),
            "the other has it", seconds: 20);
        world.RunUntil(() => !wrong.Node.Host!.TryFind(shard, out _), "it is gone here");
        world.Put(0, "key1", "new");
        world.RunUntil(() => other.Group(shard).AppliedIndex == other.Group(shard).LastIndex, "it has caught up");
        Assert.Empty(((IClusterTopology)wrong.Node).Stopped);
    }

    [Fact]
    public void WithoutAMajorityOfGoodCopiesNothingIsTouched()
    {
        ClusterWorld world = Filled(3, nodes: 3, out GroupId shard);
        ClusterMember leader = world.Members.Single(m => m.Group(shard).IsServing);
        ClusterMember away = world.Members.First(m => m != leader);
        ClusterMember wrong = world.Members.Last(m => m != leader);
        away.Crash(CrashKind.LoseUnsynced);
        world.Run(TimeSpan.FromSeconds(3));
        wrong.Group(shard).Replica.Engine.AssumeDigest(new StateDigest(666));
        world.Put(0, "key1", "value1");
        world.RunUntil(() => wrong.Group(shard).IsOut, "it is found out");
        GroupRecord before = leader.Node.View.Group(shard)!;
        world.Run(TimeSpan.FromSeconds(20));
        Assert.Equal(before, leader.Node.View.Group(shard));
        Assert.True(wrong.Group(shard).IsOut);
        away.Restart();
        world.RunUntil(() => wrong.Node.Host!.TryFind(shard, out RaftGroup? group) && !group.IsOut, "it is made anew");
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it has caught up");
        Assert.Equal("value1", world.Get(0, "key1"));
    }

    [Theory]
    [InlineData("MANIFEST", false)]
    [InlineData("CURRENT", true)]
    [InlineData(".sst", true)]
    [InlineData(".sst", false)]
    public void AFileThatIsDamagedAtTheStartStopsItsReplicaAndNoOther(string file, bool isMissing)
    {
        ClusterWorld world = Filled(4, nodes: 3, out GroupId shard);
        ClusterMember rotten = world.Members[1];
        rotten.Flush(shard);
        rotten.Crash(CrashKind.LoseUnsynced);
        string[] paths = [.. rotten.Disk.Paths.Where(p => p.StartsWith($"/data/replicas/{shard}/", StringComparison.Ordinal) && p.Contains(file, StringComparison.Ordinal))];
        Assert.True(paths.Length > 0, string.Join(' ', rotten.Disk.Paths));
        foreach (string path in paths)
        {
            if (isMissing)
                rotten.Disk.Delete(path);
            for (long at = rotten.Disk.FileExists(path) ? rotten.Disk.FileLength(path) - 1 : -1; at >= 0; at -= 7)
                rotten.Disk.FlipBit(path, at, 3);
        }

        world.Upkeep = new UpkeepSettings { ReplacesStopped = false };
        foreach (ClusterMember other in world.Members.Where(m => m != rotten))
        {
            other.Crash(CrashKind.LoseUnsynced);
            other.Restart();
        }

        rotten.Restart();
        world.RunUntil(() => rotten.Node.Host is not null, "it is there");
        world.RunUntil(() => world.Members.TrueForAll(m => m.Node.Host?.Groups.Any(g => !g.IsOut && !g.Leader.IsNone) == true), "the others serve");
        Read(rotten, shard);
        world.RunUntil(() => rotten.Group(shard).IsOut, "it is stopped");
        Assert.Equal([shard], ((IClusterTopology)rotten.Node).Stopped.Select(s => s.Group));
        for (int i = 0; i < 100; i++)
            Assert.Equal($"value{i}", world.Get(0, $"key{i}"));
        world.RunUntil(() => rotten.Announced.Exists(a => a.StartsWith($"shard {shard}: ", StringComparison.Ordinal) && a.Contains("another copy is made", StringComparison.Ordinal)), "it is said");
        Assert.DoesNotContain(rotten.Node.Host!.Groups, g => g.IsOut && g.Id != shard);

        // As ever after another start; and then it heals.
        rotten.Crash(CrashKind.LoseUnsynced);
        rotten.Restart();
        world.RunUntil(() => rotten.Node.Host is not null && rotten.Group(shard).IsOut, "it is stopped still");
        world.Upkeep = new UpkeepSettings();
        foreach (ClusterMember member in world.Members)
        {
            member.Crash(CrashKind.LoseUnsynced);
            member.Restart();
        }

        world.RunUntil(() => rotten.Node.Host is not null && rotten.Node.Host.TryFind(shard, out RaftGroup? group) && !group.IsOut, "it is made anew");
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it has caught up");
        Assert.All(world.Members, m => Assert.Equal(world.Members[0].Content(shard), m.Content(shard)));
    }

    [Fact]
    public void ADamagedDirectoryStopsTheStart()
    {
        ClusterWorld world = Filled(5, nodes: 3, out _);
        ClusterMember rotten = world.Members[1];
        rotten.Crash(CrashKind.LoseUnsynced);
        foreach (string path in rotten.Disk.Paths.Where(p => p.StartsWith("/data/replicas/1/", StringComparison.Ordinal) && p.Contains("MANIFEST", StringComparison.Ordinal)))
            rotten.Disk.FlipBit(path, rotten.Disk.FileLength(path) / 2, 3);
        StorageException refusal = Assert.ThrowsAny<StorageException>(rotten.Restart);
        Assert.Contains("/data/replicas/1/", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AWalkOverKeysThatMeetsDamageStopsTheReplica()
    {
        ClusterWorld world = Filled(6, nodes: 3, out GroupId shard);
        ClusterMember rotten = world.Members.Single(m => m.Group(shard).IsServing);
        rotten.Flush(shard);
        rotten.Crash(CrashKind.LoseUnsynced);
        foreach (string path in rotten.Disk.Paths.Where(p => p.StartsWith($"/data/replicas/{shard}/", StringComparison.Ordinal) && p.EndsWith(".sst", StringComparison.Ordinal)))
        {
            for (long at = 100; at < rotten.Disk.FileLength(path) / 2; at += 1000)
                rotten.Disk.FlipBit(path, at, 3);
        }

        rotten.Restart();
        world.RunUntil(() => rotten.Node.Host is not null && rotten.Group(shard).IsServing, "it leads");
        Assert.True(Read(rotten, shard));
        world.RunUntil(() => rotten.Node.Host!.Groups.All(g => g.Id != shard || g.IsOut), "it is found out", seconds: 1);
        for (int i = 0; i < 100; i++)
            Assert.Equal($"value{i}", world.Get(0, $"key{i}"));
    }

    /// <summary>As KEYS does; true when it met damage.</summary>
    private static bool Read(ClusterMember member, GroupId shard)
    {
        bool isDamaged = false;
        member.Do(execution =>
        {
            try
            {
                if (member.Group(shard).IsOut)
                    return;
                using EngineScan iterator = execution.CreateScan(member.Group(shard).Replica, default);
                for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
                    Assert.NotEqual(0, iterator.Value.Length);
            }
            catch (CorruptionException)
            {
                isDamaged = true;
            }
            finally
            {
                execution.TakeGate();
            }
        });
        return isDamaged;
    }

    private static void Spoil(ClusterWorld world, ClusterMember member, GroupId shard)
    {
        member.Group(shard).Replica.Engine.AssumeDigest(new StateDigest(666));
        int written = 0;
        world.RunUntil(
            () =>
            {
                world.Put(0, $"key{written % 100}", $"value{written % 100}");
                written++;
                return member.Group(shard).IsOut;
            },
            "it is found out");
    }

    private static ClusterWorld Filled(ulong seed, int nodes, out GroupId shard)
    {
        var world = new ClusterWorld(seed, new LsmEngineFactory());
        for (int i = 0; i < nodes; i++)
            world.Add();
        world.RunUntil(
            () => world.Members.TrueForAll(m => m.Node.View.Groups is { Length: > 1 } groups && groups.All(g => g.IsSettled && g.Replicas.Length == 3)), "all have their copies");
        world.Run(TimeSpan.FromSeconds(5));
        for (int i = 0; i < 100; i++)
            world.Put(0, $"key{i}", $"value{i}");
        world.Run(TimeSpan.FromSeconds(3));
        shard = world.Members[0].Route(0, "key1").Group;
        return world;
    }
}
