using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Store;

public sealed class DurableStoreTests
{
    [Fact]
    public void WhatWasWrittenIsThereAfterReopening()
    {
        var world = new StoreWorld(1);
        using (DurableStore store = world.Open())
        {
            StoreWorld.Put(store, "a", "1");
            StoreWorld.Put(store, "b", "2", WriteDurability.None);
            StoreWorld.Put(store, "a", "3", WriteDurability.Interval);
        }

        using (DurableStore store = world.Open())
        {
            Assert.Equal("3", StoreWorld.Get(store, "a"));
            Assert.Equal("2", StoreWorld.Get(store, "b"));
        }
    }

    [Fact]
    public void AnIntervalWriteIsSyncedWithinTheInterval()
    {
        var world = new StoreWorld(3);
        DurableStore store = world.Open();
        StoreWorld.Put(store, "k", "v", WriteDurability.Interval);
        SimulatedFileSystem before = world.Files.AfterCrash(new SeededRandom(1), CrashKind.LoseUnsynced);
        world.Scheduler.Clock.Advance(StoreWorld.SmallOptions.SyncInterval);
        world.Scheduler.RunAll();
        SimulatedFileSystem after = world.Files.AfterCrash(new SeededRandom(1), CrashKind.LoseUnsynced);

        Assert.Null(StoreWorld.Get(new StoreWorld(4, before).Open(), "k"));
        Assert.Equal("v", StoreWorld.Get(new StoreWorld(4, after).Open(), "k"));
    }

    [Fact]
    public void TheJournalOfAnotherStoreStopsTheStart()
    {
        var world = new StoreWorld(10);
        foreach (string folder in new[] { "/one", "/two" })
        {
            using DurableStore store = world.Open(folder);
            StoreWorld.Put(store, "from", folder);
        }

        foreach (string path in world.Files.Paths.Where(p => p.StartsWith("/two/journal/", StringComparison.Ordinal)))
            world.Files.WriteAll("/one" + path[4..], world.Files.ReadAll(path));
        Assert.Contains("belongs here", Assert.Throws<CorruptionException>(() => world.Open("/one")).Message, StringComparison.Ordinal);
        using DurableStore other = world.Open("/two");
        Assert.Equal("/two", StoreWorld.Get(other, "from"));
    }

    /// <summary>An engine flushes nothing that is not synced; a writer that waits for room must have it synced.</summary>
    [Fact]
    public void WritesThatNobodyWantsSyncedDoNotWaitForEverForRoom()
    {
        var world = new StoreWorld(9);
        var engines = new LsmEngineFactory(LsmOptions.Tiny with { FrozenMemTablesMax = 2 });
        using DurableStore store = DurableStore.Open(
            world.Files, world.Scheduler, StoreWorld.Folder, engines, new DurableStoreOptions { MemoryBytes = MemoryBudget.MinimumBytes });
        using ITimer patience = world.Scheduler.Clock.CreateTimer(
            _ => throw new TimeoutException("the writer has waited for ten minutes"), state: null, TimeSpan.FromMinutes(10), Timeout.InfiniteTimeSpan);
        for (int i = 0; i < 2000; i++)
            StoreWorld.Put(store, $"key{i}", new string('x', 100), WriteDurability.None);
    }

    [Fact]
    public void TheJournalIsTrimmedAsTheEngineFlushes()
    {
        var world = new StoreWorld(5);
        using DurableStore store = world.Open();
        for (int i = 0; i < 2000; i++)
        {
            StoreWorld.Put(store, $"key{i % 50}", new string('v', 100));
            if (i % 10 == 0)
                world.Scheduler.RunAll();
        }

        long journalBytes = 0;
        foreach (string path in world.Files.Paths.Where(path => path.Contains("/journal/", StringComparison.Ordinal)))
            journalBytes += world.Files.ReadAll(path).Length;
        Assert.True(journalBytes < 120 << 10, $"{journalBytes} bytes of journal");
        Assert.Contains(world.Files.Paths, path => path.EndsWith(".spare", StringComparison.Ordinal));

        store.Flush();
        Assert.Single(world.Files.Paths, path => path.Contains("/journal/", StringComparison.Ordinal));
        StoreWorld.Put(store, "key", "goes on");
    }

    [Fact]
    public void ACheckpointOpensWithWhatWasWrittenBefore()
    {
        var world = new StoreWorld(6);
        using DurableStore store = world.Open();
        StoreWorld.Put(store, "k", "before");
        store.Checkpoint("/backup");
        StoreWorld.Put(store, "k", "after");
        world.Crash(CrashKind.LoseUnsynced);
        using DurableStore copy = world.Open("/backup");
        Assert.Equal("before", StoreWorld.Get(copy, "k"));
        StoreWorld.Put(copy, "k", "goes its own way");
    }

    [Theory]
    [InlineData("model")]
    [InlineData("lsm")]
    public void ACheckpointHoldsItsMomentWhateverIsWrittenMeanwhile(string engine)
    {
        IEngineFactory engines = engine == "lsm" ? new LsmEngineFactory(LsmOptions.Tiny) : new ModelEngineFactory();
        var world = new StoreWorld(16);
        var environment = new EngineEnvironment(world.Files, world.Scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        DurableStore store = DurableStore.Open(world.Files, world.Scheduler, StoreWorld.Folder, engines, StoreWorld.SmallOptions);
        StoreWorld.Put(store, "key", "before");
        using (EngineCheckpoint moment = store.Engine.BeginCheckpoint())
        {
            // Not so much that writers would have to wait for the flush that waits here.
            StoreWorld.Put(store, "key", "after");
            StoreWorld.Put(store, "later", "x");
            store.Engine.Flush();
            world.Scheduler.RunAll();
            moment.WriteTo("/moment");
        }

        using (var copy = (IOrderedEngine)engines.Open("/moment", environment))
        {
            using EngineIterator iterator = copy.CreateIterator(default);
            iterator.SeekToFirst();
            Assert.Equal("before", Encoding.UTF8.GetString(iterator.Value));
            iterator.Next();
            Assert.False(iterator.Valid);
        }

        // Flushes go on, and nothing that waited for them is missing.
        store.Flush();
        Assert.Null(store.Engine.OldestUnflushedPosition);
        world.Crash(CrashKind.LoseUnsynced);
        using DurableStore again = DurableStore.Open(world.Files, world.Scheduler, StoreWorld.Folder, engines, StoreWorld.SmallOptions);
        Assert.Equal(2, StoreWorld.ReadAll(again).Count);
        Assert.Equal("after", StoreWorld.Get(again, "key"));
    }

    [Fact]
    public void AFullDiskRefusesWritesKeepsReadsAndResumes()
    {
        var world = new StoreWorld(7);
        using DurableStore store = world.Open();
        world.Files.CapacityBytes = 60 << 10;
        int written = 0;
        WritesStoppedException? thrown = null;
        while (thrown is null)
        {
            try
            {
                StoreWorld.Put(store, $"key{written:D5}", new string('x', 500));
                written++;
            }
            catch (WritesStoppedException exception)
            {
                thrown = exception;
            }
        }

        Assert.Contains("No space left", thrown.Message, StringComparison.Ordinal);
        Assert.Equal(written, StoreWorld.ReadAll(store).Count);
        Assert.Throws<WritesStoppedException>(() => StoreWorld.Put(store, "refused", "x"));

        world.Files.CapacityBytes = long.MaxValue;
        world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(1));
        StoreWorld.Put(store, "resumed", "x");
        Assert.Equal(written + 1, StoreWorld.ReadAll(store).Count);

        world.Crash(CrashKind.LoseUnsynced);
        SortedDictionary<string, string> content = StoreWorld.ReadAll(world.Open());
        Assert.Equal(written + 1, content.Count);
        Assert.DoesNotContain("refused", content.Keys);
    }

    [Fact]
    public void AFailedSyncStopsWritesAndServesWhatIsCertain()
    {
        var world = new StoreWorld(8);
        DurableStore store = world.Open();
        StoreWorld.Put(store, "certain", "1");
        StoreWorld.Put(store, "uncertain", "2", WriteDurability.None);
        Assert.Equal("2", StoreWorld.Get(store, "uncertain"));
        world.Files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync));
        Assert.Throws<WritesStoppedException>(() => StoreWorld.Put(store, "lost", "3"));
        Assert.Equal("1", StoreWorld.Get(store, "certain"));
        Assert.Null(StoreWorld.Get(store, "uncertain"));
        Assert.Null(StoreWorld.Get(store, "lost"));
        Assert.Throws<WritesStoppedException>(() => StoreWorld.Put(store, "more", "4"));
    }

    [Fact]
    public void ALostJournalIsNotTakenForANewStore()
    {
        var world = new StoreWorld(9);
        world.Open().Dispose();
        foreach (string path in world.Files.Paths.Where(path => path.EndsWith(".segment", StringComparison.Ordinal)))
            world.Files.Delete(path);
        Assert.Throws<FileMissingException>(() => world.Open());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void NoAcknowledgedBatchIsLostAndNoneIsHalfThereAtAnyCrashPoint(ulong seed)
    {
        var world = new StoreWorld(seed);
        List<SortedDictionary<string, string>> states = [new(StringComparer.Ordinal)];
        int acknowledged = 0;
        int points = 0;
        CrashKind[] kinds = Enum.GetValues<CrashKind>();
        SimulatedFileSystem disk = world.Files;
        disk.BeforeOperation = operation =>
        {
            if (operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look)
                return;
            CrashKind kind = kinds[operation.Number % kinds.Length];
            points++;
            var random = new SeededRandom((seed << 32) + (ulong)operation.Number);
            var after = new StoreWorld(random.NextUInt64(), disk.AfterCrash(random, kind));
            string context = $"seed {seed}, {operation}, {kind}";
            try
            {
                DurableStore reopened = after.Open();
                int index = states.FindLastIndex(state => state.SequenceEqual(StoreWorld.ReadAll(reopened)));
                Assert.True(index >= acknowledged, $"state {index} of {states.Count}, acknowledged {acknowledged}");
                StoreWorld.Put(reopened, "after", "crash");
                Assert.Equal("crash", StoreWorld.Get(reopened, "after"));
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"{context}: {exception.Message}", exception);
            }
        };

        for (int round = 0; round < 3; round++)
        {
            DurableStore store = world.Open();
            for (int i = 0; i < 40; i++)
            {
                var batch = new WriteBatch();
                var next = new SortedDictionary<string, string>(states[^1], StringComparer.Ordinal);
                next["step"] = $"{states.Count}";
                batch.Put("step"u8, Encoding.UTF8.GetBytes(next["step"]));
                for (int j = 0; j < 3; j++)
                {
                    string key = $"k{world.Random.Next(30)}";
                    if (world.Random.OneIn(4))
                    {
                        next.Remove(key);
                        batch.Delete(Encoding.UTF8.GetBytes(key));
                    }
                    else
                    {
                        next[key] = $"{states.Count}:" + new string('v', world.Random.Next(300));
                        batch.Put(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(next[key]));
                    }
                }

                states.Add(next);
                WriteDurability durability = (WriteDurability)world.Random.Next(3);
                store.Write(batch, durability);
                if (durability == WriteDurability.Sync)
                    acknowledged = states.Count - 1;
                if (world.Random.OneIn(10))
                    store.Flush();
                if (world.Random.OneIn(3))
                    world.Scheduler.RunOne();
            }

            store.Dispose();
            acknowledged = states.Count - 1;
        }

        Assert.True(points > 300, $"only {points} crash points");
    }
}
