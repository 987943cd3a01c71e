using System.Globalization;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Conversions;

/// <summary>
/// A checksum of a set of rows that does not depend on their order, so that engines of different orders compare: the sum of a
/// keyed hash of each row, its key, value and deadline (Bellare and Micciancio 1997, "A New Paradigm for Collision-Free Hashing",
/// here against accidents only), and how many there are. No row is in a set twice.
/// </summary>
internal readonly record struct RowChecksum(long Rows, ulong Sum)
{
    public RowChecksum With(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long expiresAtMs, ulong seed)
    {
        // The key's hash seeds the value's: what moves from one to the other changes it, and so do values that change places.
        ulong hash = StableHash.Hash64(value, StableHash.Hash64(key, seed) + (ulong)expiresAtMs);
        return new RowChecksum(Rows + 1, unchecked(Sum + hash));
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Sum:x16} of {Rows} rows");
}
