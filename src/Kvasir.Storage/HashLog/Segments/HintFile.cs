using System.Buffers;
using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>
/// What the index needs of a segment, by token, so that a start reads this and not the segment. It holds nothing that the segment does
/// not: one that is missing or damaged is made anew.
/// </summary>
internal static class HintFile
{
    private const int PartBytes = 6 << 10;
    private const long BytesMax = 1L << 31;

    /// <summary>Sorts the entries, which are in the order of the segment, writes them, syncs the file.</summary>
    public static void Write(IFileSystem files, string folder, ulong identity, ulong number, Span<HintEntry> entries)
    {
        TokenSort.Sort(entries);
        string path = LogFiles.HintPath(folder, number);
        if (files.FileExists(path))
            files.Delete(path);
        using IFile file = files.Open(path, FileOpenMode.CreateNew);
        var part = new byte[PartBytes * 10];
        SegmentFormat.WriteHintHeader(part, identity, number);
        int at = SegmentFormat.HeaderBytes;
        long written = 0;
        uint crc = 0;
        foreach (ref readonly HintEntry entry in entries)
        {
            if (part.Length - at < SegmentFormat.HintEntryBytes + SegmentFormat.HintTrailerBytes)
                FlushPart();
            WriteEntry(part.AsSpan(at), entry);
            at += SegmentFormat.HintEntryBytes;
        }

        crc = Crc32C.Append(crc, part.AsSpan(0, at));
        BinaryPrimitives.WriteUInt32LittleEndian(part.AsSpan(at), crc);
        file.Write(part.AsSpan(0, at + SegmentFormat.HintTrailerBytes), written);
        file.Sync(SyncMode.Data);

        void FlushPart()
        {
            crc = Crc32C.Append(crc, part.AsSpan(0, at));
            file.Write(part.AsSpan(0, at), written);
            written += at;
            at = 0;
        }
    }

    /// <summary>The entries of a whole hint file, by token; throws <see cref="StorageException"/> where it is none.</summary>
    public static HintEntry[] Read(IFileSystem files, string folder, ulong identity, SegmentFacts segment)
    {
        byte[] bytes = ReadBytes(files, folder, identity, segment);
        var entries = new HintEntry[segment.Entries];
        for (int i = 0; i < entries.Length; i++)
            entries[i] = EntryAt(bytes, i);
        ArrayPool<byte>.Shared.Return(bytes);
        return entries;
    }

    /// <summary>
    /// A whole hint file, whose entries <see cref="EntryAt"/> gives, in bytes of the shared pool; throws <see cref="StorageException"/>
    /// where it is none.
    /// </summary>
    public static byte[] ReadBytes(IFileSystem files, string folder, ulong identity, SegmentFacts segment)
    {
        string path = LogFiles.HintPath(folder, segment.Number);
        using IFile file = files.Open(path, FileOpenMode.Read);
        long expected = SegmentFormat.HeaderBytes + (segment.Entries * SegmentFormat.HintEntryBytes) + SegmentFormat.HintTrailerBytes;
        if (file.Length != expected || expected > BytesMax)
            throw new CorruptionException(path, 0, $"it has {file.Length} bytes instead of {expected}");
        byte[] rented = ArrayPool<byte>.Shared.Rent((int)expected);
        try
        {
            CheckBytes(rented.AsSpan(0, (int)expected), file, identity, segment);
        }
        catch
        {
            ArrayPool<byte>.Shared.Return(rented);
            throw;
        }

        return rented;
    }

    /// <summary>As <see cref="ReadBytes"/> would give them, but for what is not an entry.</summary>
    public static byte[] ToBytes(ReadOnlySpan<HintEntry> entries)
    {
        byte[] bytes = ArrayPool<byte>.Shared.Rent(SegmentFormat.HeaderBytes + (entries.Length * SegmentFormat.HintEntryBytes));
        for (int i = 0; i < entries.Length; i++)
            WriteEntry(bytes.AsSpan(SegmentFormat.HeaderBytes + (i * SegmentFormat.HintEntryBytes)), entries[i]);
        return bytes;
    }

    public static HintEntry EntryAt(ReadOnlySpan<byte> file, int number) =>
        ReadEntry(file.Slice(SegmentFormat.HeaderBytes + (number * SegmentFormat.HintEntryBytes), SegmentFormat.HintEntryBytes));

    private static void CheckBytes(Span<byte> bytes, IFile file, ulong identity, SegmentFacts segment)
    {
        string path = file.Path;
        if (file.Read(bytes, 0) != bytes.Length)
            throw new CorruptionException(path, 0, "the file ends early");
        SegmentFormat.CheckHintHeader(bytes, path, identity, segment.Number);
        int end = bytes.Length - SegmentFormat.HintTrailerBytes;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[end..]) != Crc32C.Compute(bytes[..end]))
            throw new CorruptionException(path, 0, "checksum");
        for (int i = 0; i < segment.Entries; i++)
        {
            HintEntry entry = EntryAt(bytes, i);
            long end64 = ((long)entry.OffsetUnits + entry.LengthUnits) * SegmentFormat.UnitBytes;
            if (end64 > segment.Bytes || entry.Kind is < RecordKind.Value or > RecordKind.Tombstone)
                throw new CorruptionException(path, SegmentFormat.HeaderBytes + (i * SegmentFormat.HintEntryBytes), "an entry that cannot be");
        }
    }

    private static void WriteEntry(Span<byte> to, in HintEntry entry)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, entry.Token);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], entry.Check);
        BinaryPrimitives.WriteUInt32LittleEndian(to[12..], entry.OffsetUnits);
        BinaryPrimitives.WriteUInt32LittleEndian(to[16..], entry.LengthUnits);
        to[20] = (byte)entry.Kind;
        to[21] = entry.IsSuperseded ? SegmentFormat.SupersededFlag : (byte)0;
        to[22] = to[23] = 0;
    }

    private static HintEntry ReadEntry(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(from),
        BinaryPrimitives.ReadUInt32LittleEndian(from[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[12..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[16..]),
        (RecordKind)from[20],
        (from[21] & SegmentFormat.SupersededFlag) != 0);
}
