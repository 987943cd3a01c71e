using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>
/// Real threads: one writer, readers and scans beside it, flushes and merges underneath. Every publication raises all of a group of
/// keys to the same number, so a reader can tell a torn or stale view by itself.
/// </summary>
public sealed class LogConcurrencyTests
{
    private const int Keys = 40;
    private const int Publications = 1500;

    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    public void ReadersSeeWholePublicationsAndNeverGoBack(ulong seed)
    {
        var memory = new MemoryBudget(MemoryBudget.MinimumBytes);
        using (var scheduler = new ThreadScheduler(TimeProvider.System))
        {
            var environment = new EngineEnvironment(new SimulatedFileSystem(new SeededRandom(seed)), scheduler, memory);
            using HashLogEngine engine = HashLogEngine.Open("/log", environment, HashLogOptions.Tiny with { TailBytes = seed == 1 ? 0 : 20_000 });
            using var done = new CancellationTokenSource();
            var failures = new List<Exception>();
            Thread[] readers =
            [
                new(() => Guard(failures, done, () => ReadPoints(engine, seed, done.Token))),
                new(() => Guard(failures, done, () => Scan(engine, done.Token))),
                new(() => Guard(failures, done, () => ReadSnapshots(engine, seed, done.Token))),
            ];
            foreach (Thread reader in readers)
                reader.Start();
            Guard(failures, done, () => Write(engine, seed, done.Token));
            done.Cancel();
            foreach (Thread reader in readers)
                reader.Join();
            Assert.Empty(failures);
            Assert.True(engine.GetStatistics().CompactionBytesRead > 0, "nothing was merged");
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

    private static void Write(HashLogEngine engine, ulong seed, CancellationToken stop)
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

            // Others come and go, so that the index grows under the readers.
            batch.Put(BitConverter.GetBytes(number), value);
            batch.Delete(BitConverter.GetBytes(number - 1));
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

    private static void ReadPoints(HashLogEngine engine, ulong seed, CancellationToken stop)
    {
        var random = new SeededRandom(seed ^ 77);
        var value = new BytesBuffer();
        ulong last = 0;
        while (!stop.IsCancellationRequested)
        {
            byte[] key = Key(random.Next(Keys));
            value.Clear();
            engine.Prefetch([StableHash.Hash64(key), random.NextUInt64()], values: true);
            if (!engine.Get(key, random.OneIn(4) ? ReadView.Stable : ReadView.Published, value).Found)
                continue;
            ulong number = BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan);
            value.Clear();
            EntryInfo info = engine.Get(key, ReadView.Published, value);
            Assert.True(info.Found, $"{info} after {number} and {last}");
            ulong next = BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan);
            Assert.True(next >= number && next >= last, $"{next} after {number} and {last}");
            last = next;
        }
    }

    private static void Scan(HashLogEngine engine, CancellationToken stop)
    {
        ulong last = 0;
        while (!stop.IsCancellationRequested)
        {
            using EngineScan scan = engine.CreateScan(default);
            ulong number = 0;
            int count = 0;
            for (scan.SeekToFirst(); scan.Valid; scan.Next())
                Check(scan, ref number, ref count);
            Assert.True(count is 0 or Keys + 1, $"{count} keys");
            Assert.True(number >= last, $"{number} after {last}");
            last = number;
        }
    }

    private static void ReadSnapshots(HashLogEngine engine, ulong seed, CancellationToken stop)
    {
        var random = new SeededRandom(seed ^ 99);
        var value = new BytesBuffer();
        while (!stop.IsCancellationRequested)
        {
            using EngineSnapshot snapshot = engine.CreateSnapshot();
            ulong? number = null;
            for (int i = 0; i < 60; i++)
            {
                value.Clear();
                bool found = engine.Get(Key(random.Next(Keys)), ReadView.At(snapshot), value).Found;
                ulong seen = found ? BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan) : 0;
                number ??= seen;
                Assert.Equal(number, seen);
            }
        }
    }

    private static void Check(EngineScan scan, ref ulong number, ref int count)
    {
        ulong seen = BinaryPrimitives.ReadUInt64LittleEndian(scan.Value);
        if (count++ > 0)
            Assert.Equal(number, seen);
        number = seen;
    }

    private static byte[] Key(int number) => BitConverter.GetBytes((uint)number);
}
