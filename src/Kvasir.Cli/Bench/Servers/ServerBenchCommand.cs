using System.CommandLine;
using System.Globalization;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Bench.Servers;

/// <summary><c>kvasir bench server</c>: a load generator for anything that speaks RESP.</summary>
internal static class ServerBenchCommand
{
    public static Command Create()
    {
        Option<string?> host = CommandFlag.Text("--host", "HOST", "Where the server is.", "127.0.0.1");
        Option<int> port = CommandFlag.Number("--port", "PORT", "Its RESP port.", 6379, 1, 65535);
        port.Aliases.Add("-p");
        Option<string?> endpoints = CommandFlag.Text("--endpoints", "HOST:PORT,...", "Several servers, that clients are spread over; instead of --host and --port.");
        Option<string> protocol = CommandFlag.OneOf("--protocol", "What is spoken: Redis's protocol, or etcd's KV.Put and KV.Range over gRPC (closed loop, one request at a time).", "resp", "resp", "etcd");
        Option<string?> password = CommandFlag.Text("--password", "P", "Password; better in KVASIR_PASSWORD.");
        Option<string> workload = CommandFlag.OneOf("--workload", "What to ask for.", "mixed", LoadWorkload.Names);
        Option<int> clients = CommandFlag.Number("--clients", "N", "Connections.", 50, 1, 100_000);
        Option<int> pipeline = CommandFlag.Number("--pipeline", "N", "Requests sent at once on a connection (closed loop).", 1, 1, 100_000);
        Option<int> threads = CommandFlag.Number("--threads", "N", "Threads that drive the connections.", 1, 1, 256);
        Option<long> keys = CommandFlag.Count("--keys", "N", "Size of the key space.", 1_000_000);
        Option<int> valueSize = CommandFlag.Number("--value-size", "BYTES", "Bytes of a value, half compressible (default: 100; YCSB: 1000).", 0, 0, 512 << 20);
        Option<int> readPercent = CommandFlag.Number("--read-percent", "N", "Reads in the workload `mixed`.", 50, 0, 100);
        Option<long> requests = CommandFlag.Count("--requests", "N", "Requests in all, instead of a duration.", 0, 0);
        Option<int> duration = CommandFlag.Number("--duration", "SECONDS", "How long to run.", 10, 1, 7 * 86_400);
        Option<long> rate = CommandFlag.Count("--rate", "N", "Open loop: requests a second in all, sent by the clock (0: closed loop).", 0, 0);
        Option<bool> load = CommandFlag.Switch("--load", "First set every key once (YCSB always does, unless --no-load).");
        Option<bool> noLoad = CommandFlag.Switch("--no-load", "Run YCSB on the keys that are there.");
        Option<long> seed = CommandFlag.Count("--seed", "N", "Seed of all random choices.", 1, 0);
        Option<bool> json = CommandFlag.Json();
        var command = new Command("server", "Load a server over RESP, in a closed or an open loop.")
        {
            host, port, endpoints, protocol, password, workload, clients, pipeline, threads, keys, valueSize, readPercent, requests, duration,
            rate, load, noLoad, seed, json,
        };
        command.SetAction(async (result, cancellation) =>
        {
            if (result.GetValue(load) && result.GetValue(noLoad))
                throw new UsageException("--load and --no-load contradict each other");
            string chosen = result.GetValue(workload)!;
            bool ycsb = chosen.StartsWith("ycsb", StringComparison.Ordinal);
            int bytes = result.GetValue(valueSize);
            var options = new LoadOptions
            {
                Addresses = Addresses(result.GetValue(endpoints)) ?? [new HostPort(result.GetValue(host)!, result.GetValue(port))],
                Etcd = result.GetValue(protocol) == "etcd",
                Password = result.GetValue(password) ?? Environment.GetEnvironmentVariable("KVASIR_PASSWORD"),
                Workload = chosen,
                Clients = result.GetValue(clients),
                Pipeline = result.GetValue(pipeline),
                Threads = result.GetValue(threads),
                Keys = result.GetValue(keys),
                ValueBytes = bytes > 0 ? bytes : ycsb ? 1000 : 100,
                ReadPercent = result.GetValue(readPercent),
                Requests = result.GetValue(requests),
                Duration = TimeSpan.FromSeconds(result.GetValue(duration)),
                Rate = result.GetValue(rate),
                Seed = (ulong)result.GetValue(seed),
            };

            if (options.Etcd)
                RefuseWhatEtcdHasNot(options);

            // Read once, by the first socket: this many event loops, each running what it wakes, with no thread hop.
            Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
            Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_THREAD_COUNT",
                options.Threads.ToString(CultureInfo.InvariantCulture));
            if (result.GetValue(load) || (ycsb && !result.GetValue(noLoad)))
                await LoadRun.Load(options, cancellation);
            LoadReport report = await LoadRun.Measure(options, cancellation);
            Console.Out.Write(result.GetValue(json) ? BenchJson.Serialize(report) : report.Table());
            if (report.Errors > 0)
                return ExitCode.Negative;
            if (report.Interrupted)
                cancellation.ThrowIfCancellationRequested();
            return ExitCode.Success;
        });
        return command;
    }

    private static HostPort[]? Addresses(string? text)
    {
        if (text is null)
            return null;
        HostPort[] addresses = [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Select(t => HostPort.TryParse(t, out HostPort? address) ? address! : throw new UsageException($"--endpoints is a list of HOST:PORT, not '{t}'"))];
        return addresses.Length > 0 ? addresses : throw new UsageException("--endpoints names nobody");
    }

    private static void RefuseWhatEtcdHasNot(LoadOptions options)
    {
        if (options.Rate > 0 || options.Pipeline > 1)
            throw new UsageException("--protocol etcd is a closed loop of one request at a time: no --rate, no --pipeline");
        if (!LoadWorkload.IsPlain(options.Workload))
            throw new UsageException($"--workload {options.Workload} is not for --protocol etcd: it reads and writes single keys only");
        if (options.ValueBytes > EtcdLoadProtocol.ValueBytesMax)
            throw new UsageException($"--protocol etcd takes values of at most {EtcdLoadProtocol.ValueBytesMax} bytes here");
        if (options.Password is not null)
            throw new UsageException("--protocol etcd knows no password");
    }
}
