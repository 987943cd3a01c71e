using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Tests.Lsm.SSTables;

public sealed unsafe class BloomFilterTests
{
    [Theory]
    [InlineData(10, 1_000)]
    [InlineData(10, 100_000)]
    [InlineData(10, 1_000_000)]
    [InlineData(5, 100_000)]
    [InlineData(16, 100_000)]
    public void FalsePositivesStayWithinAFifthOfTheoryAndThereAreNoFalseNegatives(int bitsPerKey, int keys)
    {
        // Sequential keys: what a weak hash would fail on.
        var hashes = new ulong[keys];
        Span<byte> key = stackalloc byte[16];
        for (int i = 0; i < keys; i++)
            hashes[i] = HashOf(key, i);
        var block = new byte[BloomFilter.SizeBytes(keys, bitsPerKey)];
        BloomFilter.Build(hashes, bitsPerKey, block);
        fixed (byte* pointer = block)
        {
            BloomFilter filter = BloomFilter.Read(pointer, block.Length, "/t", 0);
            foreach (ulong hash in hashes)
                Assert.True(filter.MayContain(hash));

            // Enough probes that chance moves the rate by a few percent at most.
            int probes = bitsPerKey > 10 ? 8_000_000 : 1_000_000;
            int positives = 0;
            for (int i = 0; i < probes; i++)
                positives += filter.MayContain(HashOf(key, keys + i)) ? 1 : 0;
            double best = Math.Pow(1 - Math.Exp(-0.69314718 * bitsPerKey / bitsPerKey), 0.69314718 * bitsPerKey);
            double rate = (double)positives / probes;
            Assert.InRange(rate, best * 0.8, best * 1.2);
        }
    }

    [Fact]
    public void AFilterThatMakesNoSenseIsRefused()
    {
        var block = new byte[BloomFilter.SizeBytes(10, 10)];
        BloomFilter.Build([1, 2, 3], 10, block);
        for (int i = 0; i < 16; i++)
        {
            if (i is >= 4 and < 8)
                continue;
            byte[] bad = [.. block];
            bad[i] ^= 0x80;
            fixed (byte* pointer = bad)
            {
                byte* at = pointer;
                Assert.Throws<CorruptionException>(() => BloomFilter.Read(at, bad.Length, "/t", 0));
            }
        }
    }

    private static ulong HashOf(Span<byte> key, int i)
    {
        BinaryPrimitives.WriteInt64BigEndian(key, i);
        return StableHash.Hash64(key);
    }
}
