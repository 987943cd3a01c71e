using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Tables;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.Tables;

/// <summary>What a range tombstone covers whole goes at once, unread, and not before nobody sees it.</summary>
public sealed class CoveredTablesTests
{
    private static readonly LsmOptions s_calm = SmallOptions with { LevelZeroCompactionTrigger = 10, LevelZeroStopTrigger = 40, LevelBaseBytes = 1 << 20 };

    private readonly MemoryFileSystem _files = new();
    private readonly InlineScheduler _scheduler = new();

    [Fact]
    public void EverythingUnderARangeTombstoneGoesUnreadAndTheTombstoneWithIt()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 2000), 5);
        Flush(store, 1, [Put("a0001", 6, "newer"), Put("b", 7, "x")], [], 7);
        Assert.False(store.CompactionDue);
        Flush(store, 2, [], [new RangeTombstone([], null, 8)], 8);
        Assert.True(store.CompactionDue);
        Assert.True(store.RunCompaction(() => [8]));
        Assert.False(store.CompactionDue);
        SortedStoreStatistics after = store.GetStatistics();
        Assert.Equal(0, after.Levels.Sum(l => l.Files));
        Assert.Equal(0, after.CompactionBytesRead);
        Assert.Equal(0, after.CompactionBytesWritten);
        _scheduler.RunAll();
        Assert.DoesNotContain(_files.Paths, TableInspector.Knows);
        store.Dispose();
        store = Open();
        Assert.Equal(new LogPosition(2), store.FlushedPosition);
        Assert.Equal(8UL, store.FlushedSequence);
        store.Dispose();
    }

    [Fact]
    public void OnlyWhatIsCoveredWholeGoesAndTheRestStaysDeleted()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 2000), 5);
        long before = store.GetStatistics().DiskBytes;
        Flush(store, 1, [Put("a1500", 6, "newer")], [new RangeTombstone(Key("a0500"), Key("a1500"), 7)], 7);
        while (store.CompactionDue)
            Assert.True(store.RunCompaction(() => [7]));
        SortedStoreStatistics after = store.GetStatistics();
        Assert.InRange(after.DiskBytes, before / 3, before * 2 / 3);
        Assert.Equal(0, after.CompactionBytesRead);
        Assert.Equal("value", Get(store, "a0499", 7));
        Assert.Null(Get(store, "a0500", 7));
        Assert.Null(Get(store, "a1000", 7));
        Assert.Null(Get(store, "a1499", 7));
        Assert.Equal("newer", Get(store, "a1500", 7));
        Assert.Equal("value", Get(store, "a1501", 7));
        store.Dispose();
    }

    [Fact]
    public void WhatASnapshotSeesStaysUntilItGoes()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 500), 5);
        Flush(store, 1, [], [new RangeTombstone([], null, 6)], 6);
        Assert.True(store.CompactionDue);
        store.RunCompaction(() => [5, 6]);
        Assert.False(store.CompactionDue);
        Assert.True(store.WaitsForSnapshots);
        Assert.Equal("value", Get(store, "a0100", 5));
        Assert.Null(Get(store, "a0100", 6));
        store.NoteOldestSnapshot(5);
        Assert.False(store.CompactionDue);
        store.NoteOldestSnapshot(6);
        Assert.True(store.CompactionDue);
        Assert.True(store.RunCompaction(() => [6]));
        Assert.Equal(0, store.GetStatistics().DiskBytes);
        Assert.False(store.WaitsForSnapshots);
        store.Dispose();
    }

    [Fact]
    public void WhatIsNewerThanTheTombstoneStaysAndSoDoesTheTombstoneOverAnythingOlder()
    {
        TableStore store = Open();
        Flush(store, 1, [Put("a", 1, "old"), Put("z", 2, "old")], [], 2);
        Flush(store, 2, [], [new RangeTombstone(Key("a"), Key("y"), 3)], 3);
        Flush(store, 3, [Put("a", 4, "new")], [], 4);
        while (store.CompactionDue)
            Assert.True(store.RunCompaction(() => [4]));
        Assert.Equal(3, store.LevelZeroTables);
        Assert.Equal("new", Get(store, "a", 4));
        Assert.Equal("old", Get(store, "z", 4));
        Assert.Null(Get(store, "a", 3));
        store.Dispose();
    }

    [Fact]
    public void AfterARestartCoveredTablesAreFoundAgain()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 500), 5);
        Flush(store, 1, [], [new RangeTombstone([], null, 6)], 6);
        store.Dispose();
        store = Open();
        Assert.True(store.CompactionDue);
        Assert.True(store.RunCompaction(() => [6]));
        Assert.Equal(0, store.GetStatistics().DiskBytes);
        store.Dispose();
    }

    [Fact]
    public void TombstonesOfSeveralTablesCoverTogetherAndAreCountedOnce()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 20), 5);
        Assert.Equal(1, store.GetStatistics().Levels.Sum(l => l.Files));
        ISortedView set = store.Acquire();
        long all = store.GetStatistics().DiskBytes;
        Assert.Equal(all, set.UncoveredBytesWithin([], []));
        Assert.Equal(all, set.UncoveredBytesWithin(Key("a0000"), Key("a0020")));
        Assert.Equal(0, set.UncoveredBytesWithin(Key("a0000"), Key("a0019")));
        Assert.Equal(0, set.UncoveredBytesWithin(Key("a00000"), []));
        set.Release();
        Flush(store, 1, [], [new RangeTombstone(Key("a"), Key("a0010"), 6), new RangeTombstone(Key("a0010"), Key("b"), 7)], 7);
        set = store.Acquire();
        Assert.Equal(store.GetStatistics().DiskBytes - all, set.UncoveredBytesWithin([], []));
        set.Release();
        Assert.True(store.RunCompaction(() => [7]));
        Assert.Equal(0, store.GetStatistics().DiskBytes);
        store.Dispose();
    }

    private TableStore Open() => TableStore.Open(
        Folder, new EngineEnvironment(_files, _scheduler, new MemoryBudget(MemoryBudget.MinimumBytes)), s_calm);

    private static void Flush(
        TableStore store, ulong position, IEnumerable<Version> versions, IReadOnlyList<RangeTombstone> tombstones, ulong lastSequence) =>
        store.Flush(new SortedSource(versions), tombstones, new LogPosition(position), lastSequence);

    private static IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> Pairs(string prefix, int count)
    {
        for (int i = 0; i < count; i++)
            yield return new(Key($"{prefix}{i:D4}"), Key("value"));
    }

    private static string? Get(TableStore store, string key, ulong sequence)
    {
        ISortedView set = store.Acquire();
        var value = new BytesBuffer();
        bool found = set.TryGet(Key(key), StableHash.Hash64(Key(key)), sequence, value, out LookupResult result);
        set.Release();
        return found && !result.Deleted ? System.Text.Encoding.UTF8.GetString(value.WrittenSpan) : null;
    }
}
