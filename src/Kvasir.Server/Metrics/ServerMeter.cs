using System.Diagnostics.Metrics;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Replicas;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Metrics;

/// <summary>The server's instruments. All are read when somebody asks, so counting costs the hot path nothing more.</summary>
internal sealed class ServerMeter : IDisposable
{
    public const string Name = "Kvasir.Server";
    private static readonly EngineStatistics s_none = new();
    private readonly Meter _meter = new(Name);
    private readonly ServerState _server;

    public ServerMeter(ServerState server)
    {
        _server = server;
        ServerStatistics statistics = server.Statistics;
        Counter("kvasir.commands", "commands that ran", () => statistics.Commands);
        Counter("kvasir.errors", "error replies", () => statistics.ErrorReplies);
        Counter("kvasir.connections.accepted", "connections accepted", () => statistics.Connections);
        Counter("kvasir.connections.rejected", "connections refused by a limit", () => statistics.RejectedConnections);
        Counter("kvasir.network.received.bytes", "bytes received", () => statistics.BytesIn);
        Counter("kvasir.network.sent.bytes", "bytes sent", () => statistics.BytesOut);
        Counter("kvasir.writes.delayed", "writes that back-pressure made wait", () => statistics.DelayedWrites);
        Counter("kvasir.keys.expired", "expired keys deleted", () => statistics.ExpiredKeys);
        Gauge("kvasir.connections", "connections now", () => server.Clients.Count);
        Gauge("kvasir.journal.bytes", "journal kept for replay", () => server.Node.Log.RetainedBytes);
        Gauge("kvasir.journal.appended.position", "end of the journal", () => (long)server.Node.Log.AppendedPosition.Value);
        Gauge("kvasir.journal.durable.position", "what of it is on stable storage", () => (long)server.Node.Log.DurablePosition.Value);
        Counter("kvasir.journal.records", "records appended; for each sync: the size of a commit group", () => server.Node.Log.Statistics.Records);
        Counter("kvasir.journal.writes", "writes to the journal", () => server.Node.Log.Statistics.Writes);
        Counter("kvasir.journal.written.bytes", "bytes of them", () => server.Node.Log.Statistics.WrittenBytes);
        Counter("kvasir.journal.syncs", "fsyncs of the journal", () => server.Node.Log.Statistics.Syncs);
        Counter("kvasir.journal.sync.microseconds", "time spent in them", () => server.Node.Log.Statistics.SyncMicroseconds);
        Gauge("kvasir.journal.sync.slowest.microseconds", "the slowest of them", () => server.Node.Log.Statistics.SlowestSyncMicroseconds);
        Gauge("kvasir.writes.refused", "1 while writes are refused", () => server.Node.Log.Refusal is null ? 0 : 1);
        if (server.Node.Clustered is { Topology: { } topology })
        {
            Gauge("kvasir.cluster.shards", "shards of all keyspaces", () => topology.Health?.Shards ?? 0);
            Gauge("kvasir.cluster.shards.under_replicated", "shards with fewer copies than promised", () => topology.Health?.ShardsUnderReplicated ?? 0);
            Gauge("kvasir.cluster.shards.unavailable", "shards that have lost their majority", () => topology.Health?.ShardsUnavailable ?? 0);
            Gauge("kvasir.cluster.shards.moving", "shards whose copies are being made or moved", () => topology.Health?.ShardsMoving ?? 0);
            Gauge("kvasir.cluster.replicas.stopped", "replicas here that differ from their leaders and are stopped", () => topology.Stopped.Count);
            Gauge("kvasir.cluster.nodes.lost", "nodes that are dead or silent", () => topology.Health?.NodesLost ?? 0);
            Gauge("kvasir.cluster.followers.behind.entries", "the most entries that a copy lacks of a shard led here", () => topology.FurthestBehind.Entries);
            Gauge("kvasir.cluster.followers.behind.milliseconds", "the longest that a copy has lacked some", () => topology.FurthestBehind.Milliseconds);
            AddSnapshots(topology);
        }

        Gauge("kvasir.conversions", "conversions to another engine that are under way here", () => server.Node.Conversions.Running);
        Counter("kvasir.conversions.copied.rows", "rows that conversions have copied", () => server.Node.Conversions.Rows);
        Counter("kvasir.conversions.copied.bytes", "bytes of their keys and values", () => server.Node.Conversions.Bytes);
        Counter("kvasir.conversions.microseconds", "time that conversions took together", () => (long)server.Node.Conversions.Duration.TotalMicroseconds);
        Gauge("kvasir.memory.budget.bytes", "what memtables and caches may use", () => server.Node.Memory.TotalBytes);
        Gauge("kvasir.memory.memtable.bytes", "memtables of all databases", () => server.Node.Memory.WriteBytes);
        Gauge("kvasir.memory.cache.bytes", "caches of all databases", () => server.Node.Memory.CacheBytes);
        EngineGauge("kvasir.engine.disk.bytes", "bytes on disk", static s => s.DiskBytes);
        EngineGauge("kvasir.engine.compaction.debt.bytes", "bytes that compactions owe", static s => s.CompactionDebtBytes);
        EngineGauge("kvasir.engine.index.bytes", "memory of keys, of engines that have all of them there", static s => s.IndexBytes);
        Gauge(
            "kvasir.engine.index.limit.bytes",
            "what those may take together; beyond it new keys are refused",
            () => Max(static s => s.IndexLimitBytes) == 0 ? 0 : server.Node.Memory.IndexLimitBytes);
        Gauge("kvasir.engine.index.fullest.percent", "of that, or of what one of them may take, where it is most", () => Max(static s => s.IndexPercent ?? 0));
        EngineGauge("kvasir.engine.tree.bytes", "pages of trees", static s => s.TreePages is { } t ? t.Pages * t.PageBytes : 0);
        EngineGauge("kvasir.engine.tree.free.bytes", "free ones of them", static s => s.TreePages is { } t ? t.FreePages * t.PageBytes : 0);
        EngineGauge("kvasir.engine.tree.held.bytes", "of those, what views that are open hold back", static s => s.TreePages is { } t ? t.HeldPages * t.PageBytes : 0);
        EngineGauge("kvasir.engine.tree.readers", "views of trees that are open", static s => s.TreePages?.Readers ?? 0);
        Gauge("kvasir.engine.tree.depth", "pages from the root to an entry, of the deepest tree", () => Max(static s => s.TreePages?.Depth ?? 0));
        EngineCounter("kvasir.engine.cache.hits", "reads that the cache answered", static s => s.CacheHits);
        EngineCounter("kvasir.engine.cache.misses", "reads that went to the disk", static s => s.CacheMisses);
        EngineCounter("kvasir.engine.user.bytes", "bytes that clients wrote", static s => s.UserBytesWritten);
        EngineCounter("kvasir.engine.flush.bytes", "bytes that flushes wrote", static s => s.FlushBytesWritten);
        EngineCounter("kvasir.engine.compaction.read.bytes", "bytes that compactions read", static s => s.CompactionBytesRead);
        EngineCounter("kvasir.engine.compaction.written.bytes", "bytes that compactions wrote", static s => s.CompactionBytesWritten);
        EngineCounter("kvasir.engine.stall.microseconds", "time that writers were made to wait", static s => s.StallMicroseconds);
        Gauge("kvasir.gc.heap.bytes", "managed heap", static () => GC.GetTotalMemory(forceFullCollection: false));
        Counter("kvasir.gc.allocated.bytes", "bytes allocated on the managed heap", static () => GC.GetTotalAllocatedBytes());
    }

    public void Dispose() => _meter.Dispose();

    private void AddSnapshots(IClusterTopology topology)
    {
        Gauge("kvasir.snapshots.waiting", "copies on other nodes that need a snapshot which has not begun", () => topology.Snapshots.Waiting);
        Gauge("kvasir.snapshots.sending", "snapshots on their way to other nodes", () => topology.Snapshots.Sending);
        Gauge("kvasir.snapshots.receiving", "snapshots on their way to this node", () => topology.Snapshots.Receiving);
        Counter("kvasir.snapshots.sent.bytes", "bytes of snapshots sent", () => topology.Snapshots.SentBytes);
        Counter("kvasir.snapshots.received.bytes", "bytes of snapshots received", () => topology.Snapshots.ReceivedBytes);
        Counter("kvasir.snapshots.delivered", "snapshots that other nodes have installed, or did not need any more", () => topology.Snapshots.Delivered);
        Counter("kvasir.snapshots.undelivered", "snapshots for other nodes that came to nothing", () => topology.Snapshots.Undelivered);
        Counter("kvasir.snapshots.installed", "snapshots that have taken the place of a copy here", () => topology.Snapshots.Installed);
        Counter("kvasir.snapshots.failed", "snapshots that were begun here and came to nothing", () => topology.Snapshots.Failed);
        Counter("kvasir.snapshots.refused", "snapshots that could not be begun here, for want of room for example", () => topology.Snapshots.Refused);
    }

    private void Counter(string name, string description, Func<long> value) =>
        _meter.CreateObservableCounter(name, () => Read(value), unit: null, description);

    private void Gauge(string name, string description, Func<long> value) =>
        _meter.CreateObservableGauge(name, () => Read(value), unit: null, description);

    private void EngineGauge(string name, string description, Func<EngineStatistics, long> value) =>
        Gauge(name, description, () => Sum(value));

    private void EngineCounter(string name, string description, Func<EngineStatistics, long> value) =>
        Counter(name, description, () => Sum(value));

    /// <summary>Not while the node is closed and opened again: it has no log and no engines then.</summary>
    private long Read(Func<long> value)
    {
        lock (_server.ReloadLock)
            return value();
    }

    private long Max(Func<EngineStatistics, long> value)
    {
        long max = 0;
        for (int i = 0; i < _server.Node.DatabaseCount; i++)
        {
            foreach (Replica replica in _server.Node.ReplicasOf(i))
                max = Math.Max(max, value(StatisticsOf(replica)));
        }

        return max;
    }

    private long Sum(Func<EngineStatistics, long> value)
    {
        long sum = 0;
        for (int i = 0; i < _server.Node.DatabaseCount; i++)
        {
            foreach (Replica replica in _server.Node.ReplicasOf(i))
                sum += value(StatisticsOf(replica));
        }

        return sum;
    }

    // Outside the mailbox, where a replica may be dropped meanwhile.
    private static EngineStatistics StatisticsOf(Replica replica)
    {
        try
        {
            return replica.Engine.GetStatistics();
        }
        catch (ObjectDisposedException)
        {
            return s_none;
        }
    }
}
