using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Torture.Clusters;
using Kvasir.Primitives;

namespace Kvasir.Cli.Torture;

/// <summary>
/// <c>kvasir torture</c>: a real server, clients that write, SIGKILL at a random moment, restart, check; over and over on
/// one data folder. With <c>--nodes</c> a cluster, clients that write down what they see, and faults of every kind.
/// </summary>
internal static class TortureCommand
{
    public static Command Create()
    {
        Option<int> rounds = CommandFlag.Number("--rounds", "N", "Kills to survive.", fallback: 200);
        Option<int> clients = CommandFlag.Number("--clients", "N", "Clients at once.", fallback: 8, max: 1000);
        Option<int> longest = CommandFlag.Number("--longest-ms", "MS", "The longest time a server lives; one node only.", fallback: 800);
        Option<int> nodes = CommandFlag.Number("--nodes", "N", "Nodes; from 3 on a cluster, whose history is judged.", fallback: 1, max: 9);
        Option<double> minutes = CommandFlag.Decimal("--minutes", "M", "How long a cluster is tortured.", fallback: 2, min: 0.05, max: 100_000);
        Option<string?> faults = CommandFlag.Text(
            "--faults", "LIST", $"What is done to a cluster: {TortureFaultWords.Known}; all, none, or a list with commas.", "all");
        Option<string?> engines = CommandFlag.Text(
            "--engines", "LIST", $"Engines of a cluster's keyspaces that clients use, one each: {TorturedKeyspaces.Known}, with commas.", TorturedKeyspaces.DefaultEngine);
        Option<string?> history = CommandFlag.Text("--history", "FILE", "Write what the clients of a cluster saw, for kvasir check: .edn for Jepsen's notation, else JSON lines.");
        Option<long> seed = CommandFlag.Count("--seed", "S", "Decides when servers die and what clients send.", fallback: 1, min: 0);
        Option<string?> data = CommandFlag.Text("--data", "DIR", "Where the data lies; a new temporary folder otherwise, removed when all is well.");
        Option<bool> json = CommandFlag.Json();
        Command command = new("torture", "Kills real servers at random moments and checks that nothing answered is lost, and of a cluster that nothing stale is read.")
        {
            rounds, clients, longest, nodes, minutes, faults, engines, history, seed, data, json,
        };
        command.SetAction((result, stop) => result.GetValue(nodes) switch
        {
            1 when new Option[] { faults, engines, history }.FirstOrDefault(o => result.GetResult(o) is { Implicit: false }) is { } ofClusters =>
                throw new UsageException($"{ofClusters.Name} is for a cluster: give --nodes, too"),
            1 => Task.FromResult(Run(
                result.GetValue(rounds), result.GetValue(clients), result.GetValue(longest), (ulong)result.GetValue(seed),
                result.GetValue(data), result.GetValue(json), stop)),
            2 => throw new UsageException("--nodes is 1, or 3 and more: of two nodes none may die"),
            _ => ClusterTorture.Run(
                new ClusterTortureOptions
                {
                    Nodes = result.GetValue(nodes),
                    Duration = TimeSpan.FromMinutes(result.GetValue(minutes)),
                    Clients = result.GetValue(clients),
                    Seed = (ulong)result.GetValue(seed),
                    Faults = TortureFaultWords.Parse(result.GetValue(faults)!),
                    Engines = TorturedKeyspaces.Parse(result.GetValue(engines)!),
                    Folder = result.GetValue(data),
                    HistoryFile = result.GetValue(history),
                    Json = result.GetValue(json),
                },
                stop),
        });
        return command;
    }

    private static int Run(int rounds, int clientCount, int longestMs, ulong seed, string? data, bool json, CancellationToken stop)
    {
        if (data is not null)
            DataFolder.Make(data);
        string folder = data ?? Directory.CreateTempSubdirectory("kvasir-torture-").FullName;
        SeededRandom random = new(seed);
        TortureClient[] clients = [.. Enumerable.Range(0, clientCount).Select(i => new TortureClient(i, random.Fork()))];
        Stopwatch total = Stopwatch.StartNew();
        double slowestStartMs = 0;
        int done = 0;
        try
        {
            for (; done < rounds && !stop.IsCancellationRequested; done++)
            {
                double startMs = Round(folder, clients, random.Next(20, Math.Max(longestMs, 21)));
                slowestStartMs = Math.Max(slowestStartMs, startMs);
                if (!Console.IsErrorRedirected)
                    Console.Error.Write($"\r{done + 1}/{rounds} kills, {clients.Sum(c => (long)c.Answered)} transactions answered ");
            }
        }
        catch (TortureFailedException e)
        {
            Console.Error.WriteLine();
            Console.Error.WriteLine($"kvasir: round {done + 1}, seed {seed}: {e.Message}. The data is in {folder}");
            return ExitCode.Negative;
        }

        if (data is null)
            Directory.Delete(folder, recursive: true);
        long answered = clients.Sum(c => (long)c.Answered);
        if (!Console.IsErrorRedirected)
            Console.Error.WriteLine();
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new
            {
                kills = done,
                clients = clientCount,
                transactionsAnswered = answered,
                lost = 0,
                slowestStartMs,
                seconds = total.Elapsed.TotalSeconds,
                seed,
            }));
        }
        else
        {
            Console.WriteLine($"{done} kills, {answered} rounds of writes answered, none lost, none half there; "
                + $"slowest restart {slowestStartMs:F0} ms; {total.Elapsed.TotalSeconds:F0} s");
        }

        if (done < rounds)
            stop.ThrowIfCancellationRequested();

        return ExitCode.Success;
    }

    private static double Round(string folder, TortureClient[] clients, int livesMs)
    {
        Stopwatch start = Stopwatch.StartNew();
        using ServerProcess server = ServerProcess.Start(folder, "sync", TimeSpan.FromSeconds(60));
        double startMs = start.Elapsed.TotalMilliseconds;
        Exception? failure = null;
        void OnAll(Action<TortureClient> action)
        {
            Thread[] threads = [.. clients.Select(client => new Thread(() =>
            {
                try
                {
                    action(client);
                }
                catch (Exception e)
                {
                    Interlocked.CompareExchange(ref failure, e, comparand: null);
                }
            }))];
            foreach (Thread thread in threads)
                thread.Start();
            foreach (Thread thread in threads)
                thread.Join();
        }

        OnAll(client => client.Verify(server.Address));
        Rethrow(failure);
        Thread killer = new(() =>
        {
            Thread.Sleep(livesMs);
            server.Kill();
        });
        killer.Start();
        OnAll(client => client.WriteUntilKilled(server.Address));
        killer.Join();
        Rethrow(failure);
        return startMs;
    }

    private static void Rethrow(Exception? failure)
    {
        if (failure is TortureFailedException broken)
            throw broken;
        if (failure is not null)
            throw new TortureFailedException($"{failure.GetType().Name}: {failure.Message}", failure);
    }
}
