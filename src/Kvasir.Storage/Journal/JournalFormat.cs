using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>The numbers of docs/formats/journal.md; the test over its sample keeps both in step.</summary>
internal static class JournalFormat
{
    public const ulong Magic = 0x4C4E_5255_4F4A_564B; // "KVJOURNL"
    public const uint FormatVersion = 1;
    public const int SegmentHeaderBytes = 4096;
    public const int RecordHeaderBytes = 9;
    public const int MarkPayloadBytes = 16;
    public const int MarkBytes = RecordHeaderBytes + MarkPayloadBytes;

    /// <summary>
    /// The checksum state that every record of a journal starts from: records of another journal never fit.
    /// </summary>
    public static uint SeedOf(ulong journalId) => BitOperations.Crc32C(0xFFFF_FFFF, journalId);

    /// <summary>
    /// The checksum covers the logical position of the record as well. Positions are given once in the life of a
    /// journal, so what a recycled segment still holds, or a misdirected write brought, is never taken for a record.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint ChecksumOf(uint seed, ulong startPosition, ReadOnlySpan<byte> afterChecksum) =>
        Crc32C.Append(~BitOperations.Crc32C(seed, startPosition), afterChecksum);

    /// <summary>Writes the header before a payload that stands in place already; <paramref name="record"/> spans both.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Seal(Span<byte> record, JournalEntryKind kind, uint seed, ulong startPosition)
    {
        BinaryPrimitives.WriteInt32LittleEndian(record[4..], record.Length - RecordHeaderBytes);
        record[8] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(record, ChecksumOf(seed, startPosition, record[4..]));
    }

    public static void WriteMark(Span<byte> record, JournalEntryKind kind, in JournalMark mark, uint seed, ulong startPosition)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(record[RecordHeaderBytes..], mark.Durable.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(record[(RecordHeaderBytes + 8)..], mark.OldestSegment);
        Seal(record[..MarkBytes], kind, seed, startPosition);
    }

    public static JournalMark ReadMark(ReadOnlySpan<byte> payload) => new(
        new LogPosition(BinaryPrimitives.ReadUInt64LittleEndian(payload)),
        BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]));
}

/// <summary>What an entry of a segment is. Persisted: numbers are never changed or reused.</summary>
public enum JournalEntryKind : byte
{
    /// <summary>A payload of the journal's user.</summary>
    Record = 1,

    /// <summary>A <see cref="JournalMark"/>, before each group that is written and after the last.</summary>
    Mark = 2,

    /// <summary>A mark that was synced by an orderly close: nothing follows it that was written before.</summary>
    ClosingMark = 3,

    /// <summary>A mark that was synced when the next segment was there: who finds no next segment has lost it.</summary>
    ContinuedMark = 4,
}

/// <summary>What was certain when a mark was written.</summary>
/// <param name="Durable">Everything before this position had been synced.</param>
/// <param name="OldestSegment">Every segment from this one on must be there.</param>
public readonly record struct JournalMark(LogPosition Durable, ulong OldestSegment);

/// <summary>The first page of a segment file.</summary>
/// <param name="JournalId">The same in all segments of one journal.</param>
/// <param name="Sequence">1 for the first segment of a journal, then one more each.</param>
/// <param name="BasePosition">The logical position of the first byte after the header.</param>
/// <param name="PreviousEnd">Where the entries of the segment before end; all of them are durable.</param>
/// <param name="OldestSegment">Every segment from this one on must be there.</param>
/// <param name="FileLength">Bytes of the file, which never change; 0 in files of early versions, which do not say.</param>
internal readonly record struct SegmentHeader(
    ulong JournalId, ulong Sequence, ulong BasePosition, ulong PreviousEnd, ulong OldestSegment, long FileLength = 0)
{
    private const int ChecksumOffset = JournalFormat.SegmentHeaderBytes - 4;

    public byte[] Encode()
    {
        byte[] page = new byte[JournalFormat.SegmentHeaderBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(page, JournalFormat.Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(8), JournalFormat.FormatVersion);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(16), JournalId);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(24), Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(32), BasePosition);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(40), PreviousEnd);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(48), OldestSegment);
        BinaryPrimitives.WriteInt64LittleEndian(page.AsSpan(56), FileLength);
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(ChecksumOffset), Crc32C.Compute(page.AsSpan(0, ChecksumOffset)));
        return page;
    }

    public static SegmentHeader Read(IFile file)
    {
        Span<byte> page = stackalloc byte[JournalFormat.SegmentHeaderBytes];
        if (file.Read(page, 0) < page.Length)
            throw new CorruptionException(file.Path, 0, "the file is shorter than a segment header");
        if (BinaryPrimitives.ReadUInt64LittleEndian(page) != JournalFormat.Magic)
            throw new CorruptionException(file.Path, 0, "this is not a journal segment (wrong magic)");
        if (Crc32C.Compute(page[..ChecksumOffset]) != BinaryPrimitives.ReadUInt32LittleEndian(page[ChecksumOffset..]))
            throw new CorruptionException(file.Path, 0, "the checksum of the segment header does not fit");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(page[8..]);
        if (version > JournalFormat.FormatVersion)
            throw new FormatTooNewException(file.Path, version, JournalFormat.FormatVersion);
        long length = BinaryPrimitives.ReadInt64LittleEndian(page[56..]);
        if (length != 0 && length != file.Length)
        {
            throw new CorruptionException(
                file.Path, Math.Min(length, file.Length), $"the file has {file.Length} bytes; it was made with {length}");
        }

        return new SegmentHeader(
            BinaryPrimitives.ReadUInt64LittleEndian(page[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(page[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(page[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(page[40..]),
            BinaryPrimitives.ReadUInt64LittleEndian(page[48..]),
            length);
    }
}
