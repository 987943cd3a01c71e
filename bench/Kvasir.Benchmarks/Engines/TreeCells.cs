using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Machine;

namespace Kvasir.Benchmarks.Engines;

/// <summary>The B+tree by itself, with what LMDB and bbolt have: transactions, cursors, every commit on stable storage.</summary>
internal static class TreeCells
{
    private const int LoadedTogether = 10_000;
    private const int BatchPuts = 1_000;

    public static void Run(CellArguments arguments)
    {
        long keys = arguments.Number("--keys", 1_000_000);
        long reads = arguments.Number("--reads", 1_000_000);
        var options = new BTreeOptions
        {
            UseMap = arguments.Text("--pages", "mapped") == "mapped",
            CachedPages = (int)arguments.Number("--cached-pages", 262_144),
        };
        using var scheduler = new ThreadScheduler(TimeProvider.System);
        using BTreeStore store = BTreeStore.Open(new PosixFileSystem(), arguments.Text("--dir") + "/tree", scheduler, options);
        Load(store, keys, scattered: arguments.Text("--order", "scattered") == "scattered");
        Read(store, keys, reads);
        Write(store, keys, (int)arguments.Number("--batches", 100), (int)arguments.Number("--singles", 1000));
        Gather(store, keys, (int)arguments.Number("--writers", 64), (int)arguments.Number("--each", 100));
        BTreeStatistics statistics = store.GetStatistics();
        Cells.Print("file_mib", statistics.Pages * (double)statistics.PageBytes / (1 << 20));
        Cells.Print("depth", statistics.Levels);
        Cells.PrintPeakMemory();
    }

    private static void Load(BTreeStore store, long count, bool scattered)
    {
        var keys = new BenchKeys(count);
        byte[] key = new byte[BenchKeys.KeyBytes], value = NewValue();
        Cells.Once("load", count, () =>
        {
            for (long done = 0; done < count;)
            {
                using WriteTransaction transaction = store.BeginWrite();
                for (int i = 0; i < LoadedTogether && done < count; i++, done++)
                {
                    keys.Write(key, scattered ? keys.Scattered(done) : done);
                    transaction.Root.Put(key, value);
                }

                transaction.Commit();
            }
        });
    }

    private static void Read(BTreeStore store, long count, long reads)
    {
        var keys = new BenchKeys(count);
        byte[] key = new byte[BenchKeys.KeyBytes];
        long sum = 0;
        Cells.Repeat("get", reads, () =>
        {
            using ReadTransaction transaction = store.BeginRead();
            Bucket root = transaction.Root;
            for (long i = 0; i < reads; i++)
            {
                keys.Write(key, keys.Next());
                sum += Found(root, key);
            }
        });
        Cells.Repeat("get_txn", reads, () =>
        {
            for (long i = 0; i < reads; i++)
            {
                keys.Write(key, keys.Next());
                using ReadTransaction transaction = store.BeginRead();
                sum += Found(transaction.Root, key);
            }
        });
        Cells.Repeat("scan", count, () =>
        {
            using ReadTransaction transaction = store.BeginRead();
            BTreeCursor cursor = transaction.Root.OpenCursor();
            long seen = 0;
            for (bool isThere = cursor.SeekFirst(); isThere; isThere = cursor.Next())
            {
                seen++;
                sum += cursor.Key[0] + cursor.Value[0];
            }

            if (seen != count)
                throw new InvalidOperationException($"{seen} of {count} keys");
        });
        GC.KeepAlive(sum);
    }

    private static int Found(Bucket root, byte[] key) =>
        root.TryGet(key, out ReadOnlySpan<byte> value) ? value[0] : throw new InvalidOperationException("a key is missing");

    private static void Write(BTreeStore store, long count, int batches, int singles)
    {
        var keys = new BenchKeys(count, seed: 4711);
        byte[] key = new byte[BenchKeys.KeyBytes], value = NewValue();
        Cells.Once("batch1000", (long)batches * BatchPuts, () => Commit(batches, BatchPuts));
        Cells.Once("single", singles, () => Commit(singles, 1));

        void Commit(int commits, int puts)
        {
            for (int i = 0; i < commits; i++)
            {
                using WriteTransaction transaction = store.BeginWrite();
                for (int j = 0; j < puts; j++)
                {
                    keys.Write(key, keys.Next());
                    transaction.Root.Put(key, value);
                }

                transaction.Commit();
            }
        }
    }

    private static void Gather(BTreeStore store, long count, int writers, int each)
    {
        byte[] value = NewValue();
        Gather("group", (keys, _, _) => keys.Next());
        Gather("group_near", (_, id, i) => ((i * writers) + id) % count);
        Cells.Once("group_threads", (long)writers * each, () => Cells.Together(writers, id =>
        {
            var keys = new BenchKeys(count, seed: 2000 + (ulong)id);
            byte[] key = new byte[BenchKeys.KeyBytes];
            for (int i = 0; i < each; i++)
            {
                keys.Write(key, keys.Next());
                store.Batch(transaction => transaction.Root.Put(key, value));
            }
        }));

        void Gather(string name, Func<BenchKeys, long, long, long> place) => Cells.Once(name, (long)writers * each, () =>
            Task.WhenAll(Enumerable.Range(0, writers).Select(id => Task.Run(() => WriteAsync(id, place)))).GetAwaiter().GetResult());

        async Task WriteAsync(int id, Func<BenchKeys, long, long, long> place)
        {
            var keys = new BenchKeys(count, seed: 1000 + (ulong)id);
            byte[] key = new byte[BenchKeys.KeyBytes];
            for (int i = 0; i < each; i++)
            {
                keys.Write(key, place(keys, id, i));
                await store.BatchAsync(transaction => transaction.Root.Put(key, value));
            }
        }
    }

    internal static byte[] NewValue()
    {
        byte[] value = new byte[BenchKeys.ValueBytes];
        value.AsSpan().Fill((byte)'v');
        return value;
    }
}
