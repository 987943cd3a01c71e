using System.Diagnostics;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>
/// A leader is killed with SIGKILL, over and over, while clients of other nodes write to every shard it led: how long each of these
/// shards takes no write.
/// </summary>
internal static class FailoverBench
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    public static async Task<IReadOnlyDictionary<string, double>> Run(ClusterUnderBench cluster, int rounds, CancellationToken stop)
    {
        string[] keys = cluster.KeysOfShards();
        List<double> worst = [], all = [];
        int refused = 0;
        for (int round = 0; round < rounds; round++)
        {
            // In turn, by the shards: whoever leads this one.
            IReadOnlyList<(int Shard, NodePlace Leader)> leads = cluster.Leads();
            NodePlace victim = leads[round % leads.Count].Leader;
            NodePlace witness = cluster.Nodes[(victim.Number + (round % (cluster.Nodes.Count - 1))) % cluster.Nodes.Count];
            int[] led = [.. leads.Where(l => l.Leader == victim).Select(l => l.Shard)];
            List<SteadyWriter> writers = [.. led.Select(shard => new SteadyWriter(ClusterUnderBench.AddressOf(witness), keys[shard]))];
            try
            {
                await Task.Delay(500 + (round * 37 % 100), stop);
                long killed = Stopwatch.GetTimestamp();
                cluster.Kill(victim);
                while (writers.Exists(w => w.FirstAfter(killed) is null))
                {
                    if (Stopwatch.GetElapsedTime(killed) > s_patience)
                        throw new UsageException($"a shard takes no write {s_patience.TotalSeconds} s after its leader was killed");
                    await Task.Delay(5, stop);
                }

                double[] gaps = [.. writers.Select(w => w.FirstAfter(killed)!.Value.TotalMilliseconds)];
                all.AddRange(gaps);
                worst.Add(gaps.Max());
            }
            finally
            {
                foreach (SteadyWriter writer in writers)
                    writer.Dispose();
            }

            refused += writers.Sum(w => w.Refused);
            await cluster.Restart(victim, stop);
        }

        return new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["rounds"] = rounds,
            ["shards_that_lost_their_leader"] = all.Count,
            ["first_write_median_ms"] = Percentile.Of(all, 0.5),
            ["first_write_in_the_slowest_shard_median_ms"] = Percentile.Of(worst, 0.5),
            ["first_write_in_the_slowest_shard_p90_ms"] = Percentile.Of(worst, 0.9),
            ["first_write_in_the_slowest_shard_max_ms"] = worst.Max(),
            ["errors_a_writer"] = (double)refused / all.Count,
        };
    }
}
