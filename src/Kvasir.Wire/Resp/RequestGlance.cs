namespace Kvasir.Wire.Resp;

/// <summary>
/// A quick look at a request that has not been parsed yet, for what is worth a guess: where its first argument lies, which
/// is mostly a key, and where it ends. Understands whole arrays of short bulk strings, judges nothing, and gives up at
/// anything else; <see cref="RespRequestParser"/> decides later what was sent.
/// </summary>
public static class RequestGlance
{
    private const int ArgumentsMax = 16;

    /// <summary>
    /// Looks at the request that begins at <paramref name="at"/> and moves there behind its end. False when there is no
    /// whole request of a common form; <paramref name="key"/> is empty when it has no argument.
    /// </summary>
    public static bool TryNext(ReadOnlySpan<byte> bytes, ref int at, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> key)
    {
        name = default;
        key = default;
        int position = at;
        if (!TryHeader(bytes, (byte)'*', ref position, out int count) || count is 0 or > ArgumentsMax)
            return false;
        for (int i = 0; i < count; i++)
        {
            if (!TryHeader(bytes, (byte)'$', ref position, out int length) || bytes.Length - position < length + 2)
                return false;
            if (i == 0)
                name = bytes.Slice(position, length);
            else if (i == 1)
                key = bytes.Slice(position, length);
            position += length + 2;
        }

        at = position;
        return true;
    }

    /// <summary>A type byte, up to four digits, and the end of the line.</summary>
    private static bool TryHeader(ReadOnlySpan<byte> bytes, byte type, ref int position, out int number)
    {
        number = 0;
        int i = position;
        if (bytes.Length - i < 4 || bytes[i] != type)
            return false;
        int last = Math.Min(i + 5, bytes.Length - 2);
        for (i++; i < last; i++)
        {
            uint digit = (uint)bytes[i] - '0';
            if (digit > 9)
                break;
            number = (number * 10) + (int)digit;
        }

        if (i == position + 1 || bytes[i] != (byte)'\r')
            return false;
        position = i + 2;
        return true;
    }
}
