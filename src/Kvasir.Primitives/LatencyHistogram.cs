using System.Numerics;
using System.Runtime.CompilerServices;

namespace Kvasir.Primitives;

/// <summary>
/// Counts of non-negative numbers (nanoseconds, as a rule) in log-linear buckets, after Gil Tene's HDR histogram: every
/// recorded value is known to within 0.1 %, from zero to <see cref="HighestTrackable"/>; larger ones count as that.
/// Recording allocates nothing. Not thread-safe: one a thread, then <see cref="Add"/>.
/// </summary>
public sealed class LatencyHistogram
{
    // 2048 linear cells below 2^11, then for each further power of two 1024 cells: a relative error below 1/1024.
    private const int LinearBits = 11;
    private const int HalfCells = 1 << (LinearBits - 1);

    // 2^37 ns is 137 seconds; nothing that waited longer needs three digits.
    private const int HighestBits = 37;

    private readonly long[] _cells = new long[HalfCells * (HighestBits - LinearBits + 2)];
    private double _sum;
    private long _min = long.MaxValue;

    /// <summary>The largest value told apart from larger ones.</summary>
    public const long HighestTrackable = (1L << HighestBits) - 1;

    public long Count { get; private set; }

    /// <summary>Exact, but for values above <see cref="HighestTrackable"/>; 0 when empty.</summary>
    public long Max { get; private set; }

    /// <summary>Exact; 0 when empty.</summary>
    public long Min => Count == 0 ? 0 : _min;

    public double Mean => Count == 0 ? 0 : _sum / Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Record(long value)
    {
        value = Math.Clamp(value, 0, HighestTrackable);
        _cells[CellOf(value)]++;
        Count++;
        _sum += value;
        if (value > Max)
            Max = value;
        if (value < _min)
            _min = value;
    }

    /// <summary>Adds everything that <paramref name="other"/> recorded.</summary>
    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _cells.Length; i++)
            _cells[i] += other._cells[i];
        Count += other.Count;
        _sum += other._sum;
        Max = Math.Max(Max, other.Max);
        _min = Math.Min(_min, other._min);
    }

    public void Clear()
    {
        Array.Clear(_cells);
        Count = 0;
        Max = 0;
        _min = long.MaxValue;
        _sum = 0;
    }

    /// <summary>
    /// The smallest cell's upper end below which at least <paramref name="percent"/> of all values lie, never above
    /// <see cref="Max"/>; 0 when empty.
    /// </summary>
    public long Percentile(double percent)
    {
        Check.That(percent is >= 0 and <= 100);
        if (Count == 0)
            return 0;
        long wanted = Math.Max(1, (long)Math.Ceiling(percent / 100 * Count));
        long seen = 0;
        for (int i = 0; i < _cells.Length; i++)
        {
            seen += _cells[i];
            if (seen >= wanted)
                return Math.Clamp(HighestOf(i), _min, Max);
        }

        return Max;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int CellOf(long value)
    {
        // The power of two above the linear part: 0 below 2^11. Within it the top eleven bits choose the cell.
        int shift = Math.Max(0, 64 - LinearBits - BitOperations.LeadingZeroCount((ulong)value));
        return (shift * HalfCells) + (int)(value >> shift);
    }

    private static long HighestOf(int cell)
    {
        int shift = Math.Max(0, (cell / HalfCells) - 1);
        long top = cell - ((long)shift * HalfCells);
        return ((top + 1) << shift) - 1;
    }
}
