using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class NodeUpkeepTests
{
    [Fact]
    public void JournalKeepsWhatIsWrittenWhileTheEnginesAreAskedWhatTheyNeed()
    {
        NodeOptions options = new()
        {
            Folder = "/data",
            Engine = "model",
            DatabaseCount = 1,
            MemoryBytes = MemoryBudget.MinimumBytes,
            Journal = new JournalOptions { FirstSegmentBytes = 16 << 10, SegmentBytes = 16 << 10, SpareSegmentsMax = 0 },
        };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        HookedEngineFactory engines = new(new ModelEngineFactory());
        KvasirNode node = KvasirNode.Open(options, new NodeEnvironment(disk, scheduler, [engines], Seed: 5));

        // Several segments become durable just after the engines said that they have nothing in memory only.
        const int writes = 20;
        engines.AfterOldestUnflushed = () => engines.AfterOldestUnflushed = () =>
        {
            for (int i = 0; i < writes; i++)
            {
                byte[] key = [(byte)i];
                node.Mailbox.Post(new ActionItem(e =>
                {
                    e.Put(node.Database(0), key, [], new byte[4000], 0);
                    e.Commit();
                }));
                node.Log.CommitInline();
            }
        };
        scheduler.Clock.Advance(TimeSpan.FromSeconds(1));
        scheduler.RunAll();
        Assert.Null(engines.AfterOldestUnflushed);

        disk = disk.AfterCrash(new SeededRandom(3), CrashKind.LoseUnsynced);
        using KvasirNode restarted = KvasirNode.Open(
            options, new NodeEnvironment(disk, new SimulatedScheduler(new SeededRandom(4)), [new ModelEngineFactory()], Seed: 6));
        for (int i = 0; i < writes; i++)
            Assert.True(restarted.Database(0).Engine.Get([(byte)i], ReadView.Published, value: null).Found, $"write {i} of {writes} was durable and is lost");
    }

    [Fact]
    public void JournalKeepsWhatIsDurableAndAboutToBePublished()
    {
        NodeOptions options = new() { Folder = "/data", Engine = "model", DatabaseCount = 1, MemoryBytes = MemoryBudget.MinimumBytes, Journal = new JournalOptions { FirstSegmentBytes = 16 << 10 } };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        HookedEngineFactory engines = new(new ModelEngineFactory());
        KvasirNode node = KvasirNode.Open(options, new NodeEnvironment(disk, scheduler, [engines], Seed: 5));
        Put(node, 1, 100_000);
        node.Log.CommitInline();
        node.Database(0).Engine.Flush();
        scheduler.RunAll();
        Assert.Null(node.Database(0).Engine.OldestUnflushedPosition);

        // The engine has nothing in memory only, and nobody writes for long.
        engines.BeforePublish = () =>
        {
            node.Log.CommitInline();
            Idle(scheduler);
        };
        Put(node, 2);
        Idle(scheduler);

        disk = disk.AfterCrash(new SeededRandom(3), CrashKind.LoseUnsynced);
        using KvasirNode restarted = KvasirNode.Open(
            options, new NodeEnvironment(disk, new SimulatedScheduler(new SeededRandom(4)), [new ModelEngineFactory()], Seed: 6));
        foreach (byte key in (byte[])[1, 2])
            Assert.True(restarted.Database(0).Engine.Get([key], ReadView.Published, value: null).Found, $"write {key} was durable and is lost");
    }

    /// <summary>Each of them has too little for a flush of its own.</summary>
    [Fact]
    public void WhoWaitsForMemoryThatOthersHaveWaitsForNoClock()
    {
        NodeOptions options = new() { Folder = "/data", Engine = "log", DatabaseCount = 40, MemoryBytes = MemoryBudget.MinimumBytes };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        using KvasirNode node = KvasirNode.Open(options, new NodeEnvironment(disk, scheduler, [new HashLogEngineFactory()], Seed: 5));
        for (int i = 0; !node.Memory.WriteLimitReached; i++)
        {
            Assert.InRange(i, 0, 1000);
            byte[] key = BitConverter.GetBytes(i);
            int database = i % (options.DatabaseCount - 1);
            node.Mailbox.Post(new ActionItem(e =>
            {
                e.Put(node.Database(database), key, [], new byte[30_000], 0);
                e.Commit();
            }));
            node.Log.CommitInline();
        }

        Replica waiting = node.Database(options.DatabaseCount - 1);
        DateTimeOffset before = scheduler.Time.GetUtcNow();
        Assert.True(waiting.SuggestWriteDelay(1) > TimeSpan.Zero);
        scheduler.RunAll();
        Assert.Equal(TimeSpan.Zero, waiting.SuggestWriteDelay(1));
        Assert.Equal(before, scheduler.Time.GetUtcNow());
    }

    [Fact]
    public void JournalOfANodeThatIsIdleIsShort()
    {
        NodeOptions options = new() { Folder = "/data", Engine = "model", DatabaseCount = 1, MemoryBytes = MemoryBudget.MinimumBytes };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        using KvasirNode node = KvasirNode.Open(options, new NodeEnvironment(disk, scheduler, [new ModelEngineFactory()], Seed: 5));
        for (int i = 0; i < 100; i++)
        {
            Put(node, (byte)i, 100_000);
            node.Log.CommitInline();
            scheduler.RunAll();
        }

        long busy = JournalBytes();
        node.Database(0).Engine.Flush();
        Idle(scheduler);
        Assert.True(busy > 8 << 20, $"{busy} bytes of journal while busy");
        Assert.Equal(options.Journal.FirstSegmentBytes, JournalBytes());

        Put(node, 200);
        node.Log.CommitInline();
        Assert.Equal(node.Log.AppendedPosition, node.Log.DurablePosition);

        long JournalBytes() => disk.Paths.Where(path => path.StartsWith("/data/journal/", StringComparison.Ordinal)).Sum(disk.FileLength);
    }

    [Fact]
    public void AFewWritesToOneDatabaseDoNotKeepTheJournalOfOthers()
    {
        NodeOptions options = new()
        {
            Folder = "/data",
            Engine = "model",
            DatabaseCount = 2,
            MemoryBytes = MemoryBudget.MinimumBytes,
            JournalBytesMax = 4 << 20,
            Journal = new JournalOptions { FirstSegmentBytes = 64 << 10, SegmentBytes = 64 << 10 },
        };
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        using KvasirNode node = KvasirNode.Open(
            options, new NodeEnvironment(new SimulatedFileSystem(new SeededRandom(1)), scheduler, [new ModelEngineFactory()], Seed: 5));
        Put(node, 1, database: 1);
        long most = 0;
        for (int i = 0; i < 200; i++)
        {
            Put(node, (byte)i, 40_000);
            node.Log.CommitInline();
            node.Database(0).Engine.Flush();
            scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            scheduler.RunAll();
            most = Math.Max(most, node.Log.RetainedBytes);
        }

        Assert.True(most < options.JournalBytesMax / 2, $"{most} bytes of journal were kept");
    }

    /// <summary>Nobody is to wait for what has no room to be done.</summary>
    [Fact]
    public void ThatWritesAreTakenAgainIsSaidHoweverShortTheyWereRefused()
    {
        List<string> said = [];
        using NodeInMemory world = new();
        world.Options = world.Options with { Warner = said.Add };
        world.Restart();
        world.Disk.CapacityBytes = 0;
        for (int i = 0; i < 500 && world.Node.Refusal is null; i++)
        {
            world.Put(0, $"large{i}", new string('x', 1 << 20));
            world.Settle();
        }

        Assert.Equal(WriteRefusal.FullDisk, world.Node.Refusal?.Code);
        world.Disk.CapacityBytes = long.MaxValue;
        world.Idle();
        Assert.Null(world.Node.Refusal);
        Assert.Equal(["writes are taken again"], said);
    }

    [Fact]
    public void WritesThatWaitForACompactionWithoutRoomAreRefusedAndDeletionsTaken()
    {
        List<string> said = [];
        NodeOptions options = new()
        {
            Folder = "/data",
            Engine = "lsm",
            DatabaseCount = 1,
            MemoryBytes = MemoryBudget.MinimumBytes,
            ReserveBytes = 256 << 10,
            Warner = said.Add,
            Journal = new JournalOptions { FirstSegmentBytes = 16 << 10, SegmentBytes = 16 << 10, SpareSegmentsMax = 0 },
        };

        // Each compaction rewrites all that there is.
        LsmOptions tables = LsmOptions.Tiny with { LevelCount = 2, TableBytes = 1 << 20 };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        using KvasirNode node = KvasirNode.Open(options, new NodeEnvironment(disk, scheduler, [new LsmEngineFactory(tables)], Seed: 5));
        IStorageEngine engine = node.Database(0).Engine;
        SeededRandom random = new(3);
        int keys = 0;
        while (keys < 2000)
            PutRandom();

        // What there is then, and a little more: no room to merge it.
        disk.CapacityBytes = long.MaxValue - disk.FreeBytes("/data") + (160 << 10);
        int rounds = 0;
        for (; node.Refusal is null && rounds < 2000; rounds++)
        {
            if (engine.SuggestWriteDelay(0) == TimeSpan.Zero)
                PutRandom();
            Step();
        }

        Assert.True(node.Refusal is { Code: WriteRefusal.FullDisk }, $"no refusal after {rounds} rounds: {engine.BackgroundFailure?.Message}");
        Assert.Contains("keyspace db0", node.Refusal.Message, StringComparison.Ordinal);
        for (int i = 0; i < 100; i++)
            Step();
        Assert.NotNull(node.Refusal);
        Assert.True(engine.Get([0, 0, 0, 0], ReadView.Published, value: null).Found);

        long before = disk.FreeBytes("/data");
        node.Mailbox.Post(new ActionItem(e =>
        {
            Assert.True(node.MakeRoomForDeletion());
            e.DeleteRange(node.Database(0), [], []);
            e.Commit();
        }));
        for (int i = 0; i < 100; i++)
            Step();
        Assert.True(disk.FreeBytes("/data") > before + (256 << 10), $"{before} bytes were free and {disk.FreeBytes("/data")} are");
        Assert.Null(node.Refusal);
        PutRandom();
        Step();
        Assert.Null(node.Refusal);

        // However often it was tried.
        Assert.Single(said, t => t.Contains("keyspace db0 cannot write its files", StringComparison.Ordinal));
        Assert.Single(said, "writes are taken again");

        void PutRandom()
        {
            byte[] value = new byte[200];
            random.NextBytes(value);
            byte[] key = BitConverter.GetBytes(keys++);
            node.Mailbox.Post(new ActionItem(e =>
            {
                e.Put(node.Database(0), key, [], value, 0);
                e.Commit();
            }));
            node.Log.CommitInline();
            if (keys % 20 == 0)
                scheduler.RunAll();
        }

        void Step()
        {
            scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            node.Log.CommitInline();
            scheduler.RunAll();
        }
    }

    private static void Put(KvasirNode node, byte key, int bytes = 100, int database = 0) => node.Mailbox.Post(new ActionItem(e =>
    {
        e.Put(node.Database(database), [key], [], new byte[bytes], 0);
        e.Commit();
    }));

    private static void Idle(SimulatedScheduler scheduler)
    {
        for (int i = 0; i < 100; i++)
        {
            scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            scheduler.RunAll();
        }
    }
}
