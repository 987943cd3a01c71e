using System.Text;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Store;
using Kvasir.Storage.Tests.Store;

namespace Kvasir.Storage.Tests.Embedded;

public sealed class HashStoreTests : KeyValueStoreTests
{
    protected override KeyValueStore Open(string? folder = null, StoreOptions? options = null) => HashStore.Open(folder ?? StoreFolder, options);

    [Fact]
    public void TellsWhatItsIndexTakes()
    {
        using KeyValueStore store = Open();
        for (int i = 0; i < 1000; i++)
            store.Put($"{i}", "", durability: WriteDurability.None);
        StoreStatistics told = store.GetStatistics();
        Assert.InRange(told.IndexBytes, 1000, told.IndexLimitBytes);
        Assert.Equal(new StoreOptions().MemoryBytes / 4, told.IndexLimitBytes);
    }

    [Fact]
    public void WhatTheIndexHasNoRoomForIsRefusedBeforeItIsWritten()
    {
        var world = new StoreWorld(1);
        var engines = new HashLogEngineFactory(HashLogOptions.ForMemory(256L << 20) with { IndexBytes = 4 << 20 });
        var options = new DurableStoreOptions { MemoryBytes = 256L << 20 };
        int keys = 0;
        using (DurableStore store = DurableStore.Open(world.Files, world.Scheduler, StoreWorld.Folder, engines, options))
        {
            var batch = new WriteBatch();
            IndexFullException? full = null;
            while (full is null)
            {
                batch.Clear();
                for (int i = 0; i < 1000; i++)
                    batch.Put(BitConverter.GetBytes(keys + i), "value"u8);
                full = Record.Exception(() => store.Write(batch)) as IndexFullException;
                keys += full is null ? 1000 : 0;
                Assert.InRange(keys, 0, 1_000_000);
            }

            Assert.Contains("delete some", full.Message, StringComparison.Ordinal);
            Assert.False(store.Get(BitConverter.GetBytes(keys), value: null).Found);
            batch.Clear();
            batch.Put(BitConverter.GetBytes(0), "other"u8);
            batch.Delete(BitConverter.GetBytes(1));
            store.Write(batch);
        }

        // What was refused is not in the journal, either.
        using DurableStore again = DurableStore.Open(world.Files, world.Scheduler, StoreWorld.Folder, engines, options);
        int found = 0;
        for (int i = 0; i < keys + 1000; i++)
            found += again.Get(BitConverter.GetBytes(i), value: null).Found ? 1 : 0;
        Assert.Equal(keys - 1, found);
    }

    [Theory]
    [InlineData(WriteDurability.Sync)]
    [InlineData(WriteDurability.Interval)]
    [InlineData(WriteDurability.None)]
    public void AnEighthOfTheKeysDeletedGivesRoomForAsManyByItself(WriteDurability durability)
    {
        var world = new StoreWorld(1);
        var engines = new HashLogEngineFactory(HashLogOptions.ForMemory(MemoryBudget.MinimumBytes) with { IndexBytes = 300_000 });
        var options = new DurableStoreOptions { MemoryBytes = MemoryBudget.MinimumBytes };
        using DurableStore store = DurableStore.Open(world.Files, world.Scheduler, StoreWorld.Folder, engines, options);
        int keys = FillFrom(store, 0);
        int eighth = (keys / 8) + 1;

        // Whoever deletes goes on while the first of it is saved.
        int deleted = 0, beside = 0;
        bool writes = false;
        world.Files.BeforeOperation = operation =>
        {
            if (writes || deleted < eighth || beside > 2 || !operation.Path.Contains("/engine/", StringComparison.Ordinal))
                return;
            writes = true;
            StoreWorld.Delete(store, KeyOf(deleted + beside++), WriteDurability.None);
            writes = false;
        };
        for (; deleted < eighth; deleted++)
            StoreWorld.Delete(store, KeyOf(deleted), durability);
        world.Scheduler.RunAll();
        Assert.NotEqual(0, beside);
        world.Files.BeforeOperation = null;
        Assert.InRange(FillFrom(store, keys), eighth * 2 / 3, eighth * 4 / 3);
    }

    [Fact]
    public void ABatchThatDeletesAKeyHasNoRoomForAnotherYetAndIsToldSo()
    {
        var world = new StoreWorld(1);
        var engines = new HashLogEngineFactory(HashLogOptions.ForMemory(MemoryBudget.MinimumBytes) with { IndexBytes = 100_000 });
        var options = new DurableStoreOptions { MemoryBytes = MemoryBudget.MinimumBytes };
        using DurableStore store = DurableStore.Open(world.Files, world.Scheduler, StoreWorld.Folder, engines, options);
        FillFrom(store, 0);
        var batch = new WriteBatch();
        batch.Delete(Encoding.UTF8.GetBytes(KeyOf(0)));
        batch.Put("new"u8, "value"u8);
        IndexFullException refusal = Assert.Throws<IndexFullException>(() => store.Write(batch));
        Assert.Contains("in the background", refusal.Message, StringComparison.Ordinal);
        Assert.NotNull(StoreWorld.Get(store, KeyOf(0)));
        Assert.Null(StoreWorld.Get(store, "new"));
    }

    [Fact]
    public void AFolderOfAnotherEngineIsRefused()
    {
        Open().Dispose();
        Assert.Contains("'log'", Assert.Throws<StorageException>(() => OrderedStore.Open(StoreFolder)).Message, StringComparison.Ordinal);
    }

    private static string KeyOf(int number) => "key" + number;

    private static int FillFrom(DurableStore store, int first)
    {
        int next = first;
        try
        {
            for (; ; next++)
                StoreWorld.Put(store, KeyOf(next), "value", WriteDurability.None);
        }
        catch (IndexFullException)
        {
            return next - first;
        }
    }
}
