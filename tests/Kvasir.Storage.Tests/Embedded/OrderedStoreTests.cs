using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Embedded;

public sealed class LsmStoreTests() : OrderedStoreTests(OrderedStoreEngine.Lsm)
{
    [Fact]
    public void CompactionGivesSpaceBack()
    {
        using OrderedStore store = Open(options: new StoreOptions { Durability = WriteDurability.None });
        var random = new Random(1);
        byte[] value = new byte[1000];
        for (int i = 0; i < 2000; i++)
        {
            random.NextBytes(value);
            store.Put(Encoding.UTF8.GetBytes($"key{i:D5}"), value);
        }

        store.Flush();
        long before = store.GetStatistics().DiskBytes;
        Assert.InRange(before, 1_800_000, 3_000_000);
        store.DeleteRange([], []);
        store.Compact();
        Assert.InRange(store.GetStatistics().DiskBytes, 0, before / 10);
        Assert.True(store.GetStatistics().UserBytesWritten > 2_000_000);
    }
}

public sealed class BTreeStoreOfKeysTests() : OrderedStoreTests(OrderedStoreEngine.BTree)
{
    [Fact]
    public void AKeyThatIsTooLongForAPageIsRefusedBeforeItIsWritten()
    {
        using OrderedStore store = Open();
        byte[] key = new byte[5000];
        Assert.Contains("at most", Assert.Throws<ArgumentException>(() => store.Put(key, key)).Message, StringComparison.Ordinal);
        Assert.Null(store.Get(key));
        store.Put(key.AsSpan(0, 500), key);
        store.Flush();
        Assert.Equal(key, store.Get(key.AsSpan(0, 500)));
    }

    [Fact]
    public void AFolderOfAnotherEngineIsRefused()
    {
        Open().Dispose();
        Assert.Contains("'btree'", Assert.Throws<StorageException>(() => OrderedStore.Open(StoreFolder)).Message, StringComparison.Ordinal);
    }
}

/// <summary>What every ordered engine does.</summary>
public abstract class OrderedStoreTests(OrderedStoreEngine engine) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    protected string StoreFolder => Path.Combine(_folder, "store");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    protected OrderedStore Open(string? folder = null, StoreOptions? options = null) =>
        OrderedStore.Open(folder ?? StoreFolder, (options ?? new StoreOptions()) with { Engine = engine });

    [Fact]
    public void ThreeLinesPutAndGet()
    {
        using OrderedStore store = Open();
        store.Put("user:1", "Ada");
        Assert.Equal("Ada", store.GetString("user:1"));
        Assert.Null(store.GetString("user:2"));
    }

    [Fact]
    public void WhatWasPutIsThereAfterTheNextOpen()
    {
        using (OrderedStore store = Open())
        {
            store.Put("a"u8, "1"u8);
            store.Put("b"u8, "2"u8, durability: WriteDurability.None);
            store.Delete("a"u8);
        }

        using OrderedStore again = Open();
        Assert.Null(again.Get("a"u8));
        Assert.Equal("2"u8.ToArray(), again.Get("b"u8));
    }

    [Fact]
    public void AValueIsReadInPlaceByACallbackOrALease()
    {
        using OrderedStore store = Open();
        store.Put("k"u8, "value"u8);

        var lengths = new List<int>();
        Assert.True(store.Read("k"u8, lengths, static (value, to) => to.Add(value.Length)));
        Assert.False(store.Read("none"u8, lengths, static (value, to) => to.Add(value.Length)));
        Assert.Equal([5], lengths);

        using (ValueLease lease = store.Lease("k"u8))
        {
            Assert.True(lease.Found);
            Assert.Null(lease.ExpiresAt);
            Assert.Equal("value", Encoding.UTF8.GetString(lease.Value));
        }

        using ValueLease none = store.Lease("none"u8);
        Assert.False(none.Found);
        Assert.True(none.Value.IsEmpty);
    }

    [Fact]
    public void ReadersMayReadAndWriteWhileTheyLook()
    {
        using OrderedStore store = Open();
        store.Put("a"u8, "b"u8);
        store.Put("b"u8, "c"u8);
        string seen = "";
        Assert.True(store.Read("a"u8, store, (value, s) =>
        {
            s.Put("d"u8, value);
            Assert.True(s.Read(value, 0, (inner, _) => seen = Encoding.UTF8.GetString(inner)));
            Assert.Equal("b"u8.ToArray(), value.ToArray());
        }));
        Assert.Equal("c", seen);
        Assert.Equal("b", store.GetString("d"));
    }

    [Fact]
    public void ReadsAllocateNothing()
    {
        using OrderedStore store = Open();
        store.Put("k"u8, new byte[200]);
        var buffer = new BytesBuffer();
        long sum = 0;
        for (int i = 0; i < 2; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int n = 0; n < 1000; n++)
            {
                buffer.Clear();
                store.TryGet("k"u8, buffer);
                using ValueLease lease = store.Lease("k"u8);
                sum += lease.Value.Length + buffer.Length;
                store.Read("k"u8, buffer, static (value, to) => to.Append(value[..1]));
            }

            if (i == 1)
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1000);
        }

        Assert.Equal(2 * 1000 * 400, sum);
    }

    [Fact]
    public void KeysExpireByTheClockThatWasGiven()
    {
        var clock = new ManualClock();
        using OrderedStore store = Open(options: new StoreOptions { Time = clock });
        store.Put("session", "open", TimeSpan.FromMinutes(30));
        using (ValueLease lease = store.Lease("session"u8))
            Assert.Equal(clock.GetUtcNow() + TimeSpan.FromMinutes(30), lease.ExpiresAt);
        clock.Now += TimeSpan.FromMinutes(29);
        Assert.True(store.Contains("session"));
        clock.Now += TimeSpan.FromMinutes(1);
        Assert.False(store.Contains("session"));
        Assert.Throws<ArgumentOutOfRangeException>(() => store.Put("x", "y", TimeSpan.Zero));
    }

    [Fact]
    public void ABatchIsSeenWholeAndASnapshotSeesItsMoment()
    {
        using OrderedStore store = Open();
        store.Put("a", "old");
        using EngineSnapshot before = store.CreateSnapshot();
        var batch = new WriteBatch();
        batch.Put("a"u8, "new"u8);
        batch.Put("b"u8, "new"u8);
        store.Write(batch);
        Assert.Equal("old", store.GetString("a", before));
        Assert.Null(store.GetString("b", before));
        Assert.Equal(("new", "new"), (store.GetString("a"), store.GetString("b")));
    }

    [Fact]
    public void APrefixIsScannedInOrderAndRangesAreDeleted()
    {
        using OrderedStore store = Open();
        foreach (string key in new[] { "b", "a:2", "a:1", "a:\u00ff", "a" })
            store.Put(key, key);
        Assert.Equal(["a:1", "a:2", "a:\u00ff"], store.Scan("a:"u8.ToArray()).Select(e => Encoding.UTF8.GetString(e.Key)));
        Assert.Equal(5, store.Scan(default).Count());
        store.Put([0xFF, 0xFF], [1]);
        Assert.Equal([1], store.Scan(new byte[] { 0xFF }).Single().Value);
        store.DeleteRange("a:"u8, "b"u8);
        Assert.Equal(["a", "b"], store.Scan(default).Where(e => e.Key[0] != 0xFF).Select(e => Encoding.UTF8.GetString(e.Key)));
    }

    [Fact]
    public void ACheckpointOpensAndIsOfItsMoment()
    {
        string copy = Path.Combine(_folder, "copy");
        using OrderedStore store = Open();
        store.Put("a", "1");
        store.Checkpoint(copy);
        store.Put("a", "2");
        using OrderedStore opened = Open(copy);
        Assert.Equal("1", opened.GetString("a"));
        Assert.Throws<ArgumentException>(() => store.Checkpoint(copy));
    }

    [Fact]
    public void MisuseIsSaidClearly()
    {
        Assert.Throws<ArgumentException>(() => OrderedStore.Open(""));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { MemoryBytes = 1 }));
        OrderedStore store = Open();
        Assert.Throws<FolderInUseException>(() => Open());
        EngineSnapshot snapshot = store.CreateSnapshot();
        snapshot.Dispose();
        Assert.Throws<ObjectDisposedException>(() => store.Get("a"u8, snapshot));
        store.Dispose();
        store.Dispose();
        Assert.Throws<ObjectDisposedException>(() => store.Put("a", "b"));
        Assert.Throws<ObjectDisposedException>(() => store.GetString("a"));
        Assert.Throws<ObjectDisposedException>(() => store.Flush());
        Assert.Throws<ObjectDisposedException>(store.CreateSnapshot);
    }

    [Fact]
    public void ManyThreadsWriteAtOnceAndLoseNothing()
    {
        using (OrderedStore store = Open())
        {
            Thread[] threads = [.. Enumerable.Range(0, 8).Select(t => new Thread(() =>
            {
                for (int i = 0; i < 50; i++)
                    store.Put($"{t}:{i}", $"{i}");
            }))];
            foreach (Thread thread in threads)
                thread.Start();
            foreach (Thread thread in threads)
                thread.Join();
        }

        using OrderedStore again = Open();
        Assert.Equal(400, again.Scan(default).Count());
    }

    private sealed class ManualClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
