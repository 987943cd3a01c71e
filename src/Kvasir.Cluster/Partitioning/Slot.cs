using System.Globalization;
using System.Numerics;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Partitioning;

/// <summary>
/// One of the 16384 parts that all keys of a keyspace fall into, as in Redis Cluster: clients that know its rule know ours
/// (docs/formats/sharding.md).
/// </summary>
public readonly record struct Slot(ushort Value) : IComparable<Slot>
{
    public const int Count = 16384;

    /// <summary>The slot of a key, or of its <see cref="HashTag"/>.</summary>
    public static Slot OfKey(ReadOnlySpan<byte> key) => new((ushort)(Crc16.Compute(HashTag.Of(key)) & (Count - 1)));

    /// <summary>
    /// The shard that holds it, when there are so many of them (a power of two): twice as many shards cut each in two.
    /// </summary>
    public int Shard(int shards)
    {
        Check.That(BitOperations.IsPow2(shards) && shards <= Count);
        return Value & (shards - 1);
    }

    public int CompareTo(Slot other) => Value.CompareTo(other.Value);

    public static bool operator <(Slot a, Slot b) => a.Value < b.Value;

    public static bool operator >(Slot a, Slot b) => a.Value > b.Value;

    public static bool operator <=(Slot a, Slot b) => a.Value <= b.Value;

    public static bool operator >=(Slot a, Slot b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
