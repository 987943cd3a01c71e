using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// What the small files of a node's folder have in common (docs/formats/node.md): a magic of eight bytes and the format's version before what
/// they say, the CRC-32C of all that behind it. Each is replaced as a whole.
/// </summary>
internal static class SealedFile
{
    /// <summary>What a file says begins here.</summary>
    public const int HeadBytes = 12;

    private const int MagicBytes = 8;
    private const int ChecksumBytes = 4;

    /// <summary>A file's first bytes; what it says is to be added.</summary>
    public static BytesBuffer Begin(ReadOnlySpan<byte> magic, uint version)
    {
        Check.That(magic.Length == MagicBytes);
        var bytes = new BytesBuffer();
        bytes.Append(magic);
        AppendNumber(bytes, version);
        return bytes;
    }

    public static void AppendNumber(BytesBuffer bytes, uint number)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.GetSpan(sizeof(uint)), number);
        bytes.Advance(sizeof(uint));
    }

    public static void AppendNumber(BytesBuffer bytes, ulong number)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.GetSpan(sizeof(ulong)), number);
        bytes.Advance(sizeof(ulong));
    }

    /// <summary>Seals what was begun, and returns when it is the file's content, durably.</summary>
    public static void Replace(IFileSystem files, string path, BytesBuffer bytes)
    {
        AppendNumber(bytes, Crc32C.Compute(bytes.WrittenSpan));
        AtomicFile.Replace(files, path, bytes.WrittenSpan);
    }

    /// <summary>The file without its checksum, which was right. Throws where the file is damaged, or of a later version.</summary>
    /// <param name="files">The disk.</param>
    /// <param name="path">Of the file, which is there.</param>
    /// <param name="magic">That it begins with.</param>
    /// <param name="version">The latest that is understood.</param>
    /// <param name="what">The file is, for whoever reads what is wrong.</param>
    public static ReadOnlySpan<byte> Read(IFileSystem files, string path, ReadOnlySpan<byte> magic, uint version, string what)
    {
        byte[] bytes;
        using (IFile file = files.Open(path, FileOpenMode.Read))
        {
            if (file.Length < HeadBytes + ChecksumBytes || file.Length > Array.MaxLength)
                throw new CorruptionException(path, 0, $"it is {file.Length} bytes long");
            bytes = new byte[file.Length];
            if (file.Read(bytes, 0) != bytes.Length)
                throw new CorruptionException(path, 0, "it is shorter than the system says");
        }

        ReadOnlySpan<byte> content = bytes.AsSpan(..^ChecksumBytes);
        if (!content.StartsWith(magic))
            throw new CorruptionException(path, 0, $"it does not begin with the magic of {what}");
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(content.Length)) != Crc32C.Compute(content))
            throw new CorruptionException(path, 0, "its checksum does not match");
        uint found = BinaryPrimitives.ReadUInt32LittleEndian(content[MagicBytes..]);
        if (found > version)
            throw new FormatTooNewException(path, found, version);
        return content;
    }
}
