using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>What becomes free, when it may be used again, and how the file becomes smaller while it serves.</summary>
public sealed class BTreeSpaceTests
{
    private static readonly BTreeOptions s_options = new() { Identity = 5, MapBytesMin = 1 << 22, BackgroundUpkeep = false };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AfterNineTenthsAreDeletedTheFileIsHalfAsLargeAgainAsItsDataAtMost(bool inOrder)
    {
        const int Count = 30_000;
        var world = new BTreeWorld(1, s_options);
        using BTreeStore store = world.Open();
        var random = new SeededRandom(3);
        int[] order = [.. Enumerable.Range(0, Count)];
        Shuffle(order, random);
        Fill(store, order);
        using ReadTransaction early = store.BeginRead();
        int[] gone = [.. (inOrder ? Enumerable.Range(0, Count) : order).Take(Count * 9 / 10)];
        foreach (int[] part in gone.Chunk(3000))
        {
            using WriteTransaction transaction = store.BeginWrite();
            foreach (int i in part)
                Assert.True(transaction.Root.Delete(Key(i)));
            transaction.Commit();
        }

        long full = world.Files.ReadAll(BTreeWorld.File).LongLength;
        Shrink(store, () => { });
        Assert.Equal(Value(order[0]), early.Root.Get(Key(order[0])));
        early.Dispose();
        int served = 0;
        Shrink(store, () =>
        {
            // Serving goes on between the steps.
            using WriteTransaction transaction = store.BeginWrite();
            transaction.Root.Put("served"u8, BitConverter.GetBytes(served++));
            transaction.Commit();
        });
        Shrink(store, () => { });
        using (ReadTransaction now = store.BeginRead())
            Assert.Equal((Count / 10) + 1, BTreeWorld.ReadAll(now.Root).Count);
        BTreeWorld.AssertSound(world.Files);
        long live = (Count / 10) * (16L + 100);
        long left = world.Files.ReadAll(BTreeWorld.File).LongLength;
        Assert.True(left <= live * 3 / 2, $"{left} bytes for {live} of data, {full} before");
        Assert.True(served > 0);
    }

    [Fact]
    public void ADeletedBucketCostsNothingAtOnceAndGivesItsPagesBackLater()
    {
        const int Count = 40_000;
        var world = new BTreeWorld(2, s_options);
        using BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            WritableBucket bucket = transaction.Root.GetOrCreateBucket("bucket"u8);
            for (int i = 0; i < Count; i++)
                bucket.Put(Key(i), Value(i));
            bucket.Put("long"u8, new byte[50_000]);
            bucket.GetOrCreateBucket("inner"u8).GetOrCreateBucket("innermost"u8).Put("a"u8, new byte[9_000]);
            transaction.Commit();
        }

        long used = Used(store);
        long operations = world.Files.OperationCount;
        using (WriteTransaction transaction = store.BeginWrite())
        {
            Assert.True(transaction.Root.DeleteBucket("bucket"u8));
            Assert.Null(transaction.Root.FindBucket("bucket"u8));
            transaction.Commit();
        }

        Assert.True(world.Files.OperationCount - operations < 20);
        Assert.True(store.GetStatistics().HasDeletedTrees);
        BTreeWorld.AssertSound(world.Files);
        while (store.FreeDeletedStep(50))
            BTreeWorld.AssertSound(world.Files);
        Assert.True(used > 1000);
        Assert.Equal(4, Used(store));
        BTreeWorld.AssertSound(world.Files);
    }

    [Fact]
    public void PagesThatAReaderSeesAreNotUsedAgainBeforeItEnds()
    {
        var world = new BTreeWorld(3, s_options);
        using BTreeStore store = world.Open();
        Fill(store, [.. Enumerable.Range(0, 500)]);
        ReadTransaction reader = store.BeginRead();
        for (int round = 0; round < 50; round++)
            Overwrite(store, round);
        long held = store.GetStatistics().Pages;
        Assert.Equal(Value(7), reader.Root.Get(Key(7)));
        reader.Dispose();
        Overwrite(store, 50);
        long after = store.GetStatistics().Pages;
        for (int round = 0; round < 200; round++)
            Overwrite(store, round);
        Assert.True(store.GetStatistics().Pages <= after + 2, "freed pages are used again");
        Assert.True(held > 60);
        BTreeWorld.AssertSound(world.Files);
    }

    [Fact]
    public void AReaderBeyondTheAgeLimitIsEndedAndHoldsNothingBack()
    {
        var world = new BTreeWorld(4, s_options with { ReaderAgeLimit = TimeSpan.FromMinutes(1) });
        using BTreeStore store = world.Open();
        Fill(store, [.. Enumerable.Range(0, 100)]);
        ReadTransaction old = store.BeginRead();
        BTreeReader listed = Assert.Single(store.ListReaders());
        Assert.Equal((old.Number, false), (listed.Transaction, listed.HasEnded));
        world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(59));
        store.EndOldReaders();
        Assert.True(old.Root.Contains(Key(1)));
        world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(2));
        using ReadTransaction young = store.BeginRead();
        Overwrite(store, 1);
        Assert.Throws<ReaderTooOldException>(() => old.Root.Contains(Key(1)));
        Assert.True(young.Root.Contains(Key(1)));
        Assert.Equal(2, store.ListReaders().Count);
        Assert.Equal(young.Number, store.GetStatistics().OldestReader);
        old.Dispose();
        Assert.Throws<ObjectDisposedException>(() => old.Root.Contains(Key(1)));
        Assert.Single(store.ListReaders());
    }

    [Fact]
    public void TheFileIsNotCutUnderASpanThatAnEndedReaderStillHas()
    {
        var world = new BTreeWorld(7, s_options with { ReaderAgeLimit = TimeSpan.FromMinutes(1) });
        using BTreeStore store = world.Open();
        Fill(store, [.. Enumerable.Range(0, 3000)]);
        ReadTransaction reader = store.BeginRead();
        Assert.True(reader.Root.TryGet(Key(2999), out ReadOnlySpan<byte> span));
        world.Scheduler.Clock.Advance(TimeSpan.FromMinutes(2));
        long full = world.Files.ReadAll(BTreeWorld.File).LongLength;
        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.DeleteRange(default, default);
            transaction.Commit();
        }

        Shrink(store, () => { });
        Assert.True(store.GetStatistics().Pages < 30, "its pages are free, since it was ended");
        Assert.True(world.Files.ReadAll(BTreeWorld.File).LongLength >= full);
        Assert.Equal(100, span.Length);
        Assert.NotEqual(0xEE, span[50]);
        reader.Dispose();
        Overwrite(store, 1);
        Assert.True(world.Files.ReadAll(BTreeWorld.File).LongLength < 40 * 4096);
    }

    [Fact]
    public void LongValuesMoveWhenTheFileShrinks()
    {
        var world = new BTreeWorld(5, s_options);
        using BTreeStore store = world.Open();
        var random = new SeededRandom(9);
        var large = new byte[40_001];
        random.NextBytes(large);
        Fill(store, [.. Enumerable.Range(0, 5000)]);
        using (WriteTransaction transaction = store.BeginWrite())
        {
            for (byte i = 0; i < 20; i++)
                transaction.Root.Put([0xFF, i], large);
            transaction.Root.DeleteRange("k"u8, "l"u8);
            transaction.Commit();
        }

        Shrink(store, () => BTreeWorld.AssertSound(world.Files));
        Shrink(store, () => { });
        using ReadTransaction now = store.BeginRead();
        for (byte i = 0; i < 20; i++)
            Assert.True(now.Root.TryGet([0xFF, i], out ReadOnlySpan<byte> value) && value.SequenceEqual(large));
        Assert.True(world.Files.ReadAll(BTreeWorld.File).Length < 20 * large.Length * 3 / 2);
    }

    [Fact]
    public void WhatIsWrittenWhileTheFileBecomesSmallerGoesToItsBeginning()
    {
        const int Count = 20_000;
        var world = new BTreeWorld(7, s_options);
        using BTreeStore store = world.Open();
        int[] order = [.. Enumerable.Range(0, Count)];
        Shuffle(order, new SeededRandom(4));
        Fill(store, order);
        using (WriteTransaction transaction = store.BeginWrite())
        {
            foreach (int i in order.Take(Count * 9 / 10))
                transaction.Root.Delete(Key(i));
            transaction.Commit();
        }

        int round = 0;
        for (; store.ShrinkStep(4); round++)
        {
            Overwrite(store, round);
            using ReadTransaction now = store.BeginRead();
            Assert.InRange(now.State.Meta.Root.Page, 0, Used(store) * 5 / 4);
        }

        Assert.InRange(round, 10, 10_000);
    }

    [Fact]
    public void TheFileGrowsAndShrinksOverTheBordersOfItsChunks()
    {
        // A chunk of pages of 4 KiB has 32,256 of them: values of a quarter of it make several in little time.
        var world = new BTreeWorld(6, s_options with { UseMap = false });
        using BTreeStore store = world.Open();
        var value = new byte[30 << 20];
        for (byte i = 0; i < 10; i++)
        {
            using WriteTransaction transaction = store.BeginWrite();
            value[^1] = i;
            transaction.Root.Put([i], value);
            transaction.Commit();
        }

        Assert.True(store.GetStatistics().Pages > 2 * 32256);
        BTreeWorld.AssertSound(world.Files);
        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.DeleteRange([0], [9]);
            transaction.Commit();
        }

        Shrink(store, () => { });
        Shrink(store, () => { });
        BTreeWorld.AssertSound(world.Files);
        using ReadTransaction now = store.BeginRead();
        Assert.True(now.Root.TryGet([9], out ReadOnlySpan<byte> left) && left.Length == value.Length && left[^1] == 9);

        // The run may lie after a place that is just too short for it.
        Assert.True(store.GetStatistics().Pages < 16_000, $"{store.GetStatistics().Pages} pages");
    }

    private static byte[] Key(int i) => BTreeWorld.Key($"key:{i:D12}");

    private static byte[] Value(int i)
    {
        var value = new byte[100];
        BitConverter.TryWriteBytes(value, i);
        return value;
    }

    private static long Used(BTreeStore store)
    {
        BTreeStatistics now = store.GetStatistics();
        return now.Pages - now.FreePages;
    }

    private static void Fill(BTreeStore store, int[] order)
    {
        foreach (int[] part in order.Chunk(5000))
        {
            using WriteTransaction transaction = store.BeginWrite();
            foreach (int i in part)
                transaction.Root.Put(Key(i), Value(i));
            transaction.Commit();
        }
    }

    private static void Overwrite(BTreeStore store, int round)
    {
        using WriteTransaction transaction = store.BeginWrite();
        transaction.Root.Put(Key(round % 100), Value(-round));
        transaction.Commit();
    }

    private static void Shrink(BTreeStore store, Action between)
    {
        for (int step = 0; store.ShrinkStep(64); step++)
        {
            Assert.True(step < 10_000, "shrinking never ends");
            between();
        }
    }

    private static void Shuffle(int[] items, SeededRandom random)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int other = random.Next(i + 1);
            (items[i], items[other]) = (items[other], items[i]);
        }
    }
}
