using System.Globalization;
using System.Text;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Commands;

/// <summary>INFO's section of engines: a line for each keyspace with what the replicas here tell of themselves, added up.</summary>
internal static class EngineInfo
{
    public static void Write(IServedNode node, Action<string, string> field)
    {
        var engines = new List<EngineStatistics>();
        for (int i = 0; i < node.DatabaseCount; i++)
        {
            ReadOnlySpan<Replica> replicas = node.ReplicasOf(i);
            if (replicas.IsEmpty)
                continue;
            engines.Clear();
            foreach (Replica replica in replicas)
                engines.Add(replica.Engine.GetStatistics());
            field(replicas[0].Options.Name, Line(replicas[0].Options.Engine, engines));
        }
    }

    internal static string Line(string name, IReadOnlyList<EngineStatistics> engines)
    {
        var text = new StringBuilder();
        text.Append("engine=").Append(name);
        Add("replicas", engines.Count);
        Sum("keys", static s => s.EstimatedKeys);
        Sum("disk_bytes", static s => s.DiskBytes);
        Sum("memtable_bytes", static s => s.MemTableBytes);
        Sum("cache_bytes", static s => s.CacheBytes);
        Sum("user_bytes", static s => s.UserBytesWritten);
        Sum("flush_bytes", static s => s.FlushBytesWritten);
        Sum("compaction_bytes", static s => s.CompactionBytesWritten);
        Sum("compaction_debt_bytes", static s => s.CompactionDebtBytes);
        if (engines.Any(static s => s.CacheHits + s.CacheMisses > 0))
        {
            Sum("cache_hits", static s => s.CacheHits);
            Sum("cache_misses", static s => s.CacheMisses);
        }

        if (engines.Any(static s => s.Levels.Count > 0))
            text.Append(",level_files=").Append(Levels(engines));
        if (engines.Any(static s => s.IndexLimitBytes > 0))
        {
            Sum("index_bytes", static s => s.IndexBytes);

            // Each tells what it may take beside the others as they are.
            Add("index_limit_bytes", engines.Sum(static s => s.IndexBytes) + engines.Max(static s => s.IndexLimitBytes - s.IndexBytes));
            Add("index_fullest_percent", engines.Max(static s => s.IndexPercent ?? 0));
        }

        if (engines.Any(static s => s.TreePages is not null))
        {
            Sum("pages", static s => s.TreePages?.Pages ?? 0);
            Sum("free_pages", static s => s.TreePages?.FreePages ?? 0);
            Sum("held_pages", static s => s.TreePages?.HeldPages ?? 0);
            Add("page_bytes", engines.Max(static s => s.TreePages?.PageBytes ?? 0));
            Add("depth", engines.Max(static s => s.TreePages?.Depth ?? 0));
            Sum("readers", static s => s.TreePages?.Readers ?? 0);
            Add("oldest_reader_lag", engines.Max(static s => s.TreePages?.OldestReaderLag ?? 0));
        }

        return text.ToString();

        void Sum(string what, Func<EngineStatistics, long> value) => Add(what, engines.Sum(value));

        void Add(string what, long value) => text.Append(CultureInfo.InvariantCulture, $",{what}={value}");
    }

    /// <summary>Files of each level, level zero first.</summary>
    private static string Levels(IReadOnlyList<EngineStatistics> engines) => string.Join(
        '/', Enumerable.Range(0, engines.Max(static s => s.Levels.Count)).Select(level => engines.Sum(s => level < s.Levels.Count ? s.Levels[level].Files : 0)));
}
