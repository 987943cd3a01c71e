using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>Keyspaces of a cluster on engines other than the directory's.</summary>
public sealed class KeyspaceEngineTests
{
    private static readonly IEngineFactory[] s_others = [new HashLogEngineFactory(), BTreeEngineFactory.Tiny];

    [Theory]
    [InlineData("log")]
    [InlineData("btree")]
    public void AFollowerBehindTheLogIsGivenASnapshot(string engine)
    {
        ClusterWorld world = OfThree(41, engine, journalBytesMax: 256 << 10);
        Assert.All(world.Members[0].Node.View.Keyspaces.Where(k => !k.Record.IsSystem), k => Assert.Equal(engine, k.Record.Engine));
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        world.WriteUntilTheLogIsCut();
        away.Restart();
        for (int i = 0; i < 20; i++)
            world.Put(0, $"after{i}", "new");
        world.RunUntil(world.IsLevel, "it has caught up", seconds: 120);
        world.AssertSameContent();

        // And again from its disk.
        world.LosePower();
        Assert.Equal(ClusterWorld.Large + 399, world.Get(0, "key399"));
        Assert.Equal("new", world.Get(0, "after19"));
        world.Run(TimeSpan.FromSeconds(2));
        world.AssertSameContent();
    }

    /// <summary>A node that has lost what it knew of the directory opens each folder as what it is.</summary>
    [Theory]
    [InlineData("log")]
    [InlineData("btree")]
    public void ReplicasOpenBeforeTheDirectoryTellsOfTheirKeyspace(string engine)
    {
        ClusterWorld world = OfThree(42, engine);
        for (int i = 0; i < 40; i++)
            world.Put(i % 2, $"key{i}", $"value{i}");
        foreach (ClusterMember member in world.Members)
        {
            foreach (GroupId group in member.Node.Host!.Groups.Select(g => g.Id).ToArray())
            {
                if (group != GroupId.Directory)
                    member.Flush(group);
            }
        }

        // The directory is only in the log, and of that nobody knows after a start how far it was committed.
        world.LosePower();
        Assert.All(world.Members, m => Assert.Empty(m.Node.View.Groups));
        for (int i = 0; i < 40; i++)
            Assert.Equal($"value{i}", world.Get(i % 2, $"key{i}"));
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all are back");
        world.AssertSameContent();
    }

    /// <summary>Who proposes asks before. What is in the log is everybody's, and nobody may stop at it.</summary>
    [Fact]
    public void WhatIsInTheLogIsTakenThoughTheIndexIsFull()
    {
        var world = new ClusterWorld(44, new LsmEngineFactory(), journalBytesMax: 256 << 10)
        {
            OtherEngines = [new HashLogEngineFactory(HashLogOptions.Tiny with { IndexBytes = 20_000 })],
            DatabaseEngines = ["log"],
        };
        world.MakeThree();
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        string value = new('x', 200);
        for (int i = 0; i < 3000; i++)
            world.Put(0, $"key{i}", value);
        Assert.Contains(world.Members[0].Node.Host!.Groups, g => g.Replica.IsLimited && g.Replica.Engine.KeysLeft == 0);
        Assert.Contains(world.Members[0].Announced, a => a.Contains("beyond that new ones are refused", StringComparison.Ordinal));
        Assert.Contains(((IClusteredNode)world.Members[0].Node).Topology.Replicas, r => r.IndexPercent > 100);

        // By a snapshot, and by what the log has.
        away.Restart();
        world.RunUntil(world.IsLevel, "it has caught up", seconds: 120);
        world.AssertSameContent();
        world.LosePower();
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all are back");
        world.AssertSameContent();
        Assert.Equal(value, world.Get(0, "key2999"));
    }

    [Fact]
    public void EachKeyspaceHasTheEngineThatItAskedFor()
    {
        ClusterWorld world = OfThree(43, "log");
        foreach (string engine in (string[])["btree", "lsm", "log"])
        {
            var request = new KeyspaceRequest { Name = "on-" + engine, Engine = engine, Shards = 2 };
            Assert.Null(world.Ask((a, done) => a.CreateKeyspace(request, done)));
        }

        world.RunUntil(world.IsWhole, "every shard has three voters");
        foreach (string engine in (string[])["btree", "lsm", "log"])
        {
            int database = ((IClusteredNode)world.Members[0].Node).Router.FindDatabase(System.Text.Encoding.ASCII.GetBytes("on-" + engine));
            for (int i = 0; i < 10; i++)
                world.Put(database, $"key{i}", engine);
        }

        world.RunUntil(world.IsLevel, "all have it");
        world.LosePower();
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all are back");
        foreach (ClusterMember member in world.Members)
        {
            foreach (RaftGroup group in member.Node.Host!.Groups.Where(g => g.Id != GroupId.Directory))
            {
                KeyspaceRecord keyspace = member.Node.View.Keyspace(member.Node.View.Group(group.Id)!.Keyspace)!.Record;
                Assert.Equal(keyspace.Engine, group.Replica.Options.Engine);
                string expected = keyspace.Engine switch { "log" => "HASHLOG", "btree" => "TREE", _ => "CURRENT" };
                Assert.Contains(member.Disk.Paths, p => p.StartsWith($"/data/replicas/{group.Id}/{expected}", StringComparison.OrdinalIgnoreCase));
            }
        }
    }

    private static ClusterWorld OfThree(ulong seed, string engine, long journalBytesMax = 512 << 20)
    {
        var world = new ClusterWorld(seed, new LsmEngineFactory(), journalBytesMax) { OtherEngines = s_others, DatabaseEngines = [engine] };
        world.MakeThree();
        return world;
    }
}
