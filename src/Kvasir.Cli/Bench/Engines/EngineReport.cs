using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;

namespace Kvasir.Cli.Bench.Engines;

/// <summary>What one engine workload measured, for people and (field by field) for scripts.</summary>
internal sealed record EngineReport
{
    [JsonPropertyName("engine")] public required string Engine { get; init; }

    [JsonPropertyName("workload")] public required string Workload { get; init; }

    [JsonPropertyName("threads")] public int Threads { get; init; }

    [JsonPropertyName("keys")] public long Keys { get; init; }

    [JsonPropertyName("key_bytes")] public int KeyBytes { get; init; }

    [JsonPropertyName("value_bytes")] public int ValueBytes { get; init; }

    [JsonPropertyName("batch")] public int Batch { get; init; }

    [JsonPropertyName("sync")] public bool Sync { get; init; }

    [JsonPropertyName("seconds")] public double Seconds { get; init; }

    [JsonPropertyName("operations")] public long Operations { get; init; }

    [JsonPropertyName("operations_per_second")] public double PerSecond { get; init; }

    [JsonPropertyName("worst_second")] public double? WorstSecond { get; init; }

    /// <summary>Reads and seeks that found their key.</summary>
    [JsonPropertyName("found")] public long Found { get; init; }

    [JsonPropertyName("latency")] public required LatencyReport Latency { get; init; }

    [JsonPropertyName("user_bytes")] public long UserBytes { get; init; }

    [JsonPropertyName("journal_bytes")] public long JournalBytes { get; init; }

    [JsonPropertyName("flush_bytes")] public long FlushBytes { get; init; }

    [JsonPropertyName("compaction_bytes")] public long CompactionBytes { get; init; }

    /// <summary>Bytes that flushes and compactions wrote for each byte of the user; the journal apart, as RocksDB counts.</summary>
    [JsonPropertyName("write_amplification")] public double? WriteAmplification { get; init; }

    /// <summary>What the system says went to storage, page cache write-back included.</summary>
    [JsonPropertyName("device_bytes")] public long DeviceBytes { get; init; }

    /// <summary>The engine's live files.</summary>
    [JsonPropertyName("engine_disk_bytes")] public long EngineDiskBytes { get; init; }

    /// <summary>Everything in the folder, the journal included.</summary>
    [JsonPropertyName("disk_bytes")] public long DiskBytes { get; init; }

    [JsonPropertyName("peak_memory_bytes")] public long PeakMemoryBytes { get; init; }

    /// <summary>Managed bytes allocated by the process, background jobs included, for each operation.</summary>
    [JsonPropertyName("allocated_per_operation")] public double AllocatedPerOperation { get; init; }

    [JsonPropertyName("gen0_collections")] public long Collections { get; init; }

    [JsonPropertyName("stall_seconds")] public double StallSeconds { get; init; }

    [JsonPropertyName("settle_seconds")] public double? SettleSeconds { get; init; }

    /// <summary>How long the store took to open, the same for all workloads of a run.</summary>
    [JsonPropertyName("open_seconds")] public double OpenSeconds { get; init; }

    [JsonPropertyName("estimated_keys")] public long EstimatedKeys { get; init; }

    /// <summary>Of an engine that has all keys in memory: what they take; 0 for others.</summary>
    [JsonPropertyName("index_bytes")] public long IndexBytes { get; init; }

    [JsonPropertyName("interrupted")] public bool Interrupted { get; init; }

    public string Table()
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"{Workload} ({Engine}, {Threads} thread{(Threads == 1 ? "" : "s")}, {Keys:N0} keys of {KeyBytes} bytes, values of {ValueBytes}{(Batch > 1 ? $", batches of {Batch}" : "")}{(Sync ? ", synced" : "")})");
        text.Append(CultureInfo.InvariantCulture, $"  {Operations:N0} operations in {Seconds:0.00} s: {PerSecond:N0} a second");
        if (WorstSecond is { } worst)
            text.Append(CultureInfo.InvariantCulture, $" (slowest second {worst:N0}, {worst / Math.Max(1, PerSecond):P0} of the mean)");
        if (Found > 0)
            text.Append(CultureInfo.InvariantCulture, $"; {Found:N0} found");
        text.AppendLine(Interrupted ? "; interrupted" : "");
        text.AppendLine("  " + LatencyReport.Header);
        text.AppendLine("  " + Latency.Row());
        if (UserBytes > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"  written: {Mebi(UserBytes)} by the user, {Mebi(JournalBytes)} to the journal, {Mebi(FlushBytes)} by flushes, {Mebi(CompactionBytes)} by compactions; write amplification {WriteAmplification:0.00}");
            text.AppendLine(CultureInfo.InvariantCulture, $"; stalled {StallSeconds:0.00} s{(SettleSeconds is { } settle ? string.Create(CultureInfo.InvariantCulture, $", settled in {settle:0.0} s") : "")}");
        }

        if (IndexBytes > 0)
            text.AppendLine(CultureInfo.InvariantCulture, $"  index {Mebi(IndexBytes)}: {(double)IndexBytes / Math.Max(1, EstimatedKeys):0.0} bytes for each of {EstimatedKeys:N0} keys");
        text.AppendLine(CultureInfo.InvariantCulture, $"  on disk {Mebi(DiskBytes)} (engine {Mebi(EngineDiskBytes)}); peak memory {Mebi(PeakMemoryBytes)}; {AllocatedPerOperation:0.0} managed bytes an operation, {Collections} collections");
        return text.ToString();
    }

    private static string Mebi(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:N1} MiB");
}
