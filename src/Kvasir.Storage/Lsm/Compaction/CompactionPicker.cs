using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// Decides what to compact next. Called under the store's lock; changes nothing. In order: the level whose size is
/// furthest above its target; then tables that are mostly tombstones or expired values. Tables that a running
/// compaction reads are left alone, and so is any output range that a running one writes on the same level.
/// </summary>
internal sealed class CompactionPicker
{
    /// <summary>A table is collected when this part of its entries is dead, out of 100.</summary>
    private const int DeadPercentDue = 50;

    private const int WithinLevelZeroTablesMin = 4;

    // What level zero should hold before it is emptied, for each byte of the base size.
    private const double LevelZeroPartOfBase = 0.45;

    // Tombstones in level zero for each value anywhere that make its turn due.
    private const double HiddenPartDue = 0.4;

    private readonly LsmOptions _options;

    public CompactionPicker(LsmOptions options) => _options = options;

    public CompactionPlan? Pick(TableSet set, LevelTargets targets, IReadOnlyList<CompactionPlan> running, long expiryHorizonMs, ulong oldestSnapshot)
    {
        bool levelZeroWaits = false;
        foreach ((_, int level) in Scores(set, targets))
        {
            // Level zero needs the whole base level: two workers that take turns at its tables would keep it waiting.
            if (level == targets.BaseLevel && levelZeroWaits)
                continue;
            CompactionPlan? plan = level == 0 ? PickLevelZero(set, targets, running) : PickLevel(set, level, running, expiryHorizonMs);
            if (plan is not null)
                return plan;
            levelZeroWaits |= level == 0;
        }

        return PickCollection(set, targets, running, expiryHorizonMs, oldestSnapshot);
    }

    /// <summary>Bytes that must be rewritten before every level is within its target.</summary>
    public long Debt(TableSet set, LevelTargets targets)
    {
        long debt = 0;
        TableFile[] zero = set.Level(0);
        if (LevelZeroScore(set) >= 1)
            debt += TableSet.Bytes(zero);
        for (int level = 1; level < set.LevelCount - 1; level++)
        {
            long bytes = TableSet.Bytes(set.Level(level));
            long target = level < targets.BaseLevel ? 0 : targets[level];
            debt += Math.Max(0, bytes - target);
        }

        return debt;
    }

    /// <summary>The moment at which some table will be due for its expired values; never when none will.</summary>
    public static long NextExpiryMs(TableSet set)
    {
        long next = long.MaxValue;
        for (int level = 0; level < set.LevelCount; level++)
        {
            foreach (TableFile table in set.Level(level))
            {
                var p = table.Properties;
                long missing = (p.EntryCount * DeadPercentDue / 100) - p.TombstoneCount;
                if (p.ExpiringCount == 0 || missing > p.ExpiringCount)
                    continue;
                // Deadlines are taken to be spread evenly.
                double part = Math.Clamp((double)missing / p.ExpiringCount, 0, 1);
                next = Math.Min(next, p.FirstDeadlineMs + (long)(part * (p.LastDeadlineMs - p.FirstDeadlineMs)) + 1);
            }
        }

        return next;
    }

    /// <summary>
    /// Each turn of level zero rewrites much of the base level, so it is due by the bytes that it moves, and small tables
    /// wait for more of them, up to a number that reads can bear. Many tombstones there are worth a turn at once, for the space that they free.
    /// </summary>
    private double LevelZeroScore(TableSet set)
    {
        TableFile[] zero = set.Level(0);
        if (zero.Length == 0)
            return 0;
        double count = (double)zero.Length / Math.Max(1, _options.LevelZeroCompactionTrigger);
        double bytes = (double)TableSet.Bytes(zero) / Math.Max(1, _options.LevelBaseBytes);
        double size = Math.Max(count / 2, zero.Length > 1 ? bytes / LevelZeroPartOfBase : 0);
        return size >= 1 ? size : Math.Max(size, TombstoneScore(set));
    }

    /// <summary>1 where level zero holds as many tombstones as a part of all values, which they are taken to hide.</summary>
    private static double TombstoneScore(TableSet set)
    {
        long tombstones = 0;
        foreach (TableFile table in set.Level(0))
            tombstones += table.Properties.TombstoneCount;
        if (tombstones == 0)
            return 0;
        long values = 0;
        for (int level = 0; level < set.LevelCount; level++)
        {
            foreach (TableFile table in set.Level(level))
                values += table.Properties.EntryCount - table.Properties.TombstoneCount;
        }

        return Math.Min(1, tombstones / Math.Max(1, values * HiddenPartDue));
    }

    private List<(double Score, int Level)> Scores(TableSet set, LevelTargets targets)
    {
        var scores = new List<(double, int)>();
        double zeroScore = LevelZeroScore(set);
        if (zeroScore >= 1)
            scores.Add((zeroScore, 0));
        for (int level = 1; level < set.LevelCount - 1; level++)
        {
            long bytes = 0;
            foreach (TableFile table in set.Level(level))
                bytes += table.Busy ? 0 : table.SizeBytes;
            if (bytes == 0)
                continue;
            // Levels above the base are left over from when there was less data: empty them.
            double score = level < targets.BaseLevel ? 2 : (double)bytes / Math.Max(1, targets[level]);
            if (score > 1)
                scores.Add((score, level));
        }

        scores.Sort((a, b) => b.Item1 != a.Item1 ? b.Item1.CompareTo(a.Item1) : a.Item2.CompareTo(b.Item2));
        return scores;
    }

    private CompactionPlan? PickLevelZero(TableSet set, LevelTargets targets, IReadOnlyList<CompactionPlan> running)
    {
        TableFile[] zero = set.Level(0);

        // The oldest ones that are free: nothing older may stay behind in level zero.
        int from = zero.Length;
        while (from > 0 && !zero[from - 1].Busy)
            from--;
        if (from < zero.Length)
        {
            var plan = IntoLevel(set, CompactionReason.LevelZero, 0, zero[from..], targets.BaseLevel);
            if (plan is not null && Free(plan, running))
                return plan;
        }

        // The way down is taken: merge the newest among themselves, so that reads and writers do not suffer.
        int free = 0;
        while (free < zero.Length && !zero[free].Busy)
            free++;
        if (zero.Length < (2 * _options.LevelZeroCompactionTrigger) + 2 || free < WithinLevelZeroTablesMin)
            return null;
        long smallest = long.MaxValue;
        long sum = 0;
        int take = 0;
        while (take < free)
        {
            // A table much larger than its neighbours would be rewritten for little.
            long size = zero[take].SizeBytes;
            smallest = Math.Min(smallest, Math.Max(size, 1));
            if (take >= WithinLevelZeroTablesMin && size > sum)
                break;
            sum += size;
            take++;
        }

        if (sum > 4 * _options.TableBytes * WithinLevelZeroTablesMin)
            return null;
        return new CompactionPlan(set, CompactionReason.LevelZero, [(0, zero[..take])], outputLevel: 0);
    }

    private CompactionPlan? PickLevel(TableSet set, int level, IReadOnlyList<CompactionPlan> running, long expiryHorizonMs)
    {
        TableFile[] tables = set.Level(level);
        TableFile[] below = set.Level(level + 1);
        CompactionPlan? best = null;
        double bestCost = double.MaxValue;
        foreach (TableFile table in tables)
        {
            if (table.Busy)
                continue;
            long overlap = 0;
            bool busy = false;
            foreach (TableFile other in Overlapping(below, table.Bounds))
            {
                overlap += other.SizeBytes;
                busy |= other.Busy;
            }

            if (busy)
                continue;
            // Bytes rewritten for each byte moved down; dead entries make a table cheap.
            double cost = (double)overlap / Math.Max(1, table.SizeBytes);
            cost /= 1 + (3.0 * DeadPercent(table, expiryHorizonMs) / 100);
            if (cost >= bestCost)
                continue;
            CompactionPlan? plan = IntoLevel(set, CompactionReason.LevelSize, level, [table], level + 1);
            if (plan is null || !Free(plan, running))
                continue;
            best = plan;
            bestCost = cost;
        }

        return best;
    }

    private CompactionPlan? PickCollection(
        TableSet set, LevelTargets targets, IReadOnlyList<CompactionPlan> running, long expiryHorizonMs, ulong oldestSnapshot)
    {
        for (int level = set.LevelCount - 1; level > 0; level--)
        {
            foreach (TableFile table in set.Level(level))
            {
                if (table.Busy || table.CollectedInVainAt >= oldestSnapshot
                    || (DeadPercent(table, expiryHorizonMs) < DeadPercentDue && !(table.HasRangeTombstones && NothingBelow(set, level, table))))
                    continue;

                // With nothing underneath it is rewritten where it lies; else it carries its tombstones down.
                int output = NothingBelow(set, level, table) ? level : level + 1;
                CompactionPlan? plan = output == level
                    ? new CompactionPlan(set, CompactionReason.Collect, [(level, [table])], level)
                    : IntoLevel(set, CompactionReason.Collect, level, [table], Math.Max(output, targets.BaseLevel));
                if (plan is not null && Free(plan, running))
                    return plan;
            }
        }

        return null;
    }

    private static bool NothingBelow(TableSet set, int level, TableFile table)
    {
        for (int below = level + 1; below < set.LevelCount; below++)
        {
            if (Overlapping(set.Level(below), table.Bounds).Length > 0)
                return false;
        }

        return true;
    }

    private static int DeadPercent(TableFile table, long expiryHorizonMs)
    {
        var p = table.Properties;
        if (p.EntryCount == 0)
            return 0;
        double expired = 0;
        if (p.ExpiringCount > 0 && expiryHorizonMs > p.FirstDeadlineMs)
        {
            long spread = p.LastDeadlineMs - p.FirstDeadlineMs;
            expired = spread == 0 ? p.ExpiringCount : p.ExpiringCount * Math.Min(1, (double)(expiryHorizonMs - p.FirstDeadlineMs) / spread);
        }

        return (int)(100 * (p.TombstoneCount + expired) / p.EntryCount);
    }

    /// <summary>Tables of one level into a deeper one, with what they overlap there; null when that is being read.</summary>
    private CompactionPlan? IntoLevel(TableSet set, CompactionReason reason, int level, TableFile[] tables, int outputLevel)
    {
        KeyBounds hull = tables[0].Bounds;
        foreach (TableFile table in tables)
            hull = hull.Union(table.Bounds);
        for (int between = level + 1; between < outputLevel; between++)
        {
            // Something on the way (left over from a smaller base level) would be overtaken.
            if (Overlapping(set.Level(between), hull).Length > 0)
                return IntoLevel(set, reason, level, tables, between);
        }

        TableFile[] below = Overlapping(set.Level(outputLevel), hull);
        foreach (TableFile table in below)
        {
            if (table.Busy)
                return null;
        }

        bool move = below.Length == 0 && reason != CompactionReason.Collect && Movable(tables, level, outputLevel)
            && (outputLevel + 1 >= set.LevelCount
                || TableSet.Bytes(Overlapping(set.Level(outputLevel + 1), hull)) <= GrandparentBytesMax(_options));
        var inputs = new List<(int, TableFile[])> { (level, tables) };
        if (below.Length > 0)
            inputs.Add((outputLevel, below));
        return new CompactionPlan(set, reason, inputs, outputLevel) { TrivialMove = move };
    }

    private bool Movable(TableFile[] tables, int level, int outputLevel)
    {
        bool compresses = outputLevel >= _options.CompressFromLevel;
        for (int i = 0; i < tables.Length; i++)
        {
            if (compresses && !tables[i].Properties.Compressed)
                return false;
            for (int j = 0; level == 0 && j < i; j++)
            {
                if (tables[i].Bounds.Overlaps(tables[j].Bounds))
                    return false;
            }
        }

        return true;
    }

    /// <summary>An output that overlaps more than this of the level below it is cut, so that its own turn stays cheap.</summary>
    public static long GrandparentBytesMax(LsmOptions options) => options.TableBytes * 10;

    private static bool Free(CompactionPlan plan, IReadOnlyList<CompactionPlan> running)
    {
        foreach (CompactionPlan other in running)
        {
            if (other.OutputLevel == plan.OutputLevel && plan.OutputLevel > 0 && other.Hull.Overlaps(plan.Hull))
                return false;
        }

        return true;
    }

    /// <summary>The tables of an ordered level that overlap <paramref name="bounds"/>.</summary>
    public static TableFile[] Overlapping(TableFile[] tables, in KeyBounds bounds)
    {
        int from = TableSet.FindTable(tables, bounds.Start);
        int to = from;
        while (to < tables.Length && !bounds.EndsBefore(tables[to].Bounds.Start))
            to++;
        return tables[from..to];
    }
}
