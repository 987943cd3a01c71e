using System.Buffers.Binary;
using Kvasir.Primitives;

namespace Kvasir.Cli.Bench;

/// <summary>
/// Ranks from 0 with Zipf's distribution, by the method of Gray et al., "Quickly Generating Billion-Record Synthetic
/// Databases" (SIGMOD 1994), as YCSB draws them. Immutable; the caller brings the generator.
/// </summary>
internal sealed class Zipfian
{
    public const double YcsbTheta = 0.99;

    private readonly long _items;
    private readonly double _zeta;
    private readonly double _alpha;
    private readonly double _eta;
    private readonly double _secondRank;

    public Zipfian(long items, double theta = YcsbTheta)
    {
        Check.That(items > 0 && theta is > 0 and < 1);
        _items = items;
        for (long i = 1; i <= items; i++)
            _zeta += Math.Pow(i, -theta);
        double zeta2 = 1 + Math.Pow(2, -theta);
        _secondRank = zeta2;
        _alpha = 1 / (1 - theta);
        _eta = (1 - Math.Pow(2.0 / items, 1 - theta)) / (1 - (zeta2 / _zeta));
    }

    /// <summary>Rank 0 is drawn most often.</summary>
    public long Rank(SeededRandom random)
    {
        double u = random.NextDouble();
        double uz = u * _zeta;
        if (uz < 1)
            return 0;
        if (uz < _secondRank)
            return Math.Min(1, _items - 1);
        return Math.Min((long)(_items * Math.Pow((_eta * u) - _eta + 1, _alpha)), _items - 1);
    }

    /// <summary>The ranks scattered over all items, so that popular ones are no neighbours (YCSB's scrambled Zipfian).</summary>
    public long Scrambled(SeededRandom random)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, Rank(random));
        return (long)(StableHash.Hash64(bytes) % (ulong)_items);
    }
}
