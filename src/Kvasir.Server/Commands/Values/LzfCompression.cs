namespace Kvasir.Server.Commands.Values;

/// <summary>
/// Reads LibLZF's format (Marc Lehmann), in which Redis compresses strings of its dumps: runs of literals, and copies of
/// up to 264 bytes from up to 8 KiB back.
/// </summary>
internal static class LzfCompression
{
    /// <summary>Three bytes can stand for no more than this.</summary>
    public const int CopyLengthMax = 264;

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
