using System.Buffers;
using System.Buffers.Binary;
using Kvasir.Primitives;

namespace Kvasir.Server.Commands.Values;

internal enum DumpStatus
{
    Ok,
    WrongVersionOrChecksum,
    BadFormat,
}

/// <summary>
/// What DUMP and RESTORE exchange: a value as Redis's RDB format of version 10 encodes it, then the version in two bytes
/// and a <see cref="Crc64"/> of everything before it in eight, little-endian.
/// </summary>
internal static class DumpFormat
{
    private const int Version = 10;
    private const int FooterBytes = 10;
    private const byte StringObject = 0;

    // Lengths of an RDB string: by the two highest bits of the first byte.
    private const int Length6 = 0;
    private const int Length14 = 1;
    private const int LengthSpecial = 3;
    private const byte Length32 = 0x80;
    private const byte Length64 = 0x81;

    // Special encodings: the low six bits after LengthSpecial.
    private const int Int8 = 0;
    private const int Int16 = 1;
    private const int Int32 = 2;
    private const int Lzf = 3;

    /// <summary>Longest text that Redis tries to write as an integer.</summary>
    private const int IntegerTextMax = 11;

    /// <summary>Longest that Redis does not try to compress.</summary>
    private const int PlainTextMax = 20;

    /// <summary>The bytes of the string alone, without type and footer.</summary>
    /// <param name="value">The string.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="compress">As rdbcompression says: longer strings are compressed where that makes them shorter.</param>
    public static int AppendString(ReadOnlySpan<byte> value, BytesBuffer destination, bool compress)
    {
        int start = destination.Length;
        destination.Append(StringObject);
        if (!(value.Length <= IntegerTextMax && NumberText.TryParseInt64(value, out long number) && TryAppendInteger(number, destination))
            && !(compress && value.Length > PlainTextMax && TryAppendCompressed(value, destination)))
        {
            AppendLength(value.Length, destination);
            destination.Append(value);
        }

        int length = destination.Length - start - 1;
        Span<byte> footer = destination.GetSpan(FooterBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(footer, Version);
        destination.Advance(2);
        ulong checksum = Crc64.Compute(destination.WrittenSpan[start..]);
        BinaryPrimitives.WriteUInt64LittleEndian(destination.GetSpan(8), checksum);
        destination.Advance(8);
        return length;
    }

    public static DumpStatus Verify(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < FooterBytes)
            return DumpStatus.WrongVersionOrChecksum;
        ReadOnlySpan<byte> footer = payload[^FooterBytes..];
        return BinaryPrimitives.ReadUInt16LittleEndian(footer) <= Version
            && BinaryPrimitives.ReadUInt64LittleEndian(footer[2..]) == Crc64.Compute(payload[..^8])
            ? DumpStatus.Ok
            : DumpStatus.WrongVersionOrChecksum;
    }

    /// <summary>
    /// Appends the string of a verified payload to <paramref name="destination"/>; one longer than <paramref name="bytesMax"/> is
    /// refused before memory is taken for it.
    /// </summary>
    public static DumpStatus ReadString(ReadOnlySpan<byte> payload, BytesBuffer destination, long bytesMax)
    {
        ReadOnlySpan<byte> rest = payload[..^FooterBytes];
        if (rest.IsEmpty || rest[0] != StringObject)
            return DumpStatus.BadFormat;
        rest = rest[1..];
        if (rest.IsEmpty)
            return DumpStatus.BadFormat;
        if (rest[0] >> 6 == LengthSpecial)
            return TryReadSpecial(rest[0] & 0x3F, rest[1..], destination, bytesMax) ? DumpStatus.Ok : DumpStatus.BadFormat;
        if (!TryReadLength(ref rest, out int length) || length > rest.Length)
            return DumpStatus.BadFormat;
        destination.Append(rest[..length]);
        return DumpStatus.Ok;
    }

    private static bool TryAppendCompressed(ReadOnlySpan<byte> value, BytesBuffer destination)
    {
        int room = value.Length - 4;
        byte[] packed = ArrayPool<byte>.Shared.Rent(room);
        int length = LzfCompression.Compress(value, packed.AsSpan(0, room));
        if (length != 0)
        {
            destination.Append((LengthSpecial << 6) | Lzf);
            AppendLength(length, destination);
            AppendLength(value.Length, destination);
            destination.Append(packed.AsSpan(0, length));
        }

        ArrayPool<byte>.Shared.Return(packed);
        return length != 0;
    }

    private static bool TryAppendInteger(long number, BytesBuffer destination)
    {
        Span<byte> span = destination.GetSpan(5);
        switch (number)
        {
            case >= sbyte.MinValue and <= sbyte.MaxValue:
                span[0] = (LengthSpecial << 6) | Int8;
                span[1] = (byte)number;
                destination.Advance(2);
                return true;
            case >= short.MinValue and <= short.MaxValue:
                span[0] = (LengthSpecial << 6) | Int16;
                BinaryPrimitives.WriteInt16LittleEndian(span[1..], (short)number);
                destination.Advance(3);
                return true;
            case >= int.MinValue and <= int.MaxValue:
                span[0] = (LengthSpecial << 6) | Int32;
                BinaryPrimitives.WriteInt32LittleEndian(span[1..], (int)number);
                destination.Advance(5);
                return true;
            default:
                return false;
        }
    }

    private static void AppendLength(int length, BytesBuffer destination)
    {
        Span<byte> span = destination.GetSpan(5);
        if (length < 1 << 6)
        {
            span[0] = (byte)length;
            destination.Advance(1);
        }
        else if (length < 1 << 14)
        {
            BinaryPrimitives.WriteUInt16BigEndian(span, (ushort)((Length14 << 14) | length));
            destination.Advance(2);
        }
        else
        {
            span[0] = Length32;
            BinaryPrimitives.WriteUInt32BigEndian(span[1..], (uint)length);
            destination.Advance(5);
        }
    }

    private static bool TryReadLength(ref ReadOnlySpan<byte> rest, out int length)
    {
        length = 0;
        if (rest.IsEmpty)
            return false;
        byte first = rest[0];
        ulong value;
        int used;
        switch (first >> 6)
        {
            case Length6:
                value = first;
                used = 1;
                break;
            case Length14:
                if (rest.Length < 2)
                    return false;
                value = BinaryPrimitives.ReadUInt16BigEndian(rest) & 0x3FFFu;
                used = 2;
                break;
            default:
                if (first == Length32 && rest.Length >= 5)
                {
                    value = BinaryPrimitives.ReadUInt32BigEndian(rest[1..]);
                    used = 5;
                }
                else if (first == Length64 && rest.Length >= 9)
                {
                    value = BinaryPrimitives.ReadUInt64BigEndian(rest[1..]);
                    used = 9;
                }
                else
                {
                    return false;
                }

                break;
        }

        if (value > int.MaxValue / 2)
            return false;
        length = (int)value;
        rest = rest[used..];
        return true;
    }

    private static bool TryReadSpecial(int encoding, ReadOnlySpan<byte> rest, BytesBuffer destination, long bytesMax)
    {
        switch (encoding)
        {
            case Int8 when rest.Length >= 1:
                return AppendNumber((sbyte)rest[0], destination);
            case Int16 when rest.Length >= 2:
                return AppendNumber(BinaryPrimitives.ReadInt16LittleEndian(rest), destination);
            case Int32 when rest.Length >= 4:
                return AppendNumber(BinaryPrimitives.ReadInt32LittleEndian(rest), destination);
            case Lzf:
                // A length that so few bytes cannot make is refused before memory is taken for it.
                if (!TryReadLength(ref rest, out int packed) || !TryReadLength(ref rest, out int length)
                    || packed > rest.Length || length > bytesMax || length > (long)packed * LzfCompression.CopyLengthMax)
                {
                    return false;
                }

                Span<byte> target = destination.GetSpan(length)[..length];
                if (!LzfCompression.TryDecompress(rest[..packed], target))
                    return false;
                destination.Advance(length);
                return true;
            default:
                return false;
        }
    }

    private static bool AppendNumber(long number, BytesBuffer destination)
    {
        Check.That(number.TryFormat(destination.GetSpan(NumberText.Int64LengthMax), out int length));
        destination.Advance(length);
        return true;
    }
}
