using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Nodes;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>
/// As <see cref="LostEndsTests"/>, in a cluster: files of a copy that are whole by every checksum, and hold less than they did when
/// the log let go of it.
/// </summary>
public sealed class LostEndsOfReplicasTests
{
    private static readonly string s_large = new('x', 2000);

    [Fact]
    public void AnOlderCopyOfAReplicaIsStoppedAndMadeAnew()
    {
        ClusterWorld world = Filled(1, out GroupId shard);
        ClusterMember member = world.Members[1];
        SortedDictionary<string, byte[]> older = CopyOf(member, shard);
        LetGo(world, member, shard);
        member.Crash(CrashKind.LoseUnsynced);
        Replace(member, shard, older);
        IsStoppedAndHeals(world, member, shard);
    }

    [Fact]
    public void AManifestWithoutItsLastRecordsStopsItsReplica()
    {
        ClusterWorld world = Filled(2, out GroupId shard);
        ClusterMember member = world.Members[1];
        (string path, long length) = Manifest(member, shard);
        LetGo(world, member, shard);
        member.Crash(CrashKind.LoseUnsynced);
        Assert.Equal(path, Manifest(member, shard).Path);
        byte[] bytes = member.Disk.ReadAll(path);
        Assert.True(bytes.Length > length);
        member.Disk.WriteAll(path, bytes[..(int)length]);
        string[] tables = TablesOf(member, shard);
        IsStoppedAndHeals(world, member, shard, () => Assert.Equal(tables, TablesOf(member, shard)));
    }

    [Fact]
    public void AFolderFromBeforeASnapshotStopsItsReplica()
    {
        ClusterWorld world = Filled(3, out GroupId shard);
        ClusterMember member = world.Members[2];
        member.Crash(CrashKind.LoseUnsynced);
        SortedDictionary<string, byte[]> older = CopyOf(member, shard);
        LetGo(world, world.Members[0], shard);
        LetGo(world, world.Members[1], shard);
        member.Restart();
        string mark = $"/data/replicas/{shard}.1.installed";
        world.RunUntil(() => member.Disk.FileExists(mark) && world.IsLevel(), "it has got a snapshot");
        world.Run(TimeSpan.FromSeconds(5));
        member.Crash(CrashKind.LoseUnsynced);
        foreach (string path in member.Disk.Paths.Where(p => p.StartsWith($"/data/replicas/{shard}.1", StringComparison.Ordinal)).ToArray())
            member.Disk.Delete(path);
        Replace(member, shard, older);
        IsStoppedAndHeals(world, member, shard);
    }

    [Fact]
    public void AnOlderCopyThatTheLogCanCatchUpIsWelcome()
    {
        ClusterWorld world = Filled(4, out GroupId shard);
        ClusterMember member = world.Members[1];
        SortedDictionary<string, byte[]> older = CopyOf(member, shard);
        world.Put(0, "key1", "newer");
        world.RunUntil(world.IsLevel, "all have it");
        member.Flush(shard);
        world.Run(TimeSpan.FromSeconds(3));
        member.Crash(CrashKind.LoseUnsynced);
        Replace(member, shard, older);
        Assert.Empty(Findings(member));
        member.Restart();
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it has caught up");
        Assert.DoesNotContain(member.Node.Host!.Groups, g => g.IsOut);
        Assert.All(world.Members, m => Assert.Equal(world.Members[0].Content(shard), m.Content(shard)));
        Assert.Equal("newer", world.Get(0, "key1"));
    }

    [Fact]
    public void NothingIsDemandedOfFilesThatWasNeverFlushed()
    {
        ClusterWorld world = Filled(6, out GroupId shard);
        ClusterMember member = world.Members[1];

        // An election leaves an entry in the log that engines know nothing of.
        ClusterMember leader = world.Members.Single(m => m.Group(shard).IsServing);
        leader.Crash(CrashKind.LoseUnsynced);
        world.RunUntil(() => world.Members.Exists(m => !m.IsDown && m.Group(shard).IsServing), "another leads");
        leader.Restart();
        world.RunUntil(() => leader.Node.Host is not null && world.IsLevel(), "all have it");
        LetGo(world, member, shard, databases: [1]);
        LogIndex begin = DescribedBase(member, shard);
        member.Crash(CrashKind.LoseUnsynced);
        Assert.Empty(Findings(member));
        member.Restart();
        world.RunUntil(() => member.Node.Host is not null, "it is there");
        EngineMark needed = member.Node.Host!.Journal.NeededOf(shard);
        Assert.True(needed.Flushed > LogIndex.Zero && needed.Flushed < begin, $"{needed}, and the log begins behind {begin}");
        Assert.False(member.Group(shard).IsOut);
    }

    [Fact]
    public void AnOlderCopyOfTheDirectoryStopsTheStart()
    {
        ClusterWorld world = Filled(5, out _);
        ClusterMember member = world.Members[1];
        member.Flush(GroupId.Directory);
        SortedDictionary<string, byte[]> older = CopyOf(member, GroupId.Directory);
        LogIndex held = member.Group(GroupId.Directory).AppliedIndex;
        world.Add();
        world.RunUntil(() => world.Members[0].Node.View.Groups.All(g => g.IsSettled), "the directory has changed");
        world.RunUntil(() => member.Group(GroupId.Directory).AppliedIndex > held + 3, "and here");
        member.Flush(GroupId.Directory);
        LetGo(world, member, GroupId.Directory, databases: [0, 1]);
        member.Crash(CrashKind.LoseUnsynced);
        Replace(member, GroupId.Directory, older);
        CorruptionException refusal = Assert.Throws<CorruptionException>(member.Restart);
        Assert.Contains("/data/replicas/1", refusal.Message, StringComparison.Ordinal);
        Assert.Equal("/data/replicas/1", Assert.Single(Findings(member)).File);
    }

    private static void IsStoppedAndHeals(ClusterWorld world, ClusterMember member, GroupId shard, Action? andThen = null)
    {
        Assert.Equal($"/data/replicas/{shard}", Assert.Single(Findings(member)).File);
        world.Upkeep = new UpkeepSettings { ReplacesStopped = false };
        foreach (ClusterMember other in world.Members.Where(m => m != member))
        {
            other.Crash(CrashKind.LoseUnsynced);
            other.Restart();
        }

        member.Restart();
        world.RunUntil(() => member.Node.Host is not null, "it is there");
        Assert.True(member.Group(shard).IsOut);
        StoppedReplica stopped = Assert.Single(((IClusterTopology)member.Node).Stopped);
        Assert.Equal(shard, stopped.Group);
        Assert.Contains("older copy", stopped.Reason, StringComparison.Ordinal);
        andThen?.Invoke();
        for (int i = 0; i < 20; i++)
            Assert.Equal($"value{i}", world.Get(0, $"key{i}"));

        // What stopped it is known, and nothing that is there is missed once more.
        member.Crash(CrashKind.LoseUnsynced);
        Assert.Empty(Findings(member));
        world.Upkeep = new UpkeepSettings();
        foreach (ClusterMember other in world.Members.Where(m => m != member))
            other.Crash(CrashKind.LoseUnsynced);
        foreach (ClusterMember each in world.Members)
            each.Restart();
        world.RunUntil(() => member.Node.Host is not null && member.Node.Host.TryFind(shard, out RaftGroup? group) && !group.IsOut, "it is made anew");
        world.RunUntil(() => world.IsWhole() && world.IsLevel(), "it has caught up");
        Assert.All(world.Members, m => Assert.Equal(world.Members[0].Content(shard), m.Content(shard)));
    }

    private static ClusterWorld Filled(ulong seed, out GroupId shard)
    {
        ClusterWorld world = ClusterWorld.OfThree(seed, new LsmEngineFactory(), journalBytesMax: 256 << 10);
        for (int i = 0; i < 20; i++)
            world.Put(0, $"key{i}", $"value{i}");
        world.RunUntil(world.IsLevel, "all have it");
        shard = world.Members[0].Route(0, "key1").Group;
        foreach (ClusterMember member in world.Members)
            member.Flush(shard);
        world.Run(TimeSpan.FromSeconds(3));
        return world;
    }

    /// <summary>More is written, and flushed; and of all of that nothing is left in the member's log.</summary>
    private static void LetGo(ClusterWorld world, ClusterMember member, GroupId shard)
    {
        LogIndex before = member.Group(shard).LastIndex;
        world.Put(0, "key1", "value1");
        world.RunUntil(() => member.Group(shard).AppliedIndex > before, "it has it");
        LetGo(world, member, shard, databases: [0, 1]);
    }

    /// <summary>The log of the group is cut, as far as it reaches now, by what others write; so it stands on the disk.</summary>
    private static void LetGo(ClusterWorld world, ClusterMember member, GroupId group, int[] databases)
    {
        LogIndex end = member.Group(group).LastIndex;
        int written = 0;
        world.RunUntil(
            () =>
            {
                world.Put(databases[written % databases.Length], $"more{written++ % 50}", s_large);
                if (written % 50 == 0)
                    member.Do(_ => member.Node.Host!.Groups.ToList().ForEach(g => g.Replica.Engine.Flush()));
                return DescribedBase(member, group) >= end;
            },
            "the log is cut");
    }

    private static LogIndex DescribedBase(ClusterMember member, GroupId group)
    {
        SimulatedFileSystem left = member.Disk.AfterCrash(new Primitives.SeededRandom(1), CrashKind.LoseUnsynced);
        var replay = new GroupsReplay("/data/journal");
        Assert.Empty(JournalVerifier.Verify(left, "/data/journal", new JournalOptions(), replay.Record));
        return replay.Logs.Single(l => l.Id == group).BaseIndex;
    }

    private static IReadOnlyList<JournalFinding> Findings(ClusterMember member) =>
        ClusterInspector.VerifyJournal(member.Disk, "/data", path => new LsmEngineFactory().ReadFlushedPosition(member.Disk, path), out _);

    private static string[] TablesOf(ClusterMember member, GroupId shard) =>
        [.. member.Disk.Paths.Where(p => p.StartsWith($"/data/replicas/{shard}/", StringComparison.Ordinal) && p.EndsWith(".sst", StringComparison.Ordinal))];

    private static (string Path, long Length) Manifest(ClusterMember member, GroupId shard)
    {
        string path = member.Disk.Paths.Single(p => p.StartsWith($"/data/replicas/{shard}/MANIFEST", StringComparison.Ordinal));
        return (path, member.Disk.FileLength(path));
    }

    private static SortedDictionary<string, byte[]> CopyOf(ClusterMember member, GroupId group) => new(
        member.Disk.Paths.Where(p => p.StartsWith($"/data/replicas/{group}/", StringComparison.Ordinal)).ToDictionary(p => p, member.Disk.ReadAll),
        StringComparer.Ordinal);

    private static void Replace(ClusterMember member, GroupId group, SortedDictionary<string, byte[]> copy)
    {
        foreach (string path in CopyOf(member, group).Keys)
            member.Disk.Delete(path);
        member.Disk.CreateFolder($"/data/replicas/{group}");
        foreach ((string path, byte[] content) in copy)
            member.Disk.WriteAll(path, content);
    }
}
