using System.Diagnostics;
using System.Globalization;
using System.Text;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;
using Kvasir.Cluster.Partitioning;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>What a keyspace of many shards that nobody uses costs each node: processor time, and memory beyond what it took before.</summary>
internal static class IdleBench
{
    private const string Keyspace = "idle";

    // Until what was busy has become quiet.
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_surveys = TimeSpan.FromSeconds(2);

    public static async Task<IReadOnlyDictionary<string, double>> Run(ClusterUnderBench cluster, int shards, int seconds, CancellationToken stop)
    {
        await Task.Delay(s_rest, stop);
        double[] cpuBase = await Watch(cluster, seconds, stop);
        double[] memoryBase = [.. cluster.Nodes.Select(n => MemoryMib(cluster.ProcessIdOf(n)))];
        long began = Stopwatch.GetTimestamp();
        using (RespConnection connection = RespConnection.Open(ClusterUnderBench.AddressOf(cluster.Nodes[0])))
        {
            RespReply reply = connection.Call("KEYSPACE", "CREATE", Keyspace, "shards", shards.ToString(CultureInfo.InvariantCulture));
            if (reply.Kind != RespReplyKind.SimpleString)
                throw new UsageException($"KEYSPACE CREATE was answered {reply.Text}");
        }

        while (true)
        {
            await Task.Delay(s_surveys, stop);
            using CancellationTokenSource once = CancellationTokenSource.CreateLinkedTokenSource(stop);
            once.CancelAfter(s_surveys);
            try
            {
                await cluster.UntilWhole(Keyspace, once.Token);
                break;
            }
            catch (OperationCanceledException) when (!stop.IsCancellationRequested)
            {
                // Asking all the time would be work for those who are at it.
            }
        }

        double made = Stopwatch.GetElapsedTime(began).TotalSeconds;
        await Task.Delay(s_rest, stop);
        double[] cpu = await Watch(cluster, seconds, stop);
        double[] memory = [.. cluster.Nodes.Select((n, i) => MemoryMib(cluster.ProcessIdOf(n)) - memoryBase[i])];
        double files = cluster.Nodes.Max(n => Directory.EnumerateFiles($"/proc/{cluster.ProcessIdOf(n)}/fd").Count());
        (double answeredMs, int refused) = WakeAfterAKill(cluster, shards);
        return new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["shards"] = shards,
            ["made_in_seconds"] = made,
            ["files_open_max"] = files,
            ["all_written_after_a_kill_ms"] = answeredMs,
            ["errors_after_a_kill"] = refused,
            ["base_cpu_percent_max"] = cpuBase.Max(),
            ["cpu_percent_median"] = Percentile.Of(cpu, 0.5),
            ["cpu_percent_max"] = cpu.Max(),
            ["base_memory_mib_max"] = memoryBase.Max(),
            ["memory_beyond_base_mib_max"] = memory.Max(),
            ["memory_a_shard_kib"] = memory.Max() * 1024 / shards,
        };
    }

    /// <summary>
    /// A node is killed that leads a third of what sleeps, and at once a client of another writes a key to every shard: until all
    /// are answered.
    /// </summary>
    private static (double Ms, int Refused) WakeAfterAKill(ClusterUnderBench cluster, int shards)
    {
        byte[][] keys = new byte[shards][];
        for (int i = 0, left = shards; left > 0; i++)
        {
            byte[] key = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"idle-{i}"));
            ref byte[]? place = ref keys[Slot.OfKey(key).Value & (shards - 1)]!;
            left -= place is null ? 1 : 0;
            place ??= key;
        }

        using RespConnection connection = RespConnection.Open(ClusterUnderBench.AddressOf(cluster.Nodes[0]));
        connection.Call("SELECT", Keyspace);
        long killed = Stopwatch.GetTimestamp();
        cluster.Kill(cluster.Nodes[^1]);
        foreach (byte[] key in keys)
            connection.Send(["SET"u8.ToArray(), key, "1"u8.ToArray()]);
        int refused = keys.Count(_ => connection.Receive().Kind != RespReplyKind.SimpleString);
        return (Stopwatch.GetElapsedTime(killed).TotalMilliseconds, refused);
    }

    /// <summary>Of each node, in percent of one core.</summary>
    private static async Task<double[]> Watch(ClusterUnderBench cluster, int seconds, CancellationToken stop)
    {
        double[] before = [.. cluster.Nodes.Select(n => CpuSeconds(cluster.ProcessIdOf(n)))];
        long began = Stopwatch.GetTimestamp();
        await Task.Delay(TimeSpan.FromSeconds(seconds), stop);
        double elapsed = Stopwatch.GetElapsedTime(began).TotalSeconds;
        return [.. cluster.Nodes.Select((n, i) => 100 * (CpuSeconds(cluster.ProcessIdOf(n)) - before[i]) / elapsed)];
    }

    private static double CpuSeconds(int processId)
    {
        using Process process = Process.GetProcessById(processId);
        return process.TotalProcessorTime.TotalSeconds;
    }

    private static double MemoryMib(int processId)
    {
        using Process process = Process.GetProcessById(processId);
        return process.WorkingSet64 / (1024.0 * 1024);
    }
}
