using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.Lsm.Engine;

/// <summary>
/// Real threads: one writer, readers and iterators beside it, flushes and compactions underneath. Every publication
/// raises all of a group of keys to the same number, so a reader can tell a torn or stale view by itself.
/// </summary>
public class LsmEngineConcurrencyTests
{
    private const int Keys = 40;
    private const int Publications = 6000;

    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    public void ReadersSeeWholePublicationsAndNeverGoBack(ulong seed)
    {
        var memory = new MemoryBudget(MemoryBudget.MinimumBytes);
        using (var scheduler = new ThreadScheduler(TimeProvider.System))
        {
            var environment = new EngineEnvironment(new SimulatedFileSystem(new SeededRandom(seed)), scheduler, memory);
            var tables = new FakeTableStore();
            using var engine = new BufferedEngine(tables, environment, new LsmOptions { MemTableBytes = 60_000, KeepsFlushedRows = true });
            using var done = new CancellationTokenSource();
            var failures = new List<Exception>();
            Thread[] readers =
            [
                new(() => Guard(failures, done, () => ReadPoints(engine, seed, done.Token))),
                new(() => Guard(failures, done, () => Iterate(engine, done.Token))),
                new(() => Guard(failures, done, () => ReadSnapshots(engine, seed, done.Token))),
            ];
            foreach (Thread reader in readers)
                reader.Start();
            Guard(failures, done, () => Write(engine, seed, done.Token));
            done.Cancel();
            foreach (Thread reader in readers)
                reader.Join();
            Assert.Empty(failures);
            Assert.True(tables.Flushes > 5, $"only {tables.Flushes} flushes");
        }

        Assert.Equal(0, memory.WriteBytes);
        Assert.Equal(0, memory.CacheBytes);
    }

    private static void Guard(List<Exception> failures, CancellationTokenSource done, Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception)
        {
            lock (failures)
                failures.Add(exception);
            done.Cancel();
        }
    }

    private static void Write(BufferedEngine engine, ulong seed, CancellationToken stop)
    {
        var random = new SeededRandom(seed);
        var batch = new WriteBatch();
        for (ulong number = 1; number <= Publications && !stop.IsCancellationRequested; number++)
        {
            byte[] value = new byte[8 + random.Next(60)];
            BinaryPrimitives.WriteUInt64LittleEndian(value, number);
            batch.Clear();
            if (random.OneIn(10))
                batch.DeleteRange([], []);
            for (int i = 0; i < Keys; i++)
                batch.Put(Key(i), value);
            engine.Stage(batch.Bytes);
            if (random.OneIn(20))
            {
                engine.DiscardAfter(engine.PublishedPosition);
                engine.Stage(batch.Bytes);
            }

            engine.Publish(new LogPosition(number));
            if (random.OneIn(3))
                engine.MarkStable(new LogPosition(number));
            if (random.OneIn(500))
            {
                engine.Flush();
                engine.WaitForFlush();
            }
        }
    }

    private static void ReadPoints(BufferedEngine engine, ulong seed, CancellationToken stop)
    {
        var random = new SeededRandom(seed ^ 77);
        var value = new BytesBuffer();
        ulong last = 0;
        while (!stop.IsCancellationRequested)
        {
            byte[] key = Key(random.Next(Keys));
            value.Clear();

            // A hint must be harmless whatever happens beside it.
            engine.Prefetch([StableHash.Hash64(key), random.NextUInt64()], values: true);
            if (!engine.Get(key, ReadView.Published, value).Found)
            {
                Assert.Equal(0UL, last);
                continue;
            }

            ulong number = BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan);
            Assert.True(number >= last, $"{number} after {last}");
            last = number;
        }
    }

    private static void Iterate(BufferedEngine engine, CancellationToken stop)
    {
        ulong last = 0;
        while (!stop.IsCancellationRequested)
        {
            using EngineIterator iterator = engine.CreateIterator(default);
            ulong number = 0;
            int count = 0;
            for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
                Check(iterator, ref number, ref count);
            Assert.True(count is 0 or Keys, $"{count} keys forwards");
            count = 0;
            for (iterator.SeekToLast(); iterator.Valid; iterator.Previous())
                Check(iterator, ref number, ref count);
            Assert.True(count is 0 or Keys, $"{count} keys backwards");
            Assert.True(number >= last, $"{number} after {last}");
            last = number;
        }
    }

    private static void Check(EngineIterator iterator, ref ulong number, ref int count)
    {
        ulong here = BinaryPrimitives.ReadUInt64LittleEndian(iterator.Value);
        Assert.True(number == 0 || number == here, $"{here} beside {number}");
        number = here;
        count++;
    }

    private static void ReadSnapshots(BufferedEngine engine, ulong seed, CancellationToken stop)
    {
        var random = new SeededRandom(seed ^ 99);
        var value = new BytesBuffer();
        while (!stop.IsCancellationRequested)
        {
            using EngineSnapshot snapshot = engine.CreateSnapshot();
            ulong number = 0;
            for (int i = 0; i < 200; i++)
            {
                value.Clear();
                if (!engine.Get(Key(random.Next(Keys)), ReadView.At(snapshot), value).Found)
                {
                    Assert.Equal(0UL, number);
                    continue;
                }

                ulong here = BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan);
                Assert.True(number == 0 || number == here, $"{here} beside {number} in one snapshot");
                number = here;
            }
        }
    }

    private static byte[] Key(int i) => [(byte)'k', (byte)i];
}
