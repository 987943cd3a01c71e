using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>Random operations beside a sorted dictionary, with states held over many commits, closings and openings.</summary>
public sealed class BTreeModelTests
{
    [Theory]
    [InlineData(1, 4096, true)]
    [InlineData(2, 4096, true)]
    [InlineData(3, 8192, true)]
    [InlineData(4, 4096, false)]
    [InlineData(5, 32768, true)]
    [InlineData(6, 4096, true)]
    [InlineData(7, 4096, false)]
    [InlineData(8, 16384, true)]
    public void TheStoreIsASortedMap(ulong seed, int pageBytes, bool useMap)
    {
        var random = new SeededRandom(seed);
        var world = new BTreeWorld(seed, new BTreeOptions { PageBytes = pageBytes, UseMap = useMap, Identity = seed, MapBytesMin = 1 << 18, CachedPages = 64 });
        var model = new BTreeModel(random, largeValues: seed % 2 == 0);
        BTreeStore store = world.Open();
        List<(ReadTransaction Reader, List<(byte[] Key, byte[] Value)> Seen)> held = [];
        for (int round = 0; round < 400; round++)
        {
            using (WriteTransaction transaction = store.BeginWrite())
            {
                BTreeModel attempt = model.Clone();
                int steps = random.OneIn(10) ? random.Next(400) : random.Next(30);
                for (int i = 0; i < steps; i++)
                    attempt.Step(transaction.Root);
                if (random.OneIn(5))
                    attempt.AssertSame(transaction.Root);
                if (!random.OneIn(6))
                {
                    transaction.UserData = BitConverter.GetBytes(round);
                    transaction.Commit();
                    model = attempt;
                    model.Round = round;
                }
            }

            if (random.OneIn(8))
            {
                ReadTransaction reader = store.BeginRead();
                held.Add((reader, model.Entries()));
            }

            if (held.Count > 0 && random.OneIn(6))
            {
                (ReadTransaction reader, List<(byte[] Key, byte[] Value)> seen) = held[random.Next(held.Count)];
                AssertEqual(seen, BTreeWorld.ReadAll(reader.Root));
                if (random.OneIn(2))
                {
                    reader.Dispose();
                    held.RemoveAll(h => h.Reader == reader);
                }
            }

            if (round % 20 == 19)
            {
                using ReadTransaction now = store.BeginRead();
                model.AssertSame(now.Root);
                Assert.Equal(model.Round, BitConverter.ToInt32(now.UserData));
                BTreeWorld.AssertSound(world.Files, $"seed {seed}, round {round}");
            }

            if (random.OneIn(60))
            {
                foreach ((ReadTransaction reader, _) in held)
                    reader.Dispose();
                held.Clear();
                store.Dispose();
                store = world.Open();
            }
        }
    }

    internal static void AssertEqual(List<(byte[] Key, byte[] Value)> expected, List<(byte[] Key, byte[] Value)> actual)
    {
        Assert.Equal(expected.Count, actual.Count);
        for (int i = 0; i < expected.Count; i++)
            Assert.True(expected[i].Key.AsSpan().SequenceEqual(actual[i].Key) && expected[i].Value.AsSpan().SequenceEqual(actual[i].Value), $"entry {i}");
    }
}
