using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// Tables that range tombstones of other tables cover whole: nobody sees anything of them, so an edit of the manifest drops
/// them unread. The tombstones stay for as long as something older lies under them; a table that holds nothing but tombstones
/// with nothing under them goes along.
/// </summary>
internal sealed class CoveredTables
{
    private readonly HashSet<TableFile> _forAll = [];

    private CoveredTables(ulong newestTombstone) => NewestTombstone = newestTombstone;

    /// <summary>The largest sequence number of the tombstones that were looked at.</summary>
    public ulong NewestTombstone { get; }

    /// <summary>Covered for some views; hidden from all once older snapshots are gone.</summary>
    public List<TableFile> ForSome { get; } = [];

    /// <summary>Reads the tombstones of <paramref name="covering"/>, and finds what they cover in the set.</summary>
    public static CoveredTables Find(TableSet set, IReadOnlyList<TableFile> covering, ulong oldestSnapshot)
    {
        var tombstones = new List<RangeTombstone>();
        foreach (TableFile table in covering)
            table.AddRangeTombstones(tombstones);
        var fragments = new FragmentedTombstones(tombstones);
        var found = new CoveredTables(tombstones.Count == 0 ? 0 : tombstones.Max(t => t.Sequence));
        for (int level = 0; level < set.LevelCount; level++)
        {
            foreach (TableFile table in set.Level(level))
            {
                ulong after = table.Properties.LargestSequence;
                if (!fragments.Covers(table.Bounds, after, ulong.MaxValue))
                    continue;
                found.ForSome.Add(table);
                if (fragments.Covers(table.Bounds, after, oldestSnapshot))
                    found._forAll.Add(table);
            }
        }

        return found;
    }

    /// <summary>
    /// Which tables of the set may go now, by level; null for none. <paramref name="impeded"/> when more could go once a
    /// running compaction has ended.
    /// </summary>
    public CompactionPlan? PlanFor(TableSet set, IReadOnlyList<TableFile> covering, out bool impeded)
    {
        impeded = false;
        var going = new HashSet<TableFile>();
        var inputs = new List<(int, TableFile[])>();

        // From the oldest to the newest, so that it is known of every table what stays under it.
        for (int level = set.LevelCount - 1; level >= 0; level--)
        {
            TableFile[] tables = set.Level(level);
            for (int i = tables.Length - 1; i >= 0; i--)
            {
                TableFile table = tables[i];
                bool goes = _forAll.Contains(table)
                    || (table.Properties.EntryCount == 0 && covering.Contains(table) && NothingStaysUnder(set, level, i, going));
                impeded |= goes && table.Busy;
                if (goes && !table.Busy)
                    going.Add(table);
            }

            TableFile[] input = [.. tables.Where(going.Contains)];
            if (input.Length > 0)
                inputs.Insert(0, (level, input));
        }

        return inputs.Count == 0 ? null : new CompactionPlan(set, CompactionReason.Covered, inputs, outputLevel: 0);
    }

    private static bool NothingStaysUnder(TableSet set, int level, int index, HashSet<TableFile> going)
    {
        KeyBounds bounds = set.Level(level)[index].Bounds;
        if (level == 0)
        {
            foreach (TableFile older in set.Level(0).AsSpan(index + 1))
            {
                if (older.Bounds.Overlaps(bounds) && !going.Contains(older))
                    return false;
            }
        }

        for (int below = level + 1; below < set.LevelCount; below++)
        {
            foreach (TableFile older in CompactionPicker.Overlapping(set.Level(below), bounds))
            {
                if (!going.Contains(older))
                    return false;
            }
        }

        return true;
    }
}
