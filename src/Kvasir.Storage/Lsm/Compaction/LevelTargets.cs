using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// How large each level should be, worked out upward from the deepest one ("dynamic level bytes": Dong et al.,
/// "Optimizing Space Amplification in RocksDB", CIDR 2017): the last level holds what is there, each above a tenth of
/// the next, so that dead data is a tenth of the whole whatever its size. Level zero is emptied into the base level;
/// the levels between are empty.
/// </summary>
internal sealed class LevelTargets
{
    private readonly long[] _targets;

    private LevelTargets(int baseLevel, long[] targets)
    {
        BaseLevel = baseLevel;
        _targets = targets;
    }

    public int BaseLevel { get; }

    /// <summary>Bytes that <paramref name="level"/> should not exceed.</summary>
    public long this[int level] => _targets[level];

    public static LevelTargets Compute(TableSet set, LsmOptions options)
    {
        int count = set.LevelCount;
        int last = count - 1;
        var targets = new long[count];
        Array.Fill(targets, long.MaxValue);
        long largest = 0;
        int firstNonEmpty = -1;
        for (int level = 1; level < count; level++)
        {
            long bytes = TableSet.Bytes(set.Level(level));
            if (bytes == 0)
                continue;
            if (firstNonEmpty < 0)
                firstNonEmpty = level;
            largest = Math.Max(largest, bytes);
        }

        int multiplier = Math.Max(2, options.LevelSizeMultiplier);
        if (firstNonEmpty < 0)
        {
            targets[last] = options.LevelBaseBytes;
            return new LevelTargets(last, targets);
        }

        long size = largest;
        for (int level = last - 1; level >= firstNonEmpty; level--)
            size /= multiplier;

        long smallestBase = options.LevelBaseBytes / multiplier;
        int baseLevel = firstNonEmpty;
        if (size <= smallestBase)
        {
            size = smallestBase + 1;
        }
        else
        {
            while (baseLevel > 1 && size > options.LevelBaseBytes)
            {
                baseLevel--;
                size /= multiplier;
            }
        }

        size = Math.Min(size, options.LevelBaseBytes);
        for (int level = baseLevel; level < count; level++)
        {
            // The last level is as large as it is.
            targets[level] = level == last ? Math.Max(size, largest) : size;
            size = size > long.MaxValue / multiplier ? long.MaxValue : size * multiplier;
        }

        if (baseLevel == last)
            targets[last] = Math.Max(largest, options.LevelBaseBytes);
        return new LevelTargets(baseLevel, targets);
    }
}
