using System.Globalization;
using System.Numerics;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Commands.Strings;

/// <summary>
/// The 80-bit floating point numbers (64 bits of mantissa) in which Redis's INCRBYFLOAT computes on x86: read as strtold
/// reads, added with one rounding to nearest even, written as "%.17Lf" without trailing zeros. Exact integer arithmetic
/// throughout; not for hot paths.
/// </summary>
internal readonly record struct ExtendedFloat
{
    private const int MantissaBits = 64;

    /// <summary>Exponents of the lowest mantissa bit: of the smallest subnormal and of the largest finite number.</summary>
    private const int ExponentMin = -16445;
    private const int ExponentMax = 16320;

    /// <summary>Longest text that is looked at, as in Redis.</summary>
    private const int TextLengthMax = 5 * 1024;

    /// <summary>Invariant: |mantissa| &lt; 2^64; the number is mantissa * 2^exponent.</summary>
    private readonly BigInteger _mantissa;
    private readonly int _exponent;

    private ExtendedFloat(BigInteger mantissa, int exponent, bool isFinite)
    {
        _mantissa = mantissa;
        _exponent = exponent;
        IsFinite = isFinite;
    }

    public static ExtendedFloat Zero => new(BigInteger.Zero, 0, isFinite: true);

    /// <summary>False for both infinities; there is no other such number here.</summary>
    public bool IsFinite { get; }

    public static ExtendedFloat operator +(ExtendedFloat a, ExtendedFloat b)
    {
        if (!a.IsFinite || !b.IsFinite)
            return new ExtendedFloat(BigInteger.Zero, 0, isFinite: false);
        int exponent = Math.Min(a._exponent, b._exponent);
        BigInteger sum = (a._mantissa << (a._exponent - exponent)) + (b._mantissa << (b._exponent - exponent));
        return Round(sum.Sign < 0, BigInteger.Abs(sum), BigInteger.One, exponent);
    }

    /// <summary>False for text that is no number, or one too large or too small; infinities are numbers, NaN is not.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out ExtendedFloat value)
    {
        value = Zero;
        if (text.IsEmpty || text.Length >= TextLengthMax)
            return false;
        bool negative = text[0] == '-';
        ReadOnlySpan<byte> rest = text[0] is (byte)'-' or (byte)'+' ? text[1..] : text;
        if (Ascii.EqualsIgnoreCase(rest, "inf"u8) || Ascii.EqualsIgnoreCase(rest, "infinity"u8))
        {
            value = new ExtendedFloat(BigInteger.Zero, 0, isFinite: false);
            return true;
        }

        bool hex = rest.Length > 2 && rest[0] == '0' && (rest[1] | 0x20) == 'x';
        return hex ? TryParseHex(negative, rest[2..], out value) : TryParseDecimal(negative, rest, out value);
    }

    /// <summary>Writes the number with up to 17 decimals.</summary>
    public void AppendTo(BytesBuffer destination)
    {
        Check.That(IsFinite, "an infinity has no decimals");
        BigInteger scaled = BigInteger.Abs(_mantissa) * BigInteger.Pow(10, 17);
        scaled = _exponent >= 0 ? scaled << _exponent : DivideToEven(scaled, BigInteger.One << -_exponent);
        string digits = scaled.ToString(CultureInfo.InvariantCulture).PadLeft(18, '0');
        string text = $"{digits.AsSpan(0, digits.Length - 17)}.{digits.AsSpan(digits.Length - 17)}".TrimEnd('0').TrimEnd('.');
        if (_mantissa.Sign < 0 && !string.Equals(text, "0", StringComparison.Ordinal))
            destination.Append((byte)'-');
        destination.Append(Encoding.ASCII.GetBytes(text));
    }

    private static bool TryParseDecimal(bool negative, ReadOnlySpan<byte> text, out ExtendedFloat value)
    {
        value = Zero;
        if (!TryReadDigits(text, 10, out BigInteger digits, out int fractionDigits, out int significant, out ReadOnlySpan<byte> rest)
            || !TryReadExponent(rest, (byte)'e', out int exponent))
        {
            return false;
        }

        if (digits.IsZero)
            return true;
        exponent -= fractionDigits;
        // Far outside of the range, where the powers of ten would only take time.
        if (exponent + significant is > 5000 or < -5000)
            return false;
        value = exponent >= 0
            ? Round(negative, digits * BigInteger.Pow(10, exponent), BigInteger.One, 0)
            : Round(negative, digits, BigInteger.Pow(10, -exponent), 0);
        return value.IsFinite && !value._mantissa.IsZero;
    }

    private static bool TryParseHex(bool negative, ReadOnlySpan<byte> text, out ExtendedFloat value)
    {
        value = Zero;
        if (!TryReadDigits(text, 16, out BigInteger digits, out int fractionDigits, out _, out ReadOnlySpan<byte> rest)
            || !TryReadExponent(rest, (byte)'p', out int exponent))
        {
            return false;
        }

        if (digits.IsZero)
            return true;
        value = Round(negative, digits, BigInteger.One, exponent - (4 * fractionDigits));
        return value.IsFinite && !value._mantissa.IsZero;
    }

    private static bool TryReadDigits(
        ReadOnlySpan<byte> text, int radix, out BigInteger digits, out int fractionDigits, out int significant, out ReadOnlySpan<byte> rest)
    {
        var builder = new StringBuilder("0", text.Length + 1);
        fractionDigits = 0;
        bool point = false;
        bool any = false;
        int i = 0;
        for (; i < text.Length; i++)
        {
            byte c = text[i];
            if (c == '.' && !point)
            {
                point = true;
                continue;
            }

            if (!(radix == 16 ? char.IsAsciiHexDigit((char)c) : char.IsAsciiDigit((char)c)))
                break;
            any = true;
            builder.Append((char)c);
            if (point)
                fractionDigits++;
        }

        rest = text[i..];
        significant = builder.Length - 1;
        digits = BigInteger.Zero;
        return any && BigInteger.TryParse(
            builder.ToString(), radix == 16 ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out digits);
    }

    /// <summary>Nothing, or the letter and an integer; clamped far outside of any exponent that matters.</summary>
    private static bool TryReadExponent(ReadOnlySpan<byte> text, byte letter, out int exponent)
    {
        exponent = 0;
        if (text.IsEmpty)
            return true;
        if ((text[0] | 0x20) != letter || text.Length == 1)
            return false;
        bool negative = text[1] == '-';
        ReadOnlySpan<byte> digits = text[1] is (byte)'-' or (byte)'+' ? text[2..] : text[1..];
        if (digits.IsEmpty)
            return false;
        foreach (byte c in digits)
        {
            if (!char.IsAsciiDigit((char)c))
                return false;
            exponent = Math.Min((exponent * 10) + (c - '0'), 1_000_000);
        }

        if (negative)
            exponent = -exponent;
        return true;
    }

    /// <summary>The number nearest to numerator / denominator * 2^exponent.</summary>
    private static ExtendedFloat Round(bool negative, BigInteger numerator, BigInteger denominator, int exponent)
    {
        if (numerator.IsZero)
            return Zero;
        long bits = numerator.GetBitLength() - denominator.GetBitLength();
        if (bits + exponent > 20_000)
            return new ExtendedFloat(BigInteger.Zero, 0, isFinite: false);
        if (bits + exponent < -20_000)
            return Zero;
        // Leave the quotient MantissaBits or one more wide, but its lowest bit no lower than the smallest subnormal's.
        int shift = (int)Math.Min(MantissaBits - bits, exponent - ExponentMin);
        int resultExponent = exponent - shift;
        BigInteger quotient = Quotient(numerator, denominator, shift);
        if (quotient.GetBitLength() > MantissaBits)
        {
            resultExponent++;
            quotient = Quotient(numerator, denominator, shift - 1);
            if (quotient.GetBitLength() > MantissaBits)
            {
                // Rounded up to a power of two.
                quotient >>= 1;
                resultExponent++;
            }
        }

        return resultExponent > ExponentMax && quotient.GetBitLength() + resultExponent > MantissaBits + ExponentMax
            ? new ExtendedFloat(BigInteger.Zero, 0, isFinite: false)
            : new ExtendedFloat(negative ? -quotient : quotient, resultExponent, isFinite: true);
    }

    private static BigInteger Quotient(BigInteger numerator, BigInteger denominator, int shift) => shift >= 0
        ? DivideToEven(numerator << shift, denominator)
        : DivideToEven(numerator, denominator << -shift);

    private static BigInteger DivideToEven(BigInteger numerator, BigInteger denominator)
    {
        BigInteger quotient = BigInteger.DivRem(numerator, denominator, out BigInteger remainder);
        int half = (remainder << 1).CompareTo(denominator);
        return half > 0 || (half == 0 && !quotient.IsEven) ? quotient + 1 : quotient;
    }
}
