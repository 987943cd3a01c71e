using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kvasir.Primitives;

/// <summary>
/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the processor's instruction where it has one. That instruction takes
/// three cycles but can begin anew in each, so longer data is cut into three strands that are worked on side by side; a
/// strand's state is carried over the next one by a table (M. Adler, crc32c.c).
/// </summary>
public static class Crc32C
{
    private const int ShortStrand = 256;
    private const int LongStrand = 1024;

    // State after as many zero bytes as a strand has, for each value of each of the state's four bytes.
    private static readonly uint[] s_overShort = CarryTable(ShortStrand);
    private static readonly uint[] s_overLong = CarryTable(LongStrand);

    /// <summary>The checksum of <paramref name="data"/>.</summary>
    public static uint Compute(ReadOnlySpan<byte> data) => Append(0, data);

    /// <summary>Continues <paramref name="crc"/> (a finished checksum) over <paramref name="data"/>.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> data)
    {
        uint state = ~crc;
        if (data.Length >= 3 * ShortStrand)
        {
            state = AppendStrands(state, ref data, LongStrand, s_overLong);
            state = AppendStrands(state, ref data, ShortStrand, s_overShort);
        }

        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(data);
        foreach (ulong word in words)
            state = BitOperations.Crc32C(state, BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word));
        foreach (byte b in data[(words.Length * 8)..])
            state = BitOperations.Crc32C(state, b);
        return ~state;
    }

    /// <summary>Takes as many times three strands from the front of the data as there are.</summary>
    private static uint AppendStrands(uint state, ref ReadOnlySpan<byte> data, int strand, uint[] carry)
    {
        while (data.Length >= 3 * strand)
        {
            ref byte at = ref MemoryMarshal.GetReference(data);
            uint second = 0;
            uint third = 0;
            for (int i = 0; i < strand; i += sizeof(ulong))
            {
                state = BitOperations.Crc32C(state, Word(ref at, i));
                second = BitOperations.Crc32C(second, Word(ref at, i + strand));
                third = BitOperations.Crc32C(third, Word(ref at, i + (2 * strand)));
            }

            state = Carry(carry, Carry(carry, state) ^ second) ^ third;
            data = data[(3 * strand)..];
        }

        return state;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Word(ref byte at, int offset)
    {
        ulong word = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref at, offset));
        return BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word);
    }

    private static uint Carry(uint[] table, uint state) =>
        table[state & 0xff] ^ table[256 + ((state >> 8) & 0xff)] ^ table[512 + ((state >> 16) & 0xff)] ^ table[768 + (state >> 24)];

    private static uint[] CarryTable(int zeros)
    {
        var table = new uint[4 * 256];
        for (int bit = 0; bit < 32; bit++)
        {
            uint state = 1u << bit;
            for (int i = 0; i < zeros; i += sizeof(ulong))
                state = BitOperations.Crc32C(state, 0UL);
            int part = bit / 8 * 256;
            int mask = 1 << (bit % 8);
            for (int value = 0; value < 256; value++)
            {
                if ((value & mask) != 0)
                    table[part + value] ^= state;
            }
        }

        return table;
    }
}
