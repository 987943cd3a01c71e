using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>
/// Buckets in buckets beside a model of them, with keys that go by themselves and without, while deleted ones are freed, the file shrinks, and
/// machines stop.
/// </summary>
public sealed class BTreeBucketModelTests
{
    private static readonly BTreeOptions s_options = new() { Identity = 3, MapBytesMin = 1 << 18, BackgroundUpkeep = false };

    [Theory]
    [InlineData(1, true, false)]
    [InlineData(2, false, false)]
    [InlineData(3, true, false)]
    [InlineData(4, true, false)]
    [InlineData(5, false, false)]
    [InlineData(6, true, false)]
    [InlineData(1, true, true)]
    [InlineData(2, false, true)]
    [InlineData(3, true, true)]
    [InlineData(4, false, true)]
    public void BucketsAreMapsOfMaps(ulong seed, bool useMap, bool keysExpire)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, s_options with { UseMap = useMap, CachedPages = 64 });
        Func<long> now = () => world.Scheduler.Clock.NowMs;
        var model = new BTreeBucketModel(keysExpire);
        BTreeStore store = world.Open();
        for (int round = 0; round < 250; round++)
        {
            BTreeBucketModel attempt = model.Clone();
            using (WriteTransaction transaction = store.BeginWrite())
            {
                for (int i = random.Next(random.OneIn(8) ? 300 : 20); i > 0; i--)
                    attempt.Step(random, transaction.Root, now());
                if (random.OneIn(4))
                    attempt.AssertSame(transaction.Root, now());
                if (!random.OneIn(5))
                {
                    transaction.Commit();
                    model = attempt;
                }
            }

            // Whoever reads meanwhile keeps pages from being used again.
            long seenAt = now();
            using (ReadTransaction? old = random.OneIn(2) ? store.BeginRead() : null)
            {
                world.Scheduler.Clock.NowMs += random.OneIn(20) ? 5000 : random.Next(200);
                if (random.OneIn(3))
                    store.FreeDeletedStep(random.Next(1, 20));
                for (int i = random.OneIn(3) ? random.Next(30) : 0; i > 0; i--)
                    store.ShrinkStep(random.Next(1, 12));
                if (old is not null)
                    model.AssertSame(old.Root, seenAt);
            }

            if (random.OneIn(30))
            {
                store.Dispose();
                store = world.Open();
            }

            if (random.OneIn(10))
            {
                BTreeWorld.AssertSound(world.Files, $"seed {seed}, round {round}");
                using ReadTransaction reader = store.BeginRead();
                model.AssertSame(reader.Root, now());
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
            model.AssertSame(reader.Root, now());
            Assert.True(reader.State.Meta.Deadlines.IsEmpty);
        }

        store.Dispose();
        BTreeWorld.AssertSound(world.Files);
    }

    [Theory]
    [InlineData(11, false)]
    [InlineData(12, false)]
    [InlineData(21, true)]
    [InlineData(22, true)]
    public void ACrashWhileKeysAndBucketsGoAndPagesMoveLosesNothingAndBringsNothingBack(ulong seed, bool keysExpire)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, s_options);
        Func<long> now = () => world.Scheduler.Clock.NowMs;
        BTreeBucketModel last = new(keysExpire);
        BTreeBucketModel? next = null;
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
                (isNext ? next! : last).AssertSame(reader.Root, now());
                BTreeWorld.AssertSound(left, $"seed {seed}, {operation}, {kind}");
            }
        };
        for (int round = 0; round < 25; round++)
        {
            BTreeBucketModel attempt = last.Clone();
            attempt.Stamp = round + 1;
            using (WriteTransaction transaction = store.BeginWrite())
            {
                for (int i = random.Next(random.OneIn(5) ? 300 : 40); i > 0; i--)
                    attempt.Step(random, transaction.Root, now());
                transaction.UserData = BitConverter.GetBytes(attempt.Stamp);
                next = attempt;
                transaction.Commit();
                last = attempt;
                next = null;
            }

            world.Scheduler.Clock.NowMs += random.Next(500);
            for (int i = random.Next(6); i > 0; i--)
                store.ShrinkStep(random.Next(1, 20));
        }

        Assert.True(points > 500, $"only {points} crash points");
    }

    private static void AssertSameInACopy(BTreeWorld world, BTreeStore store, BTreeBucketModel model, long nowMs)
    {
        const string Copy = "/db/copy";
        store.Copy(world.Files, Copy);
        using (BTreeStore copy = BTreeStore.Open(world.Files, Copy, world.Scheduler, world.Options))
        using (ReadTransaction reader = copy.BeginRead())
        {
            model.AssertSame(reader.Root, nowMs);
            Assert.Empty(copy.Verify());
        }

        world.Files.Delete(Copy);
    }
}
