using System.CommandLine;
using System.Diagnostics;
using System.Globalization;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>A command that a signal ends before it is done has found nothing: no script may take it for a yes.</summary>
public sealed class InterruptedCommandTests : IDisposable
{
    // Whoever runs the tests in the background of a script ignores some, and so would the command.
    private static readonly string[] s_listening = ["env", "--default-signal=INT,TERM"];

    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-interrupted-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The history is a pipe that nobody writes: whoever reads it is in the middle of its work.</summary>
    [Fact]
    public async Task WhatWasNotReadToItsEndIsNotFoundSound()
    {
        string pipe = Path.Combine(_folder, "history");
        Assert.Equal(0, Tools.Run("mkfifo", pipe));
        using Process command = Start("check", pipe);
        UntilAtWork(command);
        Signal(command, "INT");
        (await KvasirProcess.Finish(command)).AssertInterrupted(130);
    }

    [Theory]
    [InlineData("verify")]
    [InlineData("simulate", "damage")]
    public async Task AFolderThatWasNotReadIsNeitherSoundNorDamaged(params string[] words)
    {
        InvocationConfiguration invocation = new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => KvasirCommand.Create().Parse([.. words, _folder]).InvokeAsync(invocation, new CancellationToken(canceled: true)));
    }

    [Theory]
    [InlineData("INT", 130, "check", "-")]
    [InlineData("TERM", 143, "check", "-")]
    [InlineData("INT", 130, "shell", "--port", "PORT")]
    public async Task WhoeverWaitsForInputHearsOfASignal(string signal, int code, params string[] words)
    {
        using var server = new SmallServer();
        using Process command = Start([.. words.Select(w => w == "PORT" ? server.Port.ToString(CultureInfo.InvariantCulture) : w)]);
        UntilAtWork(command);
        Signal(command, signal);
        (await KvasirProcess.Finish(command, input: null)).AssertInterrupted(code);
    }

    /// <summary>A seed of theirs would take minutes.</summary>
    [Theory]
    [InlineData("model", "--operations", "10M")]
    [InlineData("disk", "--steps", "1000000", "--jobs", "2")]
    [InlineData("raft", "--minutes", "10000")]
    [InlineData("cluster", "--minutes", "10000")]
    public async Task ASimulationDoesNotFinishItsSeedFirst(params string[] words)
    {
        using Process command = Start(["simulate", .. words]);
        UntilAtWork(command);
        Signal(command, "INT");
        Outcome outcome = await KvasirProcess.Finish(command);
        outcome.AssertInterrupted(130);
        Assert.Contains("0 seeds", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AHistoryThatTakesLongToJudgeIsLeft()
    {
        using Process command = Start("bench", "checker", "--operations", "1M", "--rounds", "1000");
        UntilAtWork(command);
        Signal(command, "TERM");
        (await KvasirProcess.Finish(command)).AssertInterrupted(143);
    }

    private static Process Start(params string[] words) =>
        KvasirProcess.StartUnder(s_listening, new Dictionary<string, string>(StringComparer.Ordinal), words);

    /// <summary>A signal before it listens would end the process by itself, as every other.</summary>
    private static void UntilAtWork(Process process) => Tools.Until(
        () => Directory.EnumerateDirectories($"/proc/{process.Id}/task").Any(IsWork), "the command is at work");

    private static bool IsWork(string thread)
    {
        try
        {
            return File.ReadAllText(thread + "/comm").Trim() == "work";
        }
        catch (IOException)
        {
            // It ended between the listing and the look at it.
            return false;
        }
    }

    private static void Signal(Process process, string name) => Tools.Run("kill", "-" + name, process.Id.ToString(CultureInfo.InvariantCulture));
}
