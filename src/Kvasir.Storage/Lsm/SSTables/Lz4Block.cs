using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// The LZ4 block format (github.com/lz4/lz4, doc/lz4_Block_format.md): sequences of a token, literals and a match.
/// The encoder is the plain greedy one with a hash table; the decoder never reads or writes outside its spans, whatever
/// the input.
/// </summary>
internal static unsafe class Lz4Block
{
    /// <summary>Slots of the table that the encoder wants for scratch: zeros before its first block, then left alone.</summary>
    public const int TableSlots = (1 << HashBits) + 1;

    private const int HashBits = 12;
    private const int MinMatch = 4;

    // The format's rules for the end of a block: the last five bytes are literals, and the last match starts at least
    // twelve bytes before the end.
    private const int LastLiterals = 5;
    private const int MatchStartMargin = 12;
    private const int MaxDistance = 65535;

    // Copied sixteen bytes at a time, past their end where there is room: a call costs more than that.
    private const int FewLiterals = 64;

    /// <summary>
    /// Compresses; returns the length, or 0 when the result would not fit <paramref name="destination"/>.
    /// The result does not depend on what the table was used for before.
    /// </summary>
    public static int Compress(ReadOnlySpan<byte> source, Span<byte> destination, Span<int> table)
    {
        Check.That(table.Length >= TableSlots);
        // Clearing the table for each block costs as much as compressing it. Slots hold places above an origin, kept in
        // the last slot, that moves on with each block by so much that older places are all too far away to match.
        int origin = table[TableSlots - 1];
        if (origin <= MaxDistance || origin > int.MaxValue / 2 || source.Length > int.MaxValue / 4)
        {
            table[..TableSlots].Clear();
            origin = MaxDistance + 1;
        }

        table[TableSlots - 1] = (int)Math.Min((long)origin + source.Length + MaxDistance + 1, int.MaxValue);
        fixed (byte* src = source)
        fixed (byte* dst = destination)
        fixed (int* slots = table)
        {
            int length = source.Length;
            int anchor = 0;
            int to = 0;
            int capacity = destination.Length;
            int matchStartEnd = length - MatchStartMargin;
            int at = 0;
            int misses = 0;
            while (at < matchStartEnd)
            {
                uint word = Unsafe.ReadUnaligned<uint>(src + at);
                uint hash = (word * 2654435761u) >> (32 - HashBits);
                int candidate = slots[hash] - origin;
                slots[hash] = origin + at;

                // The words first, since nearly all differ, which the processor guesses right; whether the slot is of this
                // block it would guess wrong half of the time. A place of an earlier block is negative: read the start instead.
                if (Unsafe.ReadUnaligned<uint>(src + (candidate & ~(candidate >> 31))) != word
                    || candidate < 0 || at - candidate > MaxDistance)
                {
                    // Incompressible stretches are crossed with growing steps.
                    at += 1 + (misses++ >> 5);
                    continue;
                }

                misses = 0;
                while (at > anchor && candidate > 0 && src[at - 1] == src[candidate - 1])
                {
                    at--;
                    candidate--;
                }

                int matched = MinMatch + CommonLength(src + at + MinMatch, src + candidate + MinMatch, length - LastLiterals - at - MinMatch);
                int literals = at - anchor;
                if (to + 1 + (literals / 255) + 1 + literals + 2 + (matched / 255) + 1 > capacity)
                    return 0;
                if (literals < FewLiterals && length - anchor >= FewLiterals && capacity - to >= FewLiterals + 2)
                    to = EmitFewLiterals(dst, to, src + anchor, literals, matched - MinMatch);
                else
                    to = EmitLiterals(dst, to, src + anchor, literals, matched - MinMatch);
                Unsafe.WriteUnaligned(dst + to, (ushort)(at - candidate));
                to += 2;
                if (matched - MinMatch >= 15)
                    to = EmitLength(dst, to, matched - MinMatch - 15);
                at += matched;
                anchor = at;
                if (at < matchStartEnd)
                    slots[(Unsafe.ReadUnaligned<uint>(src + at - 2) * 2654435761u) >> (32 - HashBits)] = origin + at - 2;
            }

            int rest = length - anchor;
            if (to + 1 + (rest / 255) + 1 + rest > capacity)
                return 0;
            return EmitLiterals(dst, to, src + anchor, rest, 0);
        }
    }

    /// <summary>True when <paramref name="source"/> decodes to exactly the bytes that fill <paramref name="destination"/>.</summary>
    public static bool TryDecompress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        fixed (byte* src = source)
        fixed (byte* dst = destination)
            return Decode(src, source.Length, dst, destination.Length);
    }

    private static bool Decode(byte* src, int sourceLength, byte* dst, int length)
    {
        int at = 0;
        int to = 0;
        while (at < sourceLength)
        {
            int token = src[at++];
            int literals = token >> 4;
            if (literals == 15 && !TryReadLength(src, sourceLength, ref at, ref literals))
                return false;
            if (literals > sourceLength - at || literals > length - to)
                return false;
            if (sourceLength - at - literals >= 16 && length - to - literals >= 16)
            {
                // May read and write up to fifteen bytes past the literals, inside the spans.
                for (int i = 0; i < literals; i += 16)
                    Copy16(dst + to + i, src + at + i);
            }
            else
            {
                Unsafe.CopyBlockUnaligned(dst + to, src + at, (uint)literals);
            }

            at += literals;
            to += literals;
            if (at == sourceLength)
                return to == length;
            if (sourceLength - at < 2)
                return false;
            int distance = src[at] | (src[at + 1] << 8);
            at += 2;
            int matched = token & 15;
            if (matched == 15 && !TryReadLength(src, sourceLength, ref at, ref matched))
                return false;
            matched += MinMatch;
            if (distance == 0 || distance > to || matched > length - to)
                return false;
            byte* from = dst + to - distance;
            byte* target = dst + to;
            if (distance >= 16 && length - to - matched >= 16)
            {
                // May write up to fifteen bytes past the match, inside the destination; later output overwrites them.
                for (int i = 0; i < matched; i += 16)
                    Copy16(target + i, from + i);
            }
            else if (distance >= 8 && length - to - matched >= 8)
            {
                for (int i = 0; i < matched; i += 8)
                    Unsafe.WriteUnaligned(target + i, Unsafe.ReadUnaligned<ulong>(from + i));
            }
            else if (distance == 1)
            {
                Unsafe.InitBlockUnaligned(target, *from, (uint)matched);
            }
            else
            {
                for (int i = 0; i < matched; i++)
                    target[i] = from[i];
            }

            to += matched;
        }

        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy16(byte* to, byte* from) =>
        Unsafe.WriteUnaligned(to, Unsafe.ReadUnaligned<System.Runtime.Intrinsics.Vector128<byte>>(from));

    private static bool TryReadLength(byte* src, int sourceLength, ref int at, ref int value)
    {
        while (at < sourceLength)
        {
            byte b = src[at++];
            value += b;
            if (value > int.MaxValue / 2)
                return false;
            if (b != 255)
                return true;
        }

        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int EmitLiterals(byte* dst, int to, byte* literals, int count, int matchCode)
    {
        dst[to++] = (byte)((Math.Min(count, 15) << 4) | Math.Min(matchCode, 15));
        if (count >= 15)
            to = EmitLength(dst, to, count - 15);
        Unsafe.CopyBlockUnaligned(dst + to, literals, (uint)count);
        return to + count;
    }

    /// <summary>As <see cref="EmitLiterals"/>, for fewer than <see cref="FewLiterals"/>: reads and writes up to that many.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int EmitFewLiterals(byte* dst, int to, byte* literals, int count, int matchCode)
    {
        dst[to++] = (byte)((Math.Min(count, 15) << 4) | Math.Min(matchCode, 15));
        if (count >= 15)
            dst[to++] = (byte)(count - 15);
        for (int i = 0; i < count; i += 16)
            Copy16(dst + to + i, literals + i);
        return to + count;
    }

    private static int EmitLength(byte* dst, int to, int rest)
    {
        while (rest >= 255)
        {
            dst[to++] = 255;
            rest -= 255;
        }

        dst[to++] = (byte)rest;
        return to;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int CommonLength(byte* a, byte* b, int max)
    {
        int i = 0;
        while (i + 8 <= max)
        {
            ulong difference = Unsafe.ReadUnaligned<ulong>(a + i) ^ Unsafe.ReadUnaligned<ulong>(b + i);
            if (difference != 0)
            {
                if (!BitConverter.IsLittleEndian)
                    difference = BinaryPrimitives.ReverseEndianness(difference);
                return i + (BitOperations.TrailingZeroCount(difference) >> 3);
            }

            i += 8;
        }

        while (i < max && a[i] == b[i])
            i++;
        return i;
    }
}
