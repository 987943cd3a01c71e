using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Store;

/// <summary>What a program that embeds the store does wrong is told, and harms nothing.</summary>
public sealed class MisuseTests : IDisposable
{
    private readonly SimulatedFileSystem _files = new(new SeededRandom(1));
    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(2));
    private readonly DurableStore _store;

    public MisuseTests()
    {
        _store = Open("/data");
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 50; i++)
                StoreWorld.Put(_store, $"key{i:d2}", $"value{round}");
            if (round < 2)
                _store.Flush();
        }
    }

    public void Dispose() => _store.Dispose();

    [Fact]
    public void AServersFolderIsNoStores()
    {
        _files.CreateFolder("/server");
        _files.CreateFolder("/server/journal");
        _files.WriteAll("/server/journal/0000000000000001.segment", [1, 2, 3]);
        StorageException refusal = Assert.Throws<StorageException>(() => Open("/server"));
        Assert.Contains("a folder of its own", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(["/server/LOCK", "/server/journal/0000000000000001.segment"], _files.Paths.Where(p => p.StartsWith("/server/", StringComparison.Ordinal)));
    }

    [Fact]
    public void AnIteratorMayOutliveTheStore()
    {
        using EngineIterator iterator = _store.CreateIterator(default);
        _store.Dispose();
        iterator.SeekToFirst();
        Assert.Equal("value2", Encoding.UTF8.GetString(iterator.Value));
    }

    [Fact]
    public void AStoreThatIsDisposedSaysSo()
    {
        _store.Dispose();
        _store.Dispose();
        Assert.Throws<ObjectDisposedException>(() => StoreWorld.Put(_store, "k", "v"));
        Assert.Throws<ObjectDisposedException>(() => _store.Get("key00"u8, null));
        Assert.Throws<ObjectDisposedException>(() => _store.CreateIterator(default));
        Assert.Throws<ObjectDisposedException>(_store.CreateSnapshot);
        Assert.Throws<ObjectDisposedException>(_store.Flush);
        Assert.Throws<ObjectDisposedException>(() => _store.Checkpoint("/copy"));
        Assert.Throws<ObjectDisposedException>(_store.Engine.GetStatistics);
    }

    [Fact]
    public void ACheckpointDoesNotGoIntoAFolderThatExists()
    {
        _store.Checkpoint("/copy");
        string[] before = [.. _files.ListFiles("/copy/engine")];
        StoreWorld.Put(_store, "later", "x");
        Assert.Throws<ArgumentException>(() => _store.Checkpoint("/copy"));
        Assert.Equal(before, _files.ListFiles("/copy/engine"));
        using DurableStore copy = Open("/copy");
        Assert.Equal("value2", StoreWorld.Get(copy, "key00"));
    }

    private DurableStore Open(string folder) =>
        DurableStore.Open(_files, _scheduler, folder, new LsmEngineFactory(), StoreWorld.SmallOptions);
}
