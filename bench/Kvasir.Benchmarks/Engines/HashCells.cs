namespace Kvasir.Benchmarks.Engines;

/// <summary>Loads, writes over and reads, from one thread or several; the same for every subject.</summary>
internal static class HashCells
{
    private const ulong Seed = 88172645463325252;

    public static void Run(CellArguments arguments)
    {
        long keys = arguments.Number("--keys", 1_000_000);
        long operations = arguments.Number("--operations", keys);
        int threads = (int)arguments.Number("--threads", 1);
        long memory = arguments.Number("--memory-mib", 1024) << 20;
        int together = (int)arguments.Number("--together", 1);
        string folder = arguments.Text("--dir"), subject = arguments.Text("--subject", "log");
        using IHashSubject store = subject == "faster" ? new FasterSubject(folder, keys, threads, memory) : new EngineSubject(folder, subject, keys, memory, together);
        var values = new BenchValues();
        Cells.Once("load", keys, () => Cells.Together(threads, id =>
        {
            using IHashWorker worker = store.NewWorker();
            var places = new BenchKeys(keys);
            byte[] key = new byte[BenchKeys.KeyBytes];
            for (long i = id; i < keys; i += threads)
            {
                places.Write(key, places.Scattered(i));
                worker.Upsert(key, values.At(i));
            }

            worker.Finish();
        }));
        // Every round draws other keys. One that drew those of the round before would, where memory has room for a tenth of the keys, find all of
        // them in memory: that is a cell of its own.
        int round = 0;
        Cells.Repeat("overwrite", operations / threads * threads, () => Draw(round++, Upsert));
        int last = round - 1;
        long found = 0;
        Cells.Repeat("read", operations / threads * threads, () => found = Draw(round++, Read));
        Cells.Repeat("overwrite_again", operations / threads * threads, () => Draw(last, Upsert));
        Cells.Repeat("read_again", operations / threads * threads, () => found = Math.Min(found, Draw(last, Read)));
        if (found != operations / threads * threads)
            throw new InvalidOperationException($"{found} of {operations} reads found their key");
        store.PrintOwn(keys);
        Cells.PrintPeakMemory();

        void Upsert(IHashWorker worker, byte[] key, long i) => worker.Upsert(key, values.At(i));

        static void Read(IHashWorker worker, byte[] key, long i) => worker.Read(key);

        long Draw(int round, Action<IHashWorker, byte[], long> operation)
        {
            long all = 0;
            Cells.Together(threads, id =>
            {
                using IHashWorker worker = store.NewWorker();
                var places = new BenchKeys(keys, seed: Seed + (ulong)((round * threads) + id));
                byte[] key = new byte[BenchKeys.KeyBytes];
                for (long i = 0; i < operations / threads; i++)
                {
                    places.Write(key, places.Next());
                    operation(worker, key, i);
                }

                Interlocked.Add(ref all, worker.Finish());
            });
            return all;
        }
    }
}
