using System.Diagnostics;
using System.Globalization;
using Kvasir.Cli.CommandLine;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Cli.Bench.Engines;

/// <summary>Runs workloads one after the other on one store, and measures each.</summary>
internal static class EngineBenchRun
{
    public static IReadOnlyList<EngineReport> Run(EngineBenchOptions options, CancellationToken cancellation)
    {
        string folder = options.Folder ?? Directory.CreateTempSubdirectory("kvasir-bench-").FullName;
        try
        {
            bool isEmpty = !Directory.Exists(folder) || !Directory.EnumerateFileSystemEntries(folder).Any();
            if (options.UseExisting && isEmpty)
                throw new UsageException($"--use-existing: there is no store in {folder}");
            if (!options.UseExisting && !isEmpty)
                throw new UsageException($"{folder} is not empty; say --use-existing to go on with the store in it");
            if (isEmpty && options.Workloads[0] is not (EngineWorkload.FillSeq or EngineWorkload.FillRandom))
                throw new UsageException($"{Name(options.Workloads[0])} needs data: put fillseq or fillrandom before it, or say --use-existing with --dir");
            var reports = new List<EngineReport>();
            using var store = new BenchStore(folder, options);
            foreach (EngineWorkload workload in options.Workloads)
            {
                if (reports.Count > 0 && cancellation.IsCancellationRequested)
                    break;
                reports.Add(Measure(store, options, workload, folder, cancellation));
            }

            return reports;
        }
        finally
        {
            if (options.Folder is null)
                Directory.Delete(folder, recursive: true);
        }
    }

    public static string Name(EngineWorkload workload) => workload.ToString().ToLowerInvariant();

    private static EngineReport Measure(
        BenchStore store, EngineBenchOptions options, EngineWorkload workload, string folder, CancellationToken cancellation)
    {
        var data = new CompressibleData(options.Seed, 0.5, options.ValueBytes);
        var random = new SeededRandom(options.Seed + (ulong)workload);
        EngineWorker[] workers = new EngineWorker[options.Threads];
        for (int i = 0; i < workers.Length; i++)
            workers[i] = new EngineWorker(store, options, workload, data, random.Fork());

        EngineStatistics before = store.GetStatistics();
        long journalBefore = store.JournalBytesWritten;
        ProcessUsage usageBefore = ProcessUsage.Read();
        long collectionsBefore = GC.CollectionCount(0);
        long allocatedBefore = GC.GetTotalAllocatedBytes();
        bool stop = false;
        using CancellationTokenRegistration stopping = cancellation.Register(() => Volatile.Write(ref stop, true));
        using var deadline = options.Duration > TimeSpan.Zero
            ? new Timer(_ => Volatile.Write(ref stop, true), null, options.Duration, Timeout.InfiniteTimeSpan)
            : null;
        using var meter = new RateMeter(() => Sum(workers), () => Progress(workers, options, workload, store));
        long begun = Stopwatch.GetTimestamp();
        bool readersDone = false;
        EngineWorker? writer = null;
        Thread? writing = null;
        if (workload == EngineWorkload.ReadWhileWriting)
        {
            // One writer beside the readers, for as long as they read; as in db_bench, its writes are not counted.
            EngineBenchOptions endless = options with { Duration = TimeSpan.MaxValue };
            writer = new EngineWorker(store, endless, EngineWorkload.Overwrite, data, random.Fork());
            writing = Start(writer, "writer", () => Volatile.Read(ref readersDone));
        }

        Thread[] threads = [.. workers.Select((w, i) => Start(w, $"worker {i}", () => Volatile.Read(ref stop)))];
        foreach (Thread thread in threads)
            thread.Join();
        double seconds = Stopwatch.GetElapsedTime(begun).TotalSeconds;
        Volatile.Write(ref readersDone, true);
        writing?.Join();
        meter.Dispose();
        foreach (EngineWorker worker in writer is null ? workers : [.. workers, writer])
        {
            if (worker.Failure is not null)
                throw worker.Failure;
        }

        long allocated = GC.GetTotalAllocatedBytes() - allocatedBefore;
        long collections = GC.CollectionCount(0) - collectionsBefore;
        double? settled = null;
        if (options.Settle && !cancellation.IsCancellationRequested)
        {
            long settling = Stopwatch.GetTimestamp();
            store.Settle(cancellation);
            settled = Math.Round(Stopwatch.GetElapsedTime(settling).TotalSeconds, 3);
        }

        EngineStatistics after = store.GetStatistics();
        ProcessUsage usage = ProcessUsage.Read();
        var latency = new LatencyHistogram();
        foreach (EngineWorker worker in workers)
            latency.Add(worker.Latency);
        long operations = Sum(workers);
        long user = WrittenBytes(options, workload, operations, writer);
        long flushed = after.FlushBytesWritten - before.FlushBytesWritten;
        long compacted = after.CompactionBytesWritten - before.CompactionBytesWritten;
        return new EngineReport
        {
            Engine = options.Engine,
            Workload = Name(workload),
            Threads = options.Threads,
            Keys = options.Keys,
            KeyBytes = options.KeyBytes,
            ValueBytes = options.ValueBytes,
            Batch = options.Batch,
            Sync = options.Sync,
            Seconds = Math.Round(seconds, 3),
            Operations = operations,
            PerSecond = Math.Round(operations / seconds, 1),
            WorstSecond = meter.WorstSecond is { } worst ? Math.Round(worst, 1) : null,
            Found = workers.Sum(w => w.Found),
            Latency = LatencyReport.From(latency),
            UserBytes = user,
            JournalBytes = store.JournalBytesWritten - journalBefore,
            FlushBytes = flushed,
            CompactionBytes = compacted,
            WriteAmplification = user > 0 ? Math.Round((flushed + compacted) / (double)user, 3) : null,
            DeviceBytes = usage.DiskWriteBytes - usageBefore.DiskWriteBytes,
            EngineDiskBytes = after.DiskBytes,
            DiskBytes = BytesBelow(folder),
            PeakMemoryBytes = usage.PeakMemoryBytes,
            AllocatedPerOperation = Math.Round(allocated / (double)Math.Max(1, operations), 2),
            Collections = collections,
            StallSeconds = Math.Round((after.StallMicroseconds - before.StallMicroseconds) / 1e6, 3),
            SettleSeconds = settled,
            OpenSeconds = Math.Round(store.OpenSeconds, 4),
            EstimatedKeys = after.EstimatedKeys,
            IndexBytes = after.IndexBytes,
            Interrupted = cancellation.IsCancellationRequested,
        };
    }

    private static Thread Start(EngineWorker worker, string name, Func<bool> stopped)
    {
        var thread = new Thread(() => worker.Run(stopped)) { Name = name, IsBackground = true };
        thread.Start();
        return thread;
    }

    private static long Sum(EngineWorker[] workers)
    {
        long sum = 0;
        foreach (EngineWorker worker in workers)
            sum += worker.Operations;
        return sum;
    }

    /// <summary>Keys and values that the workload wrote, without anything that a store adds to them.</summary>
    private static long WrittenBytes(EngineBenchOptions options, EngineWorkload workload, long operations, EngineWorker? writer) =>
        workload switch
        {
            EngineWorkload.FillSeq or EngineWorkload.FillRandom or EngineWorkload.Overwrite =>
                operations * (options.KeyBytes + options.ValueBytes),
            EngineWorkload.DeleteRandom => operations * options.KeyBytes,
            EngineWorkload.ReadWhileWriting => (writer?.Operations ?? 0) * (options.KeyBytes + options.ValueBytes),
            _ => 0,
        };

    private static string Progress(EngineWorker[] workers, EngineBenchOptions options, EngineWorkload workload, BenchStore store)
    {
        EngineStatistics statistics = store.GetStatistics();
        return string.Create(CultureInfo.InvariantCulture,
            $"{Name(workload)}  {Sum(workers):N0} done by {options.Threads}  debt {statistics.CompactionDebtBytes >> 20} MiB");
    }

    private static long BytesBelow(string folder) =>
        new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
}
