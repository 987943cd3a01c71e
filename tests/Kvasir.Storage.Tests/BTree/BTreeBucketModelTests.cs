using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Buckets in buckets beside a model of them, while deleted ones are freed, the file shrinks, and machines stop.</summary>
public sealed class BTreeBucketModelTests
{
    private static readonly BTreeOptions s_options = new() { Identity = 3, MapBytesMin = 1 << 18, BackgroundUpkeep = false };

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    [InlineData(4, true)]
    [InlineData(5, false)]
    [InlineData(6, true)]
    public void BucketsAreMapsOfMaps(ulong seed, bool useMap)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, s_options with { UseMap = useMap, CachedPages = 64 });
        var model = new Node();
        BTreeStore store = world.Open();
        for (int round = 0; round < 250; round++)
        {
            Node attempt = model.Clone();
            using (WriteTransaction transaction = store.BeginWrite())
            {
                for (int i = random.Next(random.OneIn(8) ? 300 : 20); i > 0; i--)
                    Step(random, transaction.Root, attempt, depth: 0);
                if (random.OneIn(4))
                    AssertSame(attempt, transaction.Root);
                if (!random.OneIn(5))
                {
                    transaction.Commit();
                    model = attempt;
                }
            }

            if (random.OneIn(3))
                store.FreeDeletedStep(random.Next(1, 20));
            for (int i = random.OneIn(4) ? random.Next(30) : 0; i > 0; i--)
                store.ShrinkStep(random.Next(1, 12));
            if (random.OneIn(30))
            {
                store.Dispose();
                store = world.Open();
            }

            if (random.OneIn(10))
            {
                BTreeWorld.AssertSound(world.Files, $"seed {seed}, round {round}");
                using ReadTransaction reader = store.BeginRead();
                AssertSame(model, reader.Root);
            }
        }
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public void ACrashWhileBucketsAreFreedAndPagesMoveLosesNothing(ulong seed)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, s_options);
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
                using BTreeStore reopened = new BTreeWorld(1, s_options, left).Open();
                using ReadTransaction now = reopened.BeginRead();
                bool isNext = next is not null && now.UserData.SequenceEqual(BitConverter.GetBytes(next.Stamp));
                AssertSame(isNext ? next! : last, now.Root);
                BTreeWorld.AssertSound(left, $"seed {seed}, {operation}, {kind}");
            }
        };
        for (int round = 0; round < 25; round++)
        {
            Node attempt = last.Clone();
            attempt.Stamp = round + 1;
            using (WriteTransaction transaction = store.BeginWrite())
            {
                for (int i = random.Next(random.OneIn(5) ? 300 : 40); i > 0; i--)
                    Step(random, transaction.Root, attempt, depth: 0);
                transaction.UserData = BitConverter.GetBytes(attempt.Stamp);
                next = attempt;
                transaction.Commit();
                last = attempt;
                next = null;
            }

            for (int i = random.Next(6); i > 0; i--)
                store.ShrinkStep(random.Next(1, 20));
        }

        Assert.True(points > 500, $"only {points} crash points");
    }

    private static void Step(SeededRandom random, WritableBucket bucket, Node node, int depth)
    {
        if (depth < 3 && node.Buckets.Count > 0 && random.OneIn(2))
        {
            byte[] inner = node.Buckets.Keys.ElementAt(random.Next(node.Buckets.Count));
            Step(random, bucket.FindBucket(inner)!, node.Buckets[inner], depth + 1);
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
            case < 20:
                var value = new byte[random.OneIn(30) ? random.Next(12_000) : random.Next(200)];
                random.NextBytes(value);
                bucket.Put(key, value);
                node.Values[key] = value;
                break;
            default:
                Assert.Equal(node.Values.Remove(key), bucket.Delete(key));
                break;
        }
    }

    private static bool IsWithin(byte[] key, byte[] start, byte[] end) =>
        key.AsSpan().SequenceCompareTo(start) >= 0 && key.AsSpan().SequenceCompareTo(end) < 0;

    private static void AssertSame(Node node, Bucket bucket)
    {
        BTreeModelTests.AssertEqual([.. node.Values.Select(e => (e.Key, e.Value))], BTreeWorld.ReadAll(bucket));
        BTreeCursor cursor = bucket.OpenCursor();
        List<byte[]> names = [];
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
        {
            if (cursor.IsBucket)
                names.Add(cursor.Key.ToArray());
        }

        Assert.Equal(node.Buckets.Keys, names);
        foreach ((byte[] name, Node inner) in node.Buckets)
            AssertSame(inner, bucket.FindBucket(name)!);
    }

    private sealed class Node
    {
        private static readonly Comparer<byte[]> s_order = Comparer<byte[]>.Create((x, y) => x.AsSpan().SequenceCompareTo(y));

        public SortedDictionary<byte[], byte[]> Values { get; private init; } = new(s_order);

        public SortedDictionary<byte[], Node> Buckets { get; } = new(s_order);

        public int Stamp { get; set; }

        public Node Clone()
        {
            var clone = new Node { Values = new SortedDictionary<byte[], byte[]>(Values, s_order), Stamp = Stamp };
            foreach ((byte[] name, Node inner) in Buckets)
                clone.Buckets.Add(name, inner.Clone());
            return clone;
        }
    }
}
