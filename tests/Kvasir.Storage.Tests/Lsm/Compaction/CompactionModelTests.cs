using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Tables;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.Compaction;

public sealed class CompactionModelTests
{
    [Theory]
    [InlineData(1, 60)]
    [InlineData(2, 60)]
    [InlineData(3, 60)]
    [InlineData(4, 60)]
    [InlineData(5, 200)]
    [InlineData(6, 200)]
    public void EveryViewThatSomebodyHoldsStaysWhatItWas(ulong seed, int rounds)
    {
        var random = new SeededRandom(seed);
        var disk = new SimulatedFileSystem(random.Fork());
        var scheduler = new SimulatedScheduler(random.Fork());
        var environment = new EngineEnvironment(disk, scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        LsmOptions options = seed % 2 == 0 ? DeepOptions : SmallOptions;
        int deepest = 0;
        TableStore store = TableStore.Open(Folder, environment, options);
        var model = new StoreModel();
        var snapshots = new SortedSet<ulong>();
        long NowMs() => scheduler.Clock.GetUtcNow().ToUnixTimeMilliseconds();
        ulong[] Views() => [.. snapshots.Append(model.LastSequence).Distinct().Order()];

        for (int round = 0; round < rounds; round++)
        {
            string where = $"seed {seed} round {round}";
            switch (random.Next(14))
            {
                case < 6:
                    FlushInput input = model.Draw(random, NowMs(), random.Next(1, 200));
                    model.Apply(input);
                    store.Flush(new SortedSource(input.Versions), input.Tombstones, input.Position, input.LastSequence);
                    break;
                case < 9:
                    for (int i = 0; i < 1000 && store.CompactionDue; i++)
                        Assert.True(store.RunCompaction(Views), where);
                    Assert.False(store.CompactionDue, where);
                    break;
                case 9:
                    snapshots.Add(model.LastSequence);
                    break;
                case 10:
                    if (snapshots.Count > 0)
                        snapshots.Remove(snapshots.ElementAt(random.Next(snapshots.Count)));
                    if (random.OneIn(2))
                        store.NoteOldestSnapshot(Views()[0]);
                    break;
                case 11:
                    store.CompactRange(
                        random.OneIn(2) ? null : StoreModel.KeyOf(random.Next(60)),
                        random.OneIn(2) ? null : StoreModel.KeyOf(60 + random.Next(60)), Views);
                    break;
                case 12:
                    scheduler.Clock.Advance(TimeSpan.FromMilliseconds(random.Next(3000)));
                    break;
                default:
                    scheduler.RunAll();
                    store.Dispose();
                    store = TableStore.Open(Folder, environment, options);
                    Assert.Equal(model.Position, store.FlushedPosition);
                    Assert.Equal(model.LastSequence, store.FlushedSequence);
                    break;
            }

            model.Check(store, Views(), NowMs(), where);
            deepest = Math.Max(deepest, store.GetStatistics().Levels.Count(l => l.Files > 0));
        }

        Assert.True(seed % 2 != 0 || deepest >= 4, $"{deepest} levels at most: too few to try what lies below");

        // With nobody looking, one compaction of everything leaves exactly the live values.
        store.CompactRange(null, null, () => [model.LastSequence]);
        int live = Enumerable.Range(0, StoreModel.KeySpace).Count(i => model.Visible(StoreModel.KeyOf(i), model.LastSequence, NowMs()) is not null);
        Assert.Equal(live, store.GetStatistics().EntryCount);
        ISortedView set = store.Acquire();
        Assert.Empty(set.RangeTombstones);
        set.Release();
        scheduler.RunAll();
        Assert.Equal(store.GetStatistics().Levels.Sum(l => l.Files), disk.Paths.Count(p => p.EndsWith(".sst", StringComparison.Ordinal)));
        store.Dispose();
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public void ACrashAtAnyDiskOperationLosesNothingThatWasAcknowledged(ulong seed)
    {
        var random = new SeededRandom(seed);
        var disk = new SimulatedFileSystem(random.Fork());
        var scheduler = new SimulatedScheduler(random.Fork());
        var environment = new EngineEnvironment(disk, scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        var acknowledged = new StoreModel();
        StoreModel? inFlight = null;
        int crashes = 0;
        bool inside = false;
        disk.BeforeOperation = operation =>
        {
            if (inside || operation.Kind is DiskOperationKind.Look or DiskOperationKind.Read or DiskOperationKind.Open)
                return;
            inside = true;
            foreach (CrashKind kind in Enum.GetValues<CrashKind>())
            {
                var fork = new SeededRandom(seed ^ ((ulong)operation.Number << 8) ^ (ulong)kind);
                SimulatedFileSystem left = disk.AfterCrash(fork, kind);
                CheckReopens(left, acknowledged, inFlight, scheduler, $"seed {seed} operation {operation} {kind}");
                crashes++;
            }

            inside = false;
        };

        TableStore store = TableStore.Open(Folder, environment, SmallOptions);
        for (int round = 0; round < 8; round++)
        {
            FlushInput input = acknowledged.Draw(random, scheduler.Clock.GetUtcNow().ToUnixTimeMilliseconds(), 60);
            inFlight = acknowledged.Clone();
            inFlight.Apply(input);
            store.Flush(new SortedSource(input.Versions), input.Tombstones, input.Position, input.LastSequence);
            acknowledged = inFlight;
            inFlight = null;
            while (store.CompactionDue)
                store.RunCompaction(() => [acknowledged.LastSequence]);
            scheduler.RunAll();
            if (round % 3 == 2)
            {
                store.Dispose();
                store = TableStore.Open(Folder, environment, SmallOptions);
            }
        }

        store.Dispose();
        Assert.True(crashes > 500, $"{crashes} crashes");
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    public void AFailureAtAnyDiskOperationChangesNothingAndTheStoreGoesOn(ulong seed)
    {
        for (int skip = 0; skip < 70; skip++)
        {
            var random = new SeededRandom(seed + ((ulong)skip << 32));
            var disk = new SimulatedFileSystem(random.Fork());
            var scheduler = new SimulatedScheduler(random.Fork());
            var environment = new EngineEnvironment(disk, scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
            var model = new StoreModel();
            long now = scheduler.Clock.GetUtcNow().ToUnixTimeMilliseconds();
            TableStore store = TableStore.Open(Folder, environment, SmallOptions);
            for (int round = 0; round < 6; round++)
            {
                FlushInput input = model.Draw(random, now, 60);
                string where = $"seed {seed} skip {skip} round {round}";
                if (round == 4)
                {
                    disk.Faults.Add(new FaultRule(random.OneIn(2) ? DiskFault.Full : DiskFault.Failed, PathContains: "/db/")
                    {
                        Skip = skip,
                        Times = 1 + random.Next(3),
                    });
                }

                // Reads of the check below must not eat the fault.
                StoreModel inFlight = model.Clone();
                inFlight.Apply(input);
                if (TryAgain(
                    () => store.Flush(new SortedSource(input.Versions), input.Tombstones, input.Position, input.LastSequence),
                    () => CheckCrash(disk, model, inFlight, scheduler, where)))
                    model = inFlight;
                TryAgain(
                    () =>
                    {
                        while (store.CompactionDue)
                            store.RunCompaction(() => [model.LastSequence]);
                    },
                    () => CheckCrash(disk, model, null, scheduler, where));
                if (round == 4)
                    disk.Faults.Clear();
                model.Check(store, [model.LastSequence], now, where);
            }

            scheduler.RunAll();
            store.Dispose();
            CheckReopens(disk.AfterCrash(random.Fork(), CrashKind.LoseUnsynced), model, null, scheduler, $"seed {seed} skip {skip}");
        }

        // Whatever the failed operation left behind must open, too.
        static void CheckCrash(SimulatedFileSystem disk, StoreModel model, StoreModel? inFlight, SimulatedScheduler scheduler, string where)
        {
            foreach (CrashKind kind in Enum.GetValues<CrashKind>())
                CheckReopens(disk.AfterCrash(new SeededRandom((ulong)kind), kind), model, inFlight, scheduler, $"{where} after a failure, {kind}");
        }

        static bool TryAgain(Action action, Action failed)
        {
            for (int i = 0; i < 6; i++)
            {
                try
                {
                    action();
                    return true;
                }
                catch (DiskFailedException)
                {
                    failed();
                }
            }

            return false;
        }
    }

    private static void CheckReopens(
        SimulatedFileSystem disk, StoreModel acknowledged, StoreModel? inFlight, SimulatedScheduler scheduler, string where)
    {
        var environment = new EngineEnvironment(disk, scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        long now = scheduler.Clock.GetUtcNow().ToUnixTimeMilliseconds();
        TableStore store;
        try
        {
            store = TableStore.Open(Folder, environment, SmallOptions);
        }
        catch (StorageException e)
        {
            Assert.Fail($"{where}: {e}");
            return;
        }

        StoreModel model = inFlight is not null && store.FlushedPosition == inFlight.Position ? inFlight : acknowledged;
        Assert.True(store.FlushedPosition == model.Position, $"{where}: position {store.FlushedPosition}");
        model.Check(store, [model.LastSequence], now, where);
        int named = store.GetStatistics().Levels.Sum(l => l.Files);
        Assert.True(named == disk.Paths.Count(p => p.EndsWith(".sst", StringComparison.Ordinal)), $"{where}: leftover tables");
        store.Dispose();
    }
}
