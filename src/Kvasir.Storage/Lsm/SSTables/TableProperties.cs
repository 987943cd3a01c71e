using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>What a table says about itself. Kept in its properties block, and most of it again in the manifest.</summary>
internal sealed record TableProperties
{
    public long EntryCount { get; init; }

    public long TombstoneCount { get; init; }

    public long RangeTombstoneCount { get; init; }

    public long ExpiringCount { get; init; }

    /// <summary>Earliest deadline among the expiring values; 0 when there is none.</summary>
    public long FirstDeadlineMs { get; init; }

    public long LastDeadlineMs { get; init; }

    public long RawKeyBytes { get; init; }

    public long RawValueBytes { get; init; }

    public long DataBlockCount { get; init; }

    public ulong SmallestSequence { get; init; }

    public ulong LargestSequence { get; init; }

    /// <summary>Whether the writer tried to compress its data blocks.</summary>
    public bool Compressed { get; init; }

    public long CreatedAtMs { get; init; }

    public byte[] SmallestKey { get; init; } = [];

    /// <summary>The last key, of points and tombstone ends; null when a range tombstone has no end.</summary>
    public byte[]? LargestKey { get; init; } = [];

    /// <summary>Whether <see cref="LargestKey"/> itself may be in the table; not so for a tombstone's end.</summary>
    public bool LargestInclusive { get; init; } = true;

    /// <summary>
    /// CRC-32C over the checksums of all blocks before this one, in order: of two tables that differ in any block, only one
    /// is the one that the manifest means. 0 in tables of early versions, which do not say.
    /// </summary>
    public uint ContentChecksum { get; init; }

    /// <summary>Whether both say the same in every field.</summary>
    public bool IsSameAs(TableProperties other)
    {
        BytesBuffer these = new();
        BytesBuffer others = new();
        Write(these);
        other.Write(others);
        return these.WrittenSpan.SequenceEqual(others.WrittenSpan);
    }

    public void Write(BytesBuffer to)
    {
        WriteNumber(to, 1, EntryCount);
        WriteNumber(to, 2, TombstoneCount);
        WriteNumber(to, 3, RangeTombstoneCount);
        WriteNumber(to, 4, ExpiringCount);
        WriteNumber(to, 5, FirstDeadlineMs);
        WriteNumber(to, 6, LastDeadlineMs);
        WriteNumber(to, 7, RawKeyBytes);
        WriteNumber(to, 8, RawValueBytes);
        WriteNumber(to, 9, DataBlockCount);
        WriteNumber(to, 10, (long)SmallestSequence);
        WriteNumber(to, 11, (long)LargestSequence);
        WriteNumber(to, 12, Compressed ? 1 : 0);
        WriteNumber(to, 13, CreatedAtMs);
        WriteBytes(to, 14, SmallestKey);
        if (LargestKey is not null)
            WriteBytes(to, 15, LargestKey);
        WriteNumber(to, 16, LargestInclusive ? 1 : 0);
        if (ContentChecksum != 0)
            WriteNumber(to, 17, ContentChecksum);
    }

    /// <summary>Unknown properties are skipped: they only ever add information. Null when the bytes make no sense.</summary>
    public static TableProperties? Read(ReadOnlySpan<byte> bytes)
    {
        var numbers = new long[18];
        byte[] smallest = [];
        byte[]? largest = null;
        while (!bytes.IsEmpty)
        {
            if (!Varint.TryRead(bytes, out ulong id, out int read))
                return null;
            bytes = bytes[read..];
            if (!Varint.TryRead(bytes, out ulong length, out read) || length > (ulong)(bytes.Length - read))
                return null;
            ReadOnlySpan<byte> field = bytes.Slice(read, (int)length);
            bytes = bytes[(read + (int)length)..];
            switch (id)
            {
                case 14:
                    smallest = field.ToArray();
                    break;
                case 15:
                    largest = field.ToArray();
                    break;
                case <= 17 when length == 8:
                    numbers[id] = BinaryPrimitives.ReadInt64LittleEndian(field);
                    break;
                case <= 17:
                    return null;
            }
        }

        return new TableProperties
        {
            EntryCount = numbers[1],
            TombstoneCount = numbers[2],
            RangeTombstoneCount = numbers[3],
            ExpiringCount = numbers[4],
            FirstDeadlineMs = numbers[5],
            LastDeadlineMs = numbers[6],
            RawKeyBytes = numbers[7],
            RawValueBytes = numbers[8],
            DataBlockCount = numbers[9],
            SmallestSequence = (ulong)numbers[10],
            LargestSequence = (ulong)numbers[11],
            Compressed = numbers[12] != 0,
            CreatedAtMs = numbers[13],
            SmallestKey = smallest,
            LargestKey = largest,
            LargestInclusive = numbers[16] != 0,
            ContentChecksum = (uint)numbers[17],
        };
    }

    public static TableProperties ReadOrThrow(ReadOnlySpan<byte> bytes, string path, long offset) =>
        Read(bytes) ?? throw new CorruptionException(path, offset, "properties block");

    private static void WriteNumber(BytesBuffer to, int id, long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        WriteBytes(to, id, bytes);
    }

    private static void WriteBytes(BytesBuffer to, int id, ReadOnlySpan<byte> value)
    {
        Span<byte> span = to.GetSpan((2 * Varint.MaxLength32) + value.Length);
        int at = Varint.Write(span, (uint)id);
        at += Varint.Write(span[at..], (uint)value.Length);
        value.CopyTo(span[at..]);
        to.Advance(at + value.Length);
    }
}
