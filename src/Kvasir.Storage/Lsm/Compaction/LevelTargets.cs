using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// How large each level should be, worked out upward from the deepest one ("dynamic level bytes": Dong et al.,
/// "Optimizing Space Amplification in RocksDB", CIDR 2017): the last level holds what is there, each above a tenth of
/// the next, but not less than the base size. Level zero is emptied into the base level; the levels between are empty.
/// <para>
/// With batches of B bytes out of level zero, emptying them straight into a level of D bytes writes 1 + D/B for each byte;
/// by way of a level of S bytes 2 + S/B + D/S. The way round is the cheaper one from about six times B on. B is nearly half
/// of the base size and S is the base size, so a level gets another one above it when it holds two to three times that.
/// </para>
/// </summary>
internal sealed class LevelTargets
{
    // Times the base size that a level must exceed to get another level above it, and to keep that: some way apart, so that
    // one which stands at the border is not emptied and filled in turn.
    private const double SplitFactor = 2.5;
    private const double MergeFactor = 2;

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
        int last = set.LevelCount - 1;
        var targets = new long[set.LevelCount];
        Array.Fill(targets, long.MaxValue);
        long size = 0;
        for (int level = 1; level <= last; level++)
            size = Math.Max(size, TableSet.Bytes(set.Level(level)));

        int multiplier = Math.Max(2, options.LevelSizeMultiplier);
        int baseLevel = last;
        // The last level is as large as it is.
        targets[last] = Math.Max(size, options.LevelBaseBytes);
        while (baseLevel > 1 && size > options.LevelBaseBytes * (set.Level(baseLevel - 1).Length > 0 ? MergeFactor : SplitFactor))
        {
            baseLevel--;
            size = Math.Max(size / multiplier, options.LevelBaseBytes);
            targets[baseLevel] = size;
        }

        return new LevelTargets(baseLevel, targets);
    }
}
