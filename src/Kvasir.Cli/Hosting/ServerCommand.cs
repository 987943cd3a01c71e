using System.CommandLine;
using Kvasir.Cli.CommandLine;
using Kvasir.Cluster.Nodes;
using Kvasir.Server.Hosting;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;
using Microsoft.Extensions.Logging;

namespace Kvasir.Cli.Hosting;

/// <summary><c>kvasir server</c>: the server in the foreground, for service managers and containers.</summary>
internal static class ServerCommand
{
    // Of the databases that a cluster begins with.
    private static readonly int s_shardsPerDatabase = new ClusterNodeOptions { Folder = "", PeerAddress = "", RespAddress = "" }.ShardsPerDatabase;

    public static Command Create()
    {
        var settings = new Dictionary<string, Option<string?>>(StringComparer.Ordinal);
        var command = new Command("server",
            "Run the server in the foreground. Each setting may also stand in a configuration file (a key and its value a "
            + "line) or in the environment (KVASIR_ and the key in capitals, _ for -); flags win over environment over file.");
        foreach (ServerOptionKey key in ServerOptionKey.All)
        {
            string description = key.Standard is null ? $"{key.Meaning}." : $"{key.Meaning}. [default: {key.Standard}]";
            Option<string?> option = CommandFlag.Text("--" + key.Name, key.Placeholder, description);
            settings.Add(key.Name, option);
            command.Options.Add(option);
        }

        Option<string?> config = CommandFlag.Text("--config", "FILE", "Configuration file.");
        Option<bool> json = CommandFlag.Switch("--json", "Once it serves, print the addresses and the process id as one line of JSON.");
        Option<bool> tied = CommandFlag.Switch(
            "--stop-at-stdin-end", "Stop cleanly when standard input ends: for a server that must not outlive the program that started it.");
        command.Options.Add(config);
        command.Options.Add(json);
        command.Options.Add(tied);
        command.SetAction(async (result, cancellation) =>
        {
            ServerOptions options = ServerOptionsReader.Read(
                result.GetValue(config), settings.ToDictionary(s => s.Key, s => result.GetValue(s.Value), StringComparer.Ordinal));
            using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            if (result.GetValue(tied))
                StopAtEndOfInput(stop);
            return await Run(options, ServerLog.Create(options.LogLevel, options.LogFormat == "json"),
                addresses => Announce(options, addresses, result.GetValue(json)), stop.Token);
        });
        return command;
    }

    /// <summary>The other end is closed by the system when whoever holds it is gone, however it went.</summary>
    private static void StopAtEndOfInput(CancellationTokenSource stop)
    {
        Stream input = Console.OpenStandardInput();
        Thread reader = new(() =>
        {
            byte[] ignored = new byte[256];
            try
            {
                while (input.Read(ignored) > 0)
                {
                }
            }
            catch (IOException)
            {
                // As good as an end.
            }

            try
            {
                stop.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // It has stopped by itself.
            }
        })
        { IsBackground = true, Name = "stdin" };
        reader.Start();
    }

    /// <summary>Runs a server on this machine until it is told to stop.</summary>
    public static async Task<int> Run(
        ServerOptions options, ILoggerFactory logging, Action<BoundAddresses> started, CancellationToken cancellation)
    {
        using (logging)
        {
            // The system keyspace has an engine, too; in a cluster every shard has one.
            int engines = (options.Databases * (options.Peer is null ? 1 : s_shardsPerDatabase)) + 1;
            OpenFileShares files = OpenFileShares.Of(engines, options.Http is null ? 0 : options.HttpConnectionsMax);
            using var world = new MachineWorld(files.TablesPerEngine);
            options = options with
            {
                DataFolder = Path.GetFullPath(options.DataFolder),
                ClientsCeiling = files.Clients,
                HttpConnectionsMax = Math.Max(files.Http, 1),
            };
            return await KvasirServer.RunAsync(options, world.Environment, logging, started, End, cancellation);
        }
    }

    /// <summary>From the thread that every client waits for: there is no way back to the command's own.</summary>
    private static void End(StorageException lost)
    {
        Console.Error.WriteLine("kvasir: the data could not be opened again: " + lost.Message.ReplaceLineEndings(" "));
        Environment.Exit(ExitCode.Usage);
    }

    private static void Announce(ServerOptions options, BoundAddresses addresses, bool json)
    {
        string[] resp = [.. addresses.Resp.Select(a => a.ToString())];
        string[] tls = [.. addresses.RespTls.Select(a => a.ToString())];
        if (json)
        {
            Console.Out.WriteLine("{" + $"\"pid\":{Environment.ProcessId},\"resp\":[{Quoted(resp)}],\"resp_tls\":[{Quoted(tls)}],"
                + $"\"http\":{(addresses.Http is null ? "null" : $"\"{addresses.Http}\"")},\"durability\":\"{options.Durability.ToString().ToLowerInvariant()}\"" + "}");
        }
        else
        {
            Console.Out.WriteLine($"kvasir {KvasirCommand.Version} serves RESP at {string.Join(", ", [.. resp, .. tls.Select(a => a + " (TLS)")])}"
                + (addresses.Http is null ? "" : $", health and metrics at http://{addresses.Http}") + $"; data in {options.DataFolder}, durability {options.Durability.ToString().ToLowerInvariant()}");
        }

        Console.Out.Flush();
    }

    private static string Quoted(string[] addresses) => string.Join(',', addresses.Select(a => $"\"{a}\""));
}
