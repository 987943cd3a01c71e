using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Store;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>The machine stops before any operation of the disk, with every kind of loss; the process dies on a real one.</summary>
public sealed class CrashTests
{
    private static readonly CrashKind[] s_kinds = Enum.GetValues<CrashKind>();

    /// <summary>What is in the files is exactly the state of the position that they name, and no older than the last flush that was waited for.</summary>
    [Theory, EveryEngine]
    public void ACrashLeavesTheStateOfTheFlushedPosition(string engine, DiskKind disk)
    {
        long points = 0;
        for (ulong seed = 1; seed <= (ulong)(disk == DiskKind.Real ? 1 : 3 * ConformanceTable.Scale); seed++)
        {
            using var world = new EngineWorld(engine, disk);
            var history = new History();
            using var matrix = new CrashMatrix(world.Disk, seed, (left, when) => AssertRecovers(world, left, history, when));
            for (int life = 0; life < 3; life++)
            {
                Live(world, history, new SeededRandom((seed * 10) + (ulong)life));
                history.Begin();
                world.Reopen();
                history.Cut(world.Position);
            }

            points += matrix.Points;
        }

        ConformanceTable.AddCrashes(engine, ConformanceTable.BelowALog, disk, points);
        Assert.True(points > (disk == DiskKind.Real ? 10 : 300), $"{points} crash points");
    }

    /// <summary>No batch that was answered as durable is lost, none is half there, and what is there is a prefix of all.</summary>
    [Theory, EveryEngineAndDurability]
    public void ACrashOfAStoreLeavesAPrefixWithAllThatWasAnswered(string engine, DiskKind disk, WriteDurability durability)
    {
        long points = 0;
        EngineUnderTest underTest = EngineUnderTest.Named(engine);
        for (ulong seed = 1; seed <= (ulong)(disk == DiskKind.Real ? 1 : ConformanceTable.Scale); seed++)
        {
            using var own = new TestDisk(disk, seed);
            var random = new SeededRandom(seed);
            var scheduler = new SimulatedScheduler(random.Fork());
            List<SortedDictionary<string, string>> states = [new(StringComparer.Ordinal)];
            int written = 0, durable = 0;
            string folder = own.Root + "/store";
            using var matrix = new CrashMatrix(own, seed, (left, when) =>
            {
                var after = new SimulatedScheduler(new SeededRandom(seed));
                using DurableStore reopened = StoreSettings.Open(underTest.Tiny, left, after, left.Root + "/store");
                SortedDictionary<string, string> found = All(reopened.Engine);
                int at = states.FindLastIndex(state => state.SequenceEqual(found));
                int least = when.Kind == CrashKind.ProcessKill ? written : durable;
                Assert.True(at >= least, $"state {at} of {states.Count}, though {least} was answered");
                Write(reopened, [("after", "the crash")], WriteDurability.Sync);
                Assert.Equal("the crash"u8, EngineWorld.Get(reopened.Engine, "after"u8)!);
            });
            for (int life = 0; life < 2; life++)
            {
                using DurableStore store = StoreSettings.Open(underTest.Tiny, own, scheduler, folder);
                for (int i = 0; i < 30; i++)
                {
                    (string Key, string? Value)[] changes = [.. Enumerable.Range(0, 4).Select(_ => (
                        Key(random.Next(30)), random.OneIn(4) ? null : $"{states.Count} " + new string('v', random.Next(300))))];
                    var next = new SortedDictionary<string, string>(states[^1], StringComparer.Ordinal) { ["step"] = $"{states.Count}" };
                    foreach ((string key, string? value) in changes)
                    {
                        if (value is null)
                            next.Remove(key);
                        else
                            next[key] = value;
                    }

                    states.Add(next);
                    Write(store, [("step", next["step"]), .. changes], durability);
                    written = states.Count - 1;
                    if (durability == WriteDurability.Sync)
                        durable = written;
                    if (random.OneIn(10))
                    {
                        store.Flush();
                        durable = written;
                    }

                    if (durability == WriteDurability.Interval && random.OneIn(10))
                    {
                        scheduler.Clock.Advance(StoreSettings.Small.SyncInterval);
                        scheduler.RunAll();
                        durable = written;
                    }

                    if (random.OneIn(15))
                        store.Engine.Compact();
                    if (random.OneIn(3))
                        scheduler.RunOne();
                }

                store.Dispose();
                scheduler.RunAll();
                durable = written;
            }

            points += matrix.Points;
        }

        ConformanceTable.AddCrashes(engine, durability.ToString().ToLower(CultureInfo.InvariantCulture), disk, points);
        Assert.True(points > (disk == DiskKind.Real ? 10 : 200), $"{points} crash points");
    }

    private static void Write(DurableStore store, (string Key, string? Value)[] changes, WriteDurability durability)
    {
        var batch = new WriteBatch();
        foreach ((string key, string? value) in changes)
        {
            if (value is null)
                batch.Delete(Bytes(key));
            else
                batch.Put(Bytes(key), Bytes(value));
        }

        store.Write(batch, durability);
    }

    private static void Live(EngineWorld world, History history, SeededRandom random)
    {
        for (int i = 0; i < 25; i++)
        {
            SortedDictionary<string, string> next = new(history.Last, StringComparer.Ordinal);
            byte[] batch = BytesOf(b =>
            {
                for (int n = random.Next(1, 6); n > 0; n--)
                {
                    string key = Key(random.Next(40)), end = Key(random.Next(60));
                    if (random.OneIn(12))
                    {
                        b.DeleteRange(Bytes(key), Bytes(end));
                        foreach (string gone in next.Keys.Where(k => string.CompareOrdinal(k, key) >= 0 && string.CompareOrdinal(k, end) < 0).ToArray())
                            next.Remove(gone);
                    }
                    else if (random.OneIn(4))
                    {
                        b.Delete(Bytes(key));
                        next.Remove(key);
                    }
                    else
                    {
                        b.Put(Bytes(key), Bytes(next[key] = $"{world.Position} " + new string('v', random.Next(300))));
                    }
                }
            });
            world.Engine.Stage(batch);
            ulong position = world.Position + 1;
            history.States.Add((position, next));
            world.PublishStaged(isStable: random.OneIn(2));
            if (random.OneIn(6))
            {
                world.Engine.MarkStable(new LogPosition(position));
                world.Engine.Flush();
                world.Engine.WaitForFlush();
                history.Flushed = position;
            }
            else if (random.OneIn(8))
            {
                world.Engine.Compact();
            }
            else if (random.OneIn(12))
            {
                string folder = world.Disk.Root + "/checkpoint" + history.States.Count;
                using EngineCheckpoint moment = world.Engine.BeginCheckpoint();
                moment.WriteTo(folder);
            }
            else if (random.OneIn(2))
            {
                world.Scheduler.RunOne();
            }
        }
    }

    private static void AssertRecovers(EngineWorld world, TestDisk left, History history, CrashPoint when)
    {
        EngineUnderTest underTest = world.UnderTest;
        string folder = left.Root + "/engine";
        var scheduler = new SimulatedScheduler(new SeededRandom(1));
        var environment = new EngineEnvironment(left.Files, scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        if (underTest.Tiny.FindMissing(left.Files, folder) is { } missing)
            Assert.True(history.Flushed == 0 && !history.HasBegun, $"{missing} is missing");
        IStorageEngine engine = underTest.Tiny.Open(folder, environment);
        ulong flushed = engine.FlushedPosition.Value;
        Assert.True(flushed >= history.Flushed, $"flushed to {flushed}, though a flush to {history.Flushed} was waited for");
        SortedDictionary<string, string> expected = history.States.Last(s => s.Position <= flushed).Content;
        Assert.Equal(expected, All(engine));
        engine.Stage(BytesOf(b => b.Put("after"u8, "the crash"u8)));
        engine.Publish(new LogPosition(flushed + 1));
        engine.MarkStable(LogPosition.Max);
        engine.Flush();
        engine.WaitForFlush();
        Assert.Equal("the crash"u8, EngineWorld.Get(engine, "after"u8)!);
        engine.Dispose();
        scheduler.RunAll();
        if (when.Number % 16 == 0)
            Assert.Empty(underTest.Verify(left.Files, folder));
    }

    private sealed class History
    {
        public List<(ulong Position, SortedDictionary<string, string> Content)> States { get; } = [(0, new(StringComparer.Ordinal))];

        public SortedDictionary<string, string> Last => States[^1].Content;

        public ulong Flushed { get; set; }

        /// <summary>It was closed and opened: its files are there for good.</summary>
        public bool HasBegun { get; private set; }

        public void Begin() => HasBegun = true;

        /// <summary>What was not flushed is lost with the log, which here has lost all of it.</summary>
        public void Cut(ulong position)
        {
            States.RemoveAll(s => s.Position > position);
            Flushed = position;
        }
    }
}
