using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Files;

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

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    [InlineData(4, false)]
    public void BucketsAreMapsOfMapsWhoseKeysExpire(ulong seed, bool useMap)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, s_options with { UseMap = useMap, CachedPages = 64 });
        Func<long> now = () => world.Scheduler.Clock.NowMs;
        var model = new Node();
        BTreeStore store = world.Open();
        for (int round = 0; round < 250; round++)
        {
            Node attempt = model.Clone();
            using (WriteTransaction transaction = store.BeginWrite())
            {
                for (int i = random.Next(random.OneIn(8) ? 300 : 20); i > 0; i--)
                    Step(random, transaction.Root, attempt, depth: 0, now());
                if (random.OneIn(4))
                    AssertSame(attempt, transaction.Root, now());
                if (!random.OneIn(5))
                {
                    transaction.Commit();
                    model = attempt;
                }
            }

            long seenAt = now();
            using ReadTransaction old = store.BeginRead();
            world.Scheduler.Clock.NowMs += random.OneIn(20) ? 5000 : random.Next(200);
            if (random.OneIn(3))
                store.FreeDeletedStep(random.Next(1, 20));
            for (int i = random.OneIn(3) ? random.Next(30) : 0; i > 0; i--)
                store.ShrinkStep(random.Next(1, 12));
            AssertSame(model, old.Root, seenAt);
            old.Dispose();
            if (random.OneIn(30))
            {
                store.Dispose();
                store = world.Open();
            }

            if (random.OneIn(10))
            {
                BTreeWorld.AssertSound(world.Files, $"seed {seed}, round {round}");
                using ReadTransaction reader = store.BeginRead();
                AssertSame(model, reader.Root, now());
                Assert.Empty(store.Verify());
            }

            if (random.OneIn(40))
                AssertSameInACopy(world, store, model, now());
        }

        // All that is left of what expires goes, and its index with it.
        world.Scheduler.Clock.NowMs += 100_000;
        store.Shrink();
        using (ReadTransaction reader = store.BeginRead())
        {
            AssertSame(model, reader.Root, now());
            Assert.True(reader.State.Meta.Deadlines.IsEmpty);
        }

        store.Dispose();
        BTreeWorld.AssertSound(world.Files);
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    public void ACrashWhileKeysAreSweptLosesNothingAndBringsNothingBack(ulong seed)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, s_options);
        Func<long> now = () => world.Scheduler.Clock.NowMs;
        Node last = new();
        Node? next = null;
        int points = 0;
        BTreeStore store = world.Open();
        world.Files.BeforeOperation = operation =>
        {
            if (operation.Kind is not (DiskOperationKind.Write or DiskOperationKind.Sync or DiskOperationKind.SetLength))
                return;
            foreach (CrashKind kind in Enum.GetValues<CrashKind>())
            {
                SimulatedFileSystem left = world.Files.AfterCrash(new SeededRandom(seed + (ulong)++points), kind);
                var after = new BTreeWorld(1, s_options, left);
                after.Scheduler.Clock.NowMs = now();
                using BTreeStore reopened = after.Open();
                using ReadTransaction reader = reopened.BeginRead();
                bool isNext = next is not null && reader.UserData.SequenceEqual(BitConverter.GetBytes(next.Stamp));
                AssertSame(isNext ? next! : last, reader.Root, now());
                BTreeWorld.AssertSound(left, $"seed {seed}, {operation}, {kind}");
            }
        };
        for (int round = 0; round < 20; round++)
        {
            Node attempt = last.Clone();
            attempt.Stamp = round + 1;
            using (WriteTransaction transaction = store.BeginWrite())
            {
                for (int i = random.Next(40); i > 0; i--)
                    Step(random, transaction.Root, attempt, depth: 0, now());
                transaction.UserData = BitConverter.GetBytes(attempt.Stamp);
                next = attempt;
                transaction.Commit();
                last = attempt;
                next = null;
            }

            world.Scheduler.Clock.NowMs += random.Next(500);
            for (int i = random.Next(4); i > 0; i--)
                store.ShrinkStep(random.Next(1, 20));
        }

        Assert.True(points > 300, $"only {points} crash points");
    }

    private static void AssertSameInACopy(BTreeWorld world, BTreeStore store, Node model, long nowMs)
    {
        const string Copy = "/db/copy";
        store.Copy(world.Files, Copy);
        using (BTreeStore copy = BTreeStore.Open(world.Files, Copy, world.Scheduler, world.Options))
        using (ReadTransaction reader = copy.BeginRead())
        {
            AssertSame(model, reader.Root, nowMs);
            Assert.Empty(copy.Verify());
        }

        world.Files.Delete(Copy);
    }

    private static List<string> ReadKeys(BTreeStore store)
    {
        using ReadTransaction reader = store.BeginRead();
        return Keys(reader.Root);
    }

    private static List<string> Keys(Bucket bucket) => [.. BTreeWorld.ReadAll(bucket).Select(e => Encoding.UTF8.GetString(e.Key))];

    private static void Step(SeededRandom random, WritableBucket bucket, Node node, int depth, long nowMs)
    {
        if (depth < 3 && node.Buckets.Count > 0 && random.OneIn(2))
        {
            byte[] inner = node.Buckets.Keys.ElementAt(random.Next(node.Buckets.Count));
            Step(random, bucket.FindBucket(inner)!, node.Buckets[inner], depth + 1, nowMs);
            return;
        }

        byte[] key = BTreeWorld.Key($"{random.Next(200):D4}");
        byte[] name = BTreeWorld.Key($"{random.Next(200):D4}b");
        switch (random.Next(30))
        {
            case 0:
                bucket.GetOrCreateBucket(name);
                node.Buckets.TryAdd(name, new Node());
                break;
            case 1:
                Assert.Equal(node.Buckets.Remove(name), bucket.DeleteBucket(name));
                break;
            case 2:
                byte[] end = BTreeWorld.Key($"{random.Next(200):D4}");
                bucket.DeleteRange(key, end);
                foreach (byte[] gone in node.Values.Keys.Where(k => IsWithin(k, key, end)).ToArray())
                    node.Values.Remove(gone);
                foreach (byte[] gone in node.Buckets.Keys.Where(k => IsWithin(k, key, end)).ToArray())
                    node.Buckets.Remove(gone);
                break;
            case < 8:
                Put(random, bucket, node, key, timeToLive: null, nowMs);
                break;
            case < 20:
                Put(random, bucket, node, key, TimeSpan.FromMilliseconds(random.Next(1, 3000)), nowMs);
                break;
            case < 23:
                TimeSpan? other = random.OneIn(3) ? null : TimeSpan.FromMilliseconds(random.Next(1, 3000));
                bool isThere = node.IsThere(key, nowMs);
                Assert.Equal(isThere, bucket.SetTimeToLive(key, other));
                if (isThere)
                    node.Values[key] = (node.Values[key].Value, DeadlineMs(other, nowMs));
                break;
            default:
                Assert.Equal(node.IsThere(key, nowMs), bucket.Delete(key));
                node.Values.Remove(key);
                break;
        }
    }

    private static void Put(SeededRandom random, WritableBucket bucket, Node node, byte[] key, TimeSpan? timeToLive, long nowMs)
    {
        var value = new byte[random.OneIn(30) ? random.Next(12_000) : random.OneIn(10) ? random.Next(1900, 2050) : random.Next(200)];
        random.NextBytes(value);
        if (timeToLive is { } time)
            bucket.Put(key, value, time);
        else
            bucket.Put(key, value);
        node.Values[key] = (value, DeadlineMs(timeToLive, nowMs));
    }

    private static long DeadlineMs(TimeSpan? timeToLive, long nowMs) => timeToLive is { } time ? nowMs + (long)time.TotalMilliseconds : long.MaxValue;

    private static bool IsWithin(byte[] key, byte[] start, byte[] end) =>
        key.AsSpan().SequenceCompareTo(start) >= 0 && key.AsSpan().SequenceCompareTo(end) < 0;

    private static void AssertSame(Node node, Bucket bucket, long nowMs)
    {
        List<(byte[] Key, byte[] Value)> live = [.. node.Values.Where(e => e.Value.ExpiresAtMs > nowMs).Select(e => (e.Key, e.Value.Value))];
        BTreeModelTests.AssertEqual(live, BTreeWorld.ReadAll(bucket));
        Assert.Equal(live.Count == 0 && node.Buckets.Count == 0, bucket.IsEmpty);
        BTreeCursor cursor = bucket.OpenCursor();
        List<byte[]> names = [];
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
        {
            if (cursor.IsBucket)
            {
                names.Add(cursor.Key.ToArray());
                continue;
            }

            long deadline = node.Values[cursor.Key.ToArray()].ExpiresAtMs;
            DateTimeOffset? expected = deadline == long.MaxValue ? null : DateTimeOffset.FromUnixTimeMilliseconds(deadline);
            Assert.Equal(expected, cursor.ExpiresAt);
            Assert.Equal(expected, bucket.ExpiresAt(cursor.Key));
            Assert.True(bucket.TryGet(cursor.Key, out ReadOnlySpan<byte> value) && value.SequenceEqual(cursor.Value));
        }

        foreach ((byte[] key, (byte[] _, long expiresAtMs)) in node.Values)
            Assert.Equal(expiresAtMs > nowMs, bucket.Contains(key));
        Assert.Equal(node.Buckets.Keys, names);
        foreach ((byte[] name, Node inner) in node.Buckets)
            AssertSame(inner, bucket.FindBucket(name)!, nowMs);
    }

    private sealed class Node
    {
        private static readonly Comparer<byte[]> s_order = Comparer<byte[]>.Create((x, y) => x.AsSpan().SequenceCompareTo(y));

        public SortedDictionary<byte[], (byte[] Value, long ExpiresAtMs)> Values { get; private init; } = new(s_order);

        public SortedDictionary<byte[], Node> Buckets { get; } = new(s_order);

        public int Stamp { get; set; }

        public bool IsThere(byte[] key, long nowMs) => Values.TryGetValue(key, out (byte[] Value, long ExpiresAtMs) value) && value.ExpiresAtMs > nowMs;

        public Node Clone()
        {
            var clone = new Node { Values = new SortedDictionary<byte[], (byte[] Value, long ExpiresAtMs)>(Values, s_order), Stamp = Stamp };
            foreach ((byte[] name, Node inner) in Buckets)
                clone.Buckets.Add(name, inner.Clone());
            return clone;
        }
    }
}
