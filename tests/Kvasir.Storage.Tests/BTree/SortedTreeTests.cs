using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Sorted;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Tests.Lsm;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>The tree below an engine's memtables: what it tells of its work, how it rests, and what the verifier makes of its file.</summary>
public sealed class SortedTreeTests
{
    private const string Folder = "/db";
    private const int ValueBytes = 100;

    private readonly SimulatedFileSystem _files = new(new SeededRandom(1));
    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(2));

    private EngineEnvironment Environment => new(_files, _scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));

    [Fact]
    public void FlushesCountThePagesThatTheyWrite()
    {
        using SortedTree tree = Open();
        long before = tree.GetStatistics().FlushBytesWritten;
        Flush(tree, 100, lastSequence: 100);
        SortedStoreStatistics first = tree.GetStatistics();
        Assert.InRange(first.FlushBytesWritten - before, 100 * ValueBytes, 250 * ValueBytes);
        Assert.Equal(0, first.FlushBytesWritten % 4096);

        // One key more, and its page, those above it and the meta page are written again.
        Flush(tree, 1, lastSequence: 101);
        Assert.InRange(tree.GetStatistics().FlushBytesWritten - first.FlushBytesWritten, 3 * 4096, 6 * 4096);
    }

    [Fact]
    public void UpkeepIsCountedApart()
    {
        using SortedTree tree = Open();
        Flush(tree, 5_000, lastSequence: 5_000);
        tree.Flush(
            new SortedSource([]), [new RangeTombstone([], null, 5_001)], new LogPosition(2), 5_001);
        long flushed = tree.GetStatistics().FlushBytesWritten;
        tree.CompactRange(null, null, static () => [5_001]);
        SortedStoreStatistics statistics = tree.GetStatistics();
        Assert.Equal(flushed, statistics.FlushBytesWritten);
        Assert.True(statistics.CompactionBytesWritten > 0, "upkeep wrote nothing");
        Assert.Equal(0, statistics.TreePages!.Depth);
    }

    /// <summary>The failure of a compaction is its caller's; that nothing is written any more is everybody's.</summary>
    [Fact]
    public void AnEngineWhoseTreeIsStoppedSaysSoUntilTheDiskIsGood()
    {
        SortedTree tree = Open();
        Flush(tree, 5_000, lastSequence: 5_000);
        tree.Flush(new SortedSource([]), [new RangeTombstone([], null, 5_001)], new LogPosition(2), 5_001);
        using (var engine = new BufferedEngine(tree, Environment, new BufferOptions()))
        {
            _files.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Sync) { Times = 2 });
            Assert.Throws<WritesStoppedException>(() => engine.Compact());
            Assert.IsAssignableFrom<StorageException>(engine.BackgroundFailure);
            Assert.False(engine.TryResume());
            Assert.NotNull(engine.BackgroundFailure);
            engine.RequestResume();
            _scheduler.RunAll();
            Assert.Null(engine.BackgroundFailure);
            engine.Compact();
        }

        using var again = new BufferedEngine(Open(), Environment, new BufferOptions());
        Assert.True(again.TryResume());
        Assert.Null(again.BackgroundFailure);
        again.Compact();
        Assert.Equal(new LogPosition(2), again.FlushedPosition);
    }

    [Fact]
    public void AFlushRestsBetweenItsTransactionsAsItIsTold()
    {
        using SortedTree tree = Open();
        List<(bool IsFlush, TimeSpan At)> asked = [];
        long begun = _scheduler.Time.GetTimestamp();
        tree.WorkShare = isFlush =>
        {
            asked.Add((isFlush, _scheduler.Time.GetElapsedTime(begun)));
            return 0.5;
        };

        Flush(tree, 10_000, lastSequence: 10_000, TimeSpan.FromMicroseconds(1));
        Assert.Equal(2, asked.Count);
        Assert.All(asked, static a => Assert.True(a.IsFlush));

        // Ten milliseconds of work, and eight of rest for the eight thousand of them after which there was more to do.
        Assert.InRange(_scheduler.Time.GetElapsedTime(begun).TotalMilliseconds, 17.5, 20);
    }

    /// <summary>Most bytes lie in a few long values, and all keys begin alike: neither makes a part larger than the whole.</summary>
    [Theory]
    [InlineData(200)]
    [InlineData(3_000)]
    public void SizesOfNeighboursAddUp(int keys)
    {
        using SortedTree tree = Open();
        tree.Flush(
            new SortedSource(Enumerable.Range(0, keys).Select(i => new Lsm.Version(
                Encoding.ASCII.GetBytes($"a common beginning {i:000000}"), new Trailer(1, ValueKind.Value), new byte[i % 100 == 7 ? 50_000 : 10]))),
            [],
            new LogPosition(1),
            lastSequence: 1);
        ISortedView view = tree.Acquire();
        long all = view.EstimateSize([], []);
        Assert.InRange(all, tree.GetStatistics().DiskBytes / 2, tree.GetStatistics().DiskBytes);
        for (int i = 0; i < keys; i += keys / 20)
        {
            byte[] key = Encoding.ASCII.GetBytes($"a common beginning {i:000000}");
            long before = view.EstimateSize([], key), behind = view.EstimateSize(key, []);
            Assert.InRange(before + behind, all - 2, all);
            if (keys > 256)
                Assert.InRange(before / (double)all, (i / (double)keys) - 0.2, (i / (double)keys) + 0.2);
        }

        view.Release();
    }

    [Fact]
    public void TheVerifierFindsWhatNoEngineWrites()
    {
        using (SortedTree tree = Open(new EngineOwner(7, 1)))
            Flush(tree, 10, lastSequence: 10);
        Assert.Empty(TreeVerifier.Verify(_files, Folder, owner: new EngineOwner(7, 1)));
        Assert.Contains("stands in the place of", Assert.Single(TreeVerifier.Verify(_files, Folder, owner: new EngineOwner(7, 2))).Detail, StringComparison.Ordinal);

        Put("short"u8.ToArray(), "value"u8.ToArray());
        Assert.Contains("no record of an engine", Assert.Single(TreeVerifier.Verify(_files, Folder)).Detail, StringComparison.Ordinal);
        var late = new BytesBuffer();
        TreeRecord.Write(late, new Trailer(11, ValueKind.Value), expiresAtMs: 0, new byte[3000]);
        Put("short"u8.ToArray(), late.WrittenSpan.ToArray());
        Assert.Contains("sequence number 11, after 10", Assert.Single(TreeVerifier.Verify(_files, Folder)).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void TheVerifierToldOfNoFileSaysSoWhereOneMustBe()
    {
        _files.CreateFolder(Folder);
        Assert.False(TreeVerifier.Knows(_files, Folder));
        Assert.Empty(TreeVerifier.Verify(_files, Folder, mustExist: false));
        Assert.Contains("missing", Assert.Single(TreeVerifier.Verify(_files, Folder)).Detail, StringComparison.Ordinal);
        Open().Dispose();
        Assert.True(TreeVerifier.Knows(_files, Folder));
        Assert.Empty(TreeVerifier.Verify(_files, Folder));
    }

    private SortedTree Open(EngineOwner owner = default) => SortedTree.Open(Folder, Environment with { Owner = owner }, new BTreeOptions { BackgroundUpkeep = false });

    private void Flush(SortedTree tree, int keys, ulong lastSequence, TimeSpan worked = default) => tree.Flush(
        new WorkingSource(
            new SortedSource(Enumerable.Range(0, keys).Select(i => new Lsm.Version(Encoding.ASCII.GetBytes($"key {i:000000}"), new Trailer(lastSequence, ValueKind.Value), new byte[ValueBytes]))),
            () => _scheduler.Clock.Elapse(worked)),
        [],
        new LogPosition(tree.FlushedPosition.Value + 1),
        lastSequence);

    /// <summary>As somebody would who took the file for a store of a program's own.</summary>
    private void Put(byte[] key, byte[] value)
    {
        using BTreeStore store = BTreeStore.Open(_files, SortedTree.PathIn(Folder), _scheduler);
        using WriteTransaction transaction = store.BeginWrite();
        transaction.Root.Put(key, value);
        transaction.Commit();
    }

    /// <summary>Each key takes its time.</summary>
    private sealed class WorkingSource(InternalIterator inner, Action work) : InternalIterator
    {
        public override bool Valid => inner.Valid;

        public override ReadOnlySpan<byte> UserKey => inner.UserKey;

        public override Trailer Trailer => inner.Trailer;

        public override ReadOnlySpan<byte> Value => inner.Value;

        public override long ExpiresAtMs => inner.ExpiresAtMs;

        public override void SeekToFirst() => inner.SeekToFirst();

        public override void SeekToLast() => inner.SeekToLast();

        public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer) => inner.Seek(userKey, trailer);

        public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer) => inner.SeekForPrevious(userKey, trailer);

        public override void Next()
        {
            work();
            inner.Next();
        }

        public override void Previous() => inner.Previous();

        protected override void Dispose(bool disposing) => inner.Dispose();
    }
}
