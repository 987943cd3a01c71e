using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Store;
using Kvasir.Storage.Tests.Store;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Embedded stores that are opened on a disk without a free byte: what is there is read, and writes go on when there is room.</summary>
public sealed class FullDiskTests
{
    private const int Keys = 20;

    [Theory]
    [InlineData("lsm")]
    [InlineData("log")]
    [InlineData("btree")]
    public void AfterACrashAtAnyOperationAStoreOpensOnAFullDisk(string engine)
    {
        var world = new StoreWorld(71);
        List<Dictionary<string, string>> states = [new(StringComparer.Ordinal)];
        int acknowledged = 0;
        int fullStarts = 0;
        SimulatedFileSystem disk = world.Files;
        CrashKind[] kinds = Enum.GetValues<CrashKind>();
        disk.BeforeOperation = operation =>
        {
            if (operation.Kind is DiskOperationKind.Read or DiskOperationKind.Look || operation.Number % 5 != 0)
                return;
            CrashKind kind = kinds[operation.Number / 5 % kinds.Length];
            var random = new SeededRandom((ulong)operation.Number);
            var after = new StoreWorld(random.NextUInt64(), disk.AfterCrash(random, kind));
            if (!after.Files.FileExists(StoreWorld.Folder + "/STORE"))
                return;
            try
            {
                fullStarts += CheckFullStart(after, engine, states, acknowledged, random) ? 1 : 0;
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"{operation}, {kind}: {exception.Message}", exception);
            }
        };
        for (int life = 0; life < 2; life++)
        {
            using DurableStore store = Open(world, engine);
            for (int i = 0; i < 30; i++)
            {
                string key = $"k{world.Random.Next(Keys)}";
                string value = $"{states.Count}:" + new string('v', world.Random.Next(2000));
                states.Add(new Dictionary<string, string>(states[^1], StringComparer.Ordinal) { [key] = value });
                StoreWorld.Put(store, key, value);
                acknowledged = states.Count - 1;
                if (world.Random.OneIn(8))
                    store.Flush();
                if (world.Random.OneIn(3))
                    world.Scheduler.RunOne();
            }
        }

        Assert.True(fullStarts > 30, $"only {fullStarts} starts found no room");
    }

    /// <summary>True when the store took no writes until there was room.</summary>
    private static bool CheckFullStart(
        StoreWorld world, string engine, List<Dictionary<string, string>> states, int acknowledged, SeededRandom random)
    {
        Fill(world);
        int index;
        bool refused;
        using (DurableStore store = Open(world, engine))
        {
            index = states.FindLastIndex(state => Holds(store, state));
            Assert.True(index >= acknowledged, $"state {index} of {states.Count}, acknowledged {acknowledged}");
            refused = store.JournalFailure == JournalFailure.DiskFull;
            if (refused)
            {
                WritesStoppedException stopped = Assert.Throws<WritesStoppedException>(() => StoreWorld.Put(store, "k0", "refused"));
                Assert.IsType<DiskFullException>(stopped.InnerException is WritesStoppedException inner ? inner.InnerException : stopped.InnerException);
            }

            world.Scheduler.RunAll();
            Assert.True(Holds(store, states[index]), "what was read changes without a write");
            if (random.OneIn(2))
                GoOn(world, store, states[index]);
        }

        // And whatever became of it, it is there after the next crash, on a disk that is full once more.
        world.Crash(CrashKind.LoseUnsynced);
        Fill(world);
        using DurableStore again = Open(world, engine);
        Assert.True(Holds(again, states[index]), "a start on a full disk has changed what there is");
        GoOn(world, again, states[index]);
        return refused;
    }

    private static void Fill(StoreWorld world)
    {
        world.Files.CapacityBytes = long.MaxValue;
        world.Files.CapacityBytes -= world.Files.FreeBytes(StoreWorld.Folder);
    }

    /// <summary>There is room, and writes go on by themselves.</summary>
    private static void GoOn(StoreWorld world, DurableStore store, Dictionary<string, string> state)
    {
        world.Files.CapacityBytes = long.MaxValue;
        for (int tries = 0; ; tries++)
        {
            world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(1));
            world.Scheduler.RunAll();
            try
            {
                StoreWorld.Put(store, "after", "there is room");
                break;
            }
            catch (WritesStoppedException) when (tries < 50)
            {
                // Not yet.
            }
        }

        Assert.Equal("there is room", StoreWorld.Get(store, "after"));
        Assert.True(Holds(store, state));
    }

    private static bool Holds(DurableStore store, Dictionary<string, string> state)
    {
        for (int i = 0; i < Keys; i++)
        {
            if (StoreWorld.Get(store, $"k{i}") != state.GetValueOrDefault($"k{i}"))
                return false;
        }

        return true;
    }

    private static DurableStore Open(StoreWorld world, string engine) =>
        DurableStore.Open(world.Files, world.Scheduler, StoreWorld.Folder, EngineUnderTest.Named(engine).Tiny, StoreWorld.SmallOptions);
}
