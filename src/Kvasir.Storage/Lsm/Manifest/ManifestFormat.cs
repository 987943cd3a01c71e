using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Manifest;

/// <summary>Bytes of the manifest and of CURRENT, as docs/formats/manifest.md tells them.</summary>
internal static class ManifestFormat
{
    public const uint Version = 1;
    public const int HeaderBytes = 28;
    public const int RecordHeaderBytes = 9;
    public const byte EditRecord = 1;

    /// <summary>Says that everything before it is on stable storage. Written, and synced, before an edit is acknowledged.</summary>
    public const byte MarkRecord = 2;

    private static ReadOnlySpan<byte> ManifestMagic => "KVASIRMF"u8;

    private static ReadOnlySpan<byte> CurrentMagic => "KVASIRCU"u8;

    public static void WriteManifestHeader(Span<byte> to, ulong number) => WriteHeader(to, ManifestMagic, number);

    public static ulong ReadManifestHeader(ReadOnlySpan<byte> bytes, string path) => ReadHeader(bytes, ManifestMagic, path, "a manifest");

    /// <summary>CURRENT is a header alone, whose number is the manifest's.</summary>
    public static void WriteCurrent(Span<byte> to, ulong number) => WriteHeader(to, CurrentMagic, number);

    public static ulong ReadCurrent(IFileSystem files, string folder)
    {
        string path = TableFiles.Join(folder, TableFiles.CurrentName);
        byte[] bytes = ReadAll(files, path);
        ulong number = ReadHeader(bytes, CurrentMagic, path, "a CURRENT file");
        if (bytes.Length != HeaderBytes)
            throw new CorruptionException(path, HeaderBytes, "bytes after the end");
        return number;
    }

    /// <summary>Appends one record; its checksum covers kind, length, content and where it lies.</summary>
    public static void AppendRecord(BytesBuffer to, byte kind, ReadOnlySpan<byte> content, ulong manifestNumber, long offset)
    {
        Span<byte> span = to.GetSpan(RecordHeaderBytes + content.Length);
        BinaryPrimitives.WriteInt32LittleEndian(span[4..], content.Length);
        span[8] = kind;
        content.CopyTo(span[RecordHeaderBytes..]);
        uint crc = RecordChecksum(span.Slice(4, 5 + content.Length), manifestNumber, offset);
        BinaryPrimitives.WriteUInt32LittleEndian(span, crc);
        to.Advance(RecordHeaderBytes + content.Length);
    }

    public static uint RecordChecksum(ReadOnlySpan<byte> lengthKindContent, ulong manifestNumber, long offset)
    {
        Span<byte> place = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(place, manifestNumber);
        BinaryPrimitives.WriteInt64LittleEndian(place[8..], offset);
        return Crc32C.Append(Crc32C.Compute(lengthKindContent), place);
    }

    public static byte[] ReadAll(IFileSystem files, string path)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        if (file.Length > 1 << 30)
            throw new CorruptionException(path, 0, "the file is too large to be what it should be");
        var bytes = new byte[file.Length];
        int read = file.Read(bytes, 0);
        return read == bytes.Length ? bytes : throw new CorruptionException(path, read, "the file ends early");
    }

    private static void WriteHeader(Span<byte> to, ReadOnlySpan<byte> magic, ulong number)
    {
        to[..HeaderBytes].Clear();
        magic.CopyTo(to);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], number);
        BinaryPrimitives.WriteUInt32LittleEndian(to[24..], Crc32C.Compute(to[..24]));
    }

    private static ulong ReadHeader(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> magic, string path, string what)
    {
        if (bytes.Length < HeaderBytes || !bytes.StartsWith(magic))
            throw new CorruptionException(path, 0, $"not {what} (magic)");
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]) != Crc32C.Compute(bytes[..24]))
            throw new CorruptionException(path, 0, "header checksum");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version > Version)
            throw new FormatTooNewException(path, version, Version);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]);
    }
}
