using System.Numerics;
using System.Text;

namespace Kvasir.Primitives.Tests;

public sealed class Crc32CTests
{
    [Fact]
    public void TheCheckValueOfTheCatalogueComesOut() => Assert.Equal(0xE3069283u, Crc32C.Compute(Encoding.ASCII.GetBytes("123456789")));

    [Fact]
    public void StrandsSideBySideGiveWhatByteAfterByteGives()
    {
        var random = new SeededRandom(7);
        byte[] data = new byte[20_000];
        random.NextBytes(data);
        int[] lengths = [0, 1, 7, 8, 255, 767, 768, 769, 1535, 1536, 3071, 3072, 3073, 3840, 6144, 12_345, 19_990];
        foreach (int length in lengths)
        {
            for (int start = 0; start < 9; start++)
            {
                ReadOnlySpan<byte> part = data.AsSpan(start, length);
                uint state = ~0x12345678u;
                foreach (byte b in part)
                    state = BitOperations.Crc32C(state, b);
                Assert.True(~state == Crc32C.Append(0x12345678u, part), $"{length} bytes from {start}");
            }
        }
    }
}
