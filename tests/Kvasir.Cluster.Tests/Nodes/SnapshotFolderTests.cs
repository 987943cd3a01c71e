using Kvasir.Cluster.Groups;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>What a snapshot took the place of goes when the log begins anew on the disk, and not before.</summary>
public sealed class SnapshotFolderTests
{
    [Fact]
    public void TheReplacedFolderGoesWhileTheNodeRuns()
    {
        (ClusterWorld world, ClusterMember away) = World(1);
        away.Restart();
        world.RunUntil(() => Replaced(away) is not null, "a snapshot was installed");
        string folder = Replaced(away)!;
        world.RunUntil(() => !away.Disk.FolderExists(folder), "the folder that was replaced is gone", seconds: 20);
        world.RunUntil(world.IsLevel, "it has caught up");
        world.Run(TimeSpan.FromSeconds(10));
        Assert.Null(Replaced(away));
        away.Crash(CrashKind.LoseUnsynced);
        away.Restart();
        world.RunUntil(world.IsLevel, "it is back");
        foreach (var group in world.Members[0].Node.View.Groups)
            Assert.Equal(world.Members[0].Content(group.Id), away.Content(group.Id));
    }

    [Theory]
    [InlineData(CrashKind.LoseUnsynced)]
    [InlineData(CrashKind.LoseSubset)]
    public void TheReplacedFolderStaysUntilTheLogHasBegunAnew(CrashKind crash)
    {
        (ClusterWorld world, ClusterMember away) = World(2);

        // The disk hangs when the snapshot is there and its mark is written: the record of it in the journal is not durable.
        away.Holds = () => Replaced(away) is not null;
        away.Restart();
        world.RunUntil(() => Replaced(away) is not null, "a snapshot was installed");
        string folder = Replaced(away)!;
        world.Run(TimeSpan.FromSeconds(20));
        Assert.True(away.Disk.FolderExists(folder));
        away.Crash(crash);
        away.Holds = null;
        away.Restart();
        world.RunUntil(world.IsLevel, "it is back");
        foreach (var group in world.Members[0].Node.View.Groups)
            Assert.Equal(world.Members[0].Content(group.Id), away.Content(group.Id));
    }

    [Fact]
    public void WhatCannotBeReadOfASnapshotThatCameKeepsTheReplicaThatWasThere()
    {
        (ClusterWorld world, ClusterMember away) = World(3);
        away.Restart();
        GroupHost host = away.Node.Host!;
        Func<RaftGroup, IStorageEngine, Action> replacing = host.ReplicaReplacing!;
        int failures = 0;
        host.ReplicaReplacing = (group, engine) =>
            failures++ < 2 ? throw new DiskFailedException("a read that fails") : replacing(group, engine);
        world.RunUntil(world.IsLevel, "it has caught up");
        Assert.True(failures > 2);
        foreach (var group in world.Members[0].Node.View.Groups)
            Assert.Equal(world.Members[0].Content(group.Id), away.Content(group.Id));
    }

    /// <summary>Three nodes, of which the last is away and needs a snapshot.</summary>
    private static (ClusterWorld World, ClusterMember Away) World(ulong seed)
    {
        ClusterWorld world = ClusterWorld.OfThree(seed, new LsmEngineFactory(), journalBytesMax: 256 << 10);
        ClusterMember away = world.Members[2];
        for (int i = 0; i < 20; i++)
            world.Put(i % 2, $"before{i}", ClusterWorld.Large);
        world.RunUntil(world.IsLevel, "all have it");
        away.Crash(CrashKind.LoseUnsynced);
        world.WriteUntilTheLogIsCut();
        return (world, away);
    }

    /// <summary>The folder of a group that has another one with a mark; null when there is none.</summary>
    private static string? Replaced(ClusterMember member)
    {
        if (!member.Disk.FolderExists("/data/replicas"))
            return null;
        foreach (string mark in member.Disk.ListFiles("/data/replicas").Where(f => f.EndsWith(".1.installed", StringComparison.Ordinal)))
        {
            string folder = "/data/replicas/" + mark.Split('.')[0];
            if (member.Disk.FolderExists(folder))
                return folder;
        }

        return null;
    }
}
