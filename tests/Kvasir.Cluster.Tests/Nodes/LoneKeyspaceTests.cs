using System.Text;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>Keyspaces of a node that is alone, made by their name.</summary>
public sealed class LoneKeyspaceTests
{
    private static readonly IEngineFactory[] s_engines =
        [new LsmEngineFactory(LsmOptions.Tiny), new HashLogEngineFactory(HashLogOptions.Tiny), BTreeEngineFactory.Tiny];

    [Theory]
    [InlineData("lsm")]
    [InlineData("log")]
    [InlineData("btree")]
    public void AKeyspaceIsThereAfterEveryEnd(string engine)
    {
        using NodeInMemory world = new(engines: s_engines);
        Assert.Null(Create(world, "sessions", engine));
        int index = Find(world, "sessions");
        Assert.Equal(4, index);
        world.Put(index, "a", "1");
        world.Put(0, "a", "0");
        world.Settle();
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("1", world.Get(Find(world, "sessions"), "a"));
        for (int i = 0; i < 300; i++)
            world.Put(Find(world, "sessions"), $"key{i}", new string('x', 100));
        world.Settle();
        world.Restart();
        Assert.Equal("1", world.Get(Find(world, "sessions"), "a"));
        world.Crash(CrashKind.ProcessKill);
        Assert.Equal("0", world.Get(0, "a"));
        Assert.Equal(engine, world.Node.Keyspaces.Single(k => k.Name == "sessions").Engine);
        world.Node.Reload();
        Assert.Equal(new string('x', 100), world.Get(Find(world, "sessions"), "key299"));
    }

    [Fact]
    public void ADroppedOneIsGoneWithItsFilesAndANewOneOfTheNameIsEmpty()
    {
        using NodeInMemory world = new(engines: s_engines);
        Assert.Null(Create(world, "sessions", "log"));
        int first = Find(world, "sessions");
        world.Put(first, "a", "1");
        world.Settle();
        Assert.Contains(world.Disk.Paths, p => p.StartsWith("/data/keyspaces/sessions.1/", StringComparison.Ordinal));
        Assert.Null(Drop(world, "sessions"));
        Assert.Equal(-1, Find(world, "sessions"));
        Assert.True(world.Node.ReplicasOf(first).IsEmpty);

        // A write of it is in the journal still.
        Assert.Null(Create(world, "sessions", "btree"));
        Assert.Equal(first + 1, Find(world, "sessions"));
        Assert.Null(world.Get(first + 1, "a"));
        world.Put(first + 1, "b", "2");
        world.Settle();
        world.Idle();
        Assert.DoesNotContain(world.Disk.Paths, p => p.StartsWith("/data/keyspaces/sessions.1/", StringComparison.Ordinal));
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Null(world.Get(Find(world, "sessions"), "a"));
        Assert.Equal("2", world.Get(Find(world, "sessions"), "b"));
        world.Restart();
        Assert.Equal("2", world.Get(Find(world, "sessions"), "b"));
    }

    /// <summary>At each operation of the disk while one is made, and one is dropped: all of it or nothing, and a start that goes.</summary>
    [Theory]
    [InlineData("lsm", CrashKind.LoseUnsynced)]
    [InlineData("log", CrashKind.LoseSubset)]
    [InlineData("btree", CrashKind.LoseUnsynced)]
    [InlineData("log", CrashKind.ProcessKill)]
    public void ACrashLeavesAllOfAKeyspaceOrNothing(string engine, CrashKind kind)
    {
        int there = 0, gone = 0, dropped = 0;
        for (int crashAt = 1; ; crashAt++)
        {
            using NodeInMemory world = new(engines: s_engines);
            Assert.Null(Create(world, "kept", engine));
            Assert.Null(Create(world, "old", engine));
            world.Put(Find(world, "kept"), "a", "1");
            world.Put(Find(world, "old"), "a", "1");
            world.Settle();
            int operations = 0;
            SimulatedFileSystem? crashed = null;
            world.Disk.BeforeOperation = _ =>
            {
                if (++operations == crashAt)
                    crashed = world.Disk.AfterCrash(new SeededRandom((ulong)crashAt), kind);
            };
            Assert.Null(Create(world, "new", engine));
            bool wasMade = crashed is null;
            world.Put(Find(world, "new"), "b", "2");
            world.Settle();
            Assert.Null(Drop(world, "old"));
            bool wasDropped = crashed is null;
            world.Idle();
            if (crashed is null)
                break;
            world.Disk.BeforeOperation = null;
            world.Node.Dispose();
            world.Disk = crashed;
            world.Crash(CrashKind.ProcessKill);
            Assert.Equal("1", world.Get(Find(world, "kept"), "a"));
            Assert.True(!wasMade || Find(world, "new") >= 0);
            Assert.True(!wasDropped || Find(world, "old") < 0);
            if (Find(world, "old") >= 0)
                Assert.Equal("1", world.Get(Find(world, "old"), "a"));
            else
                dropped++;
            if (Find(world, "new") >= 0)
                there++;
            else
                gone++;
            string[] folders = [.. world.Disk.ListFolders("/data/keyspaces").Where(f => f.Contains('.', StringComparison.Ordinal))];
            Assert.Equal(world.Node.Keyspaces.Count(k => k.Database >= 4), folders.Length);

            // And it goes on.
            if (Find(world, "new") < 0)
                Assert.Null(Create(world, "new", engine));
            world.Put(Find(world, "new"), "c", "3");
            world.Settle();
            world.Restart();
            Assert.Equal("3", world.Get(Find(world, "new"), "c"));
        }

        Assert.True(there > 0 && gone > 0 && dropped > 0);
    }

    [Fact]
    public void WhoLooksAtAFolderWritesNothingThere()
    {
        using NodeInMemory world = new(engines: s_engines);
        Assert.Null(Create(world, "first", "log"));
        world.Settle();
        world.Node.Dispose();

        // A disk that went read-only when it failed syncs nothing either, and that is when people look.
        foreach (DiskOperationKind kind in (DiskOperationKind[])[DiskOperationKind.Write, DiskOperationKind.Sync, DiskOperationKind.SyncFolder])
            world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, kind));
        Assert.NotEmpty(NodeInspector.ListKeyspaces(world.Disk, "/data"));
        Assert.Empty(NodeInspector.VerifyFlushed(world.Disk, "/data", _ => LogPosition.Max));
        world.Disk.Faults.Clear();
    }

    [Fact]
    public void WhatIsMissingOrOlderIsRefused()
    {
        using NodeInMemory world = new(engines: s_engines);
        Assert.Null(Create(world, "first", "log"));
        SortedDictionary<string, byte[]> older = world.CopyOf("/data/KEYSPACES");
        Assert.Null(Create(world, "second", "btree"));
        world.Put(Find(world, "second"), "a", "1");
        world.Settle();
        world.Node.Dispose();

        SortedDictionary<string, byte[]> newer = world.CopyOf("/data/KEYSPACES");
        world.Replace("/data/KEYSPACES", older);
        Assert.Contains("older copy", Assert.ThrowsAny<StorageException>(() => world.Crash(CrashKind.ProcessKill)).Message, StringComparison.Ordinal);
        Assert.Contains(NodeInspector.VerifyFlushed(world.Disk, "/data", _ => LogPosition.Max), f => f.Detail.Contains("older copy", StringComparison.Ordinal));
        world.Replace("/data/KEYSPACES", []);
        Assert.Throws<FileMissingException>(() => world.Crash(CrashKind.ProcessKill));
        foreach (int offset in (int[])[3, 9, 13, 17, 25, newer.Values.Single().Length - 2])
        {
            world.Replace("/data/KEYSPACES", newer);
            world.Disk.FlipBit("/data/KEYSPACES", offset, 1);
            Assert.ThrowsAny<StorageException>(() => world.Crash(CrashKind.ProcessKill));
        }

        world.Replace("/data/KEYSPACES", newer);
        SortedDictionary<string, byte[]> folder = world.CopyOf("/data/keyspaces/second.2");
        world.Replace("/data/keyspaces/second.2", []);
        Assert.Throws<FileMissingException>(() => world.Crash(CrashKind.ProcessKill));
        world.Replace("/data/keyspaces/second.2", folder);
        world.Crash(CrashKind.ProcessKill);
        Assert.Equal("1", world.Get(Find(world, "second"), "a"));
    }

    [Fact]
    public void ACheckpointHasThemAll()
    {
        using NodeInMemory world = new(engines: s_engines);
        foreach (string engine in (string[])["lsm", "log", "btree"])
        {
            Assert.Null(Create(world, "on-" + engine, engine));
            world.Put(Find(world, "on-" + engine), "a", engine);
        }

        Assert.Null(Create(world, "dropped", "log"));
        Assert.Null(Drop(world, "dropped"));
        world.Settle();
        world.Node.Checkpoint("/copy");
        using KvasirNode copy = KvasirNode.Open(
            world.Options with { Folder = "/copy" }, new NodeEnvironment(world.Disk, world.Scheduler, s_engines, Seed: 9));
        Assert.Equal(["on-btree", "on-log", "on-lsm"], copy.Keyspaces.Skip(4).Select(k => k.Name));
        foreach (string engine in (string[])["lsm", "log", "btree"])
        {
            var value = new BytesBuffer();
            Assert.True(copy.Database(copy.FindKeyspace(Encoding.ASCII.GetBytes("on-" + engine))).Engine.Get("a"u8, ReadView.Published, value).Found);
            Assert.Equal(engine, Encoding.ASCII.GetString(value.WrittenSpan));
        }
    }

    [Theory]
    [InlineData("sessions", "", null)]
    [InlineData("sessions", "durability none engine btree shards 1 replicas 1", null)]
    [InlineData("db3", "", "kept for the database")]
    [InlineData("Sessions", "", "begins with")]
    [InlineData("sessions", "engine rocks", "no engine 'rocks'")]
    [InlineData("sessions", "shards 4", "shards 1")]
    [InlineData("sessions", "replicas 3", "replicas 1")]
    [InlineData("sessions", "partitioning ring", "partitioning static")]
    [InlineData("sessions", "partitioning range engine log", "keeps keys in order")]
    [InlineData("sessions", "conflicts lww", "conflicts none")]
    public void WhatCannotBeOnOneNodeIsRefusedWithTheReason(string name, string words, string? reason)
    {
        using NodeInMemory world = new(engines: s_engines);
        Assert.True(KeyspaceRequest.TryParse(
            name, words.Split(' ', StringSplitOptions.RemoveEmptyEntries), out KeyspaceRequest? request, out _,
            new KeyspaceRequest { Name = "", Shards = 1, Replicas = 1 }));
        string? refusal = "";
        world.Do(_ => refusal = world.Node.CreateKeyspace(request));
        if (reason is null)
            Assert.Null(refusal);
        else
            Assert.Contains(reason, refusal, StringComparison.Ordinal);
        Assert.Equal(reason is null ? 1 : 0, world.Node.Keyspaces.Count - 4);
    }

    [Fact]
    public void DatabasesHaveTheEngineThatTheirFolderWasMadeWith()
    {
        using NodeInMemory world = new(engines: s_engines);
        world.Node.Dispose();
        foreach (string path in world.Disk.Paths.Where(p => p.StartsWith("/data/", StringComparison.Ordinal)).ToArray())
            world.Disk.Delete(path);
        world.Disk = new SimulatedFileSystem(new SeededRandom(8));
        List<string> warnings = [];
        world.Options = world.Options with { Engine = "btree", Warner = warnings.Add };
        world.Crash(CrashKind.ProcessKill);
        Assert.All(world.Node.Keyspaces, k => Assert.Equal("btree", k.Engine));
        world.Put(0, "a", "1");
        world.Settle();
        world.Options = world.Options with { Engine = null };
        world.Restart();
        Assert.Equal("1", world.Get(0, "a"));
        Assert.Empty(warnings);

        // More of them are of the same engine, and another wish changes nothing.
        world.Options = world.Options with { Engine = "log", DatabaseCount = 6 };
        world.Restart();
        Assert.All(world.Node.Keyspaces, k => Assert.Equal("btree", k.Engine));
        Assert.Contains("changes nothing", Assert.Single(warnings), StringComparison.Ordinal);
    }

    private static string? Create(NodeInMemory world, string name, string engine)
    {
        string? refusal = null;
        world.Do(_ => refusal = world.Node.CreateKeyspace(new KeyspaceRequest { Name = name, Engine = engine, Shards = 1, Replicas = 1 }));
        return refusal;
    }

    private static string? Drop(NodeInMemory world, string name)
    {
        string? refusal = null;
        world.Do(_ => refusal = world.Node.DropKeyspace(name, out int _));
        return refusal;
    }

    private static int Find(NodeInMemory world, string name) => world.Node.FindKeyspace(Encoding.ASCII.GetBytes(name));
}
