using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.Compaction;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// Dropping what range tombstones cover whole, without waiting for a level to fill. Tables with tombstones are looked at
/// once, and again when the oldest snapshot has moved or a compaction that held something has ended.
/// </summary>
internal sealed partial class TableStore
{
    // Under _lock. Tables with tombstones that cover something which a running compaction reads.
    private readonly List<TableFile> _impeded = [];
    private bool _coverWaits;

    public bool WaitsForSnapshots => Volatile.Read(ref _coverWaits);

    public void NoteOldestSnapshot(ulong oldest)
    {
        if (!WaitsForSnapshots)
            return;
        lock (_lock)
        {
            if (oldest <= _oldestSnapshot)
                return;
            _oldestSnapshot = oldest;
            Refresh();
        }
    }

    /// <summary>Tables with tombstones under which was not looked yet. Under the lock.</summary>
    private List<TableFile> CoveringDue()
    {
        var due = new List<TableFile>();
        if (_manualWaiting > 0 || !_current.AnyRangeTombstones)
            return due;
        for (int level = 0; level < _current.LevelCount; level++)
        {
            foreach (TableFile table in _current.Level(level))
            {
                if (table.HasRangeTombstones && (table.LookedUnderAt is not { } at || at < _oldestSnapshot))
                    due.Add(table);
            }
        }

        return due;
    }

    private bool AnyCoverWaits()
    {
        if (!_current.AnyRangeTombstones)
            return false;
        for (int level = 0; level < _current.LevelCount; level++)
        {
            foreach (TableFile table in _current.Level(level))
            {
                if (table.HasRangeTombstones && table.LookedUnderAt != ulong.MaxValue)
                    return true;
            }
        }

        return false;
    }

    /// <summary>Looks once under the tombstones that are new, and drops what they cover. False when there were none.</summary>
    private bool TryDropCovered(ulong oldestSnapshot, Func<ulong[]> snapshots)
    {
        TableSet set;
        List<TableFile> covering;
        lock (_lock)
        {
            covering = CoveringDue();
            if (covering.Count == 0)
                return false;
            set = _current;
            set.AddReference();
        }

        CoveredTables covered;
        try
        {
            covered = CoveredTables.Find(set, covering, oldestSnapshot);
        }
        finally
        {
            set.Release();
        }

        CompactionPlan? plan;
        lock (_lock)
        {
            foreach (TableFile table in covered.ForSome)
                table.Covered = true;

            // The set may be another one by now. What it has of the covered tables is still covered: tombstones do not go
            // before what is under them.
            plan = covered.PlanFor(_current, covering, out bool impeded);
            foreach (TableFile table in covering)
                table.LookedUnderAt = impeded || covered.NewestTombstone > oldestSnapshot ? oldestSnapshot : ulong.MaxValue;
            if (impeded)
                _impeded.AddRange(covering);
            if (plan is not null)
                Begin(plan);
            else
                Refresh();
        }

        if (plan is null)
            return true;
        try
        {
            Run(plan, snapshots, default);
        }
        catch
        {
            lock (_lock)
            {
                foreach (TableFile table in covering)
                    table.LookedUnderAt = null;
                Refresh();
            }

            throw;
        }

        return true;
    }

    /// <summary>A compaction has ended: what it read is free again, or has become other tables. Under the lock.</summary>
    private void LookAgainUnderImpeded()
    {
        foreach (TableFile table in _impeded)
            table.LookedUnderAt = null;
        _impeded.Clear();
    }

    private void Drop(CompactionPlan plan)
    {
        var edit = new TableSetEdit();
        foreach ((int level, TableFile table) in plan.AllInputs)
            edit.Removed.Add((level, table.Number));
        Install(edit);
    }

    /// <summary>Marks what new tombstones cover, so that later ones over the same are not taken to free it again.</summary>
    private void MarkCovered(List<RangeTombstone> tombstones)
    {
        if (tombstones.Count == 0)
            return;
        var fragments = new FragmentedTombstones(tombstones);
        lock (_lock)
        {
            for (int level = 0; level < _current.LevelCount; level++)
            {
                foreach (TableFile table in _current.Level(level))
                    table.Covered |= fragments.Covers(table.Bounds, table.Properties.LargestSequence, ulong.MaxValue);
            }
        }
    }
}
