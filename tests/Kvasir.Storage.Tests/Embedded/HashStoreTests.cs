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

    [Fact]
    public void AFolderOfAnotherEngineIsRefused()
    {
        Open().Dispose();
        Assert.Contains("'log'", Assert.Throws<StorageException>(() => OrderedStore.Open(StoreFolder)).Message, StringComparison.Ordinal);
    }
}
