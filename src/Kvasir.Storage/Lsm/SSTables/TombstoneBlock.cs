using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// The block of a table's range tombstones: per tombstone flags (bit 0: has an end), key lengths, keys, sequence number.
/// </summary>
internal static class TombstoneBlock
{
    public static void Write(IReadOnlyList<RangeTombstone> tombstones, BytesBuffer to)
    {
        foreach (RangeTombstone tombstone in tombstones)
        {
            byte[] end = tombstone.End ?? [];
            Span<byte> span = to.GetSpan(1 + (2 * Varint.MaxLength32) + tombstone.Start.Length + end.Length + 8);
            int at = 0;
            span[at++] = (byte)(tombstone.End is null ? 0 : 1);
            at += Varint.Write(span[at..], (uint)tombstone.Start.Length);
            at += Varint.Write(span[at..], (uint)end.Length);
            tombstone.Start.CopyTo(span[at..]);
            at += tombstone.Start.Length;
            end.CopyTo(span[at..]);
            at += end.Length;
            BinaryPrimitives.WriteUInt64LittleEndian(span[at..], tombstone.Sequence);
            to.Advance(at + 8);
        }
    }

    public static RangeTombstone[] Read(ReadOnlySpan<byte> block, string path, long offset)
    {
        var tombstones = new List<RangeTombstone>();
        while (!block.IsEmpty)
        {
            byte flags = block[0];
            block = block[1..];
            if (flags > 1
                || !Varint.TryRead(block, out ulong startLength, out int read)
                || !Varint.TryRead(block[read..], out ulong endLength, out int readEnd)
                || startLength > int.MaxValue || endLength > int.MaxValue
                || (ulong)block.Length < (ulong)(read + readEnd) + startLength + endLength + 8)
                throw new CorruptionException(path, offset, "range tombstone block");
            block = block[(read + readEnd)..];
            byte[] start = block[..(int)startLength].ToArray();
            block = block[(int)startLength..];
            byte[]? end = flags == 1 ? block[..(int)endLength].ToArray() : null;
            block = block[(int)endLength..];
            tombstones.Add(new RangeTombstone(start, end, BinaryPrimitives.ReadUInt64LittleEndian(block)));
            block = block[8..];
        }

        return [.. tombstones];
    }
}
