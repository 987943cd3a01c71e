using System.Text;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Sorted;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.Embedded;

public sealed class LsmStoreTests() : OrderedStoreTests(OrderedStoreEngine.Lsm);

public sealed class BTreeStoreOfKeysTests() : OrderedStoreTests(OrderedStoreEngine.BTree)
{
    [Fact]
    public void AKeyThatIsTooLongForAPageIsRefusedBeforeItIsWritten()
    {
        using KeyValueStore store = Open();
        byte[] key = new byte[5000];
        Assert.Contains("at most", Assert.Throws<ArgumentException>(() => store.Put(key, key)).Message, StringComparison.Ordinal);
        Assert.Null(store.Get(key));
        store.Put(key.AsSpan(0, 500), key);
        store.Flush();
        Assert.Equal(key, store.Get(key.AsSpan(0, 500)));
    }

    [Fact]
    public void AValueThatIsTooLongForTheTreeIsRefusedBeforeItIsWrittenAndTheLongestIsKept()
    {
        using KeyValueStore store = Open();
        byte[] value = new byte[TreeRecord.ValueBytesMax(new PageLayout(PageLayout.PageBytesMin, identity: 0)) + 1];
        value.AsSpan().Fill(7);
        Assert.Contains("at most", Assert.Throws<ArgumentException>(() => store.Put("a"u8, value)).Message, StringComparison.Ordinal);
        Assert.Null(store.GetString("a"));
        store.Put("b"u8, value.AsSpan(1), timeToLive: TimeSpan.FromDays(1));
        store.Flush();
        Assert.Equal(value.Length - 1, store.Get("b"u8)!.Length);
        store.Delete("b"u8);
        Assert.Null(store.Get("b"u8));
    }

    [Fact]
    public void AFolderOfAnotherEngineIsRefused()
    {
        Open().Dispose();
        Assert.Contains("'btree'", Assert.Throws<StorageException>(() => OrderedStore.Open(StoreFolder)).Message, StringComparison.Ordinal);
    }
}

/// <summary>What every ordered engine does.</summary>
public abstract class OrderedStoreTests(OrderedStoreEngine engine) : KeyValueStoreTests
{
    protected override KeyValueStore Open(string? folder = null, StoreOptions? options = null) => OpenOrdered(folder, options);

    private OrderedStore OpenOrdered(string? folder = null, StoreOptions? options = null) =>
        OrderedStore.Open(folder ?? StoreFolder, (options ?? new StoreOptions()) with { Engine = engine });

    [Fact]
    public void APrefixIsScannedInOrder()
    {
        using OrderedStore store = OpenOrdered();
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
    public void APartIsCompacted()
    {
        using OrderedStore store = OpenOrdered();
        for (int i = 0; i < 500; i++)
            store.Put($"key{i:D3}", new string('v', 500), durability: Kvasir.Storage.Store.WriteDurability.None);
        store.Flush();
        long before = store.GetStatistics().DiskBytes;
        store.DeleteRange("key000"u8, "key400"u8);
        store.CompactRange("key000"u8, "key400"u8);
        Assert.InRange(store.GetStatistics().DiskBytes, 0, before / 2);
        Assert.Equal(100, store.Scan().Count());
        Assert.True(store.EstimateSize([], []) > 0);
    }
}
