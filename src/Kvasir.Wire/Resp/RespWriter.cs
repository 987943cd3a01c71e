using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Wire.Resp;

/// <summary>
/// Writes RESP replies into a buffer, in protocol 2 or 3: a type that protocol 2 lacks is written as Redis writes it
/// there (a map as a flat array, a double as a bulk string, null as a null bulk). Not thread-safe.
/// </summary>
public sealed class RespWriter
{
    // Of the last bulk string that others appended: "$100\r\n".
    private int _lastHeaderLength = 6;

    public RespWriter(BytesBuffer buffer) => Buffer = buffer;

    public BytesBuffer Buffer { get; }

    /// <summary>2 or 3.</summary>
    public int Protocol { get; set; } = 2;

    public void Ok() => Buffer.Append("+OK\r\n"u8);

    public void SimpleString(ReadOnlySpan<byte> text) => Line((byte)'+', text);

    /// <summary>An error line; <paramref name="text"/> begins with its code, as in <c>ERR no such key</c>.</summary>
    public void Error(string text)
    {
        int max = Encoding.UTF8.GetMaxByteCount(text.Length);
        Span<byte> span = Buffer.GetSpan(max + 3);
        span[0] = (byte)'-';
        int length = Encoding.UTF8.GetBytes(text, span[1..]);
        foreach (ref byte b in span.Slice(1, length))
        {
            if (b is (byte)'\r' or (byte)'\n')
                b = (byte)' ';
        }

        span[1 + length] = (byte)'\r';
        span[2 + length] = (byte)'\n';
        Buffer.Advance(length + 3);
    }

    /// <summary>An error line of bytes that need not be text.</summary>
    public void Error(ReadOnlySpan<byte> text)
    {
        int start = Buffer.Length + 1;
        Line((byte)'-', text);
        foreach (ref byte b in Buffer.WrittenSpan.Slice(start, text.Length))
        {
            if (b is (byte)'\r' or (byte)'\n')
                b = (byte)' ';
        }
    }

    /// <summary>
    /// An error line that quotes what a client sent: as far as C would print it, which is to the first NUL, and at most
    /// <paramref name="max"/> bytes.
    /// </summary>
    public void ErrorAbout(ReadOnlySpan<byte> before, ReadOnlySpan<byte> quoted, ReadOnlySpan<byte> after, int max = 128)
    {
        quoted = CText(quoted);
        int start = Buffer.Length + 1;
        Buffer.Append((byte)'-');
        Buffer.Append(before);
        Buffer.Append(quoted[..Math.Min(quoted.Length, max)]);
        Buffer.Append(after);
        foreach (ref byte b in Buffer.WrittenSpan[start..])
        {
            if (b is (byte)'\r' or (byte)'\n')
                b = (byte)' ';
        }

        Buffer.Append("\r\n"u8);
    }

    /// <summary>What is before the first NUL.</summary>
    public static ReadOnlySpan<byte> CText(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)0);
        return end < 0 ? text : text[..end];
    }

    public void Integer(long value)
    {
        if ((ulong)value < 10)
        {
            Span<byte> small = Buffer.GetSpan(4);
            small[0] = (byte)':';
            small[1] = (byte)('0' + value);
            small[2] = (byte)'\r';
            small[3] = (byte)'\n';
            Buffer.Advance(4);
            return;
        }

        Number((byte)':', value);
    }

    public void BulkString(ReadOnlySpan<byte> value)
    {
        Span<byte> span = Buffer.GetSpan(value.Length + 16);
        int at = Header(span, (byte)'$', value.Length);
        value.CopyTo(span[at..]);
        at += value.Length;
        span[at] = (byte)'\r';
        span[at + 1] = (byte)'\n';
        Buffer.Advance(at + 2);
    }

    public void BulkString(string value)
    {
        int length = Encoding.UTF8.GetByteCount(value);
        Span<byte> span = Buffer.GetSpan(length + 16);
        int at = Header(span, (byte)'$', length);
        at += Encoding.UTF8.GetBytes(value, span[at..]);
        span[at] = (byte)'\r';
        span[at + 1] = (byte)'\n';
        Buffer.Advance(at + 2);
    }

    /// <summary>
    /// Begins a bulk string that somebody else appends to <see cref="Buffer"/>, behind a prefix of
    /// <paramref name="prefixLength"/> bytes that is not part of it. Returns a mark for <see cref="EndBulkString"/>; to give
    /// up, cut the buffer to the mark.
    /// </summary>
    public int BeginBulkString(int prefixLength)
    {
        // Room for a header like the last one's, which the prefix's bytes are part of: mostly nothing need be moved then.
        int mark = Buffer.Length;
        int room = Math.Max(_lastHeaderLength - prefixLength, 0);
        _ = Buffer.GetSpan(room);
        Buffer.Advance(room);
        return mark;
    }

    /// <summary>Where what is appended after <see cref="BeginBulkString"/> begins: with the prefix.</summary>
    public ReadOnlySpan<byte> AppendedSince(int mark, int prefixLength) =>
        Buffer.WrittenSpan[(mark + Math.Max(_lastHeaderLength - prefixLength, 0))..];

    public void EndBulkString(int mark, int prefixLength)
    {
        int room = Math.Max(_lastHeaderLength - prefixLength, 0) + prefixLength;
        int length = Buffer.Length - mark - room;
        Span<byte> header = stackalloc byte[16];
        int headerLength = Header(header, (byte)'$', length);
        if (headerLength != room)
        {
            int grown = headerLength - room;
            if (grown > 0)
            {
                _ = Buffer.GetSpan(grown);
                Buffer.Advance(grown);
            }

            Buffer.WrittenSpan.Slice(mark + room, length).CopyTo(Buffer.WrittenSpan[(mark + headerLength)..]);
            Buffer.Truncate(mark + headerLength + length);
            _lastHeaderLength = headerLength;
        }

        header[..headerLength].CopyTo(Buffer.WrittenSpan[mark..]);
        Buffer.Append("\r\n"u8);
    }

    /// <summary>A number as a bulk string, as INCRBYFLOAT and OBJECT answer.</summary>
    public void BulkInteger(long value)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(value, digits, out int length);
        BulkString(digits[..length]);
    }

    /// <summary>No value.</summary>
    public void Null() => Buffer.Append(Protocol >= 3 ? "_\r\n"u8 : "$-1\r\n"u8);

    /// <summary>No array, as EXEC answers when a watched key was touched.</summary>
    public void NullArray() => Buffer.Append(Protocol >= 3 ? "_\r\n"u8 : "*-1\r\n"u8);

    public void ArrayHeader(int count) => Number((byte)'*', count);

    /// <summary>Followed by <paramref name="pairs"/> keys, each with its value.</summary>
    public void MapHeader(int pairs) => Number(Protocol >= 3 ? (byte)'%' : (byte)'*', Protocol >= 3 ? pairs : pairs * 2);

    public void SetHeader(int count) => Number(Protocol >= 3 ? (byte)'~' : (byte)'*', count);

    /// <summary>An out-of-band message; an array in protocol 2.</summary>
    public void PushHeader(int count) => Number(Protocol >= 3 ? (byte)'>' : (byte)'*', count);

    public void Boolean(bool value)
    {
        if (Protocol >= 3)
            Buffer.Append(value ? "#t\r\n"u8 : "#f\r\n"u8);
        else
            Integer(value ? 1 : 0);
    }

    public void Double(double value)
    {
        string text = double.IsPositiveInfinity(value) ? "inf" : double.IsNegativeInfinity(value) ? "-inf"
            : double.IsNaN(value) ? "nan" : value.ToString("R", CultureInfo.InvariantCulture);
        if (Protocol < 3)
        {
            BulkString(text);
            return;
        }

        Buffer.Append((byte)',');
        Span<byte> span = Buffer.GetSpan(text.Length);
        Buffer.Advance(Encoding.ASCII.GetBytes(text, span));
        Buffer.Append("\r\n"u8);
    }

    /// <summary>Text for a person (INFO, CLIENT LIST): verbatim in protocol 3, a bulk string in 2.</summary>
    public void Verbatim(string text)
    {
        if (Protocol < 3)
        {
            BulkString(text);
            return;
        }

        int length = Encoding.UTF8.GetByteCount(text);
        Number((byte)'=', length + 4);
        Buffer.Append("txt:"u8);
        Span<byte> span = Buffer.GetSpan(length);
        Buffer.Advance(Encoding.UTF8.GetBytes(text, span));
        Buffer.Append("\r\n"u8);
    }

    private void Line(byte type, ReadOnlySpan<byte> text)
    {
        Span<byte> span = Buffer.GetSpan(text.Length + 3);
        span[0] = type;
        text.CopyTo(span[1..]);
        span[1 + text.Length] = (byte)'\r';
        span[2 + text.Length] = (byte)'\n';
        Buffer.Advance(text.Length + 3);
    }

    private void Number(byte type, long value)
    {
        Span<byte> span = Buffer.GetSpan(24);
        Buffer.Advance(Header(span, type, value));
    }

    private static int Header(Span<byte> span, byte type, long value)
    {
        span[0] = type;
        Utf8Formatter.TryFormat(value, span[1..], out int length);
        span[1 + length] = (byte)'\r';
        span[2 + length] = (byte)'\n';
        return length + 3;
    }
}
