using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Net.Sockets;
using System.Reflection;
using System.Runtime.InteropServices;
using Kvasir.Cli.Administration;
using Kvasir.Cli.Bench;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.DataFiles;
using Kvasir.Cli.Histories;
using Kvasir.Cli.Hosting;
using Kvasir.Cli.Shell;
using Kvasir.Server.Hosting;
using Kvasir.Cli.Simulate;
using Kvasir.Cli.Torture;
using Kvasir.Storage.Files;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli;

/// <summary>The root of the command line: which commands there are, and what becomes an exit code.</summary>
internal static class KvasirCommand
{
    public static string Version { get; } =
        typeof(KvasirCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?
            .InformationalVersion.Split('+')[0] ?? "unknown";

    public static async Task<int> Run(string[] args)
    {
        RootCommand root = Create();
        var parserConfiguration = new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null };
        ParseResult result = root.Parse(ShellCommand.SeparateServerCommand(args), parserConfiguration);
        if (result.Errors.Count > 0 && result.Action is not HelpAction and not ManualAction)
            return Fail(ExitCode.Usage, Explain(result));

        // System.CommandLine listens to signals only once an action has returned its task, too late for one that works
        // on this thread; so its own handling is off (see EndingSignals).
        var invocation = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
        try
        {
            return await result.InvokeAsync(invocation, EndingSignals.Asked);
        }
        catch (OperationCanceledException)
        {
            // What was not finished has found nothing: `verify DIR && ...` must not go on. Whoever is to run until a signal comes says so itself.
            if (!Console.IsErrorRedirected)
                Console.Error.WriteLine();
            return Fail(EndingSignals.Code, "interrupted before it was done");
        }
        catch (RefusedException e)
        {
            return Fail(ExitCode.Negative, e.Message);
        }
        catch (Exception e) when (UserCanRepair(e))
        {
            return Fail(ExitCode.Usage, e.Message);
        }
        catch (Exception e)
        {
            return ReportDefect(e);
        }
    }

    public static RootCommand Create()
    {
        var root = new RootCommand("A durable key-value database that speaks Redis.")
        {
            UpCommand.Create(),
            ServerCommand.Create(),
            ShellCommand.Create(),
            StatusCommand.Create(),
            NodeCommand.Create(),
            KeyspaceCommand.Create(),
            LeaderCommand.Create(),
            InspectCommand.Create(),
            VerifyCommand.Create(),
            CheckpointCommand.Create(),
            RecoverCommand.Create(),
            BenchCommand.Create(),
            SimulateCommand.Create(),
            CheckCommand.Create(),
            TortureCommand.Create(),
        };
        foreach (Option option in root.Options)
        {
            if (option is HelpOption help)
                help.Action = new ManualAction((HelpAction)help.Action!);
        }

        return root;
    }

    private static string Explain(ParseResult result)
    {
        string command = "";
        for (SymbolResult? at = result.CommandResult; at is CommandResult { Command: { } level }; at = at.Parent)
            command = (level is RootCommand ? "kvasir" : " " + level.Name) + command;

        // A command that is not known is also missing; the first of the two is what the user wants to hear.
        ParseError told = result.Errors.FirstOrDefault(e => !e.Message.StartsWith("Required command", StringComparison.Ordinal))
            ?? result.Errors[0];
        string message = told.Message.ReplaceLineEndings(" ").TrimEnd('.', ' ');
        if (message.StartsWith("Required command", StringComparison.Ordinal))
            message = "a command is missing";
        else if (message.StartsWith("Unrecognized command or argument", StringComparison.Ordinal))
            message = "unknown" + message["Unrecognized".Length..];
        return $"{message} (see {command} --help)";
    }

    private static bool UserCanRepair(Exception e) =>
        e is UsageException or StartupException or StorageException or SocketException or IOException or UnauthorizedAccessException
            or RespFormatException;

    private static int Fail(int code, string message)
    {
        Console.Error.WriteLine("kvasir: " + message.ReplaceLineEndings(" "));
        return code;
    }

    /// <summary>
    /// A defect is told in a few lines that a person can paste into a report; the stack goes to a file, not to the screen.
    /// </summary>
    private static int ReportDefect(Exception e)
    {
        Console.Error.WriteLine($"kvasir: a defect in Kvasir {Version}: {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}");
        try
        {
            string report = Path.Combine(Path.GetTempPath(), $"kvasir-defect-{Environment.ProcessId}.txt");
            File.WriteAllText(report, $"kvasir {Version} on {RuntimeInformation.OSDescription}, "
                + $".NET {Environment.Version}{Environment.NewLine}{e}{Environment.NewLine}");
            Console.Error.WriteLine($"Please report it together with {report} and the command you ran.");
        }
        catch (Exception f) when (f is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine("Please report it together with the command you ran.");
        }

        return ExitCode.Defect;
    }
}
