using System.Buffers.Binary;
using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>
/// Real threads: one writer; point reads, walks, snapshots, compactions and checkpoints beside it; flushes and merges underneath. Every
/// publication raises all of a group of keys to the same number, so whoever reads can tell a torn or stale view by itself.
/// </summary>
public sealed class ConcurrencyTests
{
    private const int Keys = 40;

    // Between two of them the files change often enough.
    private const int PublicationsPerCheckpoint = 150;

    [Theory, EveryEngine]
    public void ReadersSeeWholePublicationsAndNeverGoBack(string engine, DiskKind disk)
    {
        EngineUnderTest underTest = EngineUnderTest.Named(engine);
        Run(engine, underTest.Tiny, disk);
        for (ulong seed = 1; seed <= (ulong)ConformanceTable.Scale; seed++)
            Run(engine, underTest.Draw(new SeededRandom(seed)), disk);
    }

    /// <summary>What memory an engine has outside the garbage-collected heap must not be freed under anybody.</summary>
    [Theory, EveryEngine]
    public void WhoeverUsesAnEngineThatIsBeingClosedIsTold(string engine, DiskKind disk)
    {
        IEngineFactory factory = EngineUnderTest.Named(engine).Tiny;
        for (int life = 0; life < 25 * ConformanceTable.Scale; life++)
        {
            using var own = new TestDisk(disk);
            var memory = new MemoryBudget(MemoryBudget.MinimumBytes);
            using (var crew = new Crew(own))
            {
                IStorageEngine target = factory.Open(own.Root + "/engine", new EngineEnvironment(own.Files, crew.Scheduler, memory));
                Publish(target, own, publications: 20, CancellationToken.None);
                using var begun = new CountdownEvent(7);
                crew.UseToTheEnd(target, begun);
                crew.Run(_ =>
                {
                    begun.Wait();
                    target.Dispose();
                });
            }

            Assert.Equal(0, memory.WriteBytes);
            Assert.Equal(0, memory.CacheBytes);
        }
    }

    [Theory, EveryEngine]
    public void WhoeverUsesAStoreThatIsBeingClosedIsTold(string engine, DiskKind disk)
    {
        IEngineFactory factory = EngineUnderTest.Named(engine).Tiny;
        for (int life = 0; life < 10 * ConformanceTable.Scale; life++)
        {
            using var own = new TestDisk(disk);
            using var crew = new Crew(own);
            DurableStore store = StoreSettings.Open(factory, own, crew.Scheduler, own.Root + "/store");
            using var begun = new CountdownEvent(6);
            crew.Until(begun, () => Forever(i => Raise(store, i, WriteDurability.Sync)));
            crew.Until(begun, () => Write(store, writer: 1, ulong.MaxValue, WriteDurability.None, CancellationToken.None));
            crew.Until(begun, () => Forever(_ => store.Flush()));
            crew.Until(begun, () => Forever(i => store.Checkpoint($"{own.Root}/checkpoint{i}")));
            crew.Until(begun, () => Forever(_ => store.CreateSnapshot().Dispose()));
            crew.Until(begun, () => Forever(_ => store.Get(Key(1), value: null)));
            crew.Run(_ =>
            {
                begun.Wait();
                store.Dispose();
            });
        }

        static void Forever(Action<ulong> use)
        {
            for (ulong i = 1; ; i++)
                use(i);
        }
    }

    private static void Run(string engine, IEngineFactory factory, DiskKind disk)
    {
        ulong publications = disk == DiskKind.Real ? 300UL : 1200;
        using var own = new TestDisk(disk);
        var memory = new MemoryBudget(MemoryBudget.MinimumBytes);
        using (var crew = new Crew(own))
        {
            var environment = new EngineEnvironment(own.Files, crew.Scheduler, memory);
            using IStorageEngine target = factory.Open(own.Root + "/engine", environment);
            crew.Read(target);
            crew.Start(stop => Compact(target, stop));
            crew.Run(stop => Publish(target, own, publications, stop));
            Assert.True(target.GetStatistics().FlushBytesWritten > 0, "nothing was flushed");
            Assert.Null(target.BackgroundFailure);
            ConformanceTable.AddConcurrent(engine, ConformanceTable.BelowALog, disk, crew.Operations + (long)publications);
        }

        Assert.Equal(0, memory.WriteBytes);
        Assert.Equal(0, memory.CacheBytes);
    }

    [Theory, EveryEngineAndDurability]
    public void ReadersOfAStoreSeeWholeBatchesAndWritersLoseNothing(string engine, DiskKind disk, WriteDurability durability)
    {
        const int Writers = 3;
        ulong batches = (ulong)((disk == DiskKind.Real && durability == WriteDurability.Sync ? 60 : 200) * ConformanceTable.Scale);
        using var own = new TestDisk(disk);
        IEngineFactory factory = EngineUnderTest.Named(engine).Tiny;
        using (var crew = new Crew(own))
        {
            using DurableStore store = StoreSettings.Open(factory, own, crew.Scheduler, own.Root + "/store");
            crew.Read(store.Engine);
            for (int writer = 0; writer < Writers; writer++)
            {
                int number = writer;
                crew.StartToEnd(stop => Write(store, number, batches, durability, stop));
            }

            crew.Run(stop =>
            {
                for (ulong i = 0; i < batches && !stop.IsCancellationRequested; i++)
                {
                    Raise(store, i + 1, durability);
                    if (i % PublicationsPerCheckpoint == 20)
                        store.Checkpoint($"{own.Root}/checkpoint{i}");
                    if (i % 50 == 30)
                        store.Flush();
                }
            });
            ConformanceTable.AddConcurrent(
                engine, durability.ToString().ToLower(CultureInfo.InvariantCulture), disk, crew.Operations + ((Writers + 1) * (long)batches));
        }

        using var later = new ThreadScheduler(TimeProvider.System);
        using DurableStore again = StoreSettings.Open(factory, own, later, own.Root + "/store");
        for (int writer = 0; writer < Writers; writer++)
        {
            for (ulong i = 0; i < batches; i++)
                Assert.Equal(BitConverter.GetBytes(i), EngineWorld.Get(again.Engine, OfWriter(writer, i)));
        }

        Assert.Equal(batches, BinaryPrimitives.ReadUInt64LittleEndian(EngineWorld.Get(again.Engine, Key(0))));
    }

    private static void Publish(IStorageEngine engine, TestDisk disk, ulong publications, CancellationToken stop, ulong first = 1)
    {
        var random = new SeededRandom(7);
        var batch = new WriteBatch();
        for (ulong number = first; number <= publications && !stop.IsCancellationRequested; number++)
        {
            byte[] value = new byte[8 + random.Next(60)];
            BinaryPrimitives.WriteUInt64LittleEndian(value, number);
            batch.Clear();
            if (random.OneIn(10))
                batch.DeleteRange([], []);
            for (int i = 0; i < Keys; i++)
                batch.Put(Key(i), value);

            // Others come and go, so that what holds the keys grows and shrinks under the readers.
            batch.Put(BitConverter.GetBytes(number), value);
            batch.Delete(BitConverter.GetBytes(number - 1));
            while (engine.SuggestWriteDelay(0) > TimeSpan.Zero && !stop.IsCancellationRequested)
            {
                engine.MarkStable(new LogPosition(number - 1));
                engine.Flush();
                engine.WaitForFlush();
                Thread.Yield();
            }

            engine.Stage(batch.Bytes);
            if (random.OneIn(20))
            {
                engine.DiscardAfter(engine.PublishedPosition);
                engine.Stage(batch.Bytes);
            }

            engine.Publish(new LogPosition(number));
            if (random.OneIn(3))
                engine.MarkStable(new LogPosition(number));
            if (random.OneIn(200))
            {
                engine.Flush();
                engine.WaitForFlush();
            }

            if (number % PublicationsPerCheckpoint == 50)
            {
                using EngineCheckpoint moment = engine.BeginCheckpoint();
                moment.WriteTo($"{disk.Root}/checkpoint{number}");
            }
        }

        engine.MarkStable(LogPosition.Max);
        engine.Flush();
        engine.WaitForFlush();
    }

    private static void Raise(DurableStore store, ulong number, WriteDurability durability)
    {
        var batch = new WriteBatch();
        byte[] value = BitConverter.GetBytes(number);
        for (int i = 0; i < Keys; i++)
            batch.Put(Key(i), value);
        batch.Put(BitConverter.GetBytes(number), value);
        batch.Delete(BitConverter.GetBytes(number - 1));
        store.Write(batch, durability);
    }

    private static void Write(DurableStore store, int writer, ulong batches, WriteDurability durability, CancellationToken stop)
    {
        for (ulong i = 0; i < batches && !stop.IsCancellationRequested; i++)
        {
            var batch = new WriteBatch();
            batch.Put(OfWriter(writer, i), BitConverter.GetBytes(i));
            store.Write(batch, durability);
            Assert.True(store.Get(OfWriter(writer, i), value: null).Found);
        }
    }

    private static void Compact(IStorageEngine engine, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            engine.Compact();
            _ = engine.GetStatistics();
            _ = engine.EstimateSize([], []);
            Thread.Yield();
        }
    }

    private static byte[] Key(int number) => BitConverter.GetBytes((uint)number);

    private static byte[] OfWriter(int writer, ulong number) => [(byte)'w', (byte)writer, 0, .. BitConverter.GetBytes(number)];

    /// <summary>Threads beside the one that works; the first failure of any ends all.</summary>
    private sealed class Crew(TestDisk disk) : IDisposable
    {
        private readonly CancellationTokenSource _done = new();
        private readonly List<Exception> _failures = [];
        private readonly List<Thread> _beside = [];
        private readonly List<Thread> _toEnd = [];
        private long _operations;

        public ThreadScheduler Scheduler { get; } = new(TimeProvider.System);

        public long Operations => Interlocked.Read(ref _operations);

        public void Start(Action<CancellationToken> work) => Start(_beside, work);

        /// <summary>Work that the end waits for.</summary>
        public void StartToEnd(Action<CancellationToken> work) => Start(_toEnd, work);

        public void Read(IStorageEngine engine)
        {
            Start(stop => ReadPoints(engine, stop));
            Start(stop => Scan(engine, stop));
            Start(stop => ReadSnapshots(engine, stop));
        }

        /// <summary>Whatever one may do, on a thread each, until it is told that the engine is closed.</summary>
        public void UseToTheEnd(IStorageEngine engine, CountdownEvent begun)
        {
            ulong first = engine.PublishedPosition.Value + 1;
            Until(begun, () => Publish(engine, disk, publications: ulong.MaxValue, CancellationToken.None, first));
            Until(begun, () =>
            {
                for (int i = 0; ; i++)
                {
                    using EngineCheckpoint moment = engine.BeginCheckpoint();
                    moment.WriteTo($"{disk.Root}/moment{i}");
                }
            });
            Until(begun, () => ReadPoints(engine, CancellationToken.None));
            Until(begun, () => Scan(engine, CancellationToken.None));
            Until(begun, () => ReadSnapshots(engine, CancellationToken.None));
            Until(begun, () => Compact(engine, CancellationToken.None));
            Until(begun, () =>
            {
                while (true)
                {
                    engine.Flush();
                    _ = engine.SuggestWriteDelay(1);
                    engine.WaitForFlush();
                }
            });
        }

        /// <summary>Work that ends because it is told that what it uses is closed.</summary>
        public void Until(CountdownEvent begun, Action work) => StartToEnd(_ =>
        {
            begun.Signal();
            Exception told = Assert.ThrowsAny<Exception>(work);
            Assert.True(told is ObjectDisposedException, told.ToString());
        });

        public void Run(Action<CancellationToken> work)
        {
            Guard(work);
            _toEnd.ForEach(t => t.Join());
            _done.Cancel();
            _beside.ForEach(t => t.Join());
            Assert.True(_failures.Count == 0, $"{disk.Root}: {string.Join('\n', _failures)}");
        }

        public void Dispose()
        {
            Scheduler.Dispose();
            _done.Dispose();
        }

        private void Start(List<Thread> threads, Action<CancellationToken> work)
        {
            var thread = new Thread(() => Guard(work));
            threads.Add(thread);
            thread.Start();
        }

        private void Guard(Action<CancellationToken> work)
        {
            try
            {
                work(_done.Token);
            }
            catch (Exception exception)
            {
                lock (_failures)
                    _failures.Add(exception);
                _done.Cancel();
            }
        }

        private void ReadPoints(IStorageEngine engine, CancellationToken stop)
        {
            var random = new SeededRandom(77);
            var value = new BytesBuffer();
            ulong last = 0;
            while (!stop.IsCancellationRequested)
            {
                byte[] key = Key(random.Next(Keys));
                value.Clear();

                // A hint must be harmless whatever happens beside it.
                engine.Prefetch([StableHash.Hash64(key), random.NextUInt64()], values: true);
                bool isFound = engine.Get(key, random.OneIn(4) ? ReadView.Stable : ReadView.Published, value).Found;
                ulong number = isFound ? BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan) : 0;
                value.Clear();
                EntryInfo info = engine.Get(key, ReadView.Published, value);
                Assert.True(info.Found || last == 0, $"{info} after {number} and {last}");
                ulong next = info.Found ? BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan) : 0;
                Assert.True(next >= number && next >= last, $"{next} after {number} and {last}");
                last = next;
                Interlocked.Add(ref _operations, 2);
            }
        }

        private void Scan(IStorageEngine engine, CancellationToken stop)
        {
            ulong last = 0;
            while (!stop.IsCancellationRequested)
            {
                using EngineScan scan = engine.CreateScan(default);
                ulong? number = null;
                int count = 0;
                for (scan.SeekToFirst(); scan.Valid; scan.Next())
                {
                    if (scan.Key.Length > 8)
                        continue;
                    ulong here = BinaryPrimitives.ReadUInt64LittleEndian(scan.Value);
                    Assert.True((number ??= here) == here, $"{here} beside {number}");
                    count++;
                }

                if (scan is EngineIterator iterator)
                    Assert.Equal(count, CountBackwards(iterator, number));
                Assert.True(count is 0 or Keys + 1, $"{count} keys");
                Assert.True((number ?? 0) >= last, $"{number} after {last}");
                last = number ?? last;
                Interlocked.Increment(ref _operations);
            }
        }

        private static int CountBackwards(EngineIterator iterator, ulong? number)
        {
            int count = 0;
            for (iterator.SeekToLast(); iterator.Valid; iterator.Previous())
            {
                if (iterator.Key.Length > 8)
                    continue;
                Assert.Equal(number, BinaryPrimitives.ReadUInt64LittleEndian(iterator.Value));
                count++;
            }

            return count;
        }

        private void ReadSnapshots(IStorageEngine engine, CancellationToken stop)
        {
            var random = new SeededRandom(99);
            var value = new BytesBuffer();
            while (!stop.IsCancellationRequested)
            {
                using EngineSnapshot snapshot = engine.CreateSnapshot();
                ulong? number = null;
                for (int i = 0; i < 60; i++)
                {
                    value.Clear();
                    bool isFound = engine.Get(Key(random.Next(Keys)), ReadView.At(snapshot), value).Found;
                    ulong seen = isFound ? BinaryPrimitives.ReadUInt64LittleEndian(value.WrittenSpan) : 0;
                    Assert.Equal(number ??= seen, seen);
                }

                Interlocked.Add(ref _operations, 60);
            }
        }
    }
}
