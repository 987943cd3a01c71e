using System.Text;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>The recipes of the package's README: a test of the architecture looks for each of its lines here.</summary>
public sealed class RecipesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task TheRecipesDoWhatTheySay()
    {
        List<string> lines = [];
        List<int> lengths = [];
        string folder = _folder + "/store", copy = _folder + "/copy", other = _folder + "/other", file = _folder + "/books";
        CancellationToken cancellation = default;

        using OrderedStore store = OrderedStore.Open(folder);
        store.Put("user:1", "Ada");
        string? name = store.GetString("user:1");
        Assert.Equal("Ada", name);

        var batch = new WriteBatch();
        batch.Put("account:1"u8, "90"u8);
        batch.Put("account:2"u8, "110"u8);
        batch.Delete("transfer:7"u8);
        store.Write(batch);

        store.Put("counter"u8, "1"u8, durability: WriteDurability.Interval);   // synced within StoreOptions.SyncInterval
        store.Put("cached"u8, "x"u8, durability: WriteDurability.None);        // whenever the system writes it

        using (ValueLease lease = store.Lease("user:1"u8))
            lines.Add($"{(lease.Found ? lease.Value.Length : -1)}");
        bool found = store.Read("user:1"u8, lengths, static (value, to) => to.Add(value.Length));
        Assert.True(found);
        Assert.Equal([3], lengths);

        using EngineSnapshot snapshot = store.CreateSnapshot();
        store.Put("user:3", "Edsger");                          // the snapshot does not see it
        using EngineIterator users = store.CreateIterator(new IteratorOptions
        {
            LowerBound = "user:"u8, UpperBound = "user;"u8, View = ReadView.At(snapshot),
        });
        for (users.SeekToLast(); users.Valid; users.Previous())
            lines.Add(Encoding.UTF8.GetString(users.Key));
        store.DeleteRange("user:"u8, "user;"u8);                // at the price of one write
        Assert.Equal(["3", "user:1"], lines);

        store.Put("session:7", "open", timeToLive: TimeSpan.FromMinutes(30));
        await Transactions(file, lines, cancellation);

        store.Checkpoint(copy, cancellation);                   // of this moment, by hard links; opens as a store of its own
        store.Compact(cancellation);                            // never necessary: the store does it by itself
        StoreStatistics statistics = store.GetStatistics();
        lines.Add($"{statistics.EstimatedKeys} keys, {statistics.DiskBytes} bytes on disk, {statistics.MemoryBytes} in memory");

        using HashStore sessions = HashStore.Open(other, new StoreOptions { MemoryBytes = 256L << 20 });
        sessions.Put("a", "b");
        Assert.Equal("b", sessions.GetString("a"));
        using OrderedStore copied = OrderedStore.Open(copy);
        Assert.Equal("open", copied.GetString("session:7"));
    }

    private static async Task Transactions(string file, List<string> lines, CancellationToken cancellation)
    {
        using TransactionalStore books = TransactionalStore.Open(file, new TransactionalStoreOptions
        {
            ReaderAgeWarning = TimeSpan.FromSeconds(10), ReaderIsOld = reader => lines.Add($"a reader has been open for {reader.Age}"),
            ReaderAgeLimit = TimeSpan.FromMinutes(5),           // then its next use throws a ReaderTooOldException
        });
        books.Update(transaction =>                             // commits when the callback returns, and does not when it throws
        {
            WritableBucket shelf = transaction.Root.GetOrCreateBucket("shelves").GetOrCreateBucket("north");
            shelf.Put("isbn:1", "A Relational Model");
        });
        string? title = books.View(transaction => transaction.Root.FindBucket("shelves")?.FindBucket("north")?.GetString("isbn:1"));
        Assert.Equal("A Relational Model", title);

        books.Update(transaction =>
        {
            WritableBucket holds = transaction.Root.GetOrCreateBucket("holds");
            holds.Put("isbn:1", "ada", timeToLive: TimeSpan.FromDays(3));
            holds.SetTimeToLive("isbn:1", TimeSpan.FromDays(7));
        });
        Assert.NotNull(books.View(transaction => transaction.Root.FindBucket("holds")!.ExpiresAt("isbn:1")));

        books.Batch(transaction => transaction.Root.GetOrCreateBucket("hits"u8).Put("page:1"u8, "1"u8));
        await books.BatchAsync(transaction => transaction.Root.GetOrCreateBucket("hits"u8).Put("page:2"u8, "1"u8), cancellation);
        lines.Clear();
        using (ReadTransaction reader = books.BeginRead())
        {
            BTreeCursor cursor = reader.Root.OpenCursor();
            for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
                lines.Add($"{Encoding.UTF8.GetString(cursor.Key)} {(cursor.IsBucket ? "is a bucket" : "has a value")}");
            reader.EnsureReadable();                            // throws if the disk failed under a span, or the reader was ended
        }

        Assert.Equal(["hits is a bucket", "holds is a bucket", "shelves is a bucket"], lines);

        books.Update(transaction => transaction.Root.DeleteBucket("shelves"));
        books.Shrink();
        IReadOnlyList<DamageFinding> findings = books.Check();  // reads every page, while serving
        books.CopyTo(file + ".backup");
        Assert.Empty(findings);
    }
}
