using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// Sizes, numbers and checksums of the SSTable file, as docs/formats/sstable.md tells byte by byte. Every byte of a
/// file lies under exactly one checksum: the header's, a block's or the footer's.
/// </summary>
internal static class SSTableFormat
{
    public const uint Version = 1;
    public const int HeaderBytes = 32;
    public const int FooterBytes = 104;
    public const int BlockTrailerBytes = 12;

    /// <summary>A payload longer than this cannot be written, so it is damage when read.</summary>
    public const int BlockPayloadBytesMax = 1 << 30;

    private static ReadOnlySpan<byte> HeaderMagic => "KVASIRST"u8;

    private static ReadOnlySpan<byte> FooterMagic => "KVASIREF"u8;

    public static void WriteHeader(Span<byte> destination, ulong tableNumber)
    {
        destination[..HeaderBytes].Clear();
        HeaderMagic.CopyTo(destination);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], tableNumber);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[28..], Crc32C.Compute(destination[..28]));
    }

    /// <summary>Reads and checks the header; returns the table number.</summary>
    public static ulong ReadHeader(IFile file)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        ReadExactly(file, header, 0);
        if (!header.StartsWith(HeaderMagic))
            throw new CorruptionException(file.Path, 0, "not an SSTable (magic)");
        if (BinaryPrimitives.ReadUInt32LittleEndian(header[28..]) != Crc32C.Compute(header[..28]))
            throw new CorruptionException(file.Path, 0, "header checksum");
        CheckVersion(file.Path, BinaryPrimitives.ReadUInt32LittleEndian(header[8..]));
        return BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
    }

    public static void WriteFooter(Span<byte> destination, in SSTableFooter footer)
    {
        destination[..FooterBytes].Clear();
        WriteHandle(destination, footer.Index);
        WriteHandle(destination[16..], footer.Filter);
        WriteHandle(destination[32..], footer.Tombstones);
        WriteHandle(destination[48..], footer.Properties);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[64..], footer.TableNumber);
        BinaryPrimitives.WriteInt64LittleEndian(destination[72..], footer.FileLength);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[80..], Version);
        FooterMagic.CopyTo(destination[88..]);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[100..], Crc32C.Compute(destination[..100]));
    }

    public static SSTableFooter ReadFooter(IFile file)
    {
        long at = file.Length - FooterBytes;
        if (at < HeaderBytes)
            throw new CorruptionException(file.Path, 0, $"{file.Length} bytes are too short for an SSTable");
        Span<byte> bytes = stackalloc byte[FooterBytes];
        ReadExactly(file, bytes, at);
        if (!bytes[88..].StartsWith(FooterMagic))
            throw new CorruptionException(file.Path, at, "footer magic");
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[100..]) != Crc32C.Compute(bytes[..100]))
            throw new CorruptionException(file.Path, at, "footer checksum");
        CheckVersion(file.Path, BinaryPrimitives.ReadUInt32LittleEndian(bytes[80..]));
        var footer = new SSTableFooter
        {
            Index = ReadHandle(bytes),
            Filter = ReadHandle(bytes[16..]),
            Tombstones = ReadHandle(bytes[32..]),
            Properties = ReadHandle(bytes[48..]),
            TableNumber = BinaryPrimitives.ReadUInt64LittleEndian(bytes[64..]),
            FileLength = BinaryPrimitives.ReadInt64LittleEndian(bytes[72..]),
        };
        if (footer.FileLength != file.Length)
            throw new CorruptionException(file.Path, at, $"the file has {file.Length} bytes, its footer says {footer.FileLength}");
        // The parts follow each other without gaps in this order, so that no byte escapes the checksums.
        long end = footer.Index.Offset;
        foreach (BlockHandle handle in (ReadOnlySpan<BlockHandle>)[footer.Index, footer.Properties])
        {
            if (handle.Length is < 0 or > BlockPayloadBytesMax || handle.Offset != end || handle.Offset < HeaderBytes)
                throw new CorruptionException(file.Path, at, "footer handles");
            end = handle.End;
        }

        if (end != at || !Sensible(footer.Filter, footer.Index) || !Sensible(footer.Tombstones, footer.Index))
            throw new CorruptionException(file.Path, at, "footer handles");
        return footer;

        static bool Sensible(BlockHandle handle, BlockHandle index) =>
            handle.IsNone || (handle.Offset >= HeaderBytes && handle.Length is >= 0 and <= BlockPayloadBytesMax && handle.End <= index.Offset);
    }

    /// <summary>Fills in the trailer that follows <paramref name="payload"/> on disk.</summary>
    public static void WriteBlockTrailer(
        Span<byte> trailer, ReadOnlySpan<byte> payload, BlockKind kind, BlockCompression compression, ulong tableNumber, long offset)
    {
        trailer[0] = (byte)kind;
        trailer[1] = (byte)compression;
        trailer[2] = 0;
        trailer[3] = 0;
        BinaryPrimitives.WriteInt32LittleEndian(trailer[4..], payload.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(trailer[8..], BlockChecksum(payload, trailer[..8], tableNumber, offset));
    }

    /// <summary>The bytes of the block's checksum in its trailer.</summary>
    public static ReadOnlySpan<byte> ChecksumOf(ReadOnlySpan<byte> trailer) => trailer[8..BlockTrailerBytes];

    /// <summary>Checks payload and trailer of one block as read; returns how it is compressed.</summary>
    public static BlockCompression CheckBlock(
        ReadOnlySpan<byte> payloadAndTrailer, BlockKind kind, ulong tableNumber, string path, long offset, bool verify)
    {
        ReadOnlySpan<byte> payload = payloadAndTrailer[..^BlockTrailerBytes];
        ReadOnlySpan<byte> trailer = payloadAndTrailer[^BlockTrailerBytes..];
        if (verify && BinaryPrimitives.ReadUInt32LittleEndian(trailer[8..]) != BlockChecksum(payload, trailer[..8], tableNumber, offset))
            throw new CorruptionException(path, offset, "block checksum");
        if (trailer[0] != (byte)kind || trailer[1] > (byte)BlockCompression.Lz4
            || BinaryPrimitives.ReadInt32LittleEndian(trailer[4..]) != payload.Length)
            throw new CorruptionException(path, offset, "block trailer");
        return (BlockCompression)trailer[1];
    }

    public static void ReadExactly(IFile file, Span<byte> destination, long offset)
    {
        int read = file.Read(destination, offset);
        if (read != destination.Length)
            throw new CorruptionException(file.Path, offset, $"the file ends where {destination.Length} bytes should follow");
    }

    /// <summary>Table number and offset are covered too, so that a block from another place or file is noticed.</summary>
    private static uint BlockChecksum(ReadOnlySpan<byte> payload, ReadOnlySpan<byte> trailerHead, ulong tableNumber, long offset)
    {
        Span<byte> place = stackalloc byte[24];
        trailerHead.CopyTo(place);
        BinaryPrimitives.WriteUInt64LittleEndian(place[8..], tableNumber);
        BinaryPrimitives.WriteInt64LittleEndian(place[16..], offset);
        return Crc32C.Append(Crc32C.Compute(payload), place);
    }

    private static void WriteHandle(Span<byte> destination, BlockHandle handle)
    {
        BinaryPrimitives.WriteInt64LittleEndian(destination, handle.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(destination[8..], handle.Length);
    }

    private static BlockHandle ReadHandle(ReadOnlySpan<byte> source)
    {
        long length = BinaryPrimitives.ReadInt64LittleEndian(source[8..]);
        return new BlockHandle(BinaryPrimitives.ReadInt64LittleEndian(source), length is < 0 or > int.MaxValue ? -1 : (int)length);
    }

    private static void CheckVersion(string path, uint version)
    {
        if (version > Version)
            throw new FormatTooNewException(path, version, Version);
        if (version == 0)
            throw new CorruptionException(path, 8, "format version 0");
    }
}

/// <summary>Where a block's payload lies; its trailer follows.</summary>
internal readonly record struct BlockHandle(long Offset, int Length)
{
    public static readonly BlockHandle None;

    public bool IsNone => Offset == 0;

    public long End => Offset + Length + SSTableFormat.BlockTrailerBytes;
}

internal readonly record struct SSTableFooter
{
    public BlockHandle Index { get; init; }

    public BlockHandle Filter { get; init; }

    public BlockHandle Tombstones { get; init; }

    public BlockHandle Properties { get; init; }

    public ulong TableNumber { get; init; }

    public long FileLength { get; init; }
}

/// <summary>Persisted: numbers are never changed or reused.</summary>
internal enum BlockKind : byte
{
    Data = 1,
    Filter = 2,
    Tombstones = 3,
    Index = 4,
    Properties = 5,
}

/// <summary>Persisted: numbers are never changed or reused.</summary>
internal enum BlockCompression : byte
{
    None = 0,
    Lz4 = 1,
}
