using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.Tables;
using Kvasir.Storage.Scheduling;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.Tables;

public sealed class TableStoreTests
{
    private readonly MemoryFileSystem _files = new();
    private readonly InlineScheduler _scheduler = new();

    [Fact]
    public void ACheckpointOpensByItselfAndKeepsItsFilesWhenTheStoreGoesOn()
    {
        TableStore store = Open();
        Flush(store, 1, Enumerable.Range(0, 100).Select(i => Put($"k{i:D3}", (ulong)i + 1, "old")), 100);
        store.Checkpoint("/copy");
        Flush(store, 2, Enumerable.Range(0, 100).Select(i => Put($"k{i:D3}", (ulong)i + 101, "new")), 200);
        store.CompactRange(null, null, () => [200]);
        _scheduler.RunAll();
        store.Dispose();

        TableStore copy = Open("/copy");
        Assert.Equal(new LogPosition(1), copy.FlushedPosition);
        Assert.Equal("old", Get(copy, "k042", 1000));
        copy.Dispose();
        store = Open();
        Assert.Equal("new", Get(store, "k042", 1000));
        store.Dispose();
    }

    /// <summary>What an engine that is being closed does for somebody who began before: its view may be one of earlier tables.</summary>
    [Fact]
    public void WhoComesWithAViewOfEarlierTablesIsToldThatTheStoreIsClosed()
    {
        TableStore store = Open();
        Flush(store, 1, [Put("k", 1, "old")], 1);
        ISortedView before = store.Acquire();
        Flush(store, 2, [Put("k", 2, "new")], 2);
        store.Dispose();
        Assert.Throws<ObjectDisposedException>(store.GetStatistics);
        Assert.Throws<ObjectDisposedException>(store.Acquire);
        var value = new BytesBuffer();
        Assert.True(before.TryGet(Key("k"), StableHash.Hash64(Key("k")), 1, value, out _));
        Assert.Equal(Key("old"), value.WrittenSpan.ToArray());
        before.Release();
        Assert.Equal(0, _files.OpenFiles);
    }

    [Fact]
    public void WhoReadsOnWhenTheFilesOfAClosedStoreAreGoneIsToldThatItIsClosed()
    {
        TableStore store = Open();
        Flush(store, 1, [Put("k", 1, "value")], 1);
        ISortedView view = store.Acquire();
        store.Dispose();
        foreach (string path in _files.Paths.ToArray())
            _files.Delete(path);
        Assert.Throws<ObjectDisposedException>(() => view.TryGet(Key("k"), StableHash.Hash64(Key("k")), 1, value: null, out _));
        view.Release();
    }

    /// <summary>What it would have compacted is in the hands of the one it waited for.</summary>
    [Fact]
    public void ACompactionThatIsGivenUpWhileItWaitsForAnotherTouchesNothing()
    {
        TableStore store = Open();
        for (ulong i = 1; i <= 3; i++)
            Flush(store, i, [Put("k", i, "value" + i)], i);
        using var stop = new CancellationTokenSource();
        bool gaveUp = false;
        store.CompactRange(null, null, () =>
        {
            _scheduler.Schedule(new Cancelling(stop), JobPriority.Upkeep);
            Assert.Throws<OperationCanceledException>(() => store.CompactRange(null, null, () => [3], cancellation: stop.Token));
            gaveUp = true;
            return [3];
        });
        Assert.True(gaveUp);
        _scheduler.RunAll();
        Assert.Equal("value3", Get(store, "k", 1000));
        Assert.Equal(1, store.GetStatistics().Levels.Sum(l => l.Files));
        store.Dispose();
        Assert.Equal(0, _files.OpenFiles);
    }

    [Fact]
    public void IngestedKeysGoAsDeepAsNothingOverlapsThem()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 300), 5);
        Assert.True(store.GetStatistics().Levels[^1].Files > 1);
        store.Ingest(Pairs("b", 3), 6);
        Flush(store, 1, [Put("c1", 7, "flushed")], 7);
        store.Ingest([new(Key("c0"), Key("x")), new(Key("c2"), Key("x"))], 8);
        Assert.Equal(2, store.LevelZeroTables);
        Assert.Equal("value", Get(store, "a0123", 1000));
        Assert.Equal("x", Get(store, "c2", 1000));
        Assert.Null(Get(store, "a0123", 4));
        store.Dispose();
        store = Open();
        Assert.Equal(8UL, store.FlushedSequence);
        Assert.Equal("value", Get(store, "a0299", 1000));
        store.Dispose();
    }

    [Fact]
    public void OpenFilesStayWithinTheirLimitAndReadsStillWork()
    {
        TableStore store = Open(options: SmallOptions with { OpenFilesMax = 3 });
        store.Ingest(Pairs("a", 2000), 5);
        int tables = store.GetStatistics().Levels.Sum(l => l.Files);
        Assert.True(tables > 6, $"{tables} tables");
        var random = new SeededRandom(1);
        for (int i = 0; i < 500; i++)
        {
            Assert.Equal("value", Get(store, $"a{random.Next(2000):D4}", 1000));
            Assert.True(store.OpenTables <= 3);
            Assert.True(_files.OpenFiles <= 3 + 1, "three tables and the manifest");
        }

        store.Dispose();
        Assert.Equal(0, _files.OpenFiles);
    }

    [Fact]
    public void AnIteratorKeepsItsTablesUntilItIsDisposed()
    {
        TableStore store = Open();
        Flush(store, 1, Enumerable.Range(0, 50).Select(i => Put($"k{i:D3}", (ulong)i + 1, "value")), 50);
        ISortedView set = store.Acquire();
        var iterators = new List<InternalIterator>();
        set.AddIterators(iterators, bypassCache: false);
        set.Release();
        string before = Assert.Single(_files.Paths, TableInspector.Knows);
        store.CompactRange(null, null, () => [50]);
        _scheduler.RunAll();
        Assert.Contains(before, _files.Paths);
        Assert.Equal(50, ReadAll(Assert.Single(iterators)).Count);
        iterators[0].Dispose();
        _scheduler.RunAll();
        Assert.DoesNotContain(before, _files.Paths);
        store.Dispose();
        Assert.Equal(0, _files.OpenFiles);
    }

    [Fact]
    public void ATableUnderARangeTombstoneIsDroppedUnread()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 2000), 5);
        long before = store.GetStatistics().DiskBytes;
        store.Flush(new SortedSource([]), [new RangeTombstone([], null, 6)], new LogPosition(1), 6);
        Assert.Null(Get(store, "a0100", 1000));
        store.CompactRange(null, null, () => [6]);
        SortedStoreStatistics after = store.GetStatistics();
        Assert.Equal(0, after.DiskBytes);
        Assert.True(after.CompactionBytesRead < before / 10);
        store.Dispose();
    }

    [Fact]
    public void TablesFullOfExpiredValuesAreCollectedWithoutBeingAsked()
    {
        TableStore store = Open();
        long deadline = _scheduler.Clock.NowMs + 1000;
        Flush(store, 1, Enumerable.Range(0, 500).Select(i => Expiring($"k{i:D3}", (ulong)i + 1, "value", deadline + i)), 500);
        store.CompactRange(null, null, () => [500]);
        Assert.False(store.CompactionDue);
        Assert.Equal(500, store.GetStatistics().EntryCount);
        _scheduler.Clock.NowMs += 5000;
        Assert.True(store.CompactionDue);
        while (store.CompactionDue)
            Assert.True(store.RunCompaction(() => [500]));
        Assert.Equal(0, store.GetStatistics().DiskBytes);
        store.Dispose();
    }

    [Fact]
    public void ACompactionThatIsGivenUpLeavesEverythingAsItWas()
    {
        TableStore store = Open();
        for (int round = 0; round < 10; round++)
        {
            ulong first = ((ulong)round * 2000) + 1;
            Flush(store, (ulong)round + 1, Enumerable.Range(0, 2000).Select(i => Put($"k{i:D4}", first + (ulong)i, $"v{round}")), first + 1999);
        }

        List<string> before = [.. _files.ListFiles(Folder)];
        Assert.Throws<OperationCanceledException>(() => store.RunCompaction(() => [store.FlushedSequence], new CancellationToken(canceled: true)));
        _scheduler.RunAll();
        Assert.Equal(before, _files.ListFiles(Folder));
        Assert.Equal("v9", Get(store, "k0042", ulong.MaxValue >> 8));
        Assert.True(store.RunCompaction(() => [store.FlushedSequence]));
        Assert.Equal("v9", Get(store, "k0042", ulong.MaxValue >> 8));
        store.Dispose();
    }

    [Fact]
    public void ManyTombstonesInLevelZeroAreWorthATurnAtOnce()
    {
        TableStore store = Open();
        Flush(store, 1, Enumerable.Range(0, 200).Select(i => Put($"k{i:D3}", (ulong)i + 1, "value")), 200);
        store.CompactRange(null, null, () => [200]);
        Flush(store, 2, Enumerable.Range(0, 40).Select(i => Delete($"k{i:D3}", (ulong)i + 201)), 240);
        Assert.False(store.CompactionDue);
        Flush(store, 3, Enumerable.Range(40, 80).Select(i => Delete($"k{i:D3}", (ulong)i + 201)), 320);
        while (store.CompactionDue)
            Assert.True(store.RunCompaction(() => [320]));
        Assert.Equal(80, store.GetStatistics().EntryCount);
        Assert.Equal(0, store.LevelZeroTables);
        store.Dispose();
    }

    [Fact]
    public void TombstonesThatASnapshotNeedsAreNotRewrittenForEver()
    {
        TableStore store = Open();
        Flush(store, 1, Enumerable.Range(0, 200).Select(i => Put($"k{i:D3}", (ulong)i + 1, "value")), 200);
        Flush(store, 2, Enumerable.Range(0, 200).Select(i => Delete($"k{i:D3}", (ulong)i + 201)), 400);
        store.CompactRange(null, null, () => [200, 400]);
        int runs = 0;
        while (store.CompactionDue && runs < 100)
        {
            store.RunCompaction(() => [200, 400]);
            runs++;
        }

        Assert.InRange(runs, 0, 20);
        Assert.Equal("value", Get(store, "k100", 200));
        store.RunCompaction(() => [400]);
        while (store.CompactionDue)
            store.RunCompaction(() => [400]);
        Assert.Equal(0, store.GetStatistics().DiskBytes);
        store.Dispose();
    }

    [Fact]
    public void SizesAreEstimatedToABlock()
    {
        TableStore store = Open();
        store.Ingest(Pairs("a", 4000), 5);
        long all = store.GetStatistics().DiskBytes;
        ISortedView set = store.Acquire();
        Assert.InRange(set.EstimateSize([], []), all * 9 / 10, all);
        Assert.InRange(set.EstimateSize(Key("a1000"), Key("a2000")), all / 5, all * 3 / 10);
        Assert.Equal(0, set.EstimateSize(Key("b"), []));
        set.Release();
        store.Dispose();
    }

    [Fact]
    public void EveryDamagedByteIsFoundByTheVerifierWithItsFile()
    {
        TableStore store = Open();
        Flush(store, 1, Enumerable.Range(0, 60).Select(i => Put($"k{i:D3}", (ulong)i + 1, "value")), 60);
        store.Flush(new SortedSource([Put("z", 61, "z")]), [new RangeTombstone(Key("k"), Key("l"), 62)], new LogPosition(2), 62);
        store.Dispose();
        Assert.Empty(TableVerifier.Verify(_files, Folder));
        foreach (string path in _files.Paths.ToList())
        {
            byte[] good = _files.Bytes(path);

            // A damaged last mark is no damage: the manifest is read as if the machine had stopped before it.
            int end = path.Contains(TableFiles.ManifestPrefix, StringComparison.Ordinal) ? good.Length - ManifestFormat.RecordHeaderBytes : good.Length;
            for (int i = 0; i < end; i++)
            {
                byte[] bad = [.. good];
                bad[i] ^= 0x10;
                _files.SetBytes(path, bad);
                IReadOnlyList<DamageFinding> findings = TableVerifier.Verify(_files, Folder);
                Assert.True(findings.Count > 0, $"{path} at {i}");
                Assert.True(path.EndsWith(TableFiles.CurrentName, StringComparison.Ordinal) || findings[0].Path == path || !TableInspector.Knows(path), $"{path} at {i}: {findings[0]}");
            }

            _files.SetBytes(path, good);
        }
    }

    [Fact]
    public void FilesAreToldPartByPart()
    {
        TableStore store = Open();
        store.Flush(new SortedSource([Put("a\n", 1, "v"), Delete("b", 2)]), [new RangeTombstone(Key("c"), null, 3)], new LogPosition(9), 3);
        store.Dispose();
        foreach (string path in _files.Paths)
        {
            List<InspectedPart> parts = TableInspector.Knows(path)
                ? [.. TableInspector.Inspect(_files, path, entries: true)]
                : [.. ManifestInspector.Inspect(_files, path)];
            Assert.NotEmpty(parts);
            if (!TableInspector.Knows(path))
                continue;
            Assert.Equal(
                ["header", "data block", "entry", "entry", "filter", "range tombstone", "index", "properties", "footer"],
                parts.Select(p => p.Kind));
            Assert.Contains(KeyValuePair.Create("key", "a\\x0a"), parts[2].Fields);
        }
    }

    private TableStore Open(string folder = Folder, LsmOptions? options = null) => TableStore.Open(
        folder, new EngineEnvironment(_files, _scheduler, new MemoryBudget(MemoryBudget.MinimumBytes)), options ?? SmallOptions);

    private static void Flush(TableStore store, ulong position, IEnumerable<Version> versions, ulong lastSequence) =>
        store.Flush(new SortedSource(versions), [], new LogPosition(position), lastSequence);

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

    private sealed class Cancelling(CancellationTokenSource source) : IBackgroundJob
    {
        public string Name => "cancel";

        public void Run() => source.Cancel();
    }
}
