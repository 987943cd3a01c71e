using System.Buffers.Binary;

namespace Kvasir.Benchmarks.Engines;

/// <summary>
/// Keys of 16 bytes that look drawn at random and are known by their place in the order, and the order in which they are asked
/// for. bench/peers has the same in C and Go.
/// </summary>
internal struct BenchKeys(long count, ulong seed = 88172645463325252)
{
    public const int KeyBytes = 16;
    public const int ValueBytes = 100;

    // Prime, and no divisor of any count that is used.
    private const ulong Stride = 2654435761;

    private readonly ulong _span = ulong.MaxValue / (ulong)count;
    private ulong _state = seed;

    /// <summary>The key at a place in the order.</summary>
    public readonly void Write(Span<byte> key, long place)
    {
        ulong number = (ulong)place;
        BinaryPrimitives.WriteUInt64BigEndian(key, (number * _span) + (Mix(number) % _span));
        BinaryPrimitives.WriteUInt64BigEndian(key[8..], Mix(number + 77));
    }

    /// <summary>Each place once, far from the one before.</summary>
    public readonly long Scattered(long number) => (long)((ulong)number * Stride % (ulong)count);

    /// <summary>Any place (Marsaglia's xorshift64).</summary>
    public long Next()
    {
        _state ^= _state << 13;
        _state ^= _state >> 7;
        _state ^= _state << 17;
        return (long)(_state % (ulong)count);
    }

    // The finalizer of SplitMix64.
    private static ulong Mix(ulong z)
    {
        z += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
