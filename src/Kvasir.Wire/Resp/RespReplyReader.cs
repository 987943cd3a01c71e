using System.Buffers.Text;
using System.Runtime.CompilerServices;

namespace Kvasir.Wire.Resp;

/// <summary>
/// Walks the elements of replies in protocol 2 and 3 as they lie in a buffer; an aggregate is one element that says how
/// many follow. Pure; spans point into the input. Made for clients: a server reads commands, not replies.
/// </summary>
public ref struct RespReplyReader
{
    /// <summary>A line that is not a bulk string cannot be longer: beyond it the other side does not speak RESP.</summary>
    public const int LineBytesMax = 64 << 10;

    private readonly ReadOnlySpan<byte> _input;

    public RespReplyReader(ReadOnlySpan<byte> input) => _input = input;

    public RespReplyKind Kind { get; private set; }

    /// <summary>The text of a scalar (without the format prefix of a verbatim string); empty for aggregates.</summary>
    public ReadOnlySpan<byte> Text { get; private set; }

    /// <summary>Elements that follow and belong to this one: twice the pairs of a map or an attribute.</summary>
    public long Count { get; private set; }

    /// <summary>Bytes of all elements read so far.</summary>
    public int Consumed { get; private set; }

    /// <summary>
    /// Reads the next element. False when the input ends inside it: nothing was consumed, come back with more.
    /// </summary>
    /// <exception cref="RespFormatException">The bytes are no RESP.</exception>
    public bool TryRead()
    {
        ReadOnlySpan<byte> rest = _input[Consumed..];
        int end = rest.IndexOf("\r\n"u8);
        if (end <= 0)
        {
            if (end == 0 || rest.Length > LineBytesMax)
                throw new RespFormatException("a reply without a type");
            return false;
        }

        ReadOnlySpan<byte> line = rest[1..end];
        Count = 0;
        Text = default;
        switch (rest[0])
        {
            case (byte)'+': return Scalar(RespReplyKind.SimpleString, line, end);
            case (byte)'-': return Scalar(RespReplyKind.Error, line, end);
            case (byte)':': return Scalar(RespReplyKind.Integer, line, end);
            case (byte)',': return Scalar(RespReplyKind.Double, line, end);
            case (byte)'#': return Scalar(RespReplyKind.Boolean, line, end);
            case (byte)'(': return Scalar(RespReplyKind.BigNumber, line, end);
            case (byte)'_': return Scalar(RespReplyKind.Null, line, end);
            case (byte)'$': return Bulk(RespReplyKind.BulkString, line, end, rest);
            case (byte)'!': return Bulk(RespReplyKind.Error, line, end, rest);
            case (byte)'=': return Bulk(RespReplyKind.Verbatim, line, end, rest);
            case (byte)'*': return Aggregate(RespReplyKind.Array, line, end, perItem: 1);
            case (byte)'~': return Aggregate(RespReplyKind.Set, line, end, perItem: 1);
            case (byte)'>': return Aggregate(RespReplyKind.Push, line, end, perItem: 1);
            case (byte)'%': return Aggregate(RespReplyKind.Map, line, end, perItem: 2);
            case (byte)'|': return Aggregate(RespReplyKind.Attribute, line, end, perItem: 2);
            default: throw new RespFormatException($"a reply cannot begin with the byte 0x{rest[0]:X2}");
        }
    }

    /// <summary>
    /// Bytes of the first whole reply in <paramref name="input"/>, with everything nested in it, or 0 when more bytes
    /// are needed. <paramref name="kind"/> is that of the reply itself.
    /// </summary>
    public static int Measure(ReadOnlySpan<byte> input, out RespReplyKind kind)
    {
        var reader = new RespReplyReader(input);
        kind = RespReplyKind.Null;
        long pending = 1;
        long inAttribute = 0;
        bool found = false;
        while (pending > 0)
        {
            if (!reader.TryRead())
                return 0;
            pending += reader.Count;

            // An attribute stands in front of the reply it describes and does not take its place.
            bool isAttribute = reader.Kind == RespReplyKind.Attribute;
            if (!isAttribute)
                pending--;
            if (found)
                continue;
            if (isAttribute || inAttribute > 0)
            {
                inAttribute += reader.Count - (isAttribute ? 0 : 1);
                continue;
            }

            kind = reader.Kind;
            found = true;
        }

        return reader.Consumed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Scalar(RespReplyKind kind, ReadOnlySpan<byte> line, int end)
    {
        Kind = kind;
        Text = line;
        Consumed += end + 2;
        return true;
    }

    private bool Bulk(RespReplyKind kind, ReadOnlySpan<byte> line, int end, ReadOnlySpan<byte> rest)
    {
        long length = Number(line);
        if (length == -1)
            return Scalar(RespReplyKind.Null, default, end);
        if (length is < 0 or > int.MaxValue - 64)
            throw new RespFormatException($"a string of {length} bytes");
        if (rest.Length - end - 4 < length)
            return false;
        ReadOnlySpan<byte> text = rest.Slice(end + 2, (int)length);
        if (rest[end + 2 + (int)length] != '\r' || rest[end + 3 + (int)length] != '\n')
            throw new RespFormatException("a string that does not end where it says");
        if (kind == RespReplyKind.Verbatim)
        {
            if (length < 4 || text[3] != ':')
                throw new RespFormatException("a verbatim string without a format");
            text = text[4..];
        }

        Kind = kind;
        Text = text;
        Consumed += end + 4 + (int)length;
        return true;
    }

    private bool Aggregate(RespReplyKind kind, ReadOnlySpan<byte> line, int end, int perItem)
    {
        long count = Number(line);
        if (count == -1)
            return Scalar(RespReplyKind.Null, default, end);
        if (count is < 0 or > int.MaxValue)
            throw new RespFormatException($"an aggregate of {count} elements");
        Kind = kind;
        Count = count * perItem;
        Consumed += end + 2;
        return true;
    }

    private static long Number(ReadOnlySpan<byte> line) =>
        Utf8Parser.TryParse(line, out long value, out int used) && used == line.Length
            ? value
            : throw new RespFormatException("a length that is no number");
}

public enum RespReplyKind
{
    Null,
    SimpleString,
    Error,
    Integer,
    BulkString,
    Double,
    Boolean,
    BigNumber,
    Verbatim,
    Array,
    Set,
    Map,
    Push,
    Attribute,
}

/// <summary>Bytes that should be RESP and are not.</summary>
public sealed class RespFormatException : Exception
{
    public RespFormatException() { }

    public RespFormatException(string message) : base(message) { }

    public RespFormatException(string message, Exception? inner) : base(message, inner) { }
}
