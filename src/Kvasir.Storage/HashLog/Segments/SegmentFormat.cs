using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>Bytes of segments and of their hint files, as docs/formats/hash-log.md tells them.</summary>
internal static class SegmentFormat
{
    public const uint Version = 1;
    public const int HeaderBytes = 40;
    public const int UnitBytes = 8;
    public const int RecordHeaderBytes = 24;
    public const int DeadlineBytes = 8;

    /// <summary>A newer version of the key was in the files when this was written: it is there for a snapshot of that time only.</summary>
    public const byte SupersededFlag = 1;

    public const int HintEntryBytes = 24;
    public const int HintTrailerBytes = 4;

    private static ReadOnlySpan<byte> SegmentMagic => "KVASIRHS"u8;

    private static ReadOnlySpan<byte> HintMagic => "KVASIRHH"u8;

    public static void WriteSegmentHeader(Span<byte> to, ulong identity, ulong number) => WriteHeader(to, SegmentMagic, identity, number);

    public static void WriteHintHeader(Span<byte> to, ulong identity, ulong number) => WriteHeader(to, HintMagic, identity, number);

    /// <summary>Throws unless these are the first bytes of this segment.</summary>
    public static void CheckSegmentHeader(ReadOnlySpan<byte> bytes, string path, ulong identity, ulong number) =>
        CheckHeader(bytes, SegmentMagic, path, identity, number);

    public static void CheckHintHeader(ReadOnlySpan<byte> bytes, string path, ulong identity, ulong number) =>
        CheckHeader(bytes, HintMagic, path, identity, number);

    public static long SizeOf(RecordKind kind, int keyLength, int valueLength) =>
        (RecordHeaderBytes + (kind == RecordKind.ExpiringValue ? DeadlineBytes : 0) + (long)keyLength + valueLength + UnitBytes - 1) & -UnitBytes;

    /// <summary>Covers all of the record but itself, and where it lies.</summary>
    public static uint Checksum(ReadOnlySpan<byte> behindChecksum, ulong identity, ulong number, long offset)
    {
        Span<byte> place = stackalloc byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(place, identity);
        BinaryPrimitives.WriteUInt64LittleEndian(place[8..], number);
        BinaryPrimitives.WriteInt64LittleEndian(place[16..], offset);
        return Crc32C.Append(Crc32C.Compute(behindChecksum), place);
    }

    public static void WriteRecord(Span<byte> to, in SegmentRecord record, ulong identity, ulong number, long offset)
    {
        int size = (int)SizeOf(record.Kind, record.Key.Length, record.Value.Length);
        to[(size - UnitBytes)..size].Clear();
        to[4] = (byte)record.Kind;
        to[5] = record.IsSuperseded ? SupersededFlag : (byte)0;
        to[6] = to[7] = 0;
        BinaryPrimitives.WriteInt32LittleEndian(to[8..], record.Key.Length);
        BinaryPrimitives.WriteInt32LittleEndian(to[12..], record.Value.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], record.Sequence);
        int at = RecordHeaderBytes;
        if (record.Kind == RecordKind.ExpiringValue)
        {
            BinaryPrimitives.WriteInt64LittleEndian(to[at..], record.ExpiresAtMs);
            at += DeadlineBytes;
        }

        record.Key.CopyTo(to[at..]);
        record.Value.CopyTo(to[(at + record.Key.Length)..]);
        int end = at + record.Key.Length + record.Value.Length;
        BinaryPrimitives.WriteUInt32LittleEndian(to, Checksum(to[4..end], identity, number, offset));
    }

    /// <summary>Bytes of a whole record by its first <see cref="RecordHeaderBytes"/>; -1 when they are none of a record.</summary>
    public static long SizeByHeader(ReadOnlySpan<byte> header)
    {
        var kind = (RecordKind)header[4];
        int keyLength = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        int valueLength = BinaryPrimitives.ReadInt32LittleEndian(header[12..]);
        return kind is < RecordKind.Value or > RecordKind.Tombstone || keyLength < 0 || valueLength < 0 ? -1 : SizeOf(kind, keyLength, valueLength);
    }

    /// <summary>The record in the bytes, which begin with it and hold all of it; false when they hold something else.</summary>
    public static bool TryReadRecord(ReadOnlySpan<byte> bytes, ulong identity, ulong number, long offset, out SegmentRecord record)
    {
        record = default;
        if (bytes.Length < RecordHeaderBytes || SizeByHeader(bytes) is var size && (size < 0 || size > bytes.Length))
            return false;
        SegmentRecord read = ReadRecord(bytes);
        int end = RecordHeaderBytes + (read.Kind == RecordKind.ExpiringValue ? DeadlineBytes : 0) + read.Key.Length + read.Value.Length;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Checksum(bytes[4..end], identity, number, offset))
            return false;
        record = read;
        return true;
    }

    /// <summary>The record in the bytes, which are known to hold it.</summary>
    public static SegmentRecord ReadRecord(ReadOnlySpan<byte> bytes)
    {
        var kind = (RecordKind)bytes[4];
        int keyLength = BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
        int valueLength = BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]);
        int at = RecordHeaderBytes;
        long deadline = 0;
        if (kind == RecordKind.ExpiringValue)
        {
            deadline = BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
            at += DeadlineBytes;
        }

        return new SegmentRecord
        {
            Kind = kind,
            IsSuperseded = (bytes[5] & SupersededFlag) != 0,
            Sequence = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            ExpiresAtMs = deadline,
            Key = bytes.Slice(at, keyLength),
            Value = bytes.Slice(at + keyLength, valueLength),
        };
    }

    private static void WriteHeader(Span<byte> to, ReadOnlySpan<byte> magic, ulong identity, ulong number)
    {
        to[..HeaderBytes].Clear();
        magic.CopyTo(to);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], identity);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], number);
        BinaryPrimitives.WriteUInt32LittleEndian(to[36..], Crc32C.Compute(to[..36]));
    }

    private static void CheckHeader(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> magic, string path, ulong identity, ulong number)
    {
        if (bytes.Length < HeaderBytes || !bytes.StartsWith(magic))
            throw new CorruptionException(path, 0, "it does not begin as it should (magic)");
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[36..]) != Crc32C.Compute(bytes[..36]))
            throw new CorruptionException(path, 0, "header checksum");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version > Version)
            throw new FormatTooNewException(path, version, Version);
        if (BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]) != identity || BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]) != number)
            throw new CorruptionException(path, 0, "it is another engine's, or another of this one's, in this one's place");
    }
}

/// <summary>One version of a key as it lies in a segment.</summary>
internal readonly ref struct SegmentRecord
{
    public RecordKind Kind { get; init; }

    public bool IsSuperseded { get; init; }

    public ulong Sequence { get; init; }

    /// <summary>Unix milliseconds; 0 for never.</summary>
    public long ExpiresAtMs { get; init; }

    public ReadOnlySpan<byte> Key { get; init; }

    public ReadOnlySpan<byte> Value { get; init; }
}

/// <summary>What the index must know of one record: a line of a hint file.</summary>
/// <param name="Token">Of the key.</param>
/// <param name="Check">Of the key.</param>
/// <param name="OffsetUnits">Of the record in its segment.</param>
/// <param name="LengthUnits">Of the record.</param>
/// <param name="Kind">Of the record.</param>
/// <param name="IsSuperseded">A newer version is in the files: it is not for the index.</param>
internal readonly record struct HintEntry(ulong Token, uint Check, uint OffsetUnits, uint LengthUnits, RecordKind Kind, bool IsSuperseded) : ITokened
{
    public int Bytes => (int)Math.Min(LengthUnits * (ulong)SegmentFormat.UnitBytes, int.MaxValue);
}
