using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>Redis's commands. It keeps nothing, so one serves all connections.</summary>
internal sealed class RespLoadProtocol : ILoadProtocol
{
    public static readonly RespLoadProtocol Instance = new();

    private RespLoadProtocol()
    {
    }

    public void Get(BytesBuffer output, long key)
    {
        output.Append("*2\r\n$3\r\nGET\r\n"u8);
        Key(output, key, "key:"u8);
    }

    public void Set(BytesBuffer output, long key, ReadOnlySpan<byte> value)
    {
        output.Append("*3\r\n$3\r\nSET\r\n"u8);
        Key(output, key, "key:"u8);
        Length(output, (byte)'$', value.Length);
        output.Append(value);
        output.Append("\r\n"u8);
    }

    public void Increment(BytesBuffer output, long key)
    {
        output.Append("*2\r\n$4\r\nINCR\r\n"u8);
        Key(output, key, "ctr:"u8);
    }

    public void Scan(BytesBuffer output, long key, int length, long keys)
    {
        Length(output, (byte)'*', length + 1);
        output.Append("$4\r\nMGET\r\n"u8);
        for (int i = 0; i < length; i++)
            Key(output, (key + i) % keys, "key:"u8);
    }

    public int Take(ReadOnlySpan<byte> input, out LoadReply reply)
    {
        int length = RespReplyReader.Measure(input, out RespReplyKind kind);
        reply = kind switch
        {
            RespReplyKind.Error => LoadReply.Error,
            RespReplyKind.Null => LoadReply.Missing,
            _ => LoadReply.Answer,
        };
        return length;
    }

    public void AppendOwn(BytesBuffer output)
    {
        // Nothing but requests and replies.
    }

    /// <summary>Sixteen bytes, as those of redis-benchmark: a prefix and twelve digits.</summary>
    private static void Key(BytesBuffer output, long key, ReadOnlySpan<byte> prefix)
    {
        Span<byte> span = output.GetSpan(23);
        "$16\r\n"u8.CopyTo(span);
        LoadKey.Write(span.Slice(5, LoadKey.Length), key, prefix);
        span[21] = (byte)'\r';
        span[22] = (byte)'\n';
        output.Advance(23);
    }

    private static void Length(BytesBuffer output, byte kind, int number)
    {
        Span<byte> span = output.GetSpan(16);
        span[0] = kind;
        number.TryFormat(span[1..], out int digits, default, CultureInfo.InvariantCulture);
        "\r\n"u8.CopyTo(span[(1 + digits)..]);
        output.Advance(digits + 3);
    }
}

/// <summary>Keys look the same in every protocol.</summary>
internal static class LoadKey
{
    public const int Length = 16;

    /// <summary>A prefix of four bytes and twelve digits.</summary>
    public static void Write(Span<byte> destination, long key, ReadOnlySpan<byte> prefix)
    {
        prefix.CopyTo(destination);
        for (int i = Length - 1; i >= prefix.Length; i--)
        {
            destination[i] = (byte)('0' + (key % 10));
            key /= 10;
        }
    }
}
