using System.Buffers.Binary;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Manifest;

/// <summary>
/// Reads a manifest back. What a mark vouches for must be intact, or the manifest is refused. After the last mark at
/// most one edit was being written when the machine stopped: if it is whole it counts, else it was never acknowledged
/// and is left out.
/// </summary>
internal static class ManifestReader
{
    public static List<ManifestRecord> Read(IFileSystem files, string folder, ulong number, bool marked = false)
    {
        string path = TableFiles.ManifestPath(folder, number);
        byte[] bytes = ManifestFormat.ReadAll(files, path);
        ulong found = ManifestFormat.ReadManifestHeader(bytes, path);
        if (found != number)
            throw new CorruptionException(path, 16, $"this is manifest {found}, not manifest {number}");
        long durable = LastMark(bytes, number);
        var records = new List<ManifestRecord>();
        int at = ManifestFormat.HeaderBytes;
        while (at < bytes.Length && (!marked || at < durable))
        {
            if (!TryReadRecord(bytes, at, number, out byte kind, out ReadOnlySpan<byte> content))
            {
                // Unmarked, hence unacknowledged: the torn end.
                if (at >= durable)
                    break;
                throw new CorruptionException(path, at, "a record of the manifest that was acknowledged");
            }

            if (kind == ManifestFormat.EditRecord)
            {
                TableSetEdit edit = TableSetEdit.Read(content) ?? throw new CorruptionException(path, at, "edit of the table set");
                records.Add(new ManifestRecord(at, edit));
            }

            at += ManifestFormat.RecordHeaderBytes + content.Length;
        }

        if (records.Count == 0)
            throw new CorruptionException(path, ManifestFormat.HeaderBytes, "the manifest holds no edit");
        return records;
    }

    /// <summary>Whether a mark is the last of it: no edit is there of which nobody was told that it is durable, and no torn end.</summary>
    public static bool EndsWithMark(IFileSystem files, string folder, ulong number)
    {
        byte[] bytes = ManifestFormat.ReadAll(files, TableFiles.ManifestPath(folder, number));
        return LastMark(bytes, number) is var mark and > 0 && mark == bytes.Length - ManifestFormat.RecordHeaderBytes;
    }

    /// <summary>
    /// The offset up to which the last intact mark vouches. Marks are looked for at every offset, not by walking the
    /// records, so that damage in front of a mark cannot hide it; their checksum holds offset and manifest number.
    /// </summary>
    private static long LastMark(byte[] bytes, ulong number)
    {
        for (int at = bytes.Length - ManifestFormat.RecordHeaderBytes; at >= ManifestFormat.HeaderBytes; at--)
        {
            if (bytes[at + 8] == ManifestFormat.MarkRecord
                && BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at + 4)) == 0
                && TryReadRecord(bytes, at, number, out _, out _))
                return at;
        }

        return 0;
    }

    private static bool TryReadRecord(byte[] bytes, int at, ulong number, out byte kind, out ReadOnlySpan<byte> content)
    {
        kind = 0;
        content = default;
        if (bytes.Length - at < ManifestFormat.RecordHeaderBytes)
            return false;
        int length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at + 4));
        if (length < 0 || length > bytes.Length - at - ManifestFormat.RecordHeaderBytes)
            return false;
        kind = bytes[at + 8];
        content = bytes.AsSpan(at + ManifestFormat.RecordHeaderBytes, length);
        uint crc = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));
        return crc == ManifestFormat.RecordChecksum(bytes.AsSpan(at + 4, 5 + length), number, at)
            && kind is ManifestFormat.EditRecord or ManifestFormat.MarkRecord;
    }
}

/// <summary>An edit and where it lies.</summary>
internal readonly record struct ManifestRecord(long Offset, TableSetEdit Edit);
