using System.Diagnostics;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Machine;

namespace Kvasir.Benchmarks.Engines;

/// <summary>A large B+tree file: filled until somebody kills the process, and opened afterwards.</summary>
internal static class OpeningCells
{
    private const int PutsTogether = 2_000;
    private const int LongValueBytes = 1_000;

    public static void Run(CellArguments arguments)
    {
        string path = arguments.Text("--dir") + "/tree";
        long bytes = arguments.Number("--file-mib", 10 << 10) << 20;
        using var scheduler = new ThreadScheduler(TimeProvider.System);
        if (arguments.Text("--step") == "fill")
        {
            Fill(path, bytes, scheduler);
            return;
        }

        long begun = Stopwatch.GetTimestamp();
        using BTreeStore store = BTreeStore.Open(new PosixFileSystem(), path, scheduler);
        Cells.Print("open_ms", Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        using ReadTransaction transaction = store.BeginRead();
        if (!transaction.Root.OpenCursor().SeekLast())
            throw new InvalidOperationException("the file is empty");
        Cells.Print("first_read_ms", Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        Cells.Print("opened_mib", store.GetStatistics().Pages * (double)store.GetStatistics().PageBytes / (1 << 20));
    }

    /// <summary>Puts in order until the file is long enough, says so, and then goes on with small commits, in the midst of which it is to be killed.</summary>
    private static void Fill(string path, long bytes, ThreadScheduler scheduler)
    {
        const long Places = 1L << 40;
        using BTreeStore store = BTreeStore.Open(new PosixFileSystem(), path, scheduler);
        var keys = new BenchKeys(Places);
        byte[] key = new byte[BenchKeys.KeyBytes], value = new byte[LongValueBytes];
        bool isLong = false;
        for (long place = 0; ;)
        {
            using WriteTransaction transaction = store.BeginWrite();
            for (int i = 0; i < (isLong ? 10 : PutsTogether); i++)
            {
                keys.Write(key, place++);
                transaction.Root.Put(key, value);
            }

            transaction.Commit();
            BTreeStatistics statistics = store.GetStatistics();
            if (isLong || statistics.Pages * statistics.PageBytes < bytes)
                continue;
            isLong = true;
            Cells.Print("filled_mib", statistics.Pages * (double)statistics.PageBytes / (1 << 20));
        }
    }
}
