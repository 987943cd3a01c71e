using System.Text;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Keys that go by themselves: at their time for who reads, soon after from the file, and never under a reader.</summary>
public sealed class BTreeExpiryTests
{
    private static readonly BTreeOptions s_options = new() { Identity = 3, MapBytesMin = 1 << 18, BackgroundUpkeep = false };
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    public void AKeyIsGoneAtItsTimeAndNotUnderAReader()
    {
        var world = new BTreeWorld(1, s_options);
        using BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.Put("goes"u8, "soon"u8, s_second);
            transaction.Root.Put("long"u8, new byte[9000], s_second);
            transaction.Root.Put("stays"u8, "here"u8);
            transaction.Commit();
        }

        using ReadTransaction before = store.BeginRead();
        world.Scheduler.Clock.NowMs += 999;
        using (ReadTransaction reader = store.BeginRead())
        {
            Assert.Equal("soon"u8, reader.Root.Get("goes"u8)!);
            Assert.Equal(9000, reader.Root.Get("long"u8)!.Length);
            Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(world.Scheduler.Clock.NowMs + 1), reader.Root.ExpiresAt("goes"u8));
            Assert.Null(reader.Root.ExpiresAt("stays"u8));
        }

        world.Scheduler.Clock.NowMs++;
        using (ReadTransaction reader = store.BeginRead())
        {
            Assert.Null(reader.Root.Get("goes"u8));
            Assert.Null(reader.Root.ExpiresAt("goes"u8));
            Assert.Null(reader.Root.FindBucket("goes"u8));
            Assert.Equal(["stays"], Keys(reader.Root));
        }

        Assert.Equal("soon"u8, before.Root.Get("goes"u8)!);
        Assert.Equal(["goes", "long", "stays"], Keys(before.Root));
        using (WriteTransaction transaction = store.BeginWrite())
        {
            Assert.False(transaction.Root.Delete("goes"u8));
            Assert.False(transaction.Root.SetTimeToLive("goes"u8, s_second));
            transaction.Root.GetOrCreateBucket("goes"u8).Put("in"u8, "it"u8);
            transaction.Commit();
        }

        BTreeWorld.AssertSound(world.Files);
    }

    [Fact]
    public void ADeadlineCanBeMovedTakenAwayAndPutOver()
    {
        var world = new BTreeWorld(2, s_options);
        using BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            foreach (string key in (string[])["kept", "moved", "over"])
                transaction.Root.Put(BTreeWorld.Key(key), "1"u8, s_second);
            Assert.True(transaction.Root.SetTimeToLive("kept"u8, null));
            Assert.True(transaction.Root.SetTimeToLive("moved"u8, 2 * s_second));
            transaction.Root.Put("over"u8, "2"u8);
            Assert.False(transaction.Root.SetTimeToLive("none"u8, s_second));
            Assert.Throws<ArgumentOutOfRangeException>(() => transaction.Root.Put("x"u8, "1"u8, TimeSpan.Zero));
            transaction.Commit();
        }

        world.Scheduler.Clock.Advance(s_second);
        Assert.Equal(["kept", "moved", "over"], ReadKeys(store));
        world.Scheduler.Clock.Advance(s_second);
        Assert.Equal(["kept", "over"], ReadKeys(store));
    }

    [Fact]
    public void WhatExpiresLeavesTheFileAtThePriceOfItself()
    {
        var world = new BTreeWorld(3, s_options with { BackgroundUpkeep = true });
        using BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            WritableBucket bucket = transaction.Root.GetOrCreateBucket("a"u8).GetOrCreateBucket("b"u8);
            for (int i = 0; i < 20_000; i++)
                bucket.Put(BTreeWorld.Key($"{i:D6}"), new byte[100]);
            for (int i = 0; i < 600; i++)
                bucket.Put(BTreeWorld.Key($"{i:D6}e"), new byte[i % 50 == 0 ? 9000 : 10], s_second);
            transaction.Commit();
        }

        world.Scheduler.RunAll();
        world.Scheduler.Clock.Advance(s_second);
        long written = store.GetStatistics().UpkeepBytesWritten;
        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.Put("any"u8, "write"u8);
            transaction.Commit();
        }

        world.Scheduler.RunAll();
        Assert.InRange(store.GetStatistics().UpkeepBytesWritten - written, 1, store.GetStatistics().Pages * 4096 / 4);
        using (ReadTransaction reader = store.BeginRead())
        {
            Assert.True(reader.State.Meta.Deadlines.IsEmpty);
            Assert.Equal(20_000, Keys(reader.Root.FindBucket("a"u8)!.FindBucket("b"u8)!).Count);
        }

        BTreeWorld.AssertSound(world.Files);
    }

    [Fact]
    public void AStoreThatIsOpenedLaterSweepsWhatHasExpiredMeanwhile()
    {
        var world = new BTreeWorld(4, s_options with { BackgroundUpkeep = true });
        using (BTreeStore store = world.Open())
        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.Put("goes"u8, "soon"u8, s_second);
            transaction.Commit();
        }

        world.Scheduler.Clock.Advance(2 * s_second);
        using BTreeStore again = world.Open();
        world.Scheduler.RunAll();
        using ReadTransaction reader = again.BeginRead();
        Assert.True(reader.State.Meta.Deadlines.IsEmpty && reader.State.Meta.Root.IsEmpty);
    }

    [Fact]
    public void WithoutUpkeepWhatHasExpiredGoesWhenSomebodyAsks()
    {
        var world = new BTreeWorld(4, s_options);
        using BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            for (int i = 0; i < 5000; i++)
                transaction.Root.Put(BTreeWorld.Key($"{i}"), new byte[50], s_second * (i % 2 == 0 ? 1 : 3));
            transaction.Commit();
        }

        world.Scheduler.Clock.Advance(2 * s_second);
        world.Scheduler.RunAll();
        using (var cancelled = new CancellationTokenSource())
        {
            cancelled.Cancel();
            Assert.Throws<OperationCanceledException>(() => store.DeleteExpired(cancellation: cancelled.Token));
        }

        long before = store.GetStatistics().FreePages;
        store.DeleteExpired(keys: 100);
        Assert.True(store.GetStatistics().FreePages > before);
        using (ReadTransaction reader = store.BeginRead())
        {
            BTreeCursor left = reader.Root.OpenPageCursor();
            int count = 0;
            for (bool there = left.SeekFirst(); there; there = left.Next())
                count++;
            Assert.Equal(2500, count);
        }

        BTreeWorld.AssertSound(world.Files);
    }

    [Fact]
    public void DeletedBucketsTakeTheirDeadlinesAlong()
    {
        var world = new BTreeWorld(5, s_options);
        using BTreeStore store = world.Open();
        using (WriteTransaction transaction = store.BeginWrite())
        {
            for (int i = 0; i < 2000; i++)
                transaction.Root.GetOrCreateBucket("old"u8).Put(BTreeWorld.Key($"{i}"), new byte[i % 100 == 0 ? 5000 : 5], s_second);
            transaction.Commit();
        }

        using (WriteTransaction transaction = store.BeginWrite())
        {
            transaction.Root.DeleteBucket("old"u8);

            // Of the same name and keys, and none of its business.
            transaction.Root.GetOrCreateBucket("old"u8).Put("7"u8, "new"u8);
            transaction.Root.GetOrCreateBucket("old"u8).Put("8"u8, "new"u8, 3 * s_second);
            transaction.Commit();
        }

        BTreeWorld.AssertSound(world.Files);
        while (store.FreeDeletedStep(3))
            BTreeWorld.AssertSound(world.Files);
        using (ReadTransaction reader = store.BeginRead())
            Assert.Equal(0u, reader.State.Meta.Deadlines.Level);
        world.Scheduler.Clock.Advance(s_second);
        store.Shrink();
        using (ReadTransaction reader = store.BeginRead())
            Assert.Equal(["7", "8"], Keys(reader.Root.FindBucket("old"u8)!));
        BTreeWorld.AssertSound(world.Files);
    }

    [Fact]
    public void OnlyAFileThatHasHadDeadlinesIsOfVersionTwo()
    {
        var world = new BTreeWorld(6, s_options);
        using BTreeStore store = world.Open();
        foreach ((TimeSpan? timeToLive, uint version) in new (TimeSpan?, uint)[] { (null, 1), (s_second, 2), (null, 2) })
        {
            using (WriteTransaction transaction = store.BeginWrite())
            {
                transaction.Root.Put("key"u8, "1"u8);
                transaction.Root.SetTimeToLive("key"u8, timeToLive);
                transaction.Commit();
            }

            using ReadTransaction reader = store.BeginRead();
            Assert.Equal(version, reader.State.Meta.FileVersion);
        }
    }

    private static List<string> ReadKeys(BTreeStore store)
    {
        using ReadTransaction reader = store.BeginRead();
        return Keys(reader.Root);
    }

    private static List<string> Keys(Bucket bucket) => [.. BTreeWorld.ReadAll(bucket).Select(e => Encoding.UTF8.GetString(e.Key))];
}
