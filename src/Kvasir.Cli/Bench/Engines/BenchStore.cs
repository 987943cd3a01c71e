using System.Diagnostics;
using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;

namespace Kvasir.Cli.Bench.Engines;

/// <summary>The store under test, on the machine's disk: a journal above an engine, as programs embed it.</summary>
internal sealed class BenchStore : IDisposable
{
    // Two background jobs, as db_bench has with --max_background_jobs=2.
    private const int BackgroundJobs = 2;
    private static readonly TimeSpan s_settlePoll = TimeSpan.FromMilliseconds(200);

    private readonly ThreadScheduler _scheduler;
    private readonly DurableStore _store;

    public BenchStore(string folder, EngineBenchOptions options)
    {
        long memTable = (long)options.MemTableMebibytes << 20;

        // The cache that was asked for, and what RocksDB's two write buffers may take.
        var storeOptions = new DurableStoreOptions
        {
            MemoryBytes = Math.Max(MemoryBudget.MinimumBytes, ((long)options.CacheMebibytes << 20) + (2 * memTable)),
            WriteMemoryBytes = 2 * memTable,
            JournalBytesMax = Math.Max(256L << 20, 4 * memTable),
        };
        _scheduler = new ThreadScheduler(TimeProvider.System, BackgroundJobs);
        try
        {
            long begun = Stopwatch.GetTimestamp();
            _store = DurableStore.Open(new PosixFileSystem(), _scheduler, folder, Factory(options, storeOptions.MemoryBytes), storeOptions);
            OpenSeconds = Stopwatch.GetElapsedTime(begun).TotalSeconds;
        }
        catch
        {
            _scheduler.Dispose();
            throw;
        }
    }

    /// <summary>How long the opening took, with the replay of the journal.</summary>
    public double OpenSeconds { get; }

    /// <summary>Positions are bytes of the journal's one long record.</summary>
    public long JournalBytesWritten => (long)_store.Engine.PublishedPosition.Value;

    public void Write(WriteBatch batch, bool sync) =>
        _store.Write(batch, sync ? WriteDurability.Sync : WriteDurability.None);

    public bool TryGet(ReadOnlySpan<byte> key, BytesBuffer value) => _store.Get(key, value).Found;

    public EngineScan CreateScan() => _store.CreateScan(default);

    public EngineStatistics GetStatistics() => _store.Engine.GetStatistics();

    /// <summary>Flushes, and waits until compaction owes nothing or makes no more progress.</summary>
    public void Settle(CancellationToken cancellation)
    {
        _store.Flush();
        long last = -1;
        int idle = 0;
        // Bytes count when a compaction ends, and one may take seconds.
        while (!cancellation.IsCancellationRequested && idle < 50)
        {
            EngineStatistics statistics = GetStatistics();
            if (statistics.CompactionDebtBytes == 0 && idle > 0)
                return;
            idle = statistics.CompactionBytesWritten == last ? idle + 1 : 0;
            last = statistics.CompactionBytesWritten;
            cancellation.WaitHandle.WaitOne(s_settlePoll);
        }
    }

    public void Dispose()
    {
        _store.Dispose();
        _scheduler.Dispose();
    }

    private static IEngineFactory Factory(EngineBenchOptions options, long memoryBytes)
    {
        long memTable = (long)options.MemTableMebibytes << 20;
        switch (options.Engine)
        {
            case "lsm":
                return new LsmEngineFactory(new LsmOptions { MemTableBytes = memTable, BackgroundJobsMax = BackgroundJobs });
            case "log":
                HashLogOptions log = HashLogOptions.ForMemory(memoryBytes) with { FlushBytes = memTable };
                return new HashLogEngineFactory(options.IndexMebibytes == 0 ? log : log with { IndexBytes = (long)options.IndexMebibytes << 20 });
            default:
                // A tree on a disk that is mapped is cached by the system.
                var tree = new BTreeOptions { UseMap = !options.PositionalReads };
                int pages = (int)Math.Min(int.MaxValue, ((long)options.CacheMebibytes << 20) / tree.PageBytes);
                return new BTreeEngineFactory(
                    new BufferOptions { MemTableBytes = memTable, CachesRows = false, BackgroundJobsMax = BackgroundJobs },
                    tree with { CachedPages = pages });
        }
    }
}
