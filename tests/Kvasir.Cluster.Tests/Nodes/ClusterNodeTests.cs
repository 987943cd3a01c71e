using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class ClusterNodeTests
{
    private static readonly UpkeepSettings s_noReplacements = new() { ReplacesStopped = false };

    [Fact]
    public void AnEmptyFolderFoundsAClusterAndComesBack()
    {
        var world = new ClusterWorld(1);
        ClusterMember node = world.Add();
        world.Put(0, "a", "1");
        world.Put(1, "b", "2");
        Assert.Equal(5, node.Node.View.Groups.Length);
        ulong cluster = ((IClusterTopology)node.Node).ClusterId;
        node.Crash(CrashKind.LoseUnsynced);
        node.Restart();
        Assert.Equal(("1", "2"), (world.Get(0, "a"), world.Get(1, "b")));
        Assert.Equal(cluster, ((IClusterTopology)node.Node).ClusterId);
        node.Stop();
        node.Restart();
        Assert.Equal(("1", "2"), (world.Get(0, "a"), world.Get(1, "b")));
    }

    [Fact]
    public void ThreeNodesMakeThreeCopies()
    {
        ClusterWorld world = ClusterWorld.OfThree(2);
        for (int i = 0; i < 20; i++)
            world.Put(i % 2, $"key{i}", $"value{i}");
        world.Run(TimeSpan.FromSeconds(1));
        world.AssertSameContent();
        for (int i = 0; i < 20; i++)
            Assert.Equal($"value{i}", world.Get(i % 2, $"key{i}"));

        // Who does not lead knows who does.
        Route[] routes = [.. world.Members.Select(m => m.Route(0, "key0"))];
        Route local = Assert.Single(routes, r => r.Kind == RouteKind.Local);
        Assert.All(routes.Where(r => r.Kind != RouteKind.Local), r => Assert.Equal((RouteKind.Remote, local.Leader), (r.Kind, r.Leader)));
    }

    [Fact]
    public void WhoKeepsNoCopyOfAShardDoesNotWaitForOneThatIsAway()
    {
        ClusterWorld world = ClusterWorld.OfThree(4);
        world.Add();
        world.RunUntil(
            () => world.Members[3].Node.View.Groups is { Length: > 1 } groups && groups.All(g => g.IsSettled) && groups.Any(g => !g.IsReplica(new NodeId(4)) || !g.IsReplica(new NodeId(3))),
            "copies lie on three of four nodes");
        GroupRecord record = world.Members[3].Node.View.Groups.First(g => g.Replicas.Length == 3 && g.Id != GroupId.Directory);
        ClusterMember outsider = world.Members.Single(m => !record.IsReplica(m.Id));
        NodeId likely = outsider.Node.Router.Route(record.Id).Leader;
        Assert.True(record.IsReplica(likely));
        world.Members[(int)likely.Value - 1].Crash(CrashKind.LoseUnsynced);

        // As soon as the connection is lost, and before anybody else can lead: one that is there will know.
        world.RunUntil(() => !outsider.Node.IsReachable(likely), "the loss is noticed");
        NodeId asked = outsider.Node.Router.Route(record.Id).Leader;
        Assert.True(asked != likely && record.IsReplica(asked), $"node {asked} is asked instead of {likely}");
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public void AnyNodeMayDieAndWritesGoOn(ulong seed)
    {
        ClusterWorld world = ClusterWorld.OfThree(seed);
        SortedDictionary<string, string> written = new(StringComparer.Ordinal);
        for (int round = 0; round < 6; round++)
        {
            ClusterMember victim = world.Members[round % 3];
            for (int i = 0; i < 10; i++)
            {
                if (i == 4)
                    victim.Crash(CrashKind.LoseSubset);
                string key = $"key{world.Random.Next(40)}";
                written[key] = $"{round}-{i}";
                world.Put(0, key, written[key], seconds: 3);
            }

            victim.Restart();
            world.RunUntil(() => victim.Node.Host is not null, "it is back");
        }

        foreach ((string key, string value) in written)
            Assert.Equal(value, world.Get(0, key));
        world.RunUntil(world.IsWhole, "all is as it was");
    }

    [Theory]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    public void ANodeWhoseDiskIsFullLeadsNothingAndGoesOnByItselfWhenThereIsRoom(ulong seed)
    {
        ClusterWorld world = ClusterWorld.OfThree(seed, new LsmEngineFactory());
        ClusterMember full = world.Members[(int)(seed % 3)];
        for (int i = 0; i < 10; i++)
            world.Put(0, $"before{i}", "1");
        world.RunUntil(() => full.Node.Host!.Groups.Any(g => g.IsServing), "it leads something");

        // The journal meets the end of the disk, and so does every flush.
        full.Disk.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Allocate));
        full.Disk.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Create));
        string large = new('x', 10_000);
        for (int i = 0; full.Node.Log.Refusal is null; i++)
            world.Put(i % 2, $"during{i % 20}", large);
        Assert.Equal(WriteRefusal.FullDisk, full.Node.Log.Refusal!.Code);
        world.RunUntil(() => !full.Node.Host!.Groups.Any(g => g.IsServing), "it leads nothing");
        for (int i = 0; i < 20; i++)
            world.Put(i % 2, $"during{i}", $"{i}", seconds: 3);

        // What another leads now it does not ask back from them.
        world.Run(TimeSpan.FromSeconds(20));
        Assert.DoesNotContain(full.Node.Host!.Groups, g => g.IsServing);
        for (int i = 0; i < 20; i++)
            world.Put(i % 2, $"during{i}", $"{i}", seconds: 3);

        full.Disk.Faults.Clear();
        world.RunUntil(() => full.Node.Log.Refusal is null, "it goes on");
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it has all there is");
        world.AssertSameContent();

        // What it holds now is on its disk.
        world.LosePower();
        for (int i = 0; i < 20; i++)
            Assert.Equal($"{i}", world.Get(i % 2, $"during{i}"));
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "all are back");
    }

    [Fact]
    public void ANodeStartsOnAFullDiskWithTheSpaceThatItKept()
    {
        const string Reserve = "/data/" + SpaceReserve.Name;
        var world = new ClusterWorld(seed: 34, new LsmEngineFactory()) { RoomBytes = 1 << 20 };
        world.MakeThree();
        for (int i = 0; i < 10; i++)
            world.Put(0, $"before{i}", "1");
        ClusterMember full = world.Members[1];
        world.RunUntil(() => full.Disk.FileExists(Reserve) && full.Disk.FileLength(Reserve) == world.RoomBytes, "it keeps some space");

        full.Crash(CrashKind.ProcessKill);
        full.Disk.CapacityBytes -= full.Disk.FreeBytes("/data");
        Assert.Equal(0, full.Disk.FreeBytes("/data"));
        full.Restart();
        Assert.False(full.Disk.FileExists(Reserve));
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it follows");
        world.RunUntil(() => full.Announced.Any(a => a.Contains("disk is full", StringComparison.Ordinal)), "it says so");
        for (int i = 0; i < 10; i++)
            world.Put(1, $"during{i}", "1");
        Assert.False(full.Disk.FileExists(Reserve));

        // Without it there is no start, and it is said what a start needs.
        full.Crash(CrashKind.ProcessKill);
        full.Disk.CapacityBytes -= full.Disk.FreeBytes("/data");
        Assert.Contains("free 1 MiB, then start this node again", Assert.Throws<DiskFullException>(full.Restart).Message, StringComparison.Ordinal);
        full.Crash(CrashKind.ProcessKill);
        full.Disk.CapacityBytes = long.MaxValue;
        full.Restart();
        world.RunUntil(() => full.Disk.FileExists(Reserve) && world.IsWhole() && world.IsLevel(), "there is room again");
    }

    [Fact]
    public void TheLeaderKnowsHowFarAnotherCopyIsBehind()
    {
        ClusterWorld world = ClusterWorld.OfThree(6);
        world.Put(0, "a", "1");
        GroupId shard = world.Members[0].Route(0, "a").Group;
        ClusterMember away = world.Members.First(m => m.Route(0, "a").Kind != RouteKind.Local);
        away.Crash(CrashKind.LoseUnsynced);
        for (int i = 0; i < 20; i++)
            world.Put(0, "a", new string('x', 1000), seconds: 3);
        ClusterMember leader = world.Members.Single(m => m != away && m.Route(0, "a").Kind == RouteKind.Local);
        ReplicaDescription described = ((IClusterTopology)leader.Node).Replicas.Single(r => r.Group == shard);
        FollowerLag lag = described.Followers.Single(f => f.Node == away.Id);
        Assert.InRange(lag.Entries, 20UL, 30UL);
        Assert.InRange(lag.Bytes, 20_000, 30_000);
        away.Restart();
        world.RunUntil(
            () => leader.Route(0, "a").Kind == RouteKind.Local
                && ((IClusterTopology)leader.Node).Replicas.Single(r => r.Group == shard).Followers.All(f => f is { Entries: 0, Bytes: 0 }),
            "it has caught up");
    }

    [Fact]
    public void AllMayLoseTheirPowerAtOnce()
    {
        ClusterWorld world = ClusterWorld.OfThree(21, new LsmEngineFactory());
        for (int i = 0; i < 30; i++)
            world.Put(i % 2, $"key{i}", $"value{i}");
        foreach (ClusterMember member in world.Members)
        {
            member.Crash(CrashKind.LoseUnsynced);
            Assert.Equal(2, PeersFile.Read(member.Disk, "/data").Count);
        }

        // Nobody has applied a directory that says where the others are.
        foreach (ClusterMember member in world.Members)
        {
            member.Restart();
            Assert.True(member.Knows(world.Members[0].Id.Value == member.Id.Value ? world.Members[1].Id : world.Members[0].Id));
        }

        for (int i = 0; i < 30; i++)
            Assert.Equal($"value{i}", world.Get(i % 2, $"key{i}"));
    }

    /// <summary>Others may ask as soon as it listens, and another thread than that which starts it answers them.</summary>
    [Fact]
    public void WhatItRemembersOfOthersIsTouchedInsideTheMailboxOnly()
    {
        ClusterWorld world = ClusterWorld.OfThree(22, new LsmEngineFactory());
        ClusterMember member = world.Members[1];
        member.Crash(CrashKind.ProcessKill);
        int heard = member.Heard.Count;
        member.Restart();
        Assert.NotEqual(heard, member.Heard.Count);
        Assert.False(member.ToldOutsideOfItsMailbox);
    }

    [Fact]
    public void TheMemoryOfPeersIsAHint()
    {
        using NodeInMemory world = new();
        Assert.Empty(PeersFile.Read(world.Disk, "/data"));
        NodeAddress[] peers = [new(new NodeId(3), "a:1"), new(new NodeId(300), "[::1]:65535")];
        PeersFile.Write(world.Disk, "/data", peers);
        Assert.Equal(peers, PeersFile.Read(world.Disk, "/data"));
        world.Disk.FlipBit("/data/PEERS", 30, 2);
        Assert.Empty(PeersFile.Read(world.Disk, "/data"));
    }

    [Fact]
    public void KeyspacesAreMadeAndDroppedThroughAnyNode()
    {
        ClusterWorld world = ClusterWorld.OfThree(31);
        ClusterMember asked = world.Members[2];
        string? answer = "none";
        IClusterAdministration administration = asked.Node;
        asked.Do(_ => administration.CreateKeyspace(new KeyspaceRequest { Name = "users", Shards = 4 }, error => answer = error));
        world.RunUntil(() => answer != "none", "there is an answer");

        Assert.Null(answer);
        world.RunUntil(() => asked.Node.View.KeyspaceByName("users") is not null, "it is known here");
        int database = ((IClusteredNode)asked.Node).Router.FindDatabase("users"u8);
        Assert.Equal(2, database);
        world.Put(database, "a", "1");
        Assert.Equal("1", world.Get(database, "a"));
        asked.Do(_ => administration.CreateKeyspace(new KeyspaceRequest { Name = "users" }, error => answer = error));
        world.RunUntil(() => answer is not null, "there is an answer");
        Assert.Contains("already", answer, StringComparison.Ordinal);
        asked.Do(_ => administration.DropKeyspace("users", error => answer = error));
        world.RunUntil(() => answer is null, "it is dropped");
        world.RunUntil(() => world.Members.TrueForAll(m => m.Node.Host!.Groups.Count == 5), "its shards are gone");
        Assert.Equal(RouteKind.Gone, asked.Route(database, "a").Kind);
    }

    /// <summary>Each makes files and syncs them, and other shards want the mailbox meanwhile, and the thread that happens to run it.</summary>
    [Fact]
    public void ManyShardsAreOpenedAFewAtATime()
    {
        ClusterWorld world = ClusterWorld.OfThree(32);
        string? answer = "none";
        world.Members[1].Do(_ => ((IClusterAdministration)world.Members[1].Node).CreateKeyspace(
            new KeyspaceRequest { Name = "many", Shards = 64 }, error => answer = error));
        int[] had = [5, 5, 5];
        world.RunUntil(
            () =>
            {
                int[] has = [.. world.Members.Select(m => m.Node.Host!.Groups.Count)];
                for (int i = 0; i < has.Length; i++)
                    Assert.InRange(has[i] - had[i], 0, 8);
                had = has;
                return has.All(count => count == 69);
            },
            "all shards are there");
        world.RunUntil(world.IsWhole, "every shard has three voters");
        Assert.Null(answer);
    }

    [Fact]
    public void AFollowerBehindTheLogIsGivenASnapshot()
    {
        ClusterWorld world = ClusterWorld.OfThree(41, new LsmEngineFactory(), journalBytesMax: 256 << 10);
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        world.WriteUntilTheLogIsCut();
        away.Restart();
        for (int i = 0; i < 20; i++)
            world.Put(0, $"after{i}", "new");
        world.RunUntil(world.IsLevel, "it has caught up", seconds: 120);
        foreach (var group in world.Members[0].Node.View.Groups)
            Assert.Equal(world.Members[0].Content(group.Id), away.Content(group.Id));

        // And again from its disk.
        world.Run(TimeSpan.FromSeconds(10));
        world.LosePower();
        Assert.Equal(ClusterWorld.Large + 399, world.Get(0, "key399"));
        Assert.Equal("new", world.Get(0, "after19"));
        world.Run(TimeSpan.FromSeconds(2));
        foreach (var group in world.Members[0].Node.View.Groups)
        {
            Assert.Equal(world.Members[0].Content(group.Id), away.Content(group.Id));
            Assert.Equal(world.Members[0].Group(group.Id).Digest, away.Group(group.Id).Digest);
            Assert.Null(away.Group(group.Id).Difference);
        }

        Assert.Contains(away.Node.Host!.Groups, g => g.DigestsCompared > 0);
    }

    [Fact]
    public void AReplicaWhoseFilesRotIsStoppedAndTheOthersServe()
    {
        ClusterWorld world = new(44, new LsmEngineFactory()) { Upkeep = s_noReplacements };
        world.MakeThree();
        for (int i = 0; i < 200; i++)
            world.Put(0, $"key{i}", new string('x', 2000) + i);
        world.RunUntil(world.IsLevel, "all have it");
        GroupId shard = world.Members[0].Route(0, "key0").Group;
        ClusterMember rotten = world.Members.Single(m => m.Route(0, "key0").Kind == RouteKind.Local);
        rotten.Do(_ => rotten.Group(shard).Replica.Engine.Flush());
        world.RunUntil(() => rotten.Group(shard).Replica.Engine.OldestUnflushedPosition is null, "it is in files");
        rotten.Crash(CrashKind.LoseUnsynced);
        foreach (string path in rotten.Disk.Paths.Where(p => p.StartsWith($"/data/replicas/{shard}/", StringComparison.Ordinal) && p.EndsWith(".sst", StringComparison.Ordinal)))
        {
            for (long at = 100; at < rotten.Disk.FileLength(path) / 2; at += 1000)
                rotten.Disk.FlipBit(path, at, 3);
        }

        // With nothing in its caches it leads again.
        rotten.Restart();
        world.RunUntil(() => rotten.Node.Host is not null && rotten.Route(0, "key0").Kind == RouteKind.Local, "it leads");
        for (int i = 0; i < 200; i++)
            Read($"key{i}");
        world.RunUntil(() => rotten.Group(shard).IsOut, "it is found out", seconds: 5);
        Assert.Equal([shard], ((IClusterTopology)rotten.Node).Stopped.Select(s => s.Group));
        Assert.Contains(rotten.Announced, a => a.StartsWith($"shard {shard}: /data/replicas/{shard}/", StringComparison.Ordinal));
        for (int i = 0; i < 200; i++)
            Assert.Equal(new string('x', 2000) + i, world.Get(0, $"key{i}"));
        Assert.NotEqual(RouteKind.Local, rotten.Route(0, "key0").Kind);

        // Whatever its journal has let go of meanwhile, it stays what it is.
        world.Run(TimeSpan.FromSeconds(2));
        rotten.Crash(CrashKind.LoseUnsynced);
        rotten.Restart();
        world.RunUntil(() => rotten.Node.Host is not null, "it is back");
        Assert.True(rotten.Group(shard).IsOut);
        world.Put(0, "key0", "new");
        Assert.Equal("new", world.Get(0, "key0"));
        Assert.False(rotten.Group(shard).IsServing);

        void Read(string key) => rotten.Do(execution =>
        {
            try
            {
                if (rotten.Route(0, key) is { Kind: RouteKind.Local, Replica: { } replica })
                    execution.Get(replica, System.Text.Encoding.UTF8.GetBytes(key), new BytesBuffer());
            }
            catch (CorruptionException)
            {
                // The client is told so.
            }

            execution.TakeGate();
        });
    }

    [Fact]
    public void AReplicaThatDiffersStaysStoppedUntilAnotherTakesItsPlace()
    {
        ClusterWorld world = new(43, new LsmEngineFactory()) { Upkeep = s_noReplacements };
        world.MakeThree();
        world.Put(0, "a", "1");
        world.Run(TimeSpan.FromSeconds(3));
        GroupId shard = world.Members[0].Route(0, "a").Group;
        ClusterMember wrong = world.Members.First(m => m.Route(0, "a").Kind != RouteKind.Local);
        wrong.Group(shard).Replica.Engine.AssumeDigest(new StateDigest(666));
        world.Put(0, "a", "2");
        world.RunUntil(() => wrong.Group(shard).Difference is not null, "it is found out");
        StateDifference difference = wrong.Group(shard).Difference!;
        StoppedReplica stopped = Assert.Single(((IClusterTopology)wrong.Node).Stopped);
        Assert.Equal((shard, difference), (stopped.Group, stopped.Difference));
        Assert.Contains(wrong.Announced, a => a.Contains($"digest {difference.Own} here and {difference.Leaders}", StringComparison.Ordinal));
        Assert.Contains(difference.Own.ToString(), ((IClusterTopology)wrong.Node).Replicas.Single(r => r.Group == shard).Disk, StringComparison.Ordinal);

        // Its node still knows where to send its clients.
        Assert.Equal(RouteKind.Remote, wrong.Route(0, "a").Kind);
        Assert.Equal("2", world.Get(0, "a"));

        // What it had of the log is not kept for it, and not needed for it to stay what it is.
        world.Run(TimeSpan.FromSeconds(2));
        wrong.Crash(CrashKind.LoseUnsynced);
        wrong.Restart();
        world.RunUntil(() => wrong.Node.Host is not null, "it is back");
        Assert.Equal(difference, wrong.Group(shard).Difference);
        Assert.Equal([shard], ((IClusterTopology)wrong.Node).Stopped.Select(s => s.Group));
        world.Put(0, "a", "3");
        world.Put(1, "b", "3");
        Assert.Equal("3", world.Get(0, "a"));
        Assert.False(wrong.Group(shard).IsServing);
    }

    [Fact]
    public void AFollowerAnswersWhatNeedNotBeCurrentAsLongAsItHearsOfItsLeader()
    {
        ClusterWorld world = ClusterWorld.OfThree(45, new LsmEngineFactory());
        world.Put(0, "a", "1");
        GroupId shard = world.Members[0].Route(0, "a").Group;
        ClusterMember leader = world.Members.First(m => m.Group(shard).IsServing);
        ClusterMember follower = world.Members.First(m => m != leader);
        TimeSpan bound = TimeSpan.FromMilliseconds(500);
        world.Run(TimeSpan.FromMilliseconds(300));
        world.Put(0, "a", "2");
        TimeSpan written = world.Events.Now;
        world.RunUntil(() => follower.TryGetStale(shard, "a", bound, out _, out TimeSpan age) && age <= world.Events.Now - written, "it has heard since");
        Assert.True(follower.TryGetStale(shard, "a", bound, out string? value, out _));
        Assert.Equal("2", value);
        Assert.False(follower.TryGetStale(shard, "a", TimeSpan.Zero, out _, out _));

        // Who leads is asked otherwise; and who hears nothing grows too old.
        Assert.False(leader.TryGetStale(shard, "a", TimeSpan.FromHours(1), out _, out _));
        foreach (ClusterMember other in world.Members.Where(m => m != follower))
        {
            world.Network.Cut(other.Id, follower.Id);
            world.Network.Cut(follower.Id, other.Id);
        }

        world.Put(0, "a", "3");
        world.Run(bound);
        Assert.False(follower.TryGetStale(shard, "a", bound, out _, out _));
        Assert.True(follower.TryGetStale(shard, "a", TimeSpan.FromSeconds(10), out value, out TimeSpan old));
        Assert.Equal("2", value);
        Assert.True(old > bound);
        world.Network.MendAll();
        world.RunUntil(() => follower.TryGetStale(shard, "a", bound, out string? now, out _) && now == "3", "it has caught up");
    }

    [Fact]
    public void ASnapshotOfNothingSaysWhatItIs()
    {
        ClusterWorld world = ClusterWorld.OfThree(44, new LsmEngineFactory(), journalBytesMax: 256 << 10);
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        string large = new('x', 2000);
        for (int i = 0; i < 400; i++)
            world.Put(0, $"key{i}", large);
        foreach (ClusterMember member in world.Members[..2])
            member.DeleteAll();
        for (int i = 0; i < 400; i++)
            world.Put(1, $"key{i}", large);
        world.RunUntil(
            () =>
            {
                world.Put(1, "more", large);
                return world.Members[..2].All(m => m.Node.Host!.Groups.Count(g => g.BaseIndex > new LogIndex(20)) >= 4);
            },
            "the logs are cut");
        away.Restart();
        world.RunUntil(world.IsLevel, "it has caught up", seconds: 120);
        world.Run(TimeSpan.FromSeconds(3));
        away.Crash(CrashKind.LoseUnsynced);
        away.Restart();
        world.RunUntil(() => away.Node.Host is not null, "it is back");
        for (int i = 0; i < 20; i++)
            world.Put(0, $"after{i}", "new");
        world.Run(TimeSpan.FromSeconds(5));
        Assert.All(world.Members, m => Assert.Empty(((IClusterTopology)m.Node).Stopped));
        Assert.Contains(away.Node.Host!.Groups, g => g.DigestsCompared > 0);
    }

    [Fact]
    public void AFolderOfANodeThatIsAloneIsRefused()
    {
        using NodeInMemory alone = new();
        alone.Node.Dispose();
        var world = new ClusterWorld(51);
        var member = new ClusterMember(world, new NodeId(1));
        foreach (string path in alone.Disk.Paths)
        {
            member.Disk.CreateFolder(path[..path.LastIndexOf('/')]);
            member.Disk.WriteAll(path, alone.Disk.ReadAll(path));
        }

        Assert.Contains("alone", Assert.Throws<StorageException>(member.Start).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFolderOfAClustersNodeIsRefusedToOneThatIsAlone()
    {
        using NodeInMemory alone = new();
        alone.Node.Dispose();
        ClusterFile.Write(alone.Disk, "/data", new ClusterMembership(7, new NodeId(3), IsFounder: false));
        Assert.Contains("cluster", Assert.Throws<StorageException>(alone.Restart).Message, StringComparison.Ordinal);
        Assert.Equal(new ClusterMembership(7, new NodeId(3), IsFounder: false), ClusterFile.Find(alone.Disk, "/data"));
        alone.Disk.FlipBit("/data/CLUSTER", 20, 1);
        Assert.Throws<CorruptionException>(() => ClusterFile.Find(alone.Disk, "/data"));
    }

    [Fact]
    public void LeadersStayWhileNobodyWrites()
    {
        ClusterWorld world = ClusterWorld.OfThree(71);
        world.Put(0, "a", "1");
        world.Run(TimeSpan.FromSeconds(2));
        ulong[] terms = [.. world.Members[0].Node.Host!.Groups.Select(g => g.Term)];
        for (int i = 0; i < 300; i++)
        {
            world.Run(TimeSpan.FromMilliseconds(100));
            foreach (var group in world.Members[0].Node.View.Groups)
                Assert.Single(world.Members, m => m.Node.Host!.TryFind(group.Id, out RaftGroup? found) && (found.HasLease || found is { IsServing: true, IsQuiet: true }));
        }

        // All of them have gone to sleep meanwhile, but for the directory.
        Assert.All(world.Members, m => Assert.All(m.Node.Host!.Groups, g => Assert.Equal(g.Id != GroupId.Directory, g.IsQuiet)));

        Assert.Equal(terms, world.Members[0].Node.Host!.Groups.Select(g => g.Term));
    }

    [Fact]
    public void AServerThatComesLateHearsOfPeersAndRequestsThatWereThereBefore()
    {
        ClusterWorld world = ClusterWorld.OfThree(72);
        ITransportListener node = world.Members[0].Node;
        NodeId second = world.Members[1].Id, third = world.Members[2].Id;
        node.Connected(third);
        node.Received(third, [Channel.Requests, 3]);
        node.Connected(second);
        node.Received(second, [Channel.Requests, 2]);
        node.Disconnected(third);
        var server = new LateServer();
        world.Members[0].Node.SetForwarding(server);
        node.Received(second, [Channel.Replies, 4]);
        node.Settled();
        node.Connected(third);
        Assert.Equal(["2 is there", "2 says 2 2", "settled", "2 says 3 4", "settled", "3 is there"], server.Heard);
    }

    private sealed class LateServer : ITransportListener
    {
        public List<string> Heard { get; } = [];

        public void Received(NodeId from, ReadOnlySpan<byte> message) => Heard.Add($"{from} says {string.Join(' ', message.ToArray())}");

        public void Settled() => Heard.Add("settled");

        public void Connected(NodeId peer) => Heard.Add($"{peer} is there");

        public void Disconnected(NodeId peer) => Heard.Add($"{peer} is gone");

        public void Writable(NodeId peer)
        {
        }
    }

    [Fact]
    public void LeadersAreSpread()
    {
        ClusterWorld world = ClusterWorld.OfThree(61);
        world.RunUntil(
            () => world.Members.TrueForAll(m => m.Node.Host!.Groups.Any(g => g.Role == RaftRole.Leader)), "every node leads something");
    }
}
