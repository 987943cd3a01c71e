using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Values;

/// <summary>Reads integers exactly as Redis does: no spaces, no plus sign, no leading zeros, 64 bits.</summary>
internal static class NumberText
{
    public const string NotAnInteger = "ERR value is not an integer or out of range";

    /// <summary>Longest text of a 64-bit integer.</summary>
    public const int Int64LengthMax = 20;

    public static bool TryParseInt64(ReadOnlySpan<byte> text, out long value)
    {
        value = 0;
        if (text.IsEmpty || text.Length > Int64LengthMax)
            return false;
        if (text.Length == 1 && text[0] == '0')
            return true;
        bool negative = text[0] == '-';
        ReadOnlySpan<byte> digits = negative ? text[1..] : text;
        if (digits.IsEmpty || digits[0] is < (byte)'1' or > (byte)'9')
            return false;
        ulong magnitude = 0;
        foreach (byte c in digits)
        {
            uint digit = (uint)(c - '0');
            if (digit > 9 || magnitude > (ulong.MaxValue - digit) / 10)
                return false;
            magnitude = (magnitude * 10) + digit;
        }

        if (magnitude > (ulong)long.MaxValue + (negative ? 1UL : 0UL))
            return false;
        value = negative ? (long)(0 - magnitude) : (long)magnitude;
        return true;
    }

    /// <summary>Reads an argument, or answers why it is no integer.</summary>
    public static bool TryArgument(CommandContext context, int index, out long value, string error = NotAnInteger)
    {
        if (TryParseInt64(context.Argument(index), out value))
            return true;
        context.Reply.Error(error);
        return false;
    }

    /// <summary>Reads an argument that must fit 32 bits, or answers why it does not.</summary>
    public static bool TryInt32Argument(CommandContext context, int index, out int value, string? error = null)
    {
        value = 0;
        if (!TryArgument(context, index, out long wide, error ?? NotAnInteger))
            return false;
        if (wide is < int.MinValue or > int.MaxValue)
        {
            context.Reply.Error(error ?? "ERR value is out of range, value must between -2147483648 and 2147483647");
            return false;
        }

        value = (int)wide;
        return true;
    }

    /// <summary>Writes <paramref name="value"/> in decimal over <paramref name="into"/>'s content.</summary>
    public static ReadOnlySpan<byte> Format(long value, BytesBuffer into)
    {
        into.Clear();
        Check.That(value.TryFormat(into.GetSpan(Int64LengthMax), out int length));
        into.Advance(length);
        return into.WrittenSpan;
    }
}
