using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// The order of engines that keep none of the keys' bytes: by the key's token, its <see cref="StableHash"/> (unseeded), as an unsigned
/// number, then by the key. Parts of a ring are stretches of it.
/// </summary>
public static class TokenOrder
{
    public static int Compare(ReadOnlySpan<byte> key, ReadOnlySpan<byte> other)
    {
        int byToken = StableHash.Hash64(key).CompareTo(StableHash.Hash64(other));
        return byToken != 0 ? byToken : key.SequenceCompareTo(other);
    }
}
