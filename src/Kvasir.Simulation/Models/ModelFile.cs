using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Models;

internal sealed record ModelFileContent(LogPosition Position, ulong Sequence, List<ModelRow> Rows);

/// <summary>
/// The whole content of a <see cref="ModelEngine"/> in one file: log position, sequence number and row count (eight
/// bytes each), then per row the lengths of key and value, the sequence number and the deadline (eight bytes each), then
/// both; a CRC-32C of all of it at the end. Replaced by write, sync, rename, sync of the folder.
/// </summary>
internal sealed class ModelFile
{
    private const int HeaderBytes = 24;
    private const int ChecksumBytes = 4;

    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly string _path;

    public ModelFile(IFileSystem files, string folder)
    {
        _files = files;
        _folder = folder;
        _path = folder + "/content.model";
    }

    public ModelFileContent Load()
    {
        _files.CreateFolder(_folder);
        if (!_files.FileExists(_path))
            return new ModelFileContent(LogPosition.Zero, 0, []);
        byte[] bytes = new byte[_files.FileLength(_path)];
        using (IFile file = _files.Open(_path, FileOpenMode.Read))
            Check.That(file.Read(bytes, 0) == bytes.Length);
        int length = bytes.Length - ChecksumBytes;
        if (length < HeaderBytes
            || Crc32C.Compute(bytes.AsSpan(0, length)) != BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(length)))
            throw new CorruptionException(_path, 0, "the checksum does not fit");

        int at = 0;
        var position = new LogPosition((ulong)ReadInt64(bytes, ref at));
        ulong sequence = (ulong)ReadInt64(bytes, ref at);
        long count = ReadInt64(bytes, ref at);
        List<ModelRow> rows = [];
        for (long i = 0; i < count; i++)
        {
            int keyLength = (int)ReadInt64(bytes, ref at);
            int valueLength = (int)ReadInt64(bytes, ref at);
            ulong rowSequence = (ulong)ReadInt64(bytes, ref at);
            long expiresAtMs = ReadInt64(bytes, ref at);
            byte[] key = bytes.AsSpan(at, keyLength).ToArray();
            byte[] value = bytes.AsSpan(at + keyLength, valueLength).ToArray();
            at += keyLength + valueLength;
            rows.Add(new ModelRow(key, new ModelVersion(rowSequence, value, expiresAtMs)));
        }

        return new ModelFileContent(position, sequence, rows);
    }

    public void Save(ModelFileContent content)
    {
        var buffer = new BytesBuffer(4096);
        WriteInt64(buffer, (long)content.Position.Value);
        WriteInt64(buffer, (long)content.Sequence);
        WriteInt64(buffer, content.Rows.Count);
        foreach ((byte[] key, ModelVersion version) in content.Rows)
        {
            WriteInt64(buffer, key.Length);
            WriteInt64(buffer, version.Value!.Length);
            WriteInt64(buffer, (long)version.Sequence);
            WriteInt64(buffer, version.ExpiresAtMs);
            buffer.Append(key);
            buffer.Append(version.Value);
        }

        Span<byte> checksum = stackalloc byte[ChecksumBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(checksum, Crc32C.Compute(buffer.WrittenSpan));
        buffer.Append(checksum);

        AtomicFile.Replace(_files, _path, buffer.WrittenSpan);
    }

    private static long ReadInt64(byte[] bytes, ref int at)
    {
        long value = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at));
        at += 8;
        return value;
    }

    private static void WriteInt64(BytesBuffer buffer, long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(buffer.GetSpan(8), value);
        buffer.Advance(8);
    }
}
