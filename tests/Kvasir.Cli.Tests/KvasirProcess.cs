using System.Diagnostics;
using Kvasir.Cli.Tests.Processes;

namespace Kvasir.Cli.Tests;

/// <summary>Runs the real program, as a user's shell does.</summary>
internal static class KvasirProcess
{
    public static Process Start(params string[] arguments) => Start(new Dictionary<string, string>(StringComparer.Ordinal), arguments);

    public static Process Start(IReadOnlyDictionary<string, string> environment, params string[] arguments) =>
        StartUnder([], environment, arguments);

    /// <param name="under">A program and its arguments that start the program after them; or none.</param>
    /// <param name="environment">What is set beside this process's own.</param>
    /// <param name="arguments">Of the command line.</param>
    public static Process StartUnder(string[] under, IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "kvasir.exe" : "kvasir");
        if (under.Length != 0)
        {
            arguments = [.. under[1..], program, .. arguments];
            program = under[0];
        }

        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);

        // Options that the shell of whoever runs the tests happens to set.
        foreach (string name in start.Environment.Keys.Where(n => n.StartsWith("KVASIR_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        start.Environment["KVASIR_HISTORY"] = "";
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        if (Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet")
            start.Environment["DOTNET_ROOT"] = Path.GetDirectoryName(host);
        return Process.Start(start)!;
    }

    public static Task<Outcome> Run(params string[] arguments) => RunWithInput("", arguments);

    /// <summary>For what takes its time: on a busy machine nodes of a cluster need theirs to come back after each fault.</summary>
    public static async Task<Outcome> RunLong(TimeSpan patience, params string[] arguments)
    {
        using Process process = Start(arguments);
        return await Finish(process, patience: patience);
    }

    public static async Task<Outcome> RunWithInput(string input, params string[] arguments)
    {
        using Process process = Start(arguments);
        return await Finish(process, input);
    }

    /// <param name="process">That was started.</param>
    /// <param name="input">All of its standard input; null leaves that open.</param>
    /// <param name="patience">More than it should ever need: then it is killed, and the test says so.</param>
    public static async Task<Outcome> Finish(Process process, string? input = "", TimeSpan? patience = null)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (input is not null)
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
        }

        using var limit = new CancellationTokenSource(patience ?? Tools.Patience);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail("kvasir did not end");
        }

        return new Outcome(process.ExitCode, await output, await error);
    }
}

internal sealed record Outcome(int ExitCode, string Output, string Error)
{
    /// <summary>Exit code 2, nothing on standard output, one line on standard error, no trace of a stack.</summary>
    public string AssertUsageError()
    {
        Assert.True(ExitCode == 2, $"exit code {ExitCode}: {Output}{Error}");
        Assert.Equal("", Output);
        Assert.StartsWith("kvasir: ", Error, StringComparison.Ordinal);
        Assert.Equal(1, Error.Count(c => c == '\n'));
        Assert.DoesNotContain("   at ", Error, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", Error, StringComparison.Ordinal);
        return Error;
    }

    /// <summary>Ended by a signal before it was done, with one line that says so.</summary>
    public void AssertInterrupted(int code)
    {
        Assert.True(ExitCode == code, $"exit code {ExitCode}: {Output}{Error}");
        Assert.Equal("kvasir: interrupted before it was done\n", Error);
    }

    public Outcome AssertSuccess()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}: {Output}{Error}");
        return this;
    }
}
