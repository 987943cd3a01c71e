using System.CommandLine;
using System.Net;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Server.Hosting;
using Spectre.Console;

namespace Kvasir.Cli.Hosting;

/// <summary><c>kvasir up</c>: a server or a cluster to try things with, on this machine, with durable defaults.</summary>
internal static class UpCommand
{
    // More than fit on one machine with any sense, and their ports in a row.
    private const int NodesMax = 32;

    public static Command Create()
    {
        Option<string?> data = CommandFlag.Text("--data", "DIR", "The data folder; made when missing.", "./data");
        Option<int> port = CommandFlag.Port("--resp-port", "Port of RESP on loopback.", 6379);
        Option<int> http = CommandFlag.Port("--http-port", "Port of health and metrics on loopback.", 6380);
        Option<int> nodes = CommandFlag.Number(
            "--nodes", "N", "Nodes to start. More than one: a cluster, each node a process of its own, data in DIR/node-1, DIR/node-2 ..., RESP on PORT, PORT+1, ...", 1, max: NodesMax);
        Option<bool> restart = CommandFlag.Switch("--restart", "Start a node of a cluster again when it dies.");
        var command = new Command("up", "Start a durable server or a cluster on this machine and say how to try it. Ctrl-C stops it cleanly.")
        {
            data, port, http, nodes, restart,
        };
        command.SetAction((result, cancellation) =>
        {
            string folder = result.GetValue(data)!;
            if (result.GetValue(nodes) != 1 && result.GetResult(http) is { Implicit: false })
                throw new UsageException("--http-port is for one node: the nodes of a cluster take free ports for it and say which");
            if (result.GetValue(nodes) != 1)
                return UpCluster.Run(folder, result.GetValue(nodes), result.GetValue(port), result.GetValue(restart), cancellation);
            if (result.GetValue(restart))
                throw new UsageException("--restart is for the nodes of a cluster: give --nodes, too");
            if (LocalLayout.CountIn(folder) is > 0 and int present)
                throw new UsageException($"{folder} has a cluster of {present} nodes, start all of them: --nodes {present}");
            ServerOptions options = new()
            {
                DataFolder = folder,
                Resp = [new IPEndPoint(IPAddress.Loopback, result.GetValue(port))],
                Http = new IPEndPoint(IPAddress.Loopback, result.GetValue(http)),
            };
            return ServerCommand.Run(options, ServerLog.Create("warning", json: false), addresses => Welcome(options, addresses), cancellation);
        });
        return command;
    }

    private static void Welcome(ServerOptions options, BoundAddresses addresses)
    {
        IPEndPoint resp = addresses.Resp[0];
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = Console.IsOutputRedirected ? AnsiSupport.No : AnsiSupport.Detect,
        });
        console.MarkupLineInterpolated($"[bold]Kvasir {KvasirCommand.Version}[/] is up: one node, every acknowledged write is on stable storage.");
        console.WriteLine();
        console.WriteLine($"  RESP (Redis clients)  {resp}");
        console.WriteLine($"  health and metrics    http://{addresses.Http}");
        console.WriteLine($"  data                  {Path.GetFullPath(options.DataFolder)}");
        console.WriteLine();
        console.WriteLine("Try:");
        console.WriteLine($"  redis-cli -p {resp.Port} SET greeting hello");
        console.WriteLine($"  ./kvasir shell -p {resp.Port} GET greeting");
        console.WriteLine($"  curl http://{addresses.Http}/health/ready http://{addresses.Http}/metrics");
        console.WriteLine();
        console.WriteLine("Ctrl-C stops it cleanly.");
    }
}
