using System.CommandLine;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Kvasir.Cli.CommandLine;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Shell;

/// <summary><c>kvasir shell</c>: a client for people on a terminal, and for scripts.</summary>
internal static class ShellCommand
{
    private static readonly string[] s_valueFlags = ["--host", "--port", "-p", "--password", "-a", "--db", "-n"];
    private static readonly string[] s_plainFlags = ["--json", "--raw", "--help", "-h", "-?"];

    public static Command Create()
    {
        Option<string?> host = CommandFlag.Text("--host", "HOST", "Where the server is.", "127.0.0.1");
        Option<int> port = CommandFlag.Number("--port", "PORT", "Its RESP port.", 6379, 1, 65535);
        port.Aliases.Add("-p");
        Option<string?> password = CommandFlag.Text("--password", "P", "Password; better in KVASIR_PASSWORD.");
        password.Aliases.Add("-a");
        Option<int> database = CommandFlag.Number("--db", "N", "Database to select first.", 0, 0, int.MaxValue);
        database.Aliases.Add("-n");
        Option<bool> json = CommandFlag.Switch("--json", "Print each reply as one line of JSON.");
        Option<bool> raw = CommandFlag.Switch("--raw", "Print the bytes of replies, unquoted (the default when piped).");
        var words = new Argument<string[]>("command")
        {
            Description = "A command to send, then end. Without one: lines from standard input, or an interactive shell.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var command = new Command("shell", "Talk to a server over RESP: interactively, one command, or lines from standard input.")
        {
            host, port, password, database, json, raw, words,
        };
        command.SetAction((result, cancellation) => Task.FromResult(Run(
            new HostPort(result.GetValue(host)!, result.GetValue(port)),
            result.GetValue(password) ?? Environment.GetEnvironmentVariable("KVASIR_PASSWORD"),
            result.GetValue(database),
            result.GetValue(json) ? ReplyStyle.Json
                : result.GetValue(raw) || Console.IsOutputRedirected ? ReplyStyle.Raw : ReplyStyle.Pretty,
            result.GetValue(words) ?? [],
            cancellation)));
        return command;
    }

    /// <summary>
    /// Puts <c>--</c> before the first word of the command to send, so that words of it that look like our flags
    /// (<c>SET a --json</c>) go to the server.
    /// </summary>
    public static string[] SeparateServerCommand(string[] args)
    {
        if (args.Length == 0 || args[0] != "shell")
            return args;
        for (int i = 1; i < args.Length; i++)
        {
            if (args[i] == "--")
                return args;
            if (Array.IndexOf(s_valueFlags, args[i]) >= 0)
                i++;
            else if (Array.IndexOf(s_plainFlags, args[i]) < 0 && !args[i].StartsWith("--", StringComparison.Ordinal))
                return [.. args[..i], "--", .. args[i..]];
        }

        return args;
    }

    private static int Run(
        HostPort address, string? password, int database, ReplyStyle style, string[] words, CancellationToken cancellation)
    {
        using var session = new ShellSession(address, password, database, style, Console.OpenStandardOutput());
        if (words.Length == 0 && !Console.IsInputRedirected)
            return RunInteractive(session);

        // A blocked receive cannot be cancelled, but its socket can be closed.
        using CancellationTokenRegistration closing = cancellation.Register(session.Dispose);
        try
        {
            if (words.Length > 0)
            {
                return session.Execute(ArgumentBytes.Of(words)) ? ExitCode.Success : ExitCode.Negative;
            }

            return AbandonableWork.Run(() => RunScript(session), cancellation);
        }
        catch (Exception e) when (cancellation.IsCancellationRequested
            && e is SocketException or ObjectDisposedException or IOException)
        {
            throw new OperationCanceledException("the server did not answer before the end", e, cancellation);
        }
    }

    private static int RunScript(ShellSession session)
    {
        bool allGood = true;
        int number = 0;
        foreach (byte[] line in InputLines.Of(Console.OpenStandardInput()))
        {
            number++;
            byte[][] words = CommandWords.Split(line)
                ?? throw new UsageException($"line {number} of standard input: a quote is not closed");
            if (words.Length > 0)
                allGood &= session.Execute(words);
        }

        return allGood ? ExitCode.Success : ExitCode.Negative;
    }

    private static int RunInteractive(ShellSession session)
    {
        // Ctrl-C ends a command or a subscription, not the shell; at the prompt it is a key like others.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, c =>
        {
            c.Cancel = true;
            session.Interrupt();
        });
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(
            PosixSignal.SIGTERM, static _ => Environment.Exit(ExitCode.Success));
        var history = new ShellHistory(ShellHistory.DefaultPath());
        var editor = new LineEditor(history, start => session.Guarded(m => m.Complete(start)) ?? []);
        Console.WriteLine("Type help for help, Ctrl-D to leave.");
        while (editor.Read(session.Prompt) is { } line)
        {
            history.Add(line);
            byte[][]? words = CommandWords.Split(Encoding.UTF8.GetBytes(line));
            if (words is null)
            {
                Console.WriteLine("A quote is not closed.");
                continue;
            }

            if (words.Length == 0)
                continue;
            switch (Encoding.UTF8.GetString(words[0]).ToLowerInvariant())
            {
                case "quit" or "exit":
                    return ExitCode.Success;
                case "clear":
                    Console.Write("\e[H\e[2J");
                    break;
                case "help" or "?":
                    string topic = line.Trim().Split(' ', 2) is [_, string rest] ? rest.Trim() : "";
                    Console.WriteLine(session.Guarded(m => m.Describe(topic)) ?? "The server does not answer.");
                    break;
                default:
                    session.ExecuteOrReconnect(words);
                    break;
            }
        }

        return ExitCode.Success;
    }
}

internal enum ReplyStyle
{
    Pretty,
    Raw,
    Json,
}
