using System.Globalization;
using Kvasir.Storage.Embedded;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>What the process that is to be killed does: some threads write for ever, and each line says what was acknowledged to one of them.</summary>
internal static class EmbeddedChild
{
    private const int Threads = 4;
    private const int ValueChars = 2000;

    public static string Key(int thread, int number) => string.Create(CultureInfo.InvariantCulture, $"{thread}:{number:D6}");

    public static string Value(int thread, int number) =>
        string.Concat(Enumerable.Repeat(string.Create(CultureInfo.InvariantCulture, $"{thread}.{number};"), ValueChars))[..ValueChars];

    /// <summary>With so little memory that it is flushed to the engine's files many times.</summary>
    public static KeyValueStore Open(string engine, string folder)
    {
        var options = new StoreOptions { MemoryBytes = 16 << 20, JournalBytesMax = 4 << 20 };
        return engine switch
        {
            "log" => HashStore.Open(folder, options),
            "btree" => OrderedStore.Open(folder, options with { Engine = OrderedStoreEngine.BTree }),
            _ => OrderedStore.Open(folder, options),
        };
    }

    public static int Run(string engine, string folder)
    {
        KeyValueStore store = Open(engine, folder);
        var output = new Lock();
        Thread[] writers = [.. Enumerable.Range(0, Threads).Select(t => new Thread(() =>
        {
            int next = 0;
            while (store.Contains(Key(t, next)))
                next++;
            for (; ; next++)
            {
                store.Put(Key(t, next), Value(t, next));
                lock (output)
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{t} {next}"));
            }
        }))];
        foreach (Thread writer in writers)
            writer.Start();
        foreach (Thread writer in writers)
            writer.Join();
        return 0;
    }
}
