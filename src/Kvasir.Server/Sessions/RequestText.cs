using System.Buffers.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>Writes requests as clients do: an array of bulk strings.</summary>
internal static class RequestText
{
    public static void Begin(BytesBuffer output, int arguments) => Number(output, (byte)'*', arguments);

    public static void Argument(BytesBuffer output, ReadOnlySpan<byte> argument)
    {
        Number(output, (byte)'$', argument.Length);
        output.Append(argument);
        output.Append("\r\n"u8);
    }

    public static void Argument(BytesBuffer output, long number)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(number, digits, out int length);
        Argument(output, digits[..length]);
    }

    private static void Number(BytesBuffer output, byte kind, int number)
    {
        Span<byte> span = output.GetSpan(16);
        span[0] = kind;
        Utf8Formatter.TryFormat(number, span[1..], out int digits);
        span[1 + digits] = (byte)'\r';
        span[2 + digits] = (byte)'\n';
        output.Advance(digits + 3);
    }
}
