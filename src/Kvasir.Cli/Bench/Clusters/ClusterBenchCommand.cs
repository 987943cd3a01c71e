using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary><c>kvasir bench cluster</c>: what clients notice when a node of a local cluster dies, hands over or idles.</summary>
internal static class ClusterBenchCommand
{
    private const int NodeCount = 3;

    public static Command Create()
    {
        Option<string> part = CommandFlag.OneOf(
            "--part", "failover: SIGKILL of leaders. transfer: planned hand-overs, and a restart of every node. idle: what empty shards cost. catch-up: a node that was away.", "failover", "failover", "transfer", "idle", "catch-up");
        Option<int> rounds = CommandFlag.Number("--rounds", "N", "Leaders killed, or leaderships handed over.", 50, 1, 100_000);
        Option<int> shards = CommandFlag.Number("--shards", "N", "Of the keyspace that idles; a power of two.", 1024, 1, 16384);
        Option<int> seconds = CommandFlag.Number("--seconds", "N", "How long the processor is watched.", 30, 1, 3600);
        Option<int> writes = CommandFlag.Number("--writes", "N", "Made while a node is away.", 1_000_000, 1, 1_000_000_000);
        Option<int> value = CommandFlag.Number("--value", "BYTES", "Of the values that are written meanwhile.", 100, 1, 1 << 20);
        Option<string?> data = CommandFlag.Text("--data", "DIR", "Where the nodes' data goes; removed afterwards.", "artifacts/bench/cluster");
        Option<bool> json = CommandFlag.Json();
        Command command = new("cluster", "Start three nodes and measure fail-over, hand-over, catching up or what idle shards cost.")
        {
            part, rounds, shards, seconds, writes, value, data, json,
        };
        command.SetAction(async (result, stop) =>
        {
            string folder = Path.GetFullPath(result.GetValue(data)!);
            if (Directory.Exists(folder))
                throw new UsageException($"{folder} is there already");
            try
            {
                using ClusterUnderBench cluster = new(folder, NodeCount);
                await cluster.Start(stop);
                IReadOnlyDictionary<string, double> figures = result.GetValue(part) switch
                {
                    "transfer" => await TransferBench.Run(cluster, result.GetValue(rounds), stop),
                    "idle" => await IdleBench.Run(cluster, result.GetValue(shards), result.GetValue(seconds), stop),
                    "catch-up" => await CatchUpBench.Run(cluster, folder, result.GetValue(writes), result.GetValue(value), stop),
                    _ => await FailoverBench.Run(cluster, result.GetValue(rounds), stop),
                };
                Print(figures, result.GetValue(json));
            }
            finally
            {
                if (Directory.Exists(folder))
                    Directory.Delete(folder, recursive: true);
            }

            return 0;
        });
        return command;
    }

    private static void Print(IReadOnlyDictionary<string, double> figures, bool asJson)
    {
        if (asJson)
        {
            Console.WriteLine(JsonSerializer.Serialize(figures));
            return;
        }

        foreach ((string name, double value) in figures)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name.Replace('_', ' '),-44} {value,10:0.##}"));
    }
}
