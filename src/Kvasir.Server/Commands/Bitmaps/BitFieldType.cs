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
        int direction = Signed ? SignedOverflow(value, delta, out long limit) : UnsignedOverflow((ulong)value, delta, out limit);
        result = unchecked(value + delta);
        if (direction == 0)
            return true;
        if (overflow == BitFieldOverflow.Saturate)
        {
            result = limit;
            return true;
        }

        ulong low = (ulong)result << (64 - Bits);
        result = Signed ? (long)low >> (64 - Bits) : (long)(low >> (64 - Bits));
        return overflow == BitFieldOverflow.Wrap;
    }

    // Both look for an overflow in Redis's own, wrapping arithmetic: for operands far outside of the field it finds the
    // wrong side now and then, and what clients then get is part of its behaviour.
    private int UnsignedOverflow(ulong value, long delta, out long limit)
    {
        ulong max = (1UL << Bits) - 1;
        if (value > max || (delta > 0 && delta > unchecked((long)(max - value))))
        {
            limit = (long)max;
            return 1;
        }

        limit = 0;
        return delta < 0 && delta < unchecked(-(long)value) ? -1 : 0;
    }

    private int SignedOverflow(long value, long delta, out long limit)
    {
        long max = Bits == 64 ? long.MaxValue : (1L << (Bits - 1)) - 1;
        long min = -max - 1;
        long deltaMax = unchecked(max - value);
        long deltaMin = unchecked(min - value);
        if (value > max || (Bits != 64 && delta > deltaMax) || (value >= 0 && delta > 0 && delta > deltaMax))
        {
            limit = max;
            return 1;
        }

        limit = min;
        return value < min || (Bits != 64 && delta < deltaMin) || (value < 0 && delta < 0 && delta < deltaMin) ? -1 : 0;
    }
}
