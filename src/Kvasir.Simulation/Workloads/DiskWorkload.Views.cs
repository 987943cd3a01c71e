using Kvasir.Cluster.Nodes;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Workloads;

/// <content>
/// Snapshots and iterators that are held while transactions, flushes, compactions and faults go on, and must show then
/// what they showed at first; and what happens in the middle of background work.
/// </content>
public sealed partial class DiskWorkload
{
    private readonly List<HeldView> _held = [];

    private void HoldView(KvasirNode node)
    {
        if (_certain is not null || _held.Count >= 6)
            return;
        int database = _random.Next(Databases);
        IStorageEngine engine = node.Database(database).Engine;
        HeldView view = new(database, engine, _history[^1], _history.Count - 1, NowMs);
        if (_random.OneIn(3))
        {
            // At the time that the expected content is of.
            bool wasComparing = _comparing;
            _comparing = true;
            try
            {
                view.Iterator = engine.CreateScan(default);
            }
            catch (StorageException) when (_diskIsBad)
            {
                return;
            }
            finally
            {
                _comparing = wasComparing;
            }
        }
        else
        {
            view.Snapshot = engine.CreateSnapshot();
        }

        Count(view.Iterator is null ? "snapshots held" : "iterators held");
        _held.Add(view);
    }

    /// <summary>Compares and lets go of the oldest views until so many are left.</summary>
    private void CheckHeldViews(int keep)
    {
        while (_held.Count > keep)
        {
            HeldView view = _held[0];
            _held.RemoveAt(0);
            bool wasChecking = _checking;
            _checking = true;
            try
            {
                if (!view.Doubtful && view.Iterator is not null)
                    Walk(view.Iterator, [.. view.Model.Live(view.Database, view.NowMs)], $"in an iterator held since transaction {view.Prefix}: db{view.Database}");
                else if (!view.Doubtful)
                    CheckDatabase(view.Engine, ReadView.At(view.Snapshot!), view.Model, view.Database, view.Prefix, NowMs, "in a snapshot");
            }
            catch (StorageException) when (_diskIsBad)
            {
                Count("reads refused by the disk");
            }
            catch (ObjectDisposedException) when (_node is { } node && node.Replicas.All(r => r.Engine != view.Engine))
            {
                Count("views that ended with an engine that a keyspace was moved away from");
            }
            finally
            {
                _checking = wasChecking;
                view.Snapshot?.Dispose();
                view.Iterator?.Dispose();
            }
        }
    }

    /// <summary>
    /// Background work stands before it changes something on disk: whatever another thread might do now. (Not where it
    /// reads: locks are held there that another thread would wait for, and this one would not.)
    /// </summary>
    private void Interleave()
    {
        if (!_options.Faults.HasFlag(DiskWorkloadFaults.Interleave) || _node is not { } node || _posting || _closing
            || !_scheduler.IsRunningJob || node.Mailbox.IsBusy || !_random.OneIn(30))
            return;
        bool wasChecking = _checking;
        _checking = true;
        try
        {
            if (_random.OneIn(3))
            {
                Count("views taken inside background work");
                HoldView(node);
            }
            else
            {
                Count("transactions inside background work");
                Transact(node);
            }
        }
        finally
        {
            _checking = wasChecking;
        }
    }

    private sealed class HeldView(int database, IStorageEngine engine, DatabaseModel model, int prefix, long nowMs)
    {
        public int Database => database;

        public IStorageEngine Engine => engine;

        public DatabaseModel Model => model;

        public int Prefix => prefix;

        public long NowMs => nowMs;

        public EngineSnapshot? Snapshot { get; set; }

        public EngineScan? Iterator { get; set; }

        /// <summary>The log failed since: views made before may show what was forgotten.</summary>
        public bool Doubtful { get; set; }
    }
}
