using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>What every store of keys and values does, whatever its engine.</summary>
public abstract class KeyValueStoreTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    protected string StoreFolder => Path.Combine(_folder, "store");

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) => Directory.Delete(_folder, recursive: true);

    protected abstract KeyValueStore Open(string? folder = null, StoreOptions? options = null);

    [Fact]
    public void ThreeLinesPutAndGet()
    {
        using KeyValueStore store = Open();
        store.Put("user:1", "Ada");
        Assert.Equal("Ada", store.GetString("user:1"));
        Assert.Null(store.GetString("user:2"));
    }

    [Fact]
    public void WhatWasPutIsThereAfterTheNextOpen()
    {
        using (KeyValueStore store = Open())
        {
            store.Put("a"u8, "1"u8);
            store.Put("b"u8, "2"u8, durability: WriteDurability.None);
            store.Delete("a"u8);
        }

        using KeyValueStore again = Open();
        Assert.Null(again.Get("a"u8));
        Assert.Equal("2"u8.ToArray(), again.Get("b"u8));
    }

    [Fact]
    public void AValueIsReadInPlaceByACallbackOrALease()
    {
        using KeyValueStore store = Open();
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
    public void ALeaseThatIsOverIsToldSoAndEndsNobodyElses()
    {
        using KeyValueStore store = Open();
        store.Put("a", "1");
        store.Put("b", "2");
        ValueLease first = store.Lease("a"u8);
        first.Dispose();
        Exception? told = null;
        try
        {
            _ = first.Value;
        }
        catch (ObjectDisposedException exception)
        {
            told = exception;
        }

        Assert.NotNull(told);

        // Both would have the buffer of the first.
        using ValueLease second = store.Lease("b"u8);
        first.Dispose();
        using ValueLease third = store.Lease("a"u8);
        Assert.Equal("2"u8, second.Value);
        Assert.Equal("1"u8, third.Value);
    }

    [Fact]
    public void ReadersMayReadAndWriteWhileTheyLook()
    {
        using KeyValueStore store = Open();
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
        using KeyValueStore store = Open();
        store.Put("k"u8, new byte[200]);
        var buffer = new BytesBuffer();
        long sum = 0;
        long least = long.MaxValue;
        const int Rounds = 4;
        for (int i = 0; i < Rounds; i++)
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

            // What a thread needs once, it is given in one of the first rounds.
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.InRange(least, 0, 1000);
        Assert.Equal(Rounds * 1000 * 400, sum);
    }

    [Theory]
    [InlineData("Put")]
    [InlineData("Put, expiring")]
    [InlineData("Delete")]
    [InlineData("Contains")]
    [InlineData("Lease of a snapshot")]
    public void OneKeyCostsNoAllocation(string member)
    {
        using KeyValueStore store = Open(options: new StoreOptions { Durability = WriteDurability.None });
        store.Put("k"u8, new byte[200]);
        using EngineSnapshot snapshot = store.CreateSnapshot();
        Assert.Equal(0, Allocations.Least(() =>
        {
            switch (member)
            {
                case "Put":
                    store.Put("p"u8, "value"u8);
                    break;
                case "Put, expiring":
                    store.Put("p"u8, "value"u8, TimeSpan.FromMinutes(1));
                    break;
                case "Delete":
                    store.Delete("p"u8);
                    break;
                case "Contains":
                    store.Contains("k"u8);
                    break;
                default:
                    store.Lease("k"u8, snapshot).Dispose();
                    break;
            }
        }));
    }

    [Fact]
    public void TheGreatestTimeToLiveIsAsGoodAsNever()
    {
        using KeyValueStore store = Open();
        store.Put("k", "v", TimeSpan.MaxValue);
        using (ValueLease lease = store.Lease("k"u8))
            Assert.Equal(DateTimeOffset.MaxValue.ToUnixTimeMilliseconds(), lease.ExpiresAt!.Value.ToUnixTimeMilliseconds());

        // Batches take any number of milliseconds.
        var batch = new WriteBatch();
        batch.Put("b"u8, "v"u8, long.MaxValue);
        store.Write(batch);
        using (ValueLease lease = store.Lease("b"u8))
            Assert.Equal(DateTimeOffset.MaxValue.ToUnixTimeMilliseconds(), lease.ExpiresAt!.Value.ToUnixTimeMilliseconds());
        store.Compact();
        Assert.True(store.Contains("k") && store.Contains("b"));
        Assert.Throws<ArgumentOutOfRangeException>("expiresAtMs", () => batch.Put("b"u8, "v"u8, -1));
    }

    [Fact]
    public void KeysExpireByTheClockThatWasGiven()
    {
        var clock = new ManualClock();
        using KeyValueStore store = Open(options: new StoreOptions { Time = clock });
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
        using KeyValueStore store = Open();
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
    public void AScanSeesEveryKeyOnceAndRangesAreDeleted()
    {
        using KeyValueStore store = Open();
        string[] keys = [.. Enumerable.Range(0, 500).Select(i => $"key{i:D3}")];
        foreach (string key in keys)
            store.Put(key, key, durability: WriteDurability.None);
        using EngineSnapshot before = store.CreateSnapshot();
        Assert.Equal(keys, store.Scan().Select(e => Encoding.UTF8.GetString(e.Key)).Order(StringComparer.Ordinal));
        store.DeleteRange("key100"u8, "key400"u8);
        Assert.Equal(200, store.Scan().Count());
        Assert.Equal(["key099", "key400"], store.Scan().Select(e => Encoding.UTF8.GetString(e.Value)).Order(StringComparer.Ordinal).Skip(99).Take(2));
        int seen = 0;
        using EngineScan scan = store.CreateScan(new IteratorOptions { View = ReadView.At(before) });
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
            seen++;
        Assert.Equal(500, seen);
    }

    /// <summary>They are no keys: an engine that takes only short ones knows what lies between them all the same.</summary>
    [Fact]
    public void ARangeMayHaveBoundsThatAreLongerThanAnyKey()
    {
        byte[] start = [.. "b"u8, .. new byte[5000]], end = [.. "d"u8, .. new byte[5000]];
        using (KeyValueStore store = Open())
        {
            foreach (string key in new[] { "a", "b", "c", "d", "e" })
                store.Put(key, key);
            store.Flush();
            store.Put("cc", "cc");
            store.DeleteRange(start, end);
            AssertLeft(store);
            store.Flush();
            AssertLeft(store);
            store.DeleteRange(end, start);
            store.Put("bb", "bb");
            store.Flush();
            store.DeleteRange(start, end);
        }

        using KeyValueStore again = Open();
        AssertLeft(again);

        static void AssertLeft(KeyValueStore store) =>
            Assert.Equal(["a", "b", "e"], store.Scan().Select(e => Encoding.UTF8.GetString(e.Key)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void CompactionGivesSpaceBackWhileTheStoreIsOpen()
    {
        using KeyValueStore store = Open(options: new StoreOptions { Durability = WriteDurability.None });
        var random = new Random(1);
        byte[] value = new byte[1000];
        for (int i = 0; i < 2000; i++)
        {
            random.NextBytes(value);
            store.Put(Encoding.UTF8.GetBytes($"key{i:D5}"), value);
        }

        store.Flush();
        StoreStatistics before = store.GetStatistics();
        Assert.InRange(before.DiskBytes, 1_800_000, 4_000_000);
        Assert.InRange(before.EstimatedKeys, 1_000, 3_000);
        store.DeleteRange("key"u8, "key01990"u8);
        store.Compact();
        Assert.InRange(store.GetStatistics().DiskBytes, 0, before.DiskBytes / 10);
        Assert.True(store.GetStatistics().UserBytesWritten > 2_000_000);
        Assert.Equal(10, store.Scan().Count());
    }

    [Fact]
    public void LongCallsAreCancelledAndLeaveNothing()
    {
        string copy = Path.Combine(_folder, "copy");
        using KeyValueStore store = Open();
        for (int i = 0; i < 100; i++)
            store.Put($"key{i}", "value", durability: WriteDurability.None);
        var cancelled = new CancellationToken(canceled: true);
        Assert.ThrowsAny<OperationCanceledException>(() => store.Checkpoint(copy, cancelled));
        Assert.False(Directory.Exists(copy));
        store.Flush();
        Assert.ThrowsAny<OperationCanceledException>(() => store.Checkpoint(copy, cancelled));
        Assert.False(Directory.Exists(copy));
        store.DeleteRange([], []);
        Assert.ThrowsAny<OperationCanceledException>(() => store.Compact(cancelled));
        store.Put("a", "1");
        Assert.ThrowsAny<OperationCanceledException>(() => store.Scan(cancelled).Count());
        store.Compact();
        store.Checkpoint(copy);
        using KeyValueStore opened = Open(copy);
        Assert.Equal("1", opened.GetString("a"));
    }

    [Fact]
    public void ACheckpointOpensAndIsOfItsMoment()
    {
        string copy = Path.Combine(_folder, "copy");
        using KeyValueStore store = Open();
        store.Put("a", "1");
        store.Checkpoint(copy);
        store.Put("a", "2");
        using KeyValueStore opened = Open(copy);
        Assert.Equal("1", opened.GetString("a"));
        Assert.Throws<ArgumentException>(() => store.Checkpoint(copy));
    }

    /// <summary>It has no file that says so: another engine would begin anew beside what is there.</summary>
    [Fact]
    public void ACheckpointIsOpenedByItsOwnEngineAlone()
    {
        string copy = Path.Combine(_folder, "copy");
        using KeyValueStore store = Open();
        store.Put("a", "1");
        store.Checkpoint(copy);
        int refused = 0;
        foreach (Func<KeyValueStore> open in (Func<KeyValueStore>[])
            [
                () => OrderedStore.Open(copy),
                () => OrderedStore.Open(copy, new StoreOptions { Engine = OrderedStoreEngine.BTree }),
                () => HashStore.Open(copy),
            ])
        {
            try
            {
                using KeyValueStore opened = open();
                Assert.Equal("1", opened.GetString("a"));
            }
            catch (StorageException refusal)
            {
                refused++;
                Assert.Contains($"{copy} holds a store of engine", refusal.Message, StringComparison.Ordinal);
            }
        }

        Assert.Equal(2, refused);
    }

    [Fact]
    public void MisuseIsSaidClearly()
    {
        Assert.Throws<ArgumentException>(() => Open(""));
        using (KeyValueStore mine = Open(), other = Open(Path.Combine(_folder, "other")))
        {
            using EngineSnapshot others = other.CreateSnapshot();
            Assert.Contains("another store", Assert.Throws<ArgumentException>(() => mine.GetString("a", others)).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => mine.Checkpoint(""));
            Assert.Throws<ArgumentNullException>(() => mine.Checkpoint(null!));
            Assert.Contains("lies inside", Assert.Throws<ArgumentException>(() => mine.Checkpoint(Path.Combine(StoreFolder, "engine", "copy"))).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => mine.Checkpoint(StoreFolder + "/../" + Path.GetFileName(StoreFolder) + "/copy"));
            Assert.Throws<ArgumentException>(() => mine.Checkpoint(StoreFolder));
            Assert.Throws<ArgumentOutOfRangeException>("durability", () => mine.Put("a", "b", durability: (WriteDurability)99));
            Assert.False(mine.Contains("a"));
            mine.Checkpoint(StoreFolder + "-copy");
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { MemoryBytes = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { BackgroundThreads = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { BackgroundThreads = 100_000 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { JournalBytesMax = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { SyncInterval = TimeSpan.FromSeconds(-1) }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { SyncInterval = TimeSpan.MaxValue }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new StoreOptions { Durability = (WriteDurability)99 }));
        Assert.Throws<ArgumentNullException>(() => Open(options: new StoreOptions { Time = null! }));
        string file = StoreFolder + ".file";
        File.WriteAllText(file, "");
        foreach (string place in (string[])[file, Path.Combine(file, "below")])
            Assert.Contains($"{file} is a file", Assert.Throws<StorageException>(() => Open(place)).Message, StringComparison.Ordinal);
        KeyValueStore store = Open();
        Assert.Throws<ArgumentNullException>("key", () => store.Put(null!, "v"));
        Assert.Throws<ArgumentNullException>("value", () => store.Put("k", null!));
        Assert.Throws<ArgumentNullException>("key", () => store.GetString(null!));
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
        using (KeyValueStore store = Open())
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

        using KeyValueStore again = Open();
        Assert.Equal(400, again.Scan().Count());
    }

    private sealed class ManualClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
