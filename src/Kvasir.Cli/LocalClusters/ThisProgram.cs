using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.LocalClusters;

/// <summary>This program once more, in a process of its own.</summary>
internal static partial class ThisProgram
{
    /// <summary>Starts it with pipes for all three streams.</summary>
    public static Process Start(params IEnumerable<string> arguments) => StartUnder([], arguments);

    /// <summary>As <see cref="Start"/>, by another program that becomes it.</summary>
    public static Process StartUnder(IReadOnlyList<string> under, params IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(under.Count == 0 ? Environment.ProcessPath! : under[0])
        {
            UseShellExecute = false,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
        };
        foreach (string word in under.Skip(1))
            start.ArgumentList.Add(word);
        if (under.Count > 0)
            start.ArgumentList.Add(Environment.ProcessPath!);
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath!) == "dotnet")
            start.ArgumentList.Add(typeof(ThisProgram).Assembly.Location);
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start) ?? throw new UsageException("the server's process did not start");
    }

    /// <summary>As a person would call it here.</summary>
    public static string Name => File.Exists("kvasir") ? "./kvasir" : Environment.ProcessPath is { } path ? ForShell(path) : "kvasir";

    /// <summary>A word of a command line that is to be copied into a shell.</summary>
    public static string ForShell(string word) =>
        word.Length > 0 && word.All(static c => char.IsAsciiLetterOrDigit(c) || c is '/' or '.' or '-' or '_' or '=' or ':' or '+' or ',' or '@')
            ? word
            : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    /// <summary>False when there is no such process, or it is not ours.</summary>
    public static bool Signal(int processId, ProcessSignal signal)
    {
        int number = signal switch
        {
            ProcessSignal.Terminate => 15,
            ProcessSignal.Kill => 9,
            ProcessSignal.Stop => OperatingSystem.IsMacOS() ? 17 : 19,
            _ => OperatingSystem.IsMacOS() ? 19 : 18,
        };
        return SendSignal(processId, number) == 0;
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int processId, int signal);
}

/// <summary>What is done to a process from outside.</summary>
internal enum ProcessSignal
{
    Terminate,
    Kill,

    /// <summary>Nothing of it runs until it is continued; whoever talks to it sees only silence.</summary>
    Stop,
    Continue,
}
