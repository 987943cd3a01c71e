using Kvasir.Primitives;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Tests.Lsm.SSTables;

public sealed class IndexBlockTests
{
    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 3)]
    [InlineData(3, 12)]
    public void ASearchFindsTheFirstSeparatorAtOrAfterTheKey(ulong seed, int commonBytes)
    {
        var random = new SeededRandom(seed);
        for (int round = 0; round < 100; round++)
        {
            var separators = new SortedSet<byte[]>(KeyOrder.Instance);
            for (int i = random.Next(60); i >= 0; i--)
                separators.Add(Draw(random, commonBytes));
            var builder = new IndexBlockBuilder();
            long end = SSTableFormat.HeaderBytes;
            foreach (byte[] separator in separators)
            {
                builder.Add(separator, 100);
                end += 100 + SSTableFormat.BlockTrailerBytes;
            }

            byte[][] model = [.. separators];
            using TableIndex index = TableIndex.Read(builder.Bytes, "/t", 0, end, budget: null);
            for (int i = 0; i < 300; i++)
            {
                byte[] key = random.OneIn(3) ? model[random.Next(model.Length)] : Draw(random, random.Next(commonBytes + 1));
                int expected = Array.FindIndex(model, s => s.AsSpan().SequenceCompareTo(key) >= 0);
                Assert.True((expected < 0 ? model.Length : expected) == index.Find(key), $"seed {seed} round {round}");
            }
        }
    }

    [Fact]
    public void ASeparatorLiesBetweenItsNeighbours()
    {
        var random = new SeededRandom(4);
        var scratch = new BytesBuffer();
        for (int i = 0; i < 100_000; i++)
        {
            byte[] a = Draw(random, 0);
            byte[] b = Draw(random, 0);
            if (a.AsSpan().SequenceCompareTo(b) >= 0)
                continue;
            ReadOnlySpan<byte> separator = IndexBlockBuilder.Separate(a, b, scratch);
            Assert.True(separator.SequenceCompareTo(a) >= 0);
            Assert.True(separator.SequenceCompareTo(b) < 0);
            Assert.True(separator.Length <= Math.Max(a.Length, b.Length));
        }
    }

    private static byte[] Draw(SeededRandom random, int commonBytes)
    {
        var key = new byte[commonBytes + random.Next(12)];
        for (int i = 0; i < key.Length; i++)
            key[i] = i < commonBytes ? (byte)'p' : (byte)(random.OneIn(3) ? 0 : random.OneIn(3) ? 255 : random.Next(3));
        return key;
    }
}
