using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Replicas;
using Kvasir.Server.Sessions;
using Kvasir.Server.Transport;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Server.Commands;

/// <summary>INFO's text, section by section. Field names are Redis's; where one means nothing here it has its resting value.</summary>
internal sealed class InfoPage(ServerState server, Execution execution)
{
    // A node has copies of many shards, and the mailbox has other work.
    private const long CountedOfShardMax = 10_000;
    private const int IndexPercentNear = 80;

    private readonly StringBuilder _text = new();

    public static readonly string[] DefaultSections =
        ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "errorstats", "cluster", "keyspace"];

    public static readonly string[] AllSections =
        ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats", "errorstats", "latencystats", "engines", "cluster", "keyspace"];

    public string Write(IEnumerable<string> sections)
    {
        foreach (string section in AllSections.Where(s => sections.Contains(s, StringComparer.Ordinal)))
        {
            if (_text.Length != 0)
                _text.Append("\r\n");
            Section(section);
        }

        return _text.ToString();
    }

    private void Section(string name)
    {
        _text.Append("# ").Append(char.ToUpperInvariant(name[0])).Append(name == "cpu" ? "PU" : name[1..]).Append("\r\n");
        switch (name)
        {
            case "server":
                Server();
                break;
            case "clients":
                Clients();
                break;
            case "memory":
                Memory();
                break;
            case "persistence":
                Persistence();
                break;
            case "stats":
                Stats();
                break;
            case "replication":
                Replication();
                break;
            case "cpu":
                Cpu();
                break;
            case "commandstats":
                CommandStats();
                break;
            case "errorstats":
                foreach ((string code, long count) in server.Statistics.Errors)
                    Field("errorstat_" + code, $"count={count}");
                break;
            case "latencystats":
                LatencyStats();
                break;
            case "engines":
                EngineInfo.Write(server.Node, Field);
                break;
            case "cluster":
                Cluster();
                break;
            case "keyspace":
                Keyspace();
                break;
        }
    }

    private void Server()
    {
        long uptime = (server.Clock.NowMs - server.Clock.StartedAt.ToUnixTimeMilliseconds()) / 1000;
        Field("redis_version", ServerIdentity.RedisVersion);
        Field("redis_git_sha1", "00000000");
        Field("redis_git_dirty", "0");
        Field("redis_build_id", "0");
        Field("redis_mode", server.Mode);
        Field("kvasir_version", typeof(InfoPage).Assembly.GetName().Version?.ToString(3) ?? "0");
        Field("os", RuntimeInformation.OSDescription + " " + RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant());
        Field("arch_bits", "64");
        Field("monotonic_clock", "POSIX clock_gettime");
        Field("multiplexing_api", server.Identity.Loop);
        Field("atomicvar_api", "dotnet-interlocked");
        Field("gcc_version", "0.0.0");
        Field("runtime", RuntimeInformation.FrameworkDescription);
        Field("process_id", Environment.ProcessId);
        Field("process_supervised", "no");
        Field("run_id", server.Identity.RunId);
        Field("tcp_port", server.Identity.Port);
        Field("server_time_usec", server.Clock.NowMicroseconds);
        Field("uptime_in_seconds", uptime);
        Field("uptime_in_days", uptime / 86400);
        Field("hz", server.Settings["hz"]);
        Field("configured_hz", server.Settings["hz"]);
        Field("lru_clock", (server.Clock.NowMs / 1000) & 0xFFFFFF);
        Field("executable", Environment.ProcessPath ?? "");
        Field("config_file", server.Identity.ConfigFile);
        Field("io_threads_active", "0");
    }

    private void Clients()
    {
        RespSession[] sessions = server.Clients.All;
        Field("connected_clients", sessions.Length);
        Field("cluster_connections", "0");
        Field("maxclients", server.Settings["maxclients"]);
        Field("client_recent_max_input_buffer", sessions.Select(s => s.Input.Length).DefaultIfEmpty().Max());
        Field("client_recent_max_output_buffer", sessions.Select(s => s.Output.Length).DefaultIfEmpty().Max());
        Field("blocked_clients", sessions.Count(s => s.Suspended is BlockedSuspension or PausedSuspension));
        Field("tracking_clients", server.Tracking.ClientCount);
        Field("clients_in_timeout_table", sessions.Count(s => s.Suspended is BlockedSuspension { DeadlineMs: < long.MaxValue }));
    }

    private void Memory()
    {
        long managed = GC.GetTotalMemory(forceFullCollection: false);
        long engines = server.Node.Memory.WriteBytes + server.Node.Memory.SpareBytes + server.Node.Memory.CacheBytes;
        long used = managed + engines;
        long resident = Environment.WorkingSet;
        using Process process = Process.GetCurrentProcess();
        Bytes("used_memory", used);
        Bytes("used_memory_rss", resident);
        Bytes("used_memory_peak", Math.Max(process.PeakWorkingSet64, used));
        Field("used_memory_peak_perc", "100.00%");
        Field("used_memory_overhead", managed);
        Field("used_memory_startup", "0");
        Field("used_memory_dataset", engines);
        Field("used_memory_dataset_perc", Percent(engines, used));
        Field("allocator_allocated", used);
        Field("allocator_active", used);
        Field("allocator_resident", resident);
        Bytes("total_system_memory", GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
        Bytes("used_memory_lua", 0);
        Field("used_memory_vm_eval", "0");
        Field("used_memory_scripts_eval", "0");
        Field("number_of_cached_scripts", "0");
        Field("number_of_functions", "0");
        Field("number_of_libraries", "0");
        Field("used_memory_vm_functions", "0");
        Bytes("used_memory_vm_total", 0);
        Field("used_memory_functions", "0");
        Bytes("used_memory_scripts", 0);
        Bytes("maxmemory", server.Settings.Number("maxmemory"));
        Field("maxmemory_policy", server.Settings["maxmemory-policy"]);
        Field("allocator_frag_ratio", Ratio(used, used));
        Field("allocator_frag_bytes", "0");
        Field("allocator_rss_ratio", Ratio(resident, used));
        Field("allocator_rss_bytes", resident - used);
        Field("rss_overhead_ratio", Ratio(resident, resident));
        Field("rss_overhead_bytes", "0");
        Field("mem_fragmentation_ratio", Ratio(resident, used));
        Field("mem_fragmentation_bytes", resident - used);
        Field("mem_not_counted_for_evict", "0");
        Field("mem_replication_backlog", "0");
        Field("mem_total_replication_buffers", "0");
        Field("mem_clients_slaves", "0");
        Field("mem_clients_normal", server.Clients.All.Sum(SessionMemory.Of));
        Field("mem_cluster_links", "0");
        Field("mem_aof_buffer", "0");
        Field("mem_allocator", "dotnet");
        Field("active_defrag_running", "0");
        Field("lazyfree_pending_objects", "0");
        Field("lazyfreed_objects", "0");
        Field("kvasir_memtable_bytes", server.Node.Memory.WriteBytes);
        Field("kvasir_cache_bytes", server.Node.Memory.CacheBytes);
        Indexes();
    }

    /// <summary>Of keyspaces whose engine has every key in memory.</summary>
    private void Indexes()
    {
        long bytes = 0;
        bool hasIndexes = false;
        StringBuilder near = new();
        for (int i = 0; i < server.Node.DatabaseCount; i++)
        {
            foreach (Replica replica in server.Node.ReplicasOf(i))
            {
                EngineStatistics statistics = replica.Engine.GetStatistics();
                bytes += statistics.IndexBytes;
                hasIndexes |= statistics.IndexPercent is not null;
                if (statistics.IndexPercent is >= IndexPercentNear and var percent)
                    near.Append(CultureInfo.InvariantCulture, $"{(near.Length == 0 ? "" : ",")}{replica.Options.Name}={percent}%");
            }
        }

        Field("kvasir_index_bytes", bytes);
        Field("kvasir_index_limit_bytes", hasIndexes ? server.Node.Memory.IndexLimitBytes : 0);
        Field("kvasir_indexes_near_limit", near.ToString());
    }

    private void Persistence()
    {
        ISnapshotter? snapshotter = server.Snapshotter;
        Field("loading", "0");
        Field("async_loading", "0");
        Field("current_cow_peak", "0");
        Field("current_cow_size", "0");
        Field("current_cow_size_age", "0");
        Field("current_fork_perc", "0.00");
        Field("current_save_keys_processed", "0");
        Field("current_save_keys_total", "0");
        Field("rdb_changes_since_last_save", server.Events.Changes - server.ChangesAtSave);
        Field("rdb_bgsave_in_progress", snapshotter?.IsRunning == true ? 1 : 0);
        Field("rdb_last_save_time", snapshotter?.LastSaveSeconds ?? server.Clock.StartedAt.ToUnixTimeSeconds());
        Field("rdb_last_bgsave_status", snapshotter?.LastFailure is not null ? "err" : "ok");
        Field("rdb_last_bgsave_time_sec", "-1");
        Field("rdb_current_bgsave_time_sec", "-1");
        Field("rdb_saves", "0");
        Field("rdb_last_cow_size", "0");
        Field("rdb_last_load_keys_expired", "0");
        Field("rdb_last_load_keys_loaded", "0");
        Field("aof_enabled", server.Settings.Flag("appendonly") ? 1 : 0);
        Field("aof_rewrite_in_progress", "0");
        Field("aof_rewrite_scheduled", "0");
        Field("aof_last_rewrite_time_sec", "-1");
        Field("aof_current_rewrite_time_sec", "-1");
        Field("aof_last_bgrewrite_status", "ok");
        Field("aof_rewrites", "0");
        Field("aof_rewrites_consecutive_failures", "0");
        Field("aof_last_write_status", server.Node.Log.Refusal is null ? "ok" : "err");
        Field("aof_last_cow_size", "0");
        Field("module_fork_in_progress", "0");
        Field("module_fork_last_cow_size", "0");
        Field("kvasir_journal_bytes", server.Node.Log.RetainedBytes);
        Field("kvasir_journal_durable", server.Node.Log.DurablePosition.Value);
        JournalStatistics journal = server.Node.Log.Statistics;
        Field("kvasir_journal_records", journal.Records);
        Field("kvasir_journal_syncs", journal.Syncs);
        Field("kvasir_journal_sync_microseconds", journal.SyncMicroseconds);
        Field("kvasir_journal_slowest_sync_microseconds", journal.SlowestSyncMicroseconds);
        Field("kvasir_writes_refused", server.Node.Log.Refusal?.Message ?? "");
    }

    private void Stats()
    {
        ServerStatistics statistics = server.Statistics;
        Field("total_connections_received", statistics.Connections);
        Field("total_commands_processed", statistics.Commands);
        Field("instantaneous_ops_per_sec", statistics.CommandsPerSecond);
        Field("total_net_input_bytes", statistics.BytesIn);
        Field("total_net_output_bytes", statistics.BytesOut);
        Field("total_net_repl_input_bytes", "0");
        Field("total_net_repl_output_bytes", "0");
        Field("instantaneous_input_kbps", "0.00");
        Field("instantaneous_output_kbps", "0.00");
        Field("instantaneous_input_repl_kbps", "0.00");
        Field("instantaneous_output_repl_kbps", "0.00");
        Field("rejected_connections", statistics.RejectedConnections);
        Field("sync_full", "0");
        Field("sync_partial_ok", "0");
        Field("sync_partial_err", "0");
        Field("expired_keys", statistics.ExpiredKeys);
        Field("expired_stale_perc", "0.00");
        Field("expired_time_cap_reached_count", "0");
        Field("expire_cycle_cpu_milliseconds", "0");
        Field("evicted_keys", "0");
        Field("evicted_clients", statistics.EvictedClients);
        Field("total_eviction_exceeded_time", "0");
        Field("current_eviction_exceeded_time", "0");
        Field("keyspace_hits", statistics.KeyHits);
        Field("keyspace_misses", statistics.KeyMisses);
        Field("pubsub_channels", server.PubSub.Channels.Count);
        Field("pubsub_patterns", server.PubSub.Patterns.Count);
        Field("pubsubshard_channels", server.PubSub.ShardChannels.Count);
        Field("latest_fork_usec", "0");
        Field("total_forks", "0");
        Field("migrate_cached_sockets", "0");
        Field("slave_expires_tracked_keys", "0");
        Field("active_defrag_hits", "0");
        Field("active_defrag_misses", "0");
        Field("active_defrag_key_hits", "0");
        Field("active_defrag_key_misses", "0");
        Field("total_active_defrag_time", "0");
        Field("current_active_defrag_time", "0");
        Field("tracking_total_keys", server.Tracking.KeyCount);
        Field("tracking_total_items", server.Tracking.ItemCount);
        Field("tracking_total_prefixes", server.Tracking.PrefixCount);
        Field("unexpected_error_replies", "0");
        Field("total_error_replies", statistics.ErrorReplies);
        Field("dump_payload_sanitizations", "0");
        Field("total_reads_processed", statistics.Reads);
        Field("total_writes_processed", statistics.Writes);
        Field("io_threaded_reads_processed", "0");
        Field("io_threaded_writes_processed", "0");
        Field("reply_buffer_shrinks", "0");
        Field("reply_buffer_expands", "0");
        Field("kvasir_delayed_writes", statistics.DelayedWrites);
        ConversionMeter conversions = server.Node.Conversions;
        Field("kvasir_conversions", conversions.Running);
        Field("kvasir_conversion_rows_copied", conversions.Rows);
        Field("kvasir_conversion_bytes_copied", conversions.Bytes);
        Field("kvasir_conversion_seconds", Seconds(conversions.Duration));
    }

    private void Replication()
    {
        Field("role", "master");
        Field("connected_slaves", "0");
        Field("master_failover_state", "no-failover");
        Field("master_replid", server.Identity.ReplicationId);
        Field("master_replid2", "0000000000000000000000000000000000000000");
        Field("master_repl_offset", "0");
        Field("second_repl_offset", "-1");
        Field("repl_backlog_active", "0");
        Field("repl_backlog_size", server.Settings["repl-backlog-size"]);
        Field("repl_backlog_first_byte_offset", "0");
        Field("repl_backlog_histlen", "0");
    }

    private void Cpu()
    {
        using Process process = Process.GetCurrentProcess();
        Field("used_cpu_sys", Seconds(process.PrivilegedProcessorTime));
        Field("used_cpu_user", Seconds(process.UserProcessorTime));
        Field("used_cpu_sys_children", "0.000000");
        Field("used_cpu_user_children", "0.000000");

        // Of the thread that runs commands: this one.
        (TimeSpan user, TimeSpan system) = LinuxCalls.ThreadProcessorTime();
        Field("used_cpu_sys_main_thread", Seconds(system));
        Field("used_cpu_user_main_thread", Seconds(user));
    }

    private void CommandStats()
    {
        foreach (CommandEntry entry in server.Commands.AllWithSubcommands)
        {
            CommandCounters counters = entry.Counters;
            if (counters.Calls == 0 && counters.Rejected == 0 && counters.Failed == 0)
                continue;
            double perCall = counters.Calls == 0 ? 0 : (double)counters.Microseconds / counters.Calls;
            Field("cmdstat_" + entry.FullName, string.Create(
                CultureInfo.InvariantCulture,
                $"calls={counters.Calls},usec={counters.Microseconds},usec_per_call={perCall:F2},rejected_calls={counters.Rejected},failed_calls={counters.Failed}"));
        }
    }

    private void LatencyStats()
    {
        if (!server.Settings.Flag("latency-tracking"))
            return;
        string[] percentiles = server.Settings["latency-tracking-info-percentiles"].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        foreach (CommandEntry entry in server.Commands.AllWithSubcommands)
        {
            if (entry.Counters.Calls == 0)
                continue;
            Field("latency_percentiles_usec_" + entry.FullName, string.Join(',', percentiles.Select(p => string.Create(
                CultureInfo.InvariantCulture,
                $"p{p}={entry.Counters.Percentile(double.Parse(p, CultureInfo.InvariantCulture)):F3}"))));
        }
    }

    private void Cluster()
    {
        // Clients that find a 1 here speak to each leader by themselves: that is for those who are redirected.
        Field("cluster_enabled", server.Router is { Redirects: true } ? "1" : "0");
        if (server.Node.Clustered is not { } clustered)
            return;
        DirectoryHealth? health = clustered.Topology.Health;
        Field("cluster_node", clustered.Self.Value);
        Field("cluster_health", health?.Word ?? "unknown");
        IReadOnlyList<StoppedReplica> stopped = clustered.Topology.Stopped;
        Field("cluster_replicas_stopped", stopped.Count);
        foreach (StoppedReplica replica in stopped)
            Field($"cluster_replica_stopped_{replica.Group}", replica.Reason);
        Snapshots(clustered.Topology);
        if (health is null)
            return;
        Field("cluster_nodes_active", health.NodesActive);
        Field("cluster_nodes_joining", health.NodesJoining);
        Field("cluster_nodes_draining", health.NodesDraining);
        Field("cluster_nodes_lost", health.NodesLost);
        Field("cluster_shards", health.Shards);
        Field("cluster_shards_under_replicated", health.ShardsUnderReplicated);
        Field("cluster_shards_unavailable", health.ShardsUnavailable);
        Field("cluster_shards_moving", health.ShardsMoving);
        for (int i = 0; i < health.Problems.Length; i++)
            Field("cluster_problem_" + (i + 1).ToString(CultureInfo.InvariantCulture), health.Problems[i]);
    }

    private void Snapshots(IClusterTopology topology)
    {
        SnapshotTotals totals = topology.Snapshots;
        Field("cluster_snapshots_sending", totals.Sending + totals.Waiting);
        Field("cluster_snapshots_receiving", totals.Receiving);
        if (totals.Sending + totals.Waiting + totals.Receiving == 0)
            return;
        foreach (ReplicaDescription replica in topology.Replicas)
        {
            if (replica.Snapshot is { } coming)
                Field($"cluster_snapshot_of_{replica.Group}_from_{coming.From}", $"stage=receiving,{Bytes(coming.Bytes, coming.Total)}");
            foreach (FollowerLag follower in replica.Followers)
            {
                if (follower.Snapshot is { } going)
                    Field($"cluster_snapshot_of_{replica.Group}_to_{follower.Node}", $"stage={going.Stage.ToString().ToLowerInvariant()},{Bytes(going.Bytes, going.Total)}");
            }
        }

        static string Bytes(long bytes, long? total) =>
            string.Create(CultureInfo.InvariantCulture, $"bytes={bytes}") + (total is { } all ? string.Create(CultureInfo.InvariantCulture, $",total={all}") : "");
    }

    private void Keyspace()
    {
        for (int i = 0; i < server.Node.DatabaseCount; i++)
        {
            if (server.Router is not null)
            {
                StoredHere(i);
                continue;
            }

            if (server.Node.ReplicasOf(i).IsEmpty)
                continue;
            Replica replica = server.Node.Database(i);
            KeyNumbers numbers = Estimate(replica, KeyCensus.CheapCountMax);
            string text = $"keys={numbers.Keys},expires={numbers.Expiring},avg_ttl={numbers.AverageTtlMs}";
            if (i >= server.Node.Alone!.NumberedDatabases)
                Field("keyspace_" + replica.Options.Name, $"{text},engine={replica.Options.Engine}");
            else if (numbers.Keys != 0)
                Field("db" + i.ToString(CultureInfo.InvariantCulture), text);
        }
    }

    /// <summary>Of files that cannot be read what the engine guesses: whoever asks wants to know how the server is.</summary>
    private KeyNumbers Estimate(Replica replica, long countedMax)
    {
        try
        {
            return replica.Census.Estimate(execution, server.Clock.NowMs, countedMax);
        }
        catch (StorageException e)
        {
            if (e is CorruptionException damage)
                server.DamageMet?.Invoke(damage);
            return new KeyNumbers(replica.Engine.GetStatistics().EstimatedKeys, Expiring: 0, AverageTtlMs: 0);
        }
    }

    /// <summary>In a cluster: what this node's replicas hold, leaders or not; estimates where there are many keys.</summary>
    private void StoredHere(int database)
    {
        long keys = 0, expiring = 0;
        Int128 timeToLive = 0;
        foreach (Replica replica in server.Node.ReplicasOf(database))
        {
            KeyNumbers numbers = Estimate(replica, CountedOfShardMax);

            // It waits for no majority: it is asked for where there is none. Each shard has a log of its own.
            execution.TakeGate();
            keys += numbers.Keys;
            expiring += numbers.Expiring;
            timeToLive += (Int128)numbers.AverageTtlMs * numbers.Expiring;
        }

        if (keys != 0)
            Field("db" + database.ToString(CultureInfo.InvariantCulture), $"keys={keys},expires={expiring},avg_ttl={(expiring == 0 ? 0 : (long)(timeToLive / expiring))}");
    }

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("F6", CultureInfo.InvariantCulture);

    private static string Percent(long part, long whole) =>
        (100.0 * part / Math.Max(whole, 1)).ToString("F2", CultureInfo.InvariantCulture) + "%";

    private static string Ratio(long part, long whole) =>
        ((double)part / Math.Max(whole, 1)).ToString("F2", CultureInfo.InvariantCulture);

    private void Bytes(string name, long bytes)
    {
        Field(name, bytes);
        Field(name + "_human", Human(bytes));
    }

    internal static string Human(long bytes) => bytes switch
    {
        < 1024 => bytes.ToString(CultureInfo.InvariantCulture) + "B",
        < 1L << 20 => (bytes / 1024.0).ToString("F2", CultureInfo.InvariantCulture) + "K",
        < 1L << 30 => (bytes / (double)(1L << 20)).ToString("F2", CultureInfo.InvariantCulture) + "M",
        < 1L << 40 => (bytes / (double)(1L << 30)).ToString("F2", CultureInfo.InvariantCulture) + "G",
        _ => (bytes / (double)(1L << 40)).ToString("F2", CultureInfo.InvariantCulture) + "T",
    };

    private void Field(string name, long value) => Field(name, value.ToString(CultureInfo.InvariantCulture));

    private void Field(string name, ulong value) => Field(name, value.ToString(CultureInfo.InvariantCulture));

    private void Field(string name, string value) => _text.Append(name).Append(':').Append(value).Append("\r\n");
}
