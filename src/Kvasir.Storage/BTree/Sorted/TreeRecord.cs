using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.BTree.Sorted;

/// <summary>
/// What an engine's tree has as the value of a key: the trailer of the version (8 bytes), the deadline where its kind says so (8), the user's
/// value. Tombstones are not stored: a key that is deleted is not there.
/// </summary>
internal static class TreeRecord
{
    private const int TrailerBytes = 8;
    private const int DeadlineBytes = 8;

    /// <summary>The longest user's value, with a deadline or without, that a record of the tree has room for.</summary>
    public static int ValueBytesMax(PageLayout layout) => (int)layout.ValueBytesMax - TrailerBytes - DeadlineBytes;

    public static void Write(BytesBuffer to, Trailer trailer, long expiresAtMs, ReadOnlySpan<byte> value)
    {
        bool expires = trailer.Kind == ValueKind.ExpiringValue;
        Span<byte> header = to.GetSpan(TrailerBytes + DeadlineBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(header, trailer.Packed);
        if (expires)
            BinaryPrimitives.WriteInt64LittleEndian(header[TrailerBytes..], expiresAtMs);
        to.Advance(TrailerBytes + (expires ? DeadlineBytes : 0));
        to.Append(value);
    }

    /// <summary>False when the bytes are no record.</summary>
    public static bool TryRead(ReadOnlySpan<byte> record, out Trailer trailer, out long expiresAtMs, out ReadOnlySpan<byte> value)
    {
        (trailer, expiresAtMs) = (default, 0);
        value = default;
        if (record.Length < TrailerBytes)
            return false;
        trailer = new Trailer(BinaryPrimitives.ReadUInt64LittleEndian(record));
        int start = TrailerBytes;
        if (trailer.Kind == ValueKind.ExpiringValue)
        {
            if (record.Length < TrailerBytes + DeadlineBytes)
                return false;
            expiresAtMs = BinaryPrimitives.ReadInt64LittleEndian(record[TrailerBytes..]);
            start += DeadlineBytes;
        }

        value = record[start..];
        return trailer.Kind is ValueKind.Value or ValueKind.ExpiringValue;
    }
}
