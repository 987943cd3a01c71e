using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Network;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>Snapshots that are the files of an engine: who gets them, and what becomes of files that are not whole.</summary>
public sealed class SnapshotFilesTests
{
    private const int Rows = 200;
    private static readonly string s_value = new('x', 20_000);

    [Theory]
    [InlineData(CrashKind.ProcessKill)]
    [InlineData(CrashKind.LoseUnsynced)]
    [InlineData(CrashKind.LoseSubset)]
    public void WhoLacksMuchGetsFilesThoughTheLogHasTheEntries(CrashKind crash)
    {
        (ClusterWorld world, ClusterMember away) = World(71, insteadBytes: 512 << 10);
        away.Restart();
        world.RunUntil(world.IsLevel, "it has caught up");
        Assert.All(world.Members[0].Node.View.Groups, g => Assert.True(world.Members[0].Group(g.Id).BaseIndex < new LogIndex(50)));
        Assert.NotEqual(0, Sent(world));
        Assert.Contains(away.Disk.Paths, p => p.EndsWith(".installed", StringComparison.Ordinal));
        world.AssertSameContent();

        // What it was sent is as durable as what it acknowledged; and nobody keeps what was on its way.
        away.Crash(crash);
        away.Restart();
        world.RunUntil(() => away.Node.Host is not null, "it is back");
        Assert.DoesNotContain(away.Node.Host!.Groups, g => g.IsOut);
        world.RunUntil(world.IsLevel, "it is level");
        world.AssertSameContent();
        world.RunUntil(() => !world.Members.Exists(m => m.Disk.Paths.Any(IsOutgoing)), "what was on its way is gone");
        for (int i = 0; i < Rows; i++)
            Assert.Equal(s_value + i, world.Get(0, $"key{i}"));
    }

    [Fact]
    public void ASnapshotThatIsUnderWayIsShown()
    {
        (ClusterWorld world, ClusterMember away) = World(80, insteadBytes: 512 << 10);
        away.Restart();
        away.Holds = () => Arriving(away).Any(static a => a.Snapshot is { Bytes: > 0 });
        world.RunUntil(away.Holds, "files are on their way");
        ReplicaDescription copy = Arriving(away).First(static a => a.Snapshot is { Bytes: > 0 });
        SnapshotDispatch sent = Going(world, copy.Group)!.Value;
        Assert.Equal(sent.Total, copy.Snapshot!.Value.Total);
        Assert.InRange(copy.Snapshot.Value.Bytes, 1, sent.Bytes);
        Assert.InRange(sent.Bytes, 1, sent.Total!.Value);
        Assert.Equal(copy.Leader, copy.Snapshot.Value.From);
        Assert.NotEqual(0, Topology(away).Snapshots.Receiving);
        Assert.NotEqual(0, world.Members[..2].Sum(m => Topology(m).Snapshots.Sending));
        world.RunUntil(() => world.Members[..2].Exists(m => Topology(m).FurthestBehind is { Entries: > 20, Milliseconds: > 0 }), "it lags");

        away.Holds = null;
        world.RunUntil(world.IsLevel, "it has caught up");
        world.RunUntil(() => world.Members.TrueForAll(m => Topology(m).Snapshots is { Waiting: 0, Sending: 0, Receiving: 0 }), "none is under way");
        Assert.Empty(Arriving(away));
        Assert.All(world.Members[0].Node.View.Groups, g => Assert.Null(Going(world, g.Id)));
        Assert.True(Topology(away).Snapshots is { Installed: 2, Failed: 0, Refused: 0, ReceivedBytes: > 0 });
        Assert.Equal(2, world.Members[..2].Sum(m => Topology(m).Snapshots.Delivered));
        Assert.Equal(Sent(world), world.Members.Sum(m => Topology(m).Snapshots.SentBytes));
        world.RunUntil(() => world.Members.TrueForAll(m => Topology(m).FurthestBehind == default), "nobody lags");
    }

    [Fact]
    public void WhoLacksLittleGetsEntries()
    {
        (ClusterWorld world, ClusterMember away) = World(72, insteadBytes: 8 << 20);
        away.Restart();
        world.RunUntil(world.IsLevel, "it has caught up");
        Assert.Equal(0, Sent(world));
        world.AssertSameContent();
    }

    /// <summary>Where they may take next to nothing of the node, entries are there sooner.</summary>
    [Fact]
    public void WhereSnapshotsAreSlowWhoLacksMuchGetsEntries()
    {
        (ClusterWorld world, ClusterMember away) = World(73, insteadBytes: 512 << 10, bytesPerSecond: 1 << 20);
        away.Restart();
        world.RunUntil(world.IsLevel, "it has caught up");
        Assert.Equal(0, Sent(world));
    }

    /// <summary>The replica whose files they are is found out, whether rows have to be sent instead or entries will do; and the damage stays where it is.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void FilesThatAreDamagedAreNotTaken(bool isLogCut)
    {
        (ClusterWorld world, ClusterMember away) = World(74, insteadBytes: 512 << 10, journalBytesMax: isLogCut ? 256 << 10 : 512 << 20);
        if (isLogCut)
            world.WriteUntilTheLogIsCut(keys: 0);
        GroupId shard = world.Members[0].Route(0, "key0").Group;
        ClusterMember leader = world.Members[..2].Single(m => m.Group(shard).IsServing), whole = world.Members[..2].Single(m => m != leader);
        leader.Flush(shard);
        string[] tables = [.. leader.Disk.Paths.Where(p => p.StartsWith($"/data/replicas/{shard}/", StringComparison.Ordinal) && p.EndsWith(".sst", StringComparison.Ordinal))];
        Assert.NotEmpty(tables);
        foreach (string path in tables)
            leader.Disk.FlipBit(path, 500, 3);
        away.Restart();
        world.RunUntil(() => leader.Group(shard).IsOut, "it is found out");
        Assert.Contains(tables, path => leader.Group(shard).Damage!.Contains(path + " ", StringComparison.Ordinal));
        world.RunUntil(() => whole.Group(shard).AppliedIndex == away.Group(shard).AppliedIndex && away.Group(shard).AppliedIndex > new LogIndex(50), "it has caught up");
        Assert.NotEqual(0, Sent(world));
        Assert.False(away.Group(shard).IsOut);

        // What came to nothing is over: nothing waits for it.
        Assert.True(isLogCut || !away.Node.Snapshots!.IsReplacing(away.Group(shard)));
        Assert.Equal(whole.Content(shard), away.Content(shard));
        away.Flush(shard);
        Assert.Empty(TableVerifier.Verify(away.Disk, Path.GetDirectoryName(away.Disk.Paths.Last(p => p.StartsWith($"/data/replicas/{shard}", StringComparison.Ordinal) && p.EndsWith(".sst", StringComparison.Ordinal)))!));
    }

    /// <summary>A node that ends while it sends leaves files behind, which its next start removes.</summary>
    [Fact]
    public void WhatWasOnItsWayGoesWithTheNextStart()
    {
        (ClusterWorld world, ClusterMember away) = World(75, insteadBytes: 512 << 10);
        away.Restart();
        world.RunUntil(() => world.Members[..2].Exists(m => m.Disk.Paths.Any(IsOutgoing)), "files are on their way");
        ClusterMember sender = world.Members[..2].First(m => m.Disk.Paths.Any(IsOutgoing));
        sender.Crash(CrashKind.ProcessKill);
        Assert.Contains(sender.Disk.Paths, IsOutgoing);
        sender.Restart();
        world.RunUntil(() => sender.Node.Host is not null, "it is back");
        world.RunUntil(world.IsLevel, "all have it");
        world.RunUntil(() => !world.Members.Exists(m => m.Disk.Paths.Any(IsOutgoing)), "nothing is on its way");
        world.AssertSameContent();
    }

    /// <summary>A disk may be full for hours, and what is sent there takes what others need.</summary>
    [Fact]
    public void WhatADiskHasNoRoomForIsNotSentAllTheTime()
    {
        (ClusterWorld world, ClusterMember away) = World(79, insteadBytes: 512 << 10, journalBytesMax: 256 << 10);
        world.WriteUntilTheLogIsCut(keys: 0);
        away.Restart();
        world.RunUntil(() => away.Node.Host is not null, "it is back");
        away.Disk.Faults.Add(new FaultRule(DiskFault.Full, DiskOperationKind.Create, "/data/replicas/"));
        world.Run(TimeSpan.FromSeconds(3));
        Assert.Contains(away.Announced, a => a.Contains("could not be taken", StringComparison.Ordinal));
        long before = Sent(world);
        world.Run(TimeSpan.FromSeconds(30));
        long content = world.Members[0].Node.View.Groups.Sum(g => (long)world.Members[0].Content(g.Id).Length);
        Assert.InRange(Sent(world) - before, 1, 6 * content);
        world.RunUntil(() => world.Members[0].Node.View.Groups.Any(g => Going(world, g.Id) is { Stage: SnapshotStage.Refused }), "it is said to be refused");
        Assert.Contains(Topology(away).Replicas, static r => r.SnapshotFailure is not null);
        Assert.NotEqual(0, Topology(away).Snapshots.Refused);
        Assert.NotEqual(0, world.Members[..2].Sum(m => Topology(m).Snapshots.Undelivered));
        away.Disk.Faults.Clear();
        world.RunUntil(world.IsLevel, "it has caught up");
        Assert.DoesNotContain(Topology(away).Replicas, static r => r.SnapshotFailure is not null);
        world.RunUntil(() => world.Members[0].Node.View.Groups.All(g => Going(world, g.Id) is null), "no snapshot is needed");
        world.AssertSameContent();
    }

    /// <summary>A message that was late comes again; nothing is begun anew for that.</summary>
    [Fact]
    public void MessagesThatOvertakeEachOtherBringNoStreamToNothing()
    {
        (ClusterWorld world, ClusterMember away) = World(76, insteadBytes: 512 << 10);
        world.Network.Behaviour = new NetworkConditions { Reorders = true, LatencyMean = TimeSpan.FromMilliseconds(10) };
        away.Restart();
        HashSet<ulong> streams = [];
        world.RunUntil(
            () =>
            {
                streams.UnionWith(Streams(world));
                return world.IsLevel();
            },
            "it has caught up", seconds: 120);
        Assert.Equal(2, streams.Count);
        world.AssertSameContent();
    }

    /// <summary>Who does not know files passes over them, and who sends them hears nothing.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhoDoesNotTakeFilesGetsWhatItNeedsAllTheSame(bool isLogCut)
    {
        (ClusterWorld world, ClusterMember away) = World(77, insteadBytes: 512 << 10, journalBytesMax: isLogCut ? 256 << 10 : 512 << 20);
        if (isLogCut)
            world.WriteUntilTheLogIsCut(keys: 0);
        int files = 0, rows = 0;
        foreach (ClusterMember member in world.Members[..2])
        {
            member.Loses = message =>
            {
                if (!SnapshotCodec.TryReadChunk(message, out _, out _, out _, out SnapshotChunkFlags flags, out _))
                    return false;
                bool isFiles = (flags & SnapshotChunkFlags.Files) != 0;
                (files, rows) = isFiles ? (files + 1, rows) : (files, rows + 1);
                return isFiles;
            };
        }

        away.Restart();
        world.RunUntil(world.IsLevel, "it has caught up", seconds: 120);
        Assert.NotEqual(0, files);
        Assert.Equal(isLogCut, rows > 0);
        world.AssertSameContent();
        world.RunUntil(() => !world.Members.Exists(m => m.Disk.Paths.Any(IsOutgoing)), "nothing is on its way");
    }

    /// <summary>It would lack as much again whenever it had them, and be sent nothing else.</summary>
    [Fact]
    public void WhoLagsAllTheTimeIsNotSentFilesAgainAndAgain()
    {
        (ClusterWorld world, ClusterMember away) = World(78, insteadBytes: 64 << 10);
        away.Restart();
        HashSet<ulong> streams = [];
        int writes = 0;
        world.RunUntil(
            () =>
            {
                // More in the time that the files take than one append holds.
                for (int i = 0; i < 10 && away.Node.Host is not null; i++)
                    writes += world.Members[..2].Exists(m => m.TryPut(0, $"key{writes % Rows}", s_value + writes) is not null) ? 1 : 0;
                streams.UnionWith(Streams(world));
                return writes >= 6000;
            },
            "all is written");
        Assert.Equal(2, streams.Count);
        world.RunUntil(world.IsLevel, "it has caught up");
        world.AssertSameContent();
    }

    private static IEnumerable<ulong> Streams(ClusterWorld world) => world.Members[..2].SelectMany(m => m.Node.Snapshots!.Streams);

    private static IClusterTopology Topology(ClusterMember member) => member.Node;

    private static IEnumerable<ReplicaDescription> Arriving(ClusterMember member) => Topology(member).Replicas.Where(static r => r.Snapshot is not null);

    /// <summary>What the shard's leader says of the snapshot that the third node needs.</summary>
    private static SnapshotDispatch? Going(ClusterWorld world, GroupId group) => world.Members[..2]
        .SelectMany(m => Topology(m).Replicas).Where(r => r.Group == group).SelectMany(static r => r.Followers).FirstOrDefault(f => f.Node == world.Members[2].Id).Snapshot;

    private static bool IsOutgoing(string path) => path.StartsWith("/data/replicas/outgoing/", StringComparison.Ordinal);

    private static long Sent(ClusterWorld world) => world.Members.Sum(m => m.Node.Snapshots!.BytesSent);

    /// <summary>Three nodes, of which the last is away and lacks some entries, all of which the others have in their logs.</summary>
    private static (ClusterWorld World, ClusterMember Away) World(ulong seed, long insteadBytes, long bytesPerSecond = 128 << 20, long journalBytesMax = 512 << 20)
    {
        var world = new ClusterWorld(seed, new LsmEngineFactory(), journalBytesMax)
        {
            SnapshotInsteadBytes = insteadBytes,
            SnapshotBytesPerSecond = bytesPerSecond,
            OldBytesPerTurn = 8 << 10,
        };
        world.MakeThree();
        ClusterMember away = world.Members[2];
        away.Crash(CrashKind.LoseUnsynced);
        for (int i = 0; i < Rows; i++)
            world.Put(0, $"key{i}", s_value + i);
        return (world, away);
    }
}
