using System.Diagnostics;
using System.Globalization;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>
/// Leadership of a shard is handed over by LEADER TRANSFER while clients of all nodes write to it; then every node is stopped with
/// SIGTERM and started again while clients of the others write.
/// </summary>
internal static class TransferBench
{
    private static readonly TimeSpan s_settle = TimeSpan.FromMilliseconds(300);

    public static async Task<IReadOnlyDictionary<string, double>> Run(ClusterUnderBench cluster, int rounds, CancellationToken stop)
    {
        string[] keys = cluster.KeysOfShards();
        List<double> commands = [], gaps = [];
        int refused = 0;
        string[] numbers = [.. cluster.Nodes.Select(cluster.NumberOf)];
        for (int round = 0; round < rounds; round++)
        {
            int shard = round % keys.Length;
            NodePlace leader = cluster.Leads().First(l => l.Shard == shard).Leader;
            int to = (leader.Number + (round % 2)) % cluster.Nodes.Count;
            SteadyWriter[] writers = [.. cluster.Nodes.Select(n => new SteadyWriter(ClusterUnderBench.AddressOf(n), keys[shard]))];
            try
            {
                await Task.Delay(s_settle, stop);
                using RespConnection connection = RespConnection.Open(ClusterUnderBench.AddressOf(leader));
                long began = Stopwatch.GetTimestamp();
                RespReply reply = connection.Call(
                    "LEADER", "TRANSFER", ClusterUnderBench.Keyspace, shard.ToString(CultureInfo.InvariantCulture), numbers[to]);
                commands.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
                if (reply.Kind != RespReplyKind.SimpleString)
                    throw new UsageException($"LEADER TRANSFER was answered {reply.Text}");
                await Task.Delay(s_settle, stop);
                gaps.Add(writers.Max(w => w.LongestGap(began).TotalMilliseconds));
            }
            finally
            {
                foreach (SteadyWriter writer in writers)
                    writer.Dispose();
            }

            refused += writers.Sum(w => w.Refused);
            Tell(writers);
        }

        (double stopGap, double stopMs, int stopRefused) = await RollAll(cluster, keys, stop);
        return new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["rounds"] = rounds,
            ["command_median_ms"] = Percentile.Of(commands, 0.5),
            ["command_max_ms"] = commands.Max(),
            ["longest_without_a_write_median_ms"] = Percentile.Of(gaps, 0.5),
            ["longest_without_a_write_max_ms"] = gaps.Max(),
            ["errors"] = refused,
            ["restarts"] = cluster.Nodes.Count,
            ["stop_max_ms"] = stopMs,
            ["restart_longest_without_a_write_ms"] = stopGap,
            ["restart_errors"] = stopRefused,
        };
    }

    private static void Tell(SteadyWriter[] writers)
    {
        foreach (string error in writers.Select(static w => w.LastError).OfType<string>().Distinct(StringComparer.Ordinal))
            Console.Error.WriteLine(error);
    }

    private static async Task<(double GapMs, double StopMs, int Refused)> RollAll(ClusterUnderBench cluster, string[] keys, CancellationToken stop)
    {
        double gap = 0, stopMs = 0;
        int refused = 0;
        foreach (NodePlace place in cluster.Nodes)
        {
            NodePlace other = cluster.Nodes[place.Number % cluster.Nodes.Count];
            SteadyWriter[] writers = [.. keys.Select(k => new SteadyWriter(ClusterUnderBench.AddressOf(other), k))];
            try
            {
                await Task.Delay(s_settle, stop);
                long began = Stopwatch.GetTimestamp();
                await cluster.Terminate(place, stop);
                stopMs = Math.Max(stopMs, Stopwatch.GetElapsedTime(began).TotalMilliseconds);
                await cluster.Restart(place, stop);
                await Task.Delay(s_settle, stop);
                gap = Math.Max(gap, writers.Max(w => w.LongestGap(began).TotalMilliseconds));
            }
            finally
            {
                foreach (SteadyWriter writer in writers)
                    writer.Dispose();
            }

            refused += writers.Sum(w => w.Refused);
            Tell(writers);
        }

        return (gap, stopMs, refused);
    }
}
