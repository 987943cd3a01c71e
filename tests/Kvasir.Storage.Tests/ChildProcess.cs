using System.Diagnostics;
using System.Globalization;
using System.Text;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Tests.Embedded;

namespace Kvasir.Storage.Tests;

/// <summary>
/// The entry point of this assembly when a test starts it as a process of its own: what only two processes, or a tracer
/// from outside, can show.
/// </summary>
internal static class ChildProcess
{
    public static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["lock", var path, .. var mebibytes]:
                try
                {
                    // So much that the system is not done with it at once when this process is killed.
                    byte[][] touched = [.. mebibytes.Select(static m => new byte[int.Parse(m, CultureInfo.InvariantCulture) << 20])];
                    foreach (byte[] memory in touched)
                        memory.AsSpan().Fill(1);
                    using IDisposable held = new PosixFileSystem().Lock(path);
                    Console.WriteLine("locked");
                    Console.In.ReadToEnd();
                    GC.KeepAlive(touched);
                    return 0;
                }
                catch (FolderInUseException exception)
                {
                    Console.WriteLine(exception.Message);
                    return 3;
                }

            case ["sync", var path]:
                using (IFile file = new PosixFileSystem().Open(path, FileOpenMode.ReadWrite))
                {
                    file.Write("bytes"u8, 0);
                    Report(() => file.Sync(SyncMode.Data));
                    Report(() => file.Sync(SyncMode.Full));
                }

                Report(() => new PosixFileSystem().SyncFolder(Path.GetDirectoryName(path)!));
                return 0;

            case ["cut", var folder]:
                CutUnderReaders(folder);
                return 0;

            case ["exists", var path]:
                Report(() => Console.Write(new PosixFileSystem().FileExists(path) + " "));
                Report(() => Console.Write(new PosixFileSystem().FolderExists(path) + " "));
                return 0;

            case ["journal", var folder]:
                using (var scheduler = new ThreadScheduler(TimeProvider.System))
                using (JournalWriter journal = JournalWriter.Open(
                    new PosixFileSystem(), scheduler, folder, new JournalOptions(), default, (_, _) => { }))
                {
                    journal.Append("record"u8);
                    Report(() => journal.Commit(sync: true));
                    Report(() => journal.Commit(sync: true));
                    Console.WriteLine(journal.Failure);
                }

                return 0;

            case ["embedded", var engine, var folder]:
                return EmbeddedChild.Run(engine, folder);

            case ["cut-map", var folder]:
                return MapChild.CutMap(folder);

            case ["foreign-map", var folder]:
                return MapChild.ForeignMap(folder);
            default:
                return 2;
        }
    }

    public static Process Start(string? tracer, params string[] arguments)
    {
        var start = new ProcessStartInfo
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string[] command = ["exec", typeof(ChildProcess).Assembly.Location, .. arguments];
        string host = Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        start.FileName = tracer is null ? host : "strace";
        if (tracer is not null)
        {
            foreach (string argument in tracer.Split(' '))
                start.ArgumentList.Add(argument);
            start.ArgumentList.Add(host);
        }

        foreach (string argument in command)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    public static (int ExitCode, string Output) Run(string? tracer, params string[] arguments)
    {
        using Process process = Start(tracer, arguments);
        process.StandardInput.Close();
        var errors = new StringBuilder();
        process.ErrorDataReceived += (_, line) => errors.AppendLine(line.Data);
        process.BeginErrorReadLine();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, process.ExitCode == 0 ? output : output + errors);
    }

    /// <summary>A store whose file is cut by somebody else, after its pages were read: nothing brings them back.</summary>
    private static void CutUnderReaders(string folder)
    {
        using var scheduler = new ThreadScheduler(TimeProvider.System);
        var files = new PosixFileSystem();
        string path = Path.Join(folder, "cut");
        using BTreeStore other = BTreeStore.Open(files, Path.Join(folder, "other"), scheduler);
        Fill(other);
        using BTreeStore store = BTreeStore.Open(files, path, scheduler);
        Fill(store);
        Console.WriteLine(Count(store, cut: null));
        Report(() => Console.Write(Count(store, cut: () => new FileInfo(path).OpenWrite().SetLength(8 * 4096)) + " "));
        Report(() => Count(store, cut: null));
        Report(() => Fill(store));
        Report(() => store.BeginRead().Root.TryGet("large"u8, out _));

        // The process and its other store go on, and so do errors that are the runtime's own.
        Console.WriteLine(Count(other, cut: null));
        try
        {
            Console.WriteLine(((string)null!).Length);
        }
        catch (NullReferenceException)
        {
            Console.WriteLine("null");
        }

        static void Fill(BTreeStore store)
        {
            using WriteTransaction transaction = store.BeginWrite();
            for (int i = 0; i < 2000; i++)
                transaction.Root.Put(Encoding.ASCII.GetBytes($"key{i:D4}"), new byte[100]);
            transaction.Root.Put("large"u8, new byte[100_000]);
            transaction.Commit();
        }

        static int Count(BTreeStore store, Action? cut)
        {
            using ReadTransaction reader = store.BeginRead();
            BTreeCursor cursor = reader.Root.OpenCursor();
            int count = 0;
            for (bool found = cursor.SeekFirst(); found; found = cursor.Next(), count++)
            {
                if (cursor.Value.IndexOfAnyExcept((byte)0) >= 0)
                    throw new InvalidOperationException("a value that was never written");
                if (count == 100)
                    cut?.Invoke();
            }

            return count;
        }
    }

    private static void Report(Action action)
    {
        try
        {
            action();
            Console.WriteLine("ok");
        }
        catch (StorageException exception)
        {
            Console.WriteLine($"{exception.GetType().Name}: {exception.Message}");
        }
    }
}
