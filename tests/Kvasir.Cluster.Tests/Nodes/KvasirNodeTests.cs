using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Nodes;

public sealed class KvasirNodeTests
{
    [Fact]
    public void AnsweredWriteSurvivesPowerLoss()
    {
        using NodeInMemory world = new();
        LogPosition gate = world.Put(0, "a", "1");
        Assert.True(gate > world.Node.Log.DurablePosition);
        world.Settle();
        Assert.True(gate <= world.Node.Log.DurablePosition);
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("1", world.Get(0, "a"));
    }

    [Fact]
    public void ReadOfAValueThatIsNotDurableWaitsForIt()
    {
        using NodeInMemory world = new();
        LogPosition write = world.Put(0, "a", "1");
        LogPosition read = world.Do(e => Assert.True(e.Get(world.Node.Database(0), "a"u8, value: null).Found));
        Assert.Equal(write, read);
        world.Settle();
        Assert.Equal(LogPosition.Zero, world.Do(e => e.Get(world.Node.Database(0), "a"u8, value: null)));
    }

    [Fact]
    public void IteratorOverWhatIsNotDurableGatesWhoeverReadsThroughIt()
    {
        using NodeInMemory world = new();
        LogPosition write = world.Put(0, "a", "1");
        Assert.Equal(write, world.Do(e => Walk(e, 0)));
        Assert.Equal(LogPosition.Zero, world.Do(e => Walk(e, 1)));
        world.Settle();
        Assert.Equal(LogPosition.Zero, world.Do(e => Walk(e, 0)));

        void Walk(Execution execution, int database)
        {
            using EngineScan iterator = execution.CreateScan(world.Node.Database(database), default);
            iterator.SeekToFirst();
            Assert.Equal(database == 0, iterator.Valid);
        }
    }

    [Fact]
    public void ReadOfAnotherKeyDoesNotWait()
    {
        using NodeInMemory world = new();
        world.Put(0, "durable", "1");
        world.Settle();
        world.Put(0, "a", "1");
        Assert.Equal(LogPosition.Zero, world.Do(e => Assert.True(e.Get(world.Node.Database(0), "durable"u8, value: null).Found)));
        Assert.Equal(LogPosition.Zero, world.Do(e => Assert.False(e.Get(world.Node.Database(0), "absent"u8, value: null).Found)));
    }

    [Fact]
    public void DeletionThatIsNotDurableGatesTheReadThatMissesTheKey()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "1");
        world.Settle();
        LogPosition deletion = world.Do(e => e.Delete(world.Node.Database(0), "a"u8));
        Assert.Equal(deletion, world.Do(e => Assert.False(e.Get(world.Node.Database(0), "a"u8, value: null).Found)));
    }

    [Theory]
    [InlineData(Durability.Interval)]
    [InlineData(Durability.None)]
    public void WeakerDurabilityAnswersAtOnceAndSyncsOnACleanStop(Durability durability)
    {
        using NodeInMemory world = new(durability);
        Assert.Equal(LogPosition.Zero, world.Put(0, "a", "1"));
        world.Restart();
        Assert.Equal("1", world.Get(0, "a"));
    }

    [Fact]
    public void IntervalSyncsByTheClock()
    {
        using NodeInMemory world = new(Durability.Interval);
        world.Put(0, "a", "1");
        for (int i = 0; i < 200; i++)
        {
            world.Scheduler.Clock.Advance(TimeSpan.FromMilliseconds(10));
            world.Scheduler.RunAll();
        }

        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("1", world.Get(0, "a"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WithIntervalAKilledProcessLosesNothingThatWasCommittedBeforeItsAnswer(bool inline)
    {
        using NodeInMemory world = new(Durability.Interval);
        world.Put(0, "a", "1");
        if (inline)
            world.Node.Log.CommitInline();
        else
            world.Node.Log.Commit();

        // No timer has run since, and no job: the system has it, and only the machine could lose it.
        world.Crash(CrashKind.ProcessKill);
        Assert.Equal("1", world.Get(0, "a"));
    }

    [Fact]
    public void TransactionAcrossDatabasesIsOneRecord()
    {
        using NodeInMemory world = new();
        world.Do(e =>
        {
            e.Put(world.Node.Database(0), "a"u8, [], "1"u8, 0);
            e.Put(world.Node.Database(3), "b"u8, [], "2"u8, 0);
        });
        world.Settle();
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("1", world.Get(0, "a"));
        Assert.Equal("2", world.Get(3, "b"));
        Assert.Null(world.Get(3, "a"));
    }

    [Fact]
    public void StagedWritesAreSeenByTheirExecutionOnlyUntilCommitted()
    {
        using NodeInMemory world = new();
        world.Do(e =>
        {
            Replica replica = world.Node.Database(0);
            e.Put(replica, "a"u8, [], "1"u8, 0);
            Assert.True(e.Get(replica, "a"u8, value: null).Found);
            Assert.False(replica.Engine.Get("a"u8, Kvasir.Storage.Engines.ReadView.Published, value: null).Found);
        });
        Assert.Equal("1", world.Get(0, "a"));
    }

    [Fact]
    public void SwappedDatabasesStaySwappedAfterARestart()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "zero");
        world.Put(1, "a", "one");
        world.Do(e => world.Node.SwapDatabases(e, 0, 1));
        Assert.Equal("one", world.Get(0, "a"));
        world.Restart();
        Assert.Equal("one", world.Get(0, "a"));
        Assert.Equal("zero", world.Get(1, "a"));
    }

    [Fact]
    public void SwapThatTheLogLostIsTakenBack()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "zero");
        world.Put(1, "a", "one");
        world.Settle();
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync, "journal"));
        world.Do(e => world.Node.SwapDatabases(e, 0, 1));
        world.Do(e => world.Node.SwapDatabases(e, 1, 2));
        world.Settle();
        Assert.NotNull(world.Node.Refusal);
        Assert.Equal("zero", world.Get(0, "a"));
        Assert.Equal("one", world.Get(1, "a"));
    }

    [Fact]
    public void AbandonedWritesHaveNotHappened()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "zero");
        world.Put(1, "a", "one");
        world.Do(e =>
        {
            e.Put(world.Node.Database(0), "a"u8, [], "staged"u8, 0);
            e.Delete(world.Node.Database(1), "a"u8);
            world.Node.SwapDatabases(e, 0, 1);
            world.Node.SwapDatabases(e, 0, 2);
            e.Abandon();
            e.Put(world.Node.Database(3), "b"u8, [], "1"u8, 0);
        });
        Assert.Equal("zero", world.Get(0, "a"));
        Assert.Equal("one", world.Get(1, "a"));
        Assert.Equal("1", world.Get(3, "b"));
        world.Restart();
        Assert.Equal("zero", world.Get(0, "a"));
        Assert.Equal("one", world.Get(1, "a"));
        Assert.Equal("1", world.Get(3, "b"));
    }

    [Fact]
    public void StopOnAFailingDiskSaysSoAndGivesTheFolderBack()
    {
        NodeInMemory world = new();
        world.Put(0, "a", "1");
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync, "journal"));
        Assert.Throws<WritesStoppedException>(world.Node.Dispose);
        world.Disk.Faults.Clear();
        world.Restart();
        world.Node.Dispose();
    }

    [Fact]
    public void IdentityThatWasFoundIsDurableBeforeAnythingElse()
    {
        NodeOptions options = new() { Folder = "/data", Engine = "model", DatabaseCount = 1, MemoryBytes = MemoryBudget.MinimumBytes };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        disk.Faults.Add(new FaultRule(DiskFault.Crash, DiskOperationKind.SyncFolder));
        Assert.Throws<SimulatedCrashException>(() => Open(disk));

        SimulatedFileSystem killed = disk.AfterCrash(new SeededRandom(2), CrashKind.ProcessKill);
        Assert.True(killed.FileExists("/data/NODE"));
        killed.BeforeOperation = _ => Open(killed.AfterCrash(new SeededRandom(3), CrashKind.LoseUnsynced)).Dispose();
        Open(killed).Dispose();

        KvasirNode Open(SimulatedFileSystem files) => KvasirNode.Open(
            options, new NodeEnvironment(files, new SimulatedScheduler(new SeededRandom(4)), [new Kvasir.Simulation.Models.ModelEngineFactory()], Seed: 5));
    }

    [Fact]
    public void FullDiskRefusesWritesDefinitelyKeepsReadsAndResumes()
    {
        using NodeInMemory world = new();
        world.Put(0, "kept", "1");
        world.Settle();
        world.Disk.CapacityBytes = 0;
        RecordingListener listener = new();
        world.Node.SetLogListener(listener);
        byte[] large = new byte[1 << 20];
        int written = 0;
        while (world.Node.Refusal is null)
        {
            Assert.True(written < 500, "the disk never filled");
            string key = "large" + written++;
            world.Do(e => e.Put(world.Node.Database(0), Encoding.UTF8.GetBytes(key), [], large, 0));
            world.Settle();
        }

        Assert.True(listener.Definite);
        Assert.Equal("MISCONF", world.Node.Refusal!.Code);
        Assert.Equal("1", world.Get(0, "kept"));
        Assert.Null(world.Get(0, "large" + (written - 1)));

        world.Disk.CapacityBytes = long.MaxValue;
        for (int i = 0; i < 10 && world.Node.Refusal is not null; i++)
        {
            world.Scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            world.Scheduler.RunAll();
        }

        Assert.Null(world.Node.Refusal);
        world.Put(0, "after", "2");
        world.Settle();
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("2", world.Get(0, "after"));
        Assert.Equal("1", world.Get(0, "kept"));
        Assert.Null(world.Get(0, "large" + (written - 1)));
    }

    [Fact]
    public void OnAFullDiskDeletionsHaveRoomThatWasKeptForThem()
    {
        using NodeInMemory world = new();
        world.Options = world.Options with { ReserveBytes = 8 << 20, Journal = new JournalOptions { FirstSegmentBytes = 1 << 20 } };
        world.Restart();
        world.Put(0, "kept", "1");
        world.Put(0, "gone", "1");
        world.Settle();
        Assert.True(world.Disk.FileExists("/data/RESERVE"));
        world.Disk.CapacityBytes = long.MaxValue - world.Disk.FreeBytes("/data") + (2 << 20);
        for (int i = 0; world.Node.Refusal is null; i++)
        {
            Assert.True(i < 500, "the disk never filled");
            world.Do(e => e.Put(world.Node.Database(0), Encoding.UTF8.GetBytes("large" + i), [], new byte[300_000], 0));
            world.Settle();

            // It resumes as long as there is room for another segment.
            if (world.Node.Refusal is not null)
                Advance(world);
        }

        LogPosition deleted = world.Do(e =>
        {
            Assert.True(world.Node.MakeRoomForDeletion());
            e.Delete(world.Node.Database(0), "gone"u8);
        });
        world.Settle();
        Assert.True(world.Node.Log.DurablePosition >= deleted);
        Assert.Null(world.Get(0, "gone"));

        // Others still wait, through a restart, until what was let go is there again.
        Advance(world);
        Assert.NotNull(world.Node.Refusal);
        world.Crash(CrashKind.LoseUnsynced);
        Assert.NotNull(world.Node.Refusal);
        Assert.Null(world.Get(0, "gone"));
        Assert.Equal("1", world.Get(0, "kept"));
        world.Disk.CapacityBytes = long.MaxValue;
        Advance(world);
        Assert.Null(world.Node.Refusal);
        Assert.True(world.Disk.FileExists("/data/RESERVE"));
        world.Put(0, "after", "2");
        world.Settle();
        Assert.Equal("2", world.Get(0, "after"));

        static void Advance(NodeInMemory world)
        {
            for (int i = 0; i < 10; i++)
            {
                world.Scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
                world.Scheduler.RunAll();
            }
        }
    }

    [Fact]
    public void FailedSyncIsIndeterminateAndFinal()
    {
        using NodeInMemory world = new();
        world.Put(0, "kept", "1");
        world.Settle();
        RecordingListener listener = new();
        world.Node.SetLogListener(listener);
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync, "journal"));
        world.Put(0, "lost", "2");
        world.Settle();
        Assert.False(listener.Definite);
        Assert.True(listener.WasTold);
        Assert.Equal("IOERR", world.Node.Refusal!.Code);
        Assert.Equal("1", world.Get(0, "kept"));
        Assert.Null(world.Get(0, "lost"));
        world.Disk.Faults.Clear();
        world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(10));
        world.Scheduler.RunAll();
        Assert.NotNull(world.Node.Refusal);
    }

    [Theory]
    [InlineData(DiskFault.Full, DiskOperationKind.Allocate, "MISCONF")]
    [InlineData(DiskFault.Failed, DiskOperationKind.Sync, "IOERR")]
    [InlineData(DiskFault.Failed, DiskOperationKind.Write, "IOERR")]
    public void CommitOnTheCallersThreadTellsOfAFailureAndDoesNotThrow(DiskFault fault, DiskOperationKind kind, string code)
    {
        using NodeInMemory world = new();
        world.Put(0, "kept", "1");
        world.Node.Log.CommitInline();
        RecordingListener listener = new();
        world.Node.SetLogListener(listener);
        world.Disk.Faults.Add(new FaultRule(fault, kind, "journal"));
        for (int i = 0; i < 100 && world.Node.Refusal is null; i++)
        {
            world.Do(e => e.Put(world.Node.Database(0), Encoding.UTF8.GetBytes("large" + i), [], new byte[1 << 20], 0));
            world.Node.Log.CommitInline();
        }

        Assert.True(listener.WasTold);
        Assert.Equal(code, world.Node.Refusal!.Code);
        world.Node.Log.CommitInline();
        Assert.Equal("1", world.Get(0, "kept"));
    }

    [Fact]
    public void SecondNodeOnAFolderIsRefused()
    {
        using NodeInMemory world = new();
        Assert.Throws<FolderInUseException>(() => KvasirNode.Open(
            world.Options,
            new NodeEnvironment(world.Disk, world.Scheduler, [new Kvasir.Simulation.Models.ModelEngineFactory()], Seed: 9)));
    }

    [Theory]
    [InlineData("/other/STORE", "embedded store")]
    [InlineData("/other/journal/0000000000000001.segment", "/other/NODE is missing")]
    public void AFolderOfSomethingElseIsRefusedAsItIs(string holds, string says)
    {
        using NodeInMemory world = new();
        world.Disk.CreateFolder("/other");
        world.Disk.CreateFolder("/other/journal");
        world.Disk.WriteAll(holds, [1, 2, 3]);
        StorageException refusal = Assert.ThrowsAny<StorageException>(() => OpenAgain(world, "/other", databases: 4));
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        Assert.False(world.Disk.FileExists("/other/NODE"));
    }

    [Fact]
    public void FolderWithDataAndWithoutIdentityIsRefused()
    {
        using NodeInMemory world = new();
        world.Node.Dispose();
        world.Disk.Delete("/data/NODE");
        Assert.Throws<FileMissingException>(() => KvasirNode.Open(
            world.Options,
            new NodeEnvironment(world.Disk, world.Scheduler, [new Kvasir.Simulation.Models.ModelEngineFactory()], Seed: 9)));
    }

    [Theory]
    [InlineData("system", false)]
    [InlineData("db0", false)]
    [InlineData("db3", false)]
    [InlineData("db0", true)]
    [InlineData("db3", true)]
    public void FolderWithoutOneOfItsKeyspacesIsRefused(string keyspace, bool checkpoint)
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "1");
        world.Settle();
        string folder = "/data";
        if (checkpoint)
            world.Node.Checkpoint(folder = "/copy");
        world.Node.Dispose();
        world.Scheduler.RunAll();
        RemoveFolder(world.Disk, $"{folder}/keyspaces/{keyspace}");
        FileMissingException refused = Assert.Throws<FileMissingException>(() => OpenAgain(world, folder, databases: 4));
        Assert.Contains($"{folder}/keyspaces/{keyspace} is missing", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void NumberOfDatabasesGrowsAndDoesNotShrink()
    {
        using NodeInMemory world = new();
        world.Put(3, "a", "1");
        world.Settle();
        world.Node.Dispose();
        Assert.Contains("has 4 databases", Assert.Throws<StorageException>(() => OpenAgain(world, "/data", databases: 3)).Message, StringComparison.Ordinal);
        world.Options = world.Options with { DatabaseCount = 6 };
        world.Restart();
        Assert.Equal("1", world.Get(3, "a"));
        world.Node.Dispose();
        Assert.Contains("has 6 databases", Assert.Throws<StorageException>(() => OpenAgain(world, "/data", databases: 4)).Message, StringComparison.Ordinal);
        RemoveFolder(world.Disk, "/data/keyspaces/db5");
        Assert.Throws<FileMissingException>(() => OpenAgain(world, "/data", databases: 6));
    }

    [Fact]
    public void FolderMadeBeforeTheNumberOfDatabasesWasRecordedOpensAndRecordsIt()
    {
        using NodeInMemory world = new();
        world.Put(3, "a", "1");
        world.Settle();
        world.Node.Dispose();
        NodeIdentity recorded = IdentityFile.Read(world.Disk, "/data/NODE");
        IdentityFile.Write(world.Disk, "/data", recorded with { DatabaseCount = 0 });
        Assert.Contains("has 4 databases", Assert.Throws<StorageException>(() => OpenAgain(world, "/data", databases: 3)).Message, StringComparison.Ordinal);
        world.Restart();
        Assert.Equal("1", world.Get(3, "a"));
        Assert.Equal(recorded with { DatabaseCount = 4 }, IdentityFile.Read(world.Disk, "/data/NODE"));
    }

    [Fact]
    public void FirstStartOrLaterGrowthThatWasCutShortIsCompleted()
    {
        SimulatedFileSystem disk = new(new SeededRandom(1));
        foreach (int databases in new[] { 2, 4 })
        {
            disk.BeforeOperation = _ => Open(disk.AfterCrash(new SeededRandom(2), CrashKind.LoseUnsynced), databases).Dispose();
            Open(disk, databases).Dispose();
        }

        static KvasirNode Open(SimulatedFileSystem files, int databases) => KvasirNode.Open(
            new NodeOptions { Folder = "/data", Engine = "model", DatabaseCount = databases, MemoryBytes = MemoryBudget.MinimumBytes },
            new NodeEnvironment(files, new SimulatedScheduler(new SeededRandom(4)), [new Kvasir.Simulation.Models.ModelEngineFactory()], Seed: 5));
    }

    [Fact]
    public void EveryFlippedByteOfTheIdentityIsDetected()
    {
        using NodeInMemory world = new();
        world.Node.Dispose();
        byte[] whole = world.Disk.ReadAll("/data/NODE");
        for (int i = 0; i < whole.Length; i++)
        {
            byte[] damaged = [.. whole];
            damaged[i] ^= 0x10;
            world.Disk.WriteAll("/data/NODE", damaged);
            Assert.ThrowsAny<StorageException>(() => KvasirNode.Open(
                world.Options,
                new NodeEnvironment(world.Disk, world.Scheduler, [new Kvasir.Simulation.Models.ModelEngineFactory()], Seed: 9)));
        }
    }

    [Fact]
    public void CheckpointHasWhatTheJournalSyncedAndIsAboutToTell()
    {
        NodeOptions options = new() { Folder = "/data", Engine = "model", DatabaseCount = 2, MemoryBytes = MemoryBudget.MinimumBytes };
        SimulatedFileSystem disk = new(new SeededRandom(1));
        SimulatedScheduler scheduler = new(new SeededRandom(2));
        HookedEngineFactory engines = new(new ModelEngineFactory());
        using KvasirNode node = KvasirNode.Open(options, new NodeEnvironment(disk, scheduler, [engines], Seed: 5));
        node.Mailbox.Post(new ActionItem(e =>
        {
            e.Put(node.Database(1), "a"u8, [], "1"u8, 0);
            e.Commit();
        }));

        // A sync has ended, and no engine knows yet.
        engines.BeforeMarkStable = () => node.Checkpoint("/copy");
        node.Log.Commit();
        scheduler.RunAll();
        Assert.Null(engines.BeforeMarkStable);

        using KvasirNode copy = KvasirNode.Open(
            options with { Folder = "/copy" }, new NodeEnvironment(disk, new SimulatedScheduler(new SeededRandom(4)), [new ModelEngineFactory()], Seed: 6));
        Assert.True(copy.Database(1).Engine.Get("a"u8, ReadView.Published, value: null).Found, "what was answered before the checkpoint is not in it");
    }

    [Fact]
    public void CheckpointOpensAsANodeAndTakesWrites()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "1");
        world.Put(2, "b", "2");
        world.Settle();
        world.Node.Checkpoint("/copy");
        world.Put(0, "a", "later");
        world.Settle();
        world.Node.Dispose();
        world.Options = world.Options with { Folder = "/copy" };
        world.Restart();
        Assert.Equal("1", world.Get(0, "a"));
        Assert.Equal("2", world.Get(2, "b"));
        world.Put(0, "a", "new");
        world.Settle();
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("new", world.Get(0, "a"));
    }

    [Fact]
    public void ReloadKeepsEverything()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "1");
        world.Do(_ => world.Node.Reload());
        Assert.Equal("1", world.Get(0, "a"));
        world.Put(0, "b", "2");
        world.Settle();
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("2", world.Get(0, "b"));
    }

    private static KvasirNode OpenAgain(NodeInMemory world, string folder, int databases) => KvasirNode.Open(
        world.Options with { Folder = folder, DatabaseCount = databases },
        new NodeEnvironment(world.Disk, world.Scheduler, [new Kvasir.Simulation.Models.ModelEngineFactory()], Seed: 9));

    private static void RemoveFolder(SimulatedFileSystem disk, string folder)
    {
        foreach (string name in disk.ListFiles(folder))
            disk.Delete(folder + "/" + name);
        disk.DeleteFolder(folder);
    }

    private sealed class RecordingListener : ILogListener
    {
        public bool Definite { get; private set; }

        public bool WasTold { get; private set; }

        public void Durable(IReplicaLog log, LogPosition position)
        {
        }

        public void Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason)
        {
            WasTold = true;
            Definite = loss == LogLoss.DiskFull;
        }
    }
}
