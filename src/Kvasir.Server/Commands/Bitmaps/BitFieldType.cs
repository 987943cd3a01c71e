using Kvasir.Server.Commands.Values;

namespace Kvasir.Server.Commands.Bitmaps;

/// <summary>What becomes of a result that its field cannot hold.</summary>
internal enum BitFieldOverflow
{
    Wrap,
    Saturate,
    Fail,
}

/// <summary>An integer of a bitmap: signed of 1 to 64 bits, or unsigned of 1 to 63.</summary>
internal readonly record struct BitFieldType(bool Signed, int Bits)
{
    public static bool TryParse(ReadOnlySpan<byte> text, out BitFieldType type)
    {
        type = default;
        if (text.IsEmpty || text[0] is not ((byte)'i' or (byte)'u') || !NumberText.TryParseInt64(text[1..], out long bits))
            return false;
        bool signed = text[0] == 'i';
        if (bits < 1 || bits > (signed ? 64 : 63))
            return false;
        type = new BitFieldType(signed, (int)bits);
        return true;
    }

    /// <summary>What lies beyond the end is zero.</summary>
    public long Read(ReadOnlySpan<byte> bytes, long offset)
    {
        ulong value = 0;
        for (int i = 0; i < Bits; i++, offset++)
        {
            int index = (int)(offset >> 3);
            int bit = index < bytes.Length ? (bytes[index] >> (7 - (int)(offset & 7))) & 1 : 0;
            value = (value << 1) | (uint)bit;
        }

        return Signed && Bits < 64 ? (long)(value << (64 - Bits)) >> (64 - Bits) : (long)value;
    }

    /// <summary>Writes the low bits of <paramref name="value"/>; there must be room.</summary>
    public void Write(Span<byte> bytes, long offset, long value)
    {
        for (int i = Bits - 1; i >= 0; i--, offset++)
        {
            ref byte b = ref bytes[(int)(offset >> 3)];
            byte mask = (byte)(0x80 >> (int)(offset & 7));
            b = ((value >> i) & 1) != 0 ? (byte)(b | mask) : (byte)(b & ~mask);
        }
    }

    /// <summary>The sum as the field holds it; false when it does not and <paramref name="overflow"/> says to fail.</summary>
    public bool TryAdd(long value, long delta, BitFieldOverflow overflow, out long result)
    {
        // An operand of SET for an unsigned field counts as unsigned: -1 is far too large.
        Int128 sum = (Signed ? (Int128)value : (Int128)(ulong)value) + delta;
        Int128 max = (Int128.One << (Signed ? Bits - 1 : Bits)) - 1;
        Int128 min = Signed ? -max - 1 : 0;
        if (sum >= min && sum <= max)
        {
            result = (long)sum;
            return true;
        }

        if (overflow == BitFieldOverflow.Saturate)
        {
            result = (long)(sum > max ? max : min);
            return true;
        }

        ulong low = unchecked((ulong)sum) << (64 - Bits);
        result = Signed ? (long)low >> (64 - Bits) : (long)(low >> (64 - Bits));
        return overflow == BitFieldOverflow.Wrap;
    }
}
