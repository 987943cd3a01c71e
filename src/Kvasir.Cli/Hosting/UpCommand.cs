using System.CommandLine;
using System.Net;
using Kvasir.Cli.CommandLine;
using Kvasir.Server.Hosting;
using Spectre.Console;

namespace Kvasir.Cli.Hosting;

/// <summary><c>kvasir up</c>: a server to try things with, on this machine, with durable defaults.</summary>
internal static class UpCommand
{
    public static Command Create()
    {
        Option<string?> data = CommandFlag.Text("--data", "DIR", "The data folder; made when missing.", "./data");
        Option<int> port = CommandFlag.Port("--resp-port", "Port of RESP on loopback.", 6379);
        Option<int> http = CommandFlag.Port("--http-port", "Port of health and metrics on loopback.", 6380);
        Option<int> nodes = CommandFlag.Number("--nodes", "N", "Nodes to start.", 1);
        var command = new Command("up", "Start a durable server on this machine and say how to try it. Ctrl-C stops it cleanly.")
        {
            data, port, http, nodes,
        };
        command.SetAction((result, cancellation) =>
        {
            if (result.GetValue(nodes) != 1)
                throw new UsageException("--nodes can only be 1 for now: this version serves one node, clusters come later");
            ServerOptions options = new()
            {
                DataFolder = result.GetValue(data)!,
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
