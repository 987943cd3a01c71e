using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Kvasir.Primitives;

/// <summary>
/// A 64-bit hash that is the same in every process and version: filters and indexes on disk hold it. Of the
/// multiply-and-fold family (Wang Yi, wyhash), with constants of its own. Not for use against adversaries that
/// choose keys, unless seeded.
/// </summary>
public static class StableHash
{
    private const ulong K0 = 0x9E3779B97F4A7C15;
    private const ulong K1 = 0xD6E8FEB86659FD93;
    private const ulong K2 = 0xA0761D6478BD642F;

    public static ulong Hash64(ReadOnlySpan<byte> data, ulong seed = 0)
    {
        int length = data.Length;
        ulong a, b;
        ulong state = seed ^ K0;
        if (length > 16)
        {
            ReadOnlySpan<byte> rest = data;
            while (rest.Length > 16)
            {
                state = Fold(Read64(rest) ^ K1, Read64(rest[8..]) ^ state);
                rest = rest[16..];
            }

            a = Read64(data[(length - 16)..]);
            b = Read64(data[(length - 8)..]);
        }
        else if (length >= 8)
        {
            a = Read64(data);
            b = Read64(data[(length - 8)..]);
        }
        else if (length >= 4)
        {
            a = BinaryPrimitives.ReadUInt32LittleEndian(data);
            b = BinaryPrimitives.ReadUInt32LittleEndian(data[(length - 4)..]);
        }
        else if (length > 0)
        {
            a = ((ulong)data[0] << 16) | ((ulong)data[length >> 1] << 8) | data[length - 1];
            b = 0;
        }
        else
        {
            a = 0;
            b = 0;
        }

        return Fold(K2 ^ (ulong)length, Fold(a ^ K1, b ^ state));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Read64(ReadOnlySpan<byte> data) => BinaryPrimitives.ReadUInt64LittleEndian(data);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Fold(ulong a, ulong b)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        return high ^ low;
    }
}
