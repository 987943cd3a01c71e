using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

internal enum CompactionReason
{
    LevelZero,
    LevelSize,
    Collect,
    Manual,

    /// <summary>Range tombstones cover the inputs whole: they go, and nothing comes of them.</summary>
    Covered,
}

/// <summary>Which tables become which: picked under the store's lock, run outside it.</summary>
internal sealed class CompactionPlan
{
    public CompactionPlan(TableSet set, CompactionReason reason, List<(int Level, TableFile[] Tables)> inputs, int outputLevel)
    {
        Set = set;
        Reason = reason;
        Inputs = inputs;
        OutputLevel = outputLevel;
        KeyBounds? hull = null;
        foreach ((_, TableFile[] tables) in inputs)
        {
            foreach (TableFile table in tables)
                hull = hull?.Union(table.Bounds) ?? table.Bounds;
        }

        Hull = hull ?? KeyBounds.All;
    }

    /// <summary>The set that it was picked from, with a reference.</summary>
    public TableSet Set { get; }

    public CompactionReason Reason { get; }

    /// <summary>Newest first: level zero's tables in their order, then the levels downward.</summary>
    public List<(int Level, TableFile[] Tables)> Inputs { get; }

    public int OutputLevel { get; }

    /// <summary>Everything that is written lies in here.</summary>
    public KeyBounds Hull { get; }

    /// <summary>Tables only change their level.</summary>
    public bool TrivialMove { get; init; }

    /// <summary>Within level zero: what is older is not in the inputs, so no tombstone may go.</summary>
    public bool WithinLevelZero => OutputLevel == 0;

    public IEnumerable<(int Level, TableFile Table)> AllInputs
    {
        get
        {
            foreach ((int level, TableFile[] tables) in Inputs)
            {
                foreach (TableFile table in tables)
                    yield return (level, table);
            }
        }
    }
}
