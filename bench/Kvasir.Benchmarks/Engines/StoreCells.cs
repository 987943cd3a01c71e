using Kvasir.Primitives;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Store;

namespace Kvasir.Benchmarks.Engines;

/// <summary>The same as for a B+tree by itself, through an ordered store: a journal and memtables before the engine's files.</summary>
internal static class StoreCells
{
    private const int LoadedTogether = 10_000;
    private const int BatchPuts = 1_000;

    public static void Run(CellArguments arguments)
    {
        long keys = arguments.Number("--keys", 1_000_000);
        long reads = arguments.Number("--reads", 1_000_000);
        var options = new StoreOptions
        {
            Engine = Enum.Parse<OrderedStoreEngine>(arguments.Text("--engine", "btree"), ignoreCase: true),
            MemoryBytes = arguments.Number("--memory-mib", 1024) << 20,
        };
        using OrderedStore store = OrderedStore.Open(arguments.Text("--dir"), options);
        Load(store, keys, scattered: arguments.Text("--order", "scattered") == "scattered");
        Read(store, keys, reads);
        Write(store, keys, (int)arguments.Number("--batches", 100), (int)arguments.Number("--singles", 1000));
        Gather(store, keys, (int)arguments.Number("--writers", 64), (int)arguments.Number("--each", 100));
        StoreStatistics statistics = store.GetStatistics();
        Cells.Print("file_mib", statistics.DiskBytes / (double)(1 << 20));
        Cells.PrintPeakMemory();
    }

    private static void Load(OrderedStore store, long count, bool scattered)
    {
        var keys = new BenchKeys(count);
        byte[] key = new byte[BenchKeys.KeyBytes], value = TreeCells.NewValue();
        var batch = new WriteBatch();
        Cells.Once("load", count, () =>
        {
            for (long done = 0; done < count;)
            {
                batch.Clear();
                for (int i = 0; i < LoadedTogether && done < count; i++, done++)
                {
                    keys.Write(key, scattered ? keys.Scattered(done) : done);
                    batch.Put(key, value);
                }

                store.Write(batch);
            }

            // A tree's load ends in its file, too.
            store.Flush();
        });
    }

    private static void Read(OrderedStore store, long count, long reads)
    {
        var keys = new BenchKeys(count);
        byte[] key = new byte[BenchKeys.KeyBytes];
        var value = new BytesBuffer();
        long sum = 0;
        Cells.Repeat("get_txn", reads, () =>
        {
            for (long i = 0; i < reads; i++)
            {
                keys.Write(key, keys.Next());
                value.Clear();
                if (!store.TryGet(key, value))
                    throw new InvalidOperationException("a key is missing");
                sum += value.WrittenSpan[0];
            }
        });
        Cells.Repeat("scan", count, () =>
        {
            using EngineIterator iterator = store.CreateIterator(default);
            long seen = 0;
            for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            {
                seen++;
                sum += iterator.Key[0] + iterator.Value[0];
            }

            if (seen != count)
                throw new InvalidOperationException($"{seen} of {count} keys");
        });
        GC.KeepAlive(sum);
    }

    private static void Write(OrderedStore store, long count, int batches, int singles)
    {
        var keys = new BenchKeys(count, seed: 4711);
        byte[] key = new byte[BenchKeys.KeyBytes], value = TreeCells.NewValue();
        var batch = new WriteBatch();
        Cells.Once("batch1000", (long)batches * BatchPuts, () => Commit(batches, BatchPuts));
        Cells.Once("single", singles, () => Commit(singles, 1));

        void Commit(int commits, int puts)
        {
            for (int i = 0; i < commits; i++)
            {
                batch.Clear();
                for (int j = 0; j < puts; j++)
                {
                    keys.Write(key, keys.Next());
                    batch.Put(key, value);
                }

                store.Write(batch, WriteDurability.Sync);
            }
        }
    }

    private static void Gather(OrderedStore store, long count, int writers, int each)
    {
        byte[] value = TreeCells.NewValue();
        Cells.Once("group_threads", (long)writers * each, () => Cells.Together(writers, id =>
        {
            var keys = new BenchKeys(count, seed: 1000 + (ulong)id);
            byte[] key = new byte[BenchKeys.KeyBytes];
            for (int i = 0; i < each; i++)
            {
                keys.Write(key, keys.Next());
                store.Put(key, value, durability: WriteDurability.Sync);
            }
        }));
    }
}
