using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>
/// A follower is away while many writes are made, and comes back: how fast it gets them, beside what this machine's disk and loopback
/// could carry, and what clients notice meanwhile.
/// </summary>
internal static class CatchUpBench
{
    private const int ValueBytes = 100;
    private const int Pipeline = 500;
    private const int WritersPerNode = 4;
    private const long ProbeBytes = 256L << 20;

    private static readonly TimeSpan s_watch = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    public static async Task<IReadOnlyDictionary<string, double>> Run(ClusterUnderBench cluster, string folder, int writes, CancellationToken stop)
    {
        NodePlace away = cluster.Nodes[^1];
        NodePlace[] there = [.. cluster.Nodes.Take(cluster.Nodes.Count - 1)];
        string[] keys = cluster.KeysOfShards();
        double disk = DiskMibPerSecond(folder), loopback = LoopbackMibPerSecond();

        SteadyWriter[] writers = Begin();
        await Task.Delay(s_watch, stop);
        double[] usual = End(writers, since: 0);

        cluster.Kill(away);
        long bytes = Fill(ClusterUnderBench.AddressOf(there[0]), writes, stop);

        writers = Begin();
        await Task.Delay(s_watch / 5, stop);
        long began = Stopwatch.GetTimestamp();
        cluster.Begin(away);
        await cluster.UntilAnswers(away, stop);
        double answered = Stopwatch.GetElapsedTime(began).TotalSeconds;
        while (!HasAll(cluster, away))
        {
            if (Stopwatch.GetElapsedTime(began) > s_patience)
                throw new UsageException($"the node that was away has not caught up after {s_patience.TotalMinutes} minutes");
            await Task.Delay(s_look, stop);
        }

        double caughtUp = Stopwatch.GetElapsedTime(began).TotalSeconds;
        double[] meanwhile = End(writers, began);
        double rate = bytes / (1024.0 * 1024) / Math.Max(caughtUp - answered, s_look.TotalSeconds);
        return new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["writes_missed"] = writes,
            ["mib_missed"] = bytes / (1024.0 * 1024),
            ["answers_after_seconds"] = answered,
            ["caught_up_after_seconds"] = caughtUp,
            ["mib_per_second"] = rate,
            ["disk_mib_per_second"] = disk,
            ["loopback_mib_per_second"] = loopback,
            ["part_of_the_slower"] = rate / Math.Min(disk, loopback),
            ["usual_p99_ms"] = Percentile.Of(usual, 0.99),
            ["meanwhile_p99_ms"] = Percentile.Of(meanwhile, 0.99),
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
    private static long Fill(HostPort address, int writes, CancellationToken stop)
    {
        var random = new SeededRandom(1);
        byte[] value = new byte[ValueBytes];
        var requests = new BytesBuffer(Pipeline * (ValueBytes + 64));
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

    /// <summary>It has applied what the leaders had committed a moment before it was asked.</summary>
    private static bool HasAll(ClusterUnderBench cluster, NodePlace away)
    {
        if (cluster.Survey() is not { } survey)
            return false;
        NodeAnswer? answer = survey.Nodes.FirstOrDefault(n => n.Node.Resp == ClusterUnderBench.AddressOf(away).ToString())?.Answer;
        if (answer is null)
            return false;
        foreach (GroupEntry group in survey.GroupsOf(ClusterUnderBench.Keyspace))
        {
            // Writers go on meanwhile: a few entries are always under way.
            ReplicaEntry? replica = answer.Replicas.FirstOrDefault(r => r.Group == group.Id);
            if (replica?.AppliedIndex is not { } applied || survey.LeaderOf(group.Id)?.Replica.CommitIndex is not { } commit || applied + 20 < commit)
                return false;
        }

        return true;
    }

    /// <summary>Written one after another and synced at the end, as large files are.</summary>
    private static double DiskMibPerSecond(string folder)
    {
        var files = new PosixFileSystem();
        string path = Path.Combine(folder, "probe");
        byte[] block = new byte[1 << 20];
        new SeededRandom(2).NextBytes(block);
        long began = Stopwatch.GetTimestamp();
        using (IFile file = files.Open(path, FileOpenMode.CreateNew))
        {
            for (long at = 0; at < ProbeBytes; at += block.Length)
                file.Write(block, at);
            file.Sync(SyncMode.Full);
        }

        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        files.Delete(path);
        return ProbeBytes / (1024.0 * 1024) / seconds;
    }

    private static double LoopbackMibPerSecond()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var sender = new TcpClient();
        sender.Connect((IPEndPoint)listener.LocalEndpoint);
        using TcpClient receiver = listener.AcceptTcpClient();
        var sending = new Thread(() =>
        {
            byte[] block = new byte[1 << 20];
            for (long at = 0; at < ProbeBytes; at += block.Length)
                sender.Client.Send(block);
        });
        long began = Stopwatch.GetTimestamp();
        sending.Start();
        byte[] buffer = new byte[1 << 20];
        for (long left = ProbeBytes; left > 0;)
            left -= receiver.Client.Receive(buffer);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        sending.Join();
        return ProbeBytes / (1024.0 * 1024) / seconds;
    }
}
