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
    public void AnIteratorThatIsDisposedTwiceLetsGoOnce()
    {
        EngineIterator twice = _store.CreateIterator(default);
        using EngineIterator other = _store.CreateIterator(default);
        twice.SeekToFirst();
        twice.Dispose();
        twice.Dispose();

        // Whatever the other one holds would be freed now if its count were wrong.
        StoreWorld.Put(_store, "key00", "new");
        _store.Flush();
        ((IOrderedEngine)_store.Engine).CompactRange(default, default);
        int seen = 0;
        for (other.SeekToFirst(); other.Valid; other.Next(), seen++)
            Assert.Equal("value2", Encoding.UTF8.GetString(other.Value));
        Assert.Equal(50, seen);
        _store.Dispose();
    }

    [Fact]
    public void AnIteratorIsNotMovedAfterItsDisposal()
    {
        EngineIterator iterator = _store.CreateIterator(default);
        iterator.SeekToFirst();
        iterator.Dispose();
        Assert.False(iterator.Valid);
        Assert.True(iterator.Value.IsEmpty);
        Assert.Throws<ObjectDisposedException>(iterator.SeekToFirst);
        Assert.Throws<ObjectDisposedException>(iterator.SeekToLast);
        Assert.Throws<ObjectDisposedException>(() => iterator.Seek("key01"u8));
        Assert.Throws<ObjectDisposedException>(() => iterator.SeekForPrevious("key01"u8));
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
    public void ASnapshotIsDisposedOnceAndNotReadAfterwards()
    {
        EngineSnapshot snapshot = _store.CreateSnapshot();
        using EngineSnapshot same = _store.CreateSnapshot();
        snapshot.Dispose();
        snapshot.Dispose();
        Assert.Throws<ObjectDisposedException>(() => _store.Get("key00"u8, snapshot, null));
        Assert.Throws<ObjectDisposedException>(() => _store.CreateIterator(new IteratorOptions { View = ReadView.At(snapshot) }));

        StoreWorld.Put(_store, "key00", "new");
        _store.Flush();
        ((IOrderedEngine)_store.Engine).CompactRange(default, default);
        var value = new BytesBuffer();
        Assert.True(_store.Get("key00"u8, same, value).Found);
        Assert.Equal("value2", Encoding.UTF8.GetString(value.WrittenSpan));
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

    [Fact]
    public void AfterAnIngestThatFailsTheNextOneWorks()
    {
        var engine = (IOrderedEngine)_store.Engine;
        Assert.Throws<InvariantViolationException>(() => engine.Ingest(Pairs("x2", "x1")));
        Assert.Throws<InvalidOperationException>(() => engine.Ingest(Pairs("y1", null)));
        engine.Ingest(Pairs("z1", "z2"));
        Assert.Equal("z2", StoreWorld.Get(_store, "z2"));
        Assert.Null(StoreWorld.Get(_store, "x2"));
        _store.Checkpoint("/copy");
        StoreWorld.Put(_store, "after", "x");
        Assert.Equal("x", StoreWorld.Get(_store, "after"));
        _store.Dispose();
        using DurableStore again = Open("/data");
        Assert.Equal(["after", "z1", "z2"], StoreWorld.ReadAll(again).Keys.Where(k => !k.StartsWith("key", StringComparison.Ordinal)));
    }

    private static IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> Pairs(params string?[] keys)
    {
        foreach (string? key in keys)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(key ?? throw new InvalidOperationException("the source has failed"));
            yield return KeyValuePair.Create<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(bytes, bytes);
        }
    }

    private DurableStore Open(string folder) =>
        DurableStore.Open(_files, _scheduler, folder, new LsmEngineFactory(), StoreWorld.SmallOptions);
}
