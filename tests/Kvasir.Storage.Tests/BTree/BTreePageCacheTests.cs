using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Memory of pages that were read without a map: used again for others, but not under those who look at it.</summary>
public sealed class BTreePageCacheTests
{
    private const int Count = 20_000;
    private const int Places = 256;
    private const int PageBytes = 4096;

    [Fact]
    public void MemoryOfAPageThatIsLetGoOfIsUsedForAnother()
    {
        var cache = new PageCache(Places, PageBytes);
        for (uint number = 1; number <= 10 * Places; number++)
        {
            CachedPage page = cache.NewPage(number);
            Assert.True(cache.Add(page));
            page.Unpin();
        }

        // One for each part of the cache: a page is read before the one that it takes the place of goes.
        Assert.InRange(cache.MemoriesMade, Places, Places + 16);
    }

    [Fact]
    public void MemoryOfAPageThatIsWrittenAnewIsUsedForAnother()
    {
        var cache = new PageCache(Places, PageBytes);
        for (int round = 0; round < 1000; round++)
        {
            CachedPage page = cache.NewPage(5);
            Assert.True(cache.Add(page));
            page.Unpin();
            cache.Remove(5);
        }

        Assert.Equal(1, cache.MemoriesMade);
    }

    [Fact]
    public void MemoryOfAPinnedPageIsNot()
    {
        var cache = new PageCache(16, PageBytes);
        CachedPage kept = cache.NewPage(3);
        Assert.True(cache.Add(kept));
        for (uint number = 100; number < 200; number++)
        {
            CachedPage page = cache.NewPage(number);
            Assert.NotSame(kept.Bytes, page.Bytes);
            Assert.True(cache.Add(page));
            page.Unpin();
        }
    }

    [Fact]
    public void APageThatTwoHaveReadIsOneOfThem()
    {
        var cache = new PageCache(16, PageBytes);
        CachedPage first = cache.NewPage(3), second = cache.NewPage(3);
        Assert.True(cache.Add(first));
        Assert.False(cache.Add(second));
        cache.GiveBack(second);
        Assert.Same(second.Bytes, cache.NewPage(19).Bytes);
        Assert.Same(first, cache.Find(3));
    }

    [Fact]
    public void ScansOfAFileThatIsLargerThanTheCacheMakeNoMemoryForEachPage()
    {
        using BTreeStore store = NewStore(Places);
        Scan(store);
        long made = store.PageMemoriesMade;
        for (int round = 0; round < 5; round++)
            Scan(store);
        long pages = store.GetStatistics().Pages;
        Assert.True(pages > 2 * Places && store.PageMemoriesMade - made < Places / 2, $"{store.PageMemoriesMade} after {made} for {pages} pages");
    }

    [Fact]
    public void WhatATransactionHasGivenOutStaysWhateverIsReadBesideIt()
    {
        using BTreeStore store = NewStore(16);
        using ReadTransaction transaction = store.BeginRead();
        BTreeCursor cursor = transaction.Root.OpenCursor();
        Assert.True(cursor.Seek(Key(777)));
        ReadOnlySpan<byte> keyOfCursor = cursor.Key, valueOfCursor = cursor.Value;
        Assert.True(transaction.Root.TryGet(Key(9999), out ReadOnlySpan<byte> value));

        // More of its own than one operation goes through, and all of the file by others.
        for (int i = 0; i < 500; i++)
            Assert.True(transaction.Root.Contains(Key(i * 37)));
        for (int round = 0; round < 3; round++)
            Scan(store);
        Assert.True(keyOfCursor.SequenceEqual(Key(777)) && valueOfCursor.SequenceEqual(Value(777)) && value.SequenceEqual(Value(9999)));
        Assert.True(cursor.Next());
        Assert.True(cursor.Key.SequenceEqual(Key(778)));
        Assert.True(cursor.Seek(cursor.Key));
        Assert.True(cursor.Key.SequenceEqual(Key(778)));
    }

    [Fact]
    public void ReadersOnSeveralThreadsSeeNoOthersPages()
    {
        using BTreeStore store = NewStore(32);
        Parallel.For(0, 4, worker =>
        {
            for (int round = 0; round < 10; round++)
            {
                using ReadTransaction transaction = store.BeginRead();
                BTreeCursor cursor = transaction.Root.OpenCursor();
                Assert.True(cursor.Seek(Key(((worker * 4999) + (round * 1777)) % Count)));
                int at = int.Parse(cursor.Key["key:".Length..]);
                for (int i = at; i < Math.Min(at + 1500, Count); i++, cursor.Next())
                {
                    Assert.True(cursor.Key.SequenceEqual(Key(i)) && cursor.Value.SequenceEqual(Value(i)));
                    int other = (i * 7919) % Count;
                    Assert.True(transaction.Root.TryGet(Key(other), out ReadOnlySpan<byte> value) && value.SequenceEqual(Value(other)));
                }
            }
        });
    }

    private static BTreeStore NewStore(int places)
    {
        var world = new BTreeWorld(4, new BTreeOptions { Identity = 5, UseMap = false, CachedPages = places, BackgroundUpkeep = false });
        BTreeStore store = world.Open();
        using WriteTransaction transaction = store.BeginWrite();
        for (int i = 0; i < Count; i++)
            transaction.Root.Put(Key(i), Value(i));
        transaction.Commit();
        return store;
    }

    private static byte[] Key(int i) => BTreeWorld.Key($"key:{i:D8}");

    private static byte[] Value(int i)
    {
        byte[] value = new byte[100];
        BitConverter.TryWriteBytes(value, i);
        BitConverter.TryWriteBytes(value.AsSpan(90), i);
        return value;
    }

    private static void Scan(BTreeStore store)
    {
        using ReadTransaction transaction = store.BeginRead();
        BTreeCursor cursor = transaction.Root.OpenCursor();
        int seen = 0;
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
            seen++;
        Assert.Equal(Count, seen);
    }
}
