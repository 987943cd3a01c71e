using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.Compaction;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Tests.Lsm.Compaction;

public sealed class LevelTargetsTests
{
    private static readonly LsmOptions s_options = new() { LevelBaseBytes = 1000, LevelSizeMultiplier = 10, LevelCount = 7 };
    private readonly MemoryFileSystem _files = new();

    /// <summary>Bytes on levels 4, 5 and 6, the base level that follows, and its target.</summary>
    [Theory]
    [InlineData(0, 0, 0, 6, 1000)]
    [InlineData(0, 0, 900, 6, 1000)]
    [InlineData(0, 0, 2_400, 6, 2_400)]
    [InlineData(0, 0, 2_600, 5, 1000)]
    [InlineData(0, 1, 2_400, 5, 1000)]
    [InlineData(0, 1, 1_900, 6, 1_900)]
    [InlineData(0, 1000, 24_000, 5, 2_400)]
    [InlineData(0, 2_600, 26_000, 4, 1000)]
    [InlineData(5, 2_100, 21_000, 4, 1000)]
    [InlineData(500, 1000, 5_000, 5, 1000)]
    public void ALevelGetsAnotherAboveItOnceThatIsTheCheaperWayDown(long four, long five, long six, int baseLevel, long target)
    {
        var targets = LevelTargets.Compute(SetOf((4, four), (5, five), (6, six)), s_options);
        Assert.Equal(baseLevel, targets.BaseLevel);
        Assert.Equal(target, targets[baseLevel]);
        Assert.Equal(Math.Max(six, 1000), targets[6]);
    }

    [Fact]
    public void EachLevelIsATenthOfTheNextAndNoneBelowTheBaseSize()
    {
        var targets = LevelTargets.Compute(SetOf((3, 1), (4, 30_000), (5, 300_000), (6, 3_000_000)), s_options);
        Assert.Equal(2, targets.BaseLevel);
        Assert.Equal([1000, 3000, 30_000, 300_000, 3_000_000], [targets[2], targets[3], targets[4], targets[5], targets[6]]);
    }

    private TableSet SetOf(params (int Level, long Bytes)[] levels)
    {
        var cache = new BlockCache(new MemoryBudget(MemoryBudget.MinimumBytes));
        var tables = new TableCache(_files, "/t", cache, openMax: 10, verify: true);
        var all = new TableFile[s_options.LevelCount][];
        Array.Fill(all, []);
        ulong number = 1;
        foreach ((int level, long bytes) in levels)
        {
            if (bytes > 0)
                all[level] = [new TableFile(number++, bytes, new TableProperties { SmallestKey = [1], LargestKey = [2] }, tables)];
        }

        return new TableSet(all, default, lastSequence: 0, static _ => { });
    }
}
