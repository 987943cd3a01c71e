using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>Keyspaces of a cluster move to another engine while they are written.</summary>
public sealed class ClusterConversionTests
{
    private static readonly byte[] s_longKey = new byte[30_000];

    [Theory]
    [InlineData("lsm", "log")]
    [InlineData("lsm", "btree")]
    [InlineData("log", "btree")]
    [InlineData("btree", "lsm")]
    public void EveryCopyMovesWhileItIsWritten(string from, string to)
    {
        ClusterWorld world = OfThree(71, from);
        Fill(world, 100);
        Convert(world, to);
        int written = 0;
        world.RunUntil(
            () =>
            {
                world.Put(0, $"meanwhile{written % 50}", $"value{written++}");
                return IsOver(world);
            },
            "it is done", seconds: 120);
        KeyspaceMove move = MoveOf(world);
        Assert.Equal((KeyspaceMoveState.Done, from, to, 6, 6), (move.State, move.From, move.To, move.Copies, move.Compared));
        Assert.True(move.Rows >= 300, $"{move.Rows} rows");
        AssertAllOn(world, to);
        AssertWhole(world);

        void AssertWhole(ClusterWorld world)
        {
            world.RunUntil(world.IsLevel, "all have everything");
            world.AssertSameContent();
            Assert.Equal("value7", world.Get(0, "key7"));
            Assert.Equal($"value{written - 1}", world.Get(0, $"meanwhile{(written - 1) % 50}"));
        }

        // From their disks, and the states go on being the same.
        world.LosePower();
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all are back");
        AssertAllOn(world, to);
        for (int i = 0; i < 20; i++)
            world.Put(0, $"behind{i}", "b");
        world.Run(TimeSpan.FromSeconds(3));
        AssertWhole(world);
        Assert.True(Copies(world).Sum(static g => g.DigestsCompared) > 0);
    }

    /// <summary>There is always something on its way that no majority has, and that those behind it have read.</summary>
    [Theory]
    [InlineData("lsm", "log")]
    [InlineData("log", "btree")]
    public void LeadersMoveWithWhatIsNotCommittedYet(string from, string to)
    {
        ClusterWorld world = OfThree(82, from);
        Fill(world, 20);
        Convert(world, to);
        string[] last = [.. Enumerable.Range(0, 40).Select(static i => $"value{i}")];
        int written = 0;
        world.RunUntil(
            () =>
            {
                int key = written++ % last.Length;
                if (world.Members.Exists(m => m.TryPut(0, $"key{key}", $"w{written}") is not null))
                    last[key] = $"w{written}";
                return IsOver(world);
            },
            "it is done", seconds: 120);
        AssertAllOn(world, to);
        world.RunUntil(world.IsLevel, "all have everything");
        world.AssertSameContent();
        for (int i = 0; i < last.Length; i++)
            Assert.Equal(last[i], world.Get(0, $"key{i}"));
        world.Run(TimeSpan.FromSeconds(3));
        world.AssertSameContent();
    }

    [Fact]
    public void WhatWasThereBeforeIsRemoved()
    {
        ClusterWorld world = OfThree(72, "lsm");
        Fill(world, 20);
        Convert(world, "log");
        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        world.Run(TimeSpan.FromSeconds(5));
        foreach (ClusterMember member in world.Members)
        {
            foreach (GroupRecord group in Shards(world))
            {
                Assert.DoesNotContain(member.Disk.Paths, p => p.StartsWith($"/data/replicas/{group.Id}/", StringComparison.Ordinal));
                Assert.Contains(member.Disk.Paths, p => p.StartsWith($"/data/replicas/{group.Id}.1/", StringComparison.Ordinal));
            }
        }
    }

    [Fact]
    public void AbortedItGoesBackToWhereItCameFrom()
    {
        ClusterWorld world = OfThree(73, "lsm");
        Fill(world, 100);
        Convert(world, "btree");
        world.RunUntil(() => Copies(world).Any(g => g.Replica.Options.Engine == "btree"), "a copy has moved", seconds: 120);
        Assert.Null(world.Ask((a, done) => a.AbortConversion("db0", done)));
        for (int i = 0; i < 30; i++)
            world.Put(0, $"meanwhile{i}", "m");
        world.RunUntil(() => IsOver(world), "it is over", seconds: 120);
        Assert.Equal((KeyspaceMoveState.Aborted, "aborted"), (MoveOf(world).State, MoveOf(world).Reason));
        AssertAllOn(world, "lsm");
        world.RunUntil(world.IsLevel, "all have everything");
        world.AssertSameContent();
        Assert.Contains("no conversion of that keyspace is under way", world.Ask((a, done) => a.AbortConversion("db0", done)), StringComparison.Ordinal);
    }

    [Fact]
    public void ANodeThatIsDownHoldsUpTheEndAndMovesWhenItIsBack()
    {
        ClusterWorld world = OfThree(74, "lsm");
        Fill(world, 50);
        world.Members[2].Crash(CrashKind.LoseUnsynced);
        Convert(world, "log");
        world.RunUntil(() => Copies(world).All(g => g.Replica.Options.Engine == "log"), "the others have moved", seconds: 120);
        world.Run(TimeSpan.FromSeconds(10));
        Assert.Equal(KeyspaceMoveState.Moving, MoveOf(world).State);
        MoveOverview overview = StatusOf(world);
        Assert.Equal(6, overview.Copies.Count);
        Assert.Equal(world.Members[2].Id, Assert.Single(overview.Copies.Where(c => c.Report is null).Select(c => c.Node).Distinct()));
        for (int i = 0; i < 30; i++)
            world.Put(0, $"meanwhile{i}", "m");
        world.Members[2].Restart();
        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        Assert.Equal(KeyspaceMoveState.Done, MoveOf(world).State);
        AssertAllOn(world, "log");
        world.RunUntil(world.IsLevel, "all have everything");
        world.AssertSameContent();
    }

    [Theory]
    [InlineData(CrashKind.ProcessKill)]
    [InlineData(CrashKind.LoseUnsynced)]
    public void WhoIsStartedAgainInTheMidstBeginsAnew(CrashKind kind)
    {
        ClusterWorld world = OfThree(75, "lsm");
        Fill(world, 100);
        Convert(world, "btree");
        for (int round = 0; round < 12 && !IsOver(world); round++)
        {
            world.Run(TimeSpan.FromMilliseconds(120 + (round * 45)));
            ClusterMember member = world.Members[round % 3];
            member.Crash(kind);
            member.Restart();
            world.Put(0, $"meanwhile{round}", "m");
        }

        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        AssertAllOn(world, "btree");
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all have everything");
        world.AssertSameContent();
        Assert.Equal("value99", world.Get(0, "key99"));

        // Those of copies that were converted before their node's start count, too. A few of the last come from the log.
        Assert.True(MoveOf(world).Rows >= 280, $"{MoveOf(world).Rows} rows");
    }

    [Fact]
    public void AKeyThatTheEngineCannotTakeTakesItBack()
    {
        ClusterWorld world = OfThree(76, "lsm");
        string key = new('k', 30_000);
        world.Put(0, key, "v");
        Fill(world, 20);
        Convert(world, "btree");
        world.RunUntil(() => IsOver(world), "it is over", seconds: 120);
        Assert.Equal(KeyspaceMoveState.Failed, MoveOf(world).State);
        Assert.Contains("a key of 30000 bytes", MoveOf(world).Reason, StringComparison.Ordinal);
        AssertAllOn(world, "lsm");
        Assert.Equal("v", world.Get(0, key));

        // And once it is gone it can be.
        Do(world, key, (execution, replica) => execution.Delete(replica, System.Text.Encoding.ASCII.GetBytes(key)));
        Convert(world, "btree");
        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        AssertAllOn(world, "btree");
    }

    [Fact]
    public void AValueThatTheEngineCannotTakeTakesItBack()
    {
        ClusterWorld world = OfThree(82, "lsm", btree: new ModelEngineFactory { Name = "btree", ValueBytesMax = 1000 });
        Fill(world, 20);
        world.Put(0, "long", new string('v', 1001));
        Convert(world, "btree");
        world.RunUntil(() => IsOver(world), "it is over", seconds: 120);
        Assert.Equal(KeyspaceMoveState.Failed, MoveOf(world).State);
        Assert.Contains("a value of 1001 bytes, and the engine btree takes values of at most 1000", MoveOf(world).Reason, StringComparison.Ordinal);
        AssertAllOn(world, "lsm");
        world.Run(TimeSpan.FromSeconds(1));
        Assert.All(Copies(world), g => Assert.False(g.Replica.IsLimited));
        Assert.Equal(1001, world.Get(0, "long")!.Length);
        world.Put(0, "longer", new string('v', 1002));
        world.RunUntil(world.IsLevel, "all have everything");
        world.AssertSameContent();

        // And once they are gone it can be.
        Delete(world, "long");
        Delete(world, "longer");
        Convert(world, "btree");
        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        AssertAllOn(world, "btree");
    }

    /// <summary>A copy may know of the key, and not yet of its deletion, which was acknowledged before anybody asked for the conversion.</summary>
    [Fact]
    public void AKeyThatWasDeletedBeforeIsNoReasonToTakeItBack()
    {
        ClusterWorld world = OfThree(81, "lsm");
        Fill(world, 20);
        world.RunUntil(world.IsLevel, "all have it");

        // One leads the shard, one the directory; one follows both, and is cut off from the shard's leader alone.
        ClusterMember? directory = null;
        string? key = null;
        world.RunUntil(
            () =>
            {
                directory = world.Members.Find(static m => m.Group(GroupId.Directory).IsServing);
                key = Enumerable.Range('a', 26).Select(static c => new string((char)c, 30_000))
                    .FirstOrDefault(k => directory?.Route(0, k).Kind == RouteKind.Remote && world.Members.Exists(m => m.Route(0, k).Kind == RouteKind.Local));
                return key is not null;
            },
            "another leads a shard");
        ClusterMember leader = world.Members.Single(m => m.Route(0, key!).Kind == RouteKind.Local);
        ClusterMember away = world.Members.Single(m => m != leader && m != directory);
        world.Put(0, key!, "v");
        world.RunUntil(world.IsLevel, "all have the key");
        world.Network.Cut(leader.Id, away.Id);
        world.Network.Cut(away.Id, leader.Id);
        Delete(world, key!);
        Convert(world, "btree");
        world.Run(TimeSpan.FromSeconds(3));
        Assert.Equal("lsm", away.Group(leader.Route(0, key!).Group).Replica.Options.Engine);
        world.Network.MendAll();
        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        AssertAllOn(world, "btree");
    }

    [Theory]
    [InlineData("lsm", "btree")]
    [InlineData("btree", "lsm")]
    public void WhileCopiesDifferLeadersTakeOnlyWhatAllCan(string from, string to)
    {
        ClusterWorld world = OfThree(77, from);
        world.Members[2].Crash(CrashKind.LoseUnsynced);
        Convert(world, to);
        world.RunUntil(() => Copies(world).All(g => g.Replica.Options.Engine == to), "the others have moved", seconds: 120);
        Assert.All(Copies(world), g => Assert.Equal((true, 992), (g.Replica.IsLimited, g.Replica.KeyBytesMax)));
        Assert.All(Copies(world), g => Assert.Equal(("btree", "btree"), (g.Replica.Shared!.KeyEngine, g.Replica.Shared.ValueEngine)));
        world.Members[2].Restart();
        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        world.Run(TimeSpan.FromSeconds(1));
        Assert.All(Copies(world), g => Assert.Equal(to == "btree", g.Replica.IsLimited));
    }

    [Fact]
    public void RoomIsReckonedByTheNarrowestToo()
    {
        ClusterWorld world = OfThree(78, "lsm", new HashLogEngineFactory(HashLogOptions.Tiny with { IndexBytes = 64 << 10 }));
        Fill(world, 50);
        world.Members[2].Crash(CrashKind.LoseUnsynced);
        Convert(world, "log");
        world.RunUntil(() => Copies(world).All(g => g.Replica.Shared is not null || g.Replica.Options.Engine == "log"), "all know", seconds: 5);
        Assert.All(Copies(world), g => Assert.InRange(g.Replica.KeysLeft, 1, 1800));
    }

    /// <summary>A leader that has not heard of it proposes what one of the engines cannot take: nobody loses it, and nobody stops for good.</summary>
    [Fact]
    public void WhatALeaderProposedThatDidNotKnowTakesItBack()
    {
        ClusterWorld world = OfThree(79, "lsm");
        Fill(world, 30);
        Convert(world, "btree");
        RaftGroup? leader = null;
        world.RunUntil(
            () => (leader = Copies(world).FirstOrDefault(g => g.IsServing && g.Replica.Options.Engine == "lsm"
                && Copies(world).Any(o => o.Id == g.Id && o.Replica.Options.Engine == "btree"))) is not null,
            "a follower has moved, and its leader has not", seconds: 120);
        ClusterMember member = world.Members.Single(m => m.Group(leader!.Id) == leader);
        member.Do(execution =>
        {
            leader!.Replica.Shared = null;
            execution.Put(leader.Replica, s_longKey, [], "v"u8, 0);
            execution.Commit();
            execution.TakeGate();
        });
        world.RunUntil(() => Copies(world).Any(g => g.HasMisfit), "a copy that has moved stops before it", seconds: 5);
        world.RunUntil(() => IsOver(world), "it is over", seconds: 120);
        Assert.Equal(KeyspaceMoveState.Failed, MoveOf(world).State);
        Assert.Contains("a key of 30000 bytes", MoveOf(world).Reason, StringComparison.Ordinal);
        AssertAllOn(world, "lsm");
        world.RunUntil(world.IsLevel, "all have everything");
        world.AssertSameContent();
        Assert.Contains(new string('\0', 30_000) + "=v;", member.Content(leader!.Id), StringComparison.Ordinal);
    }

    [Fact]
    public void SnapshotsThatComeMeanwhileAreOfTheNewEngine()
    {
        ClusterWorld world = OfThree(80, "lsm", journalBytesMax: 256 << 10);
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        world.WriteUntilTheLogIsCut();
        Convert(world, "log");
        away.Restart();
        world.RunUntil(() => IsOver(world), "it is done", seconds: 120);
        AssertAllOn(world, "log");
        world.RunUntil(world.IsLevel, "all have everything");
        world.AssertSameContent();
        world.LosePower();
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all are back");
        world.AssertSameContent();
        Assert.Equal(ClusterWorld.Large + 399, world.Get(0, "key399"));
    }

    [Fact]
    public void WhatMakesNoSenseIsRefused()
    {
        ClusterWorld world = OfThree(81, "lsm");
        Assert.Contains("no such keyspace", world.Ask((a, done) => a.ConvertKeyspace("db9", "log", done)), StringComparison.Ordinal);
        Assert.Contains("lsm, log or btree", world.Ask((a, done) => a.ConvertKeyspace("db0", "heap", done)), StringComparison.Ordinal);
        Assert.Contains("the cluster's own", world.Ask((a, done) => a.ConvertKeyspace("system", "btree", done)), StringComparison.Ordinal);
        Assert.Contains("has the engine lsm", world.Ask((a, done) => a.ConvertKeyspace("db0", "lsm", done)), StringComparison.Ordinal);
        Assert.Contains("no conversion", world.Ask((a, done) => a.AbortConversion("db0", done)), StringComparison.Ordinal);
        Convert(world, "log");
        Assert.Contains("one at a time", world.Ask((a, done) => a.ConvertKeyspace("db1", "log", done)), StringComparison.Ordinal);
    }

    private static ClusterWorld OfThree(
        ulong seed, string engine, IEngineFactory? log = null, IEngineFactory? btree = null, long journalBytesMax = 512 << 20)
    {
        var world = new ClusterWorld(seed, new LsmEngineFactory(LsmOptions.Tiny), journalBytesMax)
        {
            OtherEngines = [log ?? new HashLogEngineFactory(HashLogOptions.Tiny), btree ?? BTreeEngineFactory.Tiny],
            DatabaseEngines = [engine, "lsm"],
        };
        world.MakeThree();
        return world;
    }

    private static void Fill(ClusterWorld world, int count)
    {
        for (int i = 0; i < count; i++)
            world.Put(0, $"key{i}", $"value{i}");
    }

    private static void Convert(ClusterWorld world, string engine) =>
        Assert.Null(world.Ask((a, done) => a.ConvertKeyspace("db0", engine, done)));

    private static MoveOverview StatusOf(ClusterWorld world)
    {
        MoveOverview? answer = null;
        ClusterMember asked = world.Members[1];
        asked.Do(_ => ((IClusterAdministration)asked.Node).ConversionOf("db0", overview => answer = overview));
        world.RunUntil(() => answer is not null, "there is an answer");
        return answer!;
    }

    private static void Delete(ClusterWorld world, string key)
    {
        Gate? gate = null;
        world.RunUntil(
            () =>
            {
                foreach (ClusterMember member in world.Members)
                {
                    member.Do(execution =>
                    {
                        if (gate is not null || member.Route(0, key) is not { Kind: RouteKind.Local, Replica: { } replica } || replica.Log.Refusal is not null)
                            return;
                        execution.Delete(replica, System.Text.Encoding.ASCII.GetBytes(key));
                        execution.Commit();
                        gate = execution.TakeGate();
                    });
                }

                return gate is { } there && (there.IsOpen || there.Log!.DurablePosition >= there.Position);
            },
            "it is acknowledged");
    }

    private static void Do(ClusterWorld world, string key, Action<Execution, Replica> action)
    {
        bool isDone = false;
        world.RunUntil(
            () =>
            {
                foreach (ClusterMember member in world.Members)
                {
                    member.Do(execution =>
                    {
                        if (isDone || member.Route(0, key) is not { Kind: RouteKind.Local, Replica: { } replica } || replica.Log.Refusal is not null)
                            return;
                        action(execution, replica);
                        execution.Commit();
                        execution.TakeGate();
                        isDone = true;
                    });
                }

                return isDone;
            },
            "it is written");
        world.RunUntil(world.IsLevel, "all have it");
    }

    private static KeyspaceMove MoveOf(ClusterWorld world) => world.Members[0].Node.View.KeyspaceByName("db0")!.Record.Move!;

    /// <summary>Everybody that is there knows that it is.</summary>
    private static bool IsOver(ClusterWorld world) =>
        world.Members.TrueForAll(m => m.IsDown || m.Node.View.KeyspaceByName("db0")?.Record.Move is { IsUnderWay: false });

    private static IEnumerable<GroupRecord> Shards(ClusterWorld world)
    {
        DirectoryView view = world.Members[0].Node.View;
        KeyspaceId id = view.KeyspaceByName("db0")!.Record.Id;
        return view.Groups.Where(g => g.Keyspace == id);
    }

    private static IEnumerable<RaftGroup> Copies(ClusterWorld world) =>
        Shards(world).SelectMany(s => world.Members.Where(m => !m.IsDown).Select(m => m.Group(s.Id)));

    private static void AssertAllOn(ClusterWorld world, string engine)
    {
        Assert.All(world.Members, m => Assert.Equal(engine, m.Node.View.KeyspaceByName("db0")!.Record.Engine));
        Assert.All(Copies(world), g => Assert.Equal(engine, g.Replica.Options.Engine));
    }
}
