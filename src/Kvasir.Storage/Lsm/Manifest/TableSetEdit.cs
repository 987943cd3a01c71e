using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Manifest;

/// <summary>A table as an edit names it.</summary>
internal sealed record ManifestTable(int Level, ulong Number, long SizeBytes, TableProperties Properties);

/// <summary>
/// One change of the table set, applied whole or not at all. In bytes: fields of an id, a length and content
/// (docs/formats/manifest.md).
/// </summary>
internal sealed record TableSetEdit
{
    public List<ManifestTable> Added { get; } = [];

    public List<(int Level, ulong Number)> Removed { get; } = [];

    public LogPosition? FlushedPosition { get; set; }

    /// <summary>Of everything up to the flushed position; written beside it unless it is unknown.</summary>
    public StateDigest Digest { get; set; }

    public ulong? LastSequence { get; set; }

    public ulong? NextFileNumber { get; set; }

    public EngineOwner Owner { get; set; }

    public void Write(BytesBuffer to)
    {
        var field = new BytesBuffer();
        foreach (ManifestTable table in Added)
        {
            field.Clear();
            WriteNumber(field, (ulong)table.Level);
            WriteNumber(field, table.Number);
            WriteNumber(field, (ulong)table.SizeBytes);
            table.Properties.Write(field);
            WriteField(to, 1, field.WrittenSpan);
        }

        foreach ((int level, ulong number) in Removed)
        {
            field.Clear();
            WriteNumber(field, (ulong)level);
            WriteNumber(field, number);
            WriteField(to, 2, field.WrittenSpan);
        }

        WriteOptional(to, field, 3, FlushedPosition?.Value);
        WriteOptional(to, field, 4, LastSequence);
        WriteOptional(to, field, 5, NextFileNumber);
        WriteOptional(to, field, 6, Digest.IsUnknown ? null : Digest.Value);
        if (Owner.IsNone)
            return;
        field.Clear();
        WriteNumber(field, Owner.Store);
        WriteNumber(field, Owner.Part);
        WriteField(to, 7, field.WrittenSpan);
    }

    /// <summary>Null when the bytes make no sense; an unknown field is such, since ignoring it could lose a table.</summary>
    public static TableSetEdit? Read(ReadOnlySpan<byte> bytes)
    {
        var edit = new TableSetEdit();
        while (!bytes.IsEmpty)
        {
            byte id = bytes[0];
            if (!Varint.TryRead(bytes[1..], out ulong length, out int read) || length > (ulong)(bytes.Length - 1 - read))
                return null;
            ReadOnlySpan<byte> field = bytes.Slice(1 + read, (int)length);
            bytes = bytes[(1 + read + (int)length)..];
            if (!edit.TryReadField(id, field))
                return null;
        }

        return edit;
    }

    private bool TryReadField(byte id, ReadOnlySpan<byte> field)
    {
        if (id is < 1 or > 7 || field.Length < 8 || (id is > 2 and < 7 && field.Length != 8))
            return false;
        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(field);
        switch (id)
        {
            case 1:
                if (field.Length < 24 || first > 255 || TableProperties.Read(field[24..]) is not { } properties)
                    return false;
                ulong number = BinaryPrimitives.ReadUInt64LittleEndian(field[8..]);
                Added.Add(new ManifestTable((int)first, number, BinaryPrimitives.ReadInt64LittleEndian(field[16..]), properties));
                return true;
            case 2:
                if (field.Length != 16 || first > 255)
                    return false;
                Removed.Add(((int)first, BinaryPrimitives.ReadUInt64LittleEndian(field[8..])));
                return true;
            case 3:
                FlushedPosition = new LogPosition(first);
                return true;
            case 4:
                LastSequence = first;
                return true;
            case 5:
                NextFileNumber = first;
                return true;
            case 6:
                Digest = new StateDigest(first);
                return first != 0;
            default:
                if (field.Length != 16)
                    return false;
                Owner = new EngineOwner(first, BinaryPrimitives.ReadUInt64LittleEndian(field[8..]));
                return !Owner.IsNone;
        }
    }

    private static void WriteOptional(BytesBuffer to, BytesBuffer field, byte id, ulong? value)
    {
        if (value is null)
            return;
        field.Clear();
        WriteNumber(field, value.Value);
        WriteField(to, id, field.WrittenSpan);
    }

    private static void WriteNumber(BytesBuffer to, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to.GetSpan(8), value);
        to.Advance(8);
    }

    private static void WriteField(BytesBuffer to, byte id, ReadOnlySpan<byte> content)
    {
        Span<byte> span = to.GetSpan(1 + Varint.MaxLength32 + content.Length);
        span[0] = id;
        int at = 1 + Varint.Write(span[1..], (uint)content.Length);
        content.CopyTo(span[at..]);
        to.Advance(at + content.Length);
    }
}
