using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cli.Administration;
using Kvasir.Cli.Bench.Engines;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>
/// A follower is away while many writes are made, and comes back: how fast it gets them, beside what this machine's disk and loopback
/// carry under the same load, and what clients notice meanwhile.
/// </summary>
/// <remarks>
/// What counts is what the follower has applied, by its own word. Its rate is that of keys and values, from its first answer on, when
/// some may be there already, which are left out (if it is more than half, all count, and from its start on), until it has all that was missed; entries are alike, so their number stands for their bytes.
/// What it wrote to the disk for that is counted by the system: journal and tables, and what it prepared.
/// </remarks>
internal static class CatchUpBench
{
    private const int Pipeline = 500;
    private const int WritersPerNode = 4;
    private const double Mib = 1024 * 1024;

    private static readonly TimeSpan s_watch = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_answerPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    public static async Task<IReadOnlyDictionary<string, double>> Run(
        ClusterUnderBench cluster, string folder, int writes, int valueBytes, CancellationToken stop)
    {
        NodePlace away = cluster.Nodes[^1];
        NodePlace[] there = [.. cluster.Nodes.Take(cluster.Nodes.Count - 1)];
        string[] keys = cluster.KeysOfShards();

        SteadyWriter[] writers = Begin();
        await Task.Delay(s_watch, stop);
        double[] usual = End(writers, since: 0);

        Dictionary<long, long> before = Commits(cluster);
        cluster.Kill(away);
        long bytes = Fill(ClusterUnderBench.AddressOf(there[0]), writes, valueBytes, stop);
        Dictionary<long, long> missed = Commits(cluster);

        writers = Begin();
        MachineSpeed machine = MachineSpeed.Measure(folder);
        await Task.Delay(s_watch / 5, stop);
        long began = Stopwatch.GetTimestamp();
        double cpu = CpuSeconds(cluster, there);
        cluster.Begin(away);
        (double answered, double part) = await FirstAnswer(away, before, missed, began, stop);
        long answeredAt = Stopwatch.GetTimestamp();
        ProcessUsage atFirst = ProcessUsage.Of(cluster.ProcessIdOf(away));
        await UntilHas(away, missed, began, stop);
        double caughtUp = Stopwatch.GetElapsedTime(began).TotalSeconds;
        long writtenBytes = ProcessUsage.Of(cluster.ProcessIdOf(away)).DiskWriteBytes - atFirst.DiskWriteBytes;
        double cpuAway = CpuSeconds(cluster, [away]), cpuThere = CpuSeconds(cluster, there) - cpu;
        double[] meanwhile = End(writers, began);
        double[] afterAnswer = [.. writers.SelectMany(w => w.Latencies(answeredAt))];
        await UntilFollows(cluster, away, began, stop);

        // Of what little is left the rate would say little.
        bool isMostThere = part > 0.5;
        double seconds = Math.Max(caughtUp - answered, s_look.TotalSeconds);
        double rate = isMostThere ? bytes / Mib / caughtUp : bytes / Mib * (1 - part) / seconds;
        double written = writtenBytes / Mib / seconds;
        return new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["writes_missed"] = writes,
            ["mib_missed"] = bytes / Mib,
            ["answers_after_seconds"] = answered,
            ["part_there_by_then"] = part,
            ["caught_up_after_seconds"] = caughtUp,
            ["mib_per_second"] = rate,
            ["written_mib_per_second"] = written,
            ["disk_at_once_mib_per_second"] = machine.DiskAtOnce,
            ["disk_by_pieces_mib_per_second"] = machine.DiskByPieces,
            ["loopback_mib_per_second"] = machine.Loopback,
            ["part_of_the_slower"] = rate / Math.Min(machine.DiskByPieces, machine.Loopback),
            ["written_part_of_the_disk"] = written / machine.DiskByPieces,
            ["core_seconds_of_the_node"] = cpuAway,
            ["core_seconds_of_the_others"] = cpuThere,
            ["usual_p99_ms"] = Percentile.Of(usual, 0.99),
            ["meanwhile_p99_ms"] = Percentile.Of(meanwhile, 0.99),
            ["meanwhile_from_its_answer_p99_ms"] = afterAnswer.Length == 0 ? 0 : Percentile.Of(afterAnswer, 0.99),
        };

        SteadyWriter[] Begin() => [.. there.SelectMany(n => Enumerable.Range(0, WritersPerNode)
            .Select(i => new SteadyWriter(ClusterUnderBench.AddressOf(n), keys[i % keys.Length])))];
    }

    private static double[] End(SteadyWriter[] writers, long since)
    {
        foreach (SteadyWriter writer in writers)
            writer.Dispose();
        double[] latencies = [.. writers.SelectMany(w => w.Latencies(since))];
        return latencies.Length > 0 ? latencies : throw new UsageException("no write was answered: " + (writers[0].LastError ?? "nobody knows why"));
    }

    /// <summary>Different keys over all shards; the bytes of keys and values.</summary>
    private static long Fill(HostPort address, int writes, int valueBytes, CancellationToken stop)
    {
        var random = new SeededRandom(1);
        byte[] value = new byte[valueBytes];
        var requests = new BytesBuffer(Pipeline * (valueBytes + 64));
        using RespConnection connection = RespConnection.Open(address);
        long bytes = 0;
        for (int done = 0; done < writes;)
        {
            stop.ThrowIfCancellationRequested();
            int count = Math.Min(Pipeline, writes - done);
            requests.Clear();
            for (int i = 0; i < count; i++)
            {
                byte[] key = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"missed:{done + i:D12}"));
                random.NextBytes(value);
                RespConnection.Encode(requests, ["SET"u8.ToArray(), key, value]);
                bytes += key.Length + value.Length;
            }

            for (ReadOnlySpan<byte> rest = requests.WrittenSpan; !rest.IsEmpty;)
                rest = rest[connection.Socket.Send(rest)..];
            for (int i = 0; i < count; i++)
            {
                if (connection.Receive() is { Kind: not RespReplyKind.SimpleString } reply)
                    throw new UsageException($"a write was answered {reply.Text}");
            }

            done += count;
        }

        return bytes;
    }

    /// <summary>How far the shards' leaders have come, by group.</summary>
    private static Dictionary<long, long> Commits(ClusterUnderBench cluster)
    {
        ClusterSurvey survey = cluster.Survey() ?? throw new UsageException("no node answers STATUS");
        return survey.GroupsOf(ClusterUnderBench.Keyspace).ToDictionary(
            g => g.Id,
            g => survey.LeaderOf(g.Id)?.Replica.CommitIndex ?? throw new UsageException($"shard {g.Shard} has no leader"));
    }

    /// <summary>After how many seconds it answers, and the part of what it missed that it has by then.</summary>
    private static async Task<(double After, double Part)> FirstAnswer(
        NodePlace away, Dictionary<long, long> before, Dictionary<long, long> missed, long began, CancellationToken stop)
    {
        while (true)
        {
            if (Applied(away, before) is { } applied)
            {
                double all = before.Sum(g => missed[g.Key] - g.Value);
                double has = before.Sum(g => Math.Clamp(applied[g.Key], g.Value, missed[g.Key]) - g.Value);
                return (Stopwatch.GetElapsedTime(began).TotalSeconds, all > 0 ? has / all : 0);
            }

            await Pause(began, stop);
        }
    }

    private static async Task UntilHas(NodePlace away, Dictionary<long, long> missed, long began, CancellationToken stop)
    {
        while (Applied(away, missed) is not { } applied || missed.Any(g => applied[g.Key] < g.Value))
            await Pause(began, stop);
    }

    /// <summary>What was written since it has, too, as far as it was committed a moment ago.</summary>
    private static async Task UntilFollows(ClusterUnderBench cluster, NodePlace away, long began, CancellationToken stop)
    {
        while (true)
        {
            Dictionary<long, long> commits = Commits(cluster);
            if (Applied(away, commits) is { } applied && commits.All(g => applied[g.Key] >= g.Value))
                return;
            await Pause(began, stop);
        }
    }

    private static async Task Pause(long began, CancellationToken stop)
    {
        if (Stopwatch.GetElapsedTime(began) > s_patience)
            throw new UsageException($"the node that was away has not caught up after {s_patience.TotalMinutes} minutes");
        await Task.Delay(s_look, stop);
    }

    /// <summary>How far a node has applied these groups; null when it does not answer yet.</summary>
    private static Dictionary<long, long>? Applied(NodePlace place, Dictionary<long, long> groups)
    {
        try
        {
            NodeAnswer answer = ClusterSurvey.AskOne(ClusterUnderBench.AddressOf(place), password: null, s_answerPatience);
            Dictionary<long, long> applied = answer.Replicas.Where(r => groups.ContainsKey(r.Group)).ToDictionary(r => r.Group, r => r.AppliedIndex ?? 0);
            return applied.Count == groups.Count ? applied : null;
        }
        catch (Exception e) when (e is UsageException or RefusedException or SocketException or IOException or RespFormatException)
        {
            return null;
        }
    }

    private static double CpuSeconds(ClusterUnderBench cluster, NodePlace[] places) => places.Sum(place =>
    {
        using Process process = Process.GetProcessById(cluster.ProcessIdOf(place));
        return process.TotalProcessorTime.TotalSeconds;
    });
}
