using Kvasir.Primitives;
using Kvasir.Storage.Lsm.Compaction;
using Kvasir.Storage.Lsm.Manifest;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>Picking, running and installing compactions.</summary>
internal sealed partial class TableStore
{
    public bool RunCompaction(Func<ulong[]> snapshots, CancellationToken cancellation = default)
    {
        CompactionPlan? plan;
        ulong oldest = new SnapshotStripes(snapshots()).Oldest;

        // Before anything is merged that need not be.
        if (TryDropCovered(oldest, snapshots))
            return true;
        lock (_lock)
        {
            _oldestSnapshot = Math.Max(_oldestSnapshot, oldest);
            plan = Pick();
            if (plan is null)
            {
                Refresh();
                return false;
            }

            Begin(plan);
        }

        Run(plan, snapshots, cancellation);
        return true;
    }

    public bool DropCovered(Func<ulong[]> snapshots) => TryDropCovered(new SnapshotStripes(snapshots()).Oldest, snapshots);

    public void CompactRange(byte[]? start, byte[]? end, Func<ulong[]> snapshots, Action? refresh = null, CancellationToken cancellation = default)
    {
        var range = new KeyBounds(start ?? [], end, EndInclusive: false);
        CompactionPlan? plan = null;
        bool nothing = false;
        lock (_lock)
            _manualWaiting++;
        try
        {
            using CancellationTokenRegistration wakes = cancellation.Register(_compactionEnded.Pulse);
            _compactionEnded.WaitUntil(() =>
            {
                lock (_lock)
                    return cancellation.IsCancellationRequested || TryBeginRange(range, out plan, out nothing);
            });
        }
        finally
        {
            lock (_lock)
            {
                _manualWaiting--;
                Refresh();
            }
        }

        if (plan is not null)
            Run(plan, snapshots, cancellation);
        else if (!nothing)
            cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>Runs a plan that was begun, and ends it whatever happens.</summary>
    private void Run(CompactionPlan plan, Func<ulong[]> snapshots, CancellationToken cancellation)
    {
        try
        {
            if (plan.TrivialMove)
                Move(plan);
            else if (plan.Reason == CompactionReason.Covered)
                Drop(plan);
            else
                Rewrite(plan, snapshots, cancellation);
        }
        finally
        {
            lock (_lock)
            {
                _running.Remove(plan);
                foreach ((_, TableFile table) in plan.AllInputs)
                    table.Busy = false;
                LookAgainUnderImpeded();
                Refresh();
            }

            plan.Set.Release();
            _compactionEnded.Pulse();
            _obsolete.Purge();
        }
    }

    private void Move(CompactionPlan plan)
    {
        var edit = new TableSetEdit();
        foreach ((int level, TableFile table) in plan.AllInputs)
        {
            edit.Removed.Add((level, table.Number));
            edit.Added.Add(new ManifestTable(plan.OutputLevel, table.Number, table.SizeBytes, table.Properties));
        }

        Install(edit);
    }

    private void Rewrite(CompactionPlan plan, Func<ulong[]> snapshots, CancellationToken cancellation)
    {
        var stripes = new SnapshotStripes(snapshots());
        var run = new CompactionRun(plan, _options, stripes, ExpiryHorizonMs());
        TombstoneThinning tombstones = run.ReadTombstones();
        using var outputs = new TableOutputs(
            _files, _folder, plan.OutputLevel, _manifest.NewFileNumber, WriterOptions(plan.OutputLevel), tombstones.Cut,
            plan.Reason == CompactionReason.Manual ? null : _pace);
        run.Run(tombstones, outputs, cancellation);
        var edit = new TableSetEdit();
        edit.Added.AddRange(outputs.Finish());
        foreach ((int level, TableFile table) in plan.AllInputs)
            edit.Removed.Add((level, table.Number));
        Install(edit);
        Interlocked.Add(ref _compactionBytesRead, run.BytesRead);
        Interlocked.Add(ref _compactionBytesWritten, outputs.BytesWritten);
        if (plan.Reason == CompactionReason.Collect)
            MarkCollected(edit.Added, stripes.Oldest);
    }

    private void MarkCollected(List<ManifestTable> outputs, ulong oldestSnapshot)
    {
        lock (_lock)
        {
            foreach (ManifestTable output in outputs)
            {
                foreach (TableFile table in _current.Level(output.Level))
                {
                    if (table.Number == output.Number)
                        table.CollectedInVainAt = oldestSnapshot;
                }
            }
        }
    }

    /// <summary>
    /// All tables of all levels that overlap the range, grown until no table on the way down is left out that
    /// overlaps what is in; false while a running compaction holds one of them.
    /// </summary>
    private bool TryBeginRange(KeyBounds range, out CompactionPlan? plan, out bool nothing)
    {
        plan = null;
        nothing = false;
        TableSet set = _current;
        int deepest = 0;
        for (int level = 1; level < set.LevelCount; level++)
        {
            if (set.Level(level).Length > 0)
                deepest = level;
        }

        if (deepest == 0)
            deepest = _targets.BaseLevel;
        KeyBounds? hull = null;
        var inputs = new List<(int, TableFile[])>();
        int count = -1;
        while (true)
        {
            inputs.Clear();
            KeyBounds bounds = hull?.Union(hull.Value) ?? range;
            for (int level = 0; level <= deepest; level++)
            {
                TableFile[] tables = level == 0
                    ? [.. set.Level(0).Where(t => t.Bounds.Overlaps(bounds))]
                    : CompactionPicker.Overlapping(set.Level(level), bounds);
                if (tables.Length > 0)
                    inputs.Add((level, tables));
            }

            if (inputs.Count == 0)
            {
                nothing = true;
                return true;
            }

            foreach ((_, TableFile[] tables) in inputs)
            {
                foreach (TableFile table in tables)
                    hull = hull?.Union(table.Bounds) ?? table.Bounds;
            }

            int found = inputs.Sum(i => i.Item2.Length);
            if (found == count)
                break;
            count = found;
        }

        var wanted = new CompactionPlan(set, CompactionReason.Manual, inputs, deepest);
        foreach ((_, TableFile table) in wanted.AllInputs)
        {
            if (table.Busy)
                return false;
        }

        foreach (CompactionPlan other in _running)
        {
            if (other.OutputLevel == deepest && other.Hull.Overlaps(wanted.Hull))
                return false;
        }

        // Not before: who gives up waiting must not be left with a plan that was never begun.
        Begin(wanted);
        plan = wanted;
        return true;
    }

    private CompactionPlan? Pick() =>
        _manualWaiting > 0 ? null : _picker.Pick(_current, _targets, _running, ExpiryHorizonMs(), _oldestSnapshot);

    private void Begin(CompactionPlan plan)
    {
        plan.Set.AddReference();
        _running.Add(plan);
        foreach ((_, TableFile table) in plan.AllInputs)
        {
            Check.That(!table.Busy);
            table.Busy = true;
        }

        Refresh();
    }

    /// <summary>Works out anew what follows from the set and from what is running. Under the lock.</summary>
    private void Refresh()
    {
        _targets = LevelTargets.Compute(_current, _options);
        Volatile.Write(ref _debt, _picker.Debt(_current, _targets));
        Volatile.Write(ref _nextExpiryMs, CompactionPicker.NextExpiryMs(_current));
        Volatile.Write(ref _coverWaits, AnyCoverWaits());
        bool due = Pick() is not null || CoveringDue().Count > 0;
        Volatile.Write(ref _due, due);
        if (!due && ExpiryHorizonMs() >= _nextExpiryMs)
            Volatile.Write(ref _nextExpiryMs, ExpiryHorizonMs() + ExpiryRecheckMs);
    }
}
