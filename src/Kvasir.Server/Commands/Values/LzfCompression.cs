using System.Buffers;

namespace Kvasir.Server.Commands.Values;

/// <summary>
/// LibLZF's format (Marc Lehmann), in which Redis compresses strings of its dumps: runs of literals, and copies of up to 264
/// bytes from up to 8 KiB back. What it compresses is what LibLZF 3.6 makes with its "very fast" setting, byte for byte.
/// </summary>
internal static class LzfCompression
{
    /// <summary>Three bytes can stand for no more than this.</summary>
    public const int CopyLengthMax = 264;

    private const int HashBits = 16;
    private const int LiteralsMax = 32;
    private const int UnrolledSteps = 16;
    private const int DistanceMax = 1 << 13;

    /// <summary>The bytes written; 0 when they would not fit.</summary>
    public static int Compress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int[] table = ArrayPool<int>.Shared.Rent(1 << HashBits);
        try
        {
            table.AsSpan(0, 1 << HashBits).Clear();
            return Compress(source, destination, table);
        }
        finally
        {
            ArrayPool<int>.Shared.Return(table);
        }
    }

    private static int Compress(ReadOnlySpan<byte> source, Span<byte> destination, int[] places)
    {
        int from = 0;
        int to = 1;
        int literals = 0;
        while (from < source.Length - 2)
        {
            // Zero is no place: a copy never begins at the very first byte.
            ref int place = ref places[Slot(source, from)];
            int earlier = place;
            place = from;
            int distance = from - earlier - 1;
            if (earlier > 0 && distance < DistanceMax && source.Slice(earlier, 3).SequenceEqual(source.Slice(from, 3)))
            {
                if (to + 4 >= destination.Length && to - (literals == 0 ? 1 : 0) + 4 >= destination.Length)
                    return 0;
                EndRun(destination, ref to, literals);
                int length = MatchLength(source, earlier, from);
                WriteCopy(destination, ref to, length - 2, distance);
                literals = 0;
                to++;
                from += length;
                if (from >= source.Length - 2)
                    break;
                places[Slot(source, from - 2)] = from - 2;
                places[Slot(source, from - 1)] = from - 1;
                continue;
            }

            if (to >= destination.Length)
                return 0;
            AddLiteral(destination, ref to, ref literals, source[from++]);
        }

        if (to + 3 > destination.Length)
            return 0;
        while (from < source.Length)
            AddLiteral(destination, ref to, ref literals, source[from++]);
        EndRun(destination, ref to, literals);
        return to;
    }

    /// <summary>How far a copy goes that begins with three equal bytes.</summary>
    private static int MatchLength(ReadOnlySpan<byte> source, int earlier, int from)
    {
        // LibLZF stops two bytes before the end, but not in the steps that it unrolls.
        int longest = Math.Min(source.Length - from - 2, CopyLengthMax);
        int sure = longest > UnrolledSteps ? UnrolledSteps + 3 : 3;
        int length = 3;
        while ((length < sure || length < longest) && source[earlier + length] == source[from + length])
            length++;
        return length;
    }

    private static int Slot(ReadOnlySpan<byte> source, int at)
    {
        uint value = ((uint)source[at] << 16) | ((uint)source[at + 1] << 8) | source[at + 2];
        return (int)(((value >> (24 - HashBits)) - (value * 5)) & ((1 << HashBits) - 1));
    }

    /// <summary>Writes the length of the run before its bytes; a run of none gives its place back.</summary>
    private static void EndRun(Span<byte> destination, ref int to, int literals)
    {
        if (literals == 0)
            to--;
        else
            destination[to - literals - 1] = (byte)(literals - 1);
    }

    private static void WriteCopy(Span<byte> destination, ref int to, int length, int distance)
    {
        destination[to++] = (byte)((distance >> 8) + (Math.Min(length, 7) << 5));
        if (length >= 7)
            destination[to++] = (byte)(length - 7);
        destination[to++] = (byte)distance;
    }

    private static void AddLiteral(Span<byte> destination, ref int to, ref int literals, byte value)
    {
        literals++;
        destination[to++] = value;
        if (literals != LiteralsMax)
            return;
        EndRun(destination, ref to, literals);
        literals = 0;
        to++;
    }

    /// <summary>False unless <paramref name="source"/> makes exactly <paramref name="destination"/>. Never reads or writes outside them.</summary>
    public static bool TryDecompress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int from = 0;
        int to = 0;
        while (from < source.Length)
        {
            int control = source[from++];
            if (control < 32)
            {
                int literals = control + 1;
                if (source.Length - from < literals || destination.Length - to < literals)
                    return false;
                source.Slice(from, literals).CopyTo(destination[to..]);
                from += literals;
                to += literals;
                continue;
            }

            int length = control >> 5;
            if (length == 7)
            {
                if (from == source.Length)
                    return false;
                length += source[from++];
            }

            if (from == source.Length)
                return false;
            length += 2;
            int back = ((control & 0x1F) << 8) + source[from++] + 1;
            if (back > to || destination.Length - to < length)
                return false;
            // Byte by byte: the copy may overlap what it makes.
            for (int end = to + length; to < end; to++)
                destination[to] = destination[to - back];
        }

        return to == destination.Length;
    }
}
