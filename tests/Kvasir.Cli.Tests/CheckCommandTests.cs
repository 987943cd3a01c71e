using System.Text.Json;

namespace Kvasir.Cli.Tests;

public sealed class CheckCommandTests : IDisposable
{
    private const string Good = """
        {:process 0, :type :invoke, :f :write, :key "x", :value 1, :time 10}
        {:process 0, :type :ok, :f :write, :key "x", :value 1, :time 20}
        {:process 1, :type :invoke, :f :read, :key "x", :value nil, :time 30}
        {:process 1, :type :ok, :f :read, :key "x", :value 1, :time 40}

        """;

    private const string Bad = """
        {"process":0,"type":"invoke","f":"write","key":"y","value":1,"time":10}
        {"process":0,"type":"ok","f":"write","key":"y","value":1,"time":20}
        {"process":1,"type":"invoke","f":"read","key":"y","value":null,"time":30}
        {"process":1,"type":"ok","f":"read","key":"y","value":null,"time":40}

        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-check-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task BothFormatsAreJudgedAndTheExitCodeSaysTheWorst()
    {
        string good = Write("good.edn", Good), bad = Write("bad.json", Bad);
        Assert.Contains("good.edn: valid; 4 events, 1 keys", (await KvasirProcess.Run("check", good)).AssertSuccess().Output, StringComparison.Ordinal);
        Outcome outcome = await KvasirProcess.Run("check", good, bad);
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("bad.json: INVALID", outcome.Output, StringComparison.Ordinal);
        Assert.Contains("process 1: read -> nil", outcome.Output, StringComparison.Ordinal);
        Assert.Contains("contradict each other", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task StandardInputIsReadAndJsonIsWritten()
    {
        Outcome outcome = await KvasirProcess.RunWithInput(Bad, "check", "-", "--json");
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal(1, outcome.ExitCode);
        Assert.Equal("INVALID", report.GetProperty("verdict").GetString());
        Assert.Equal("y", report.GetProperty("keys")[0].GetProperty("key").GetString());
    }

    [Theory]
    [InlineData("counter", 0)]
    [InlineData("register", 1)]
    public async Task TheModelDecidesWhatAbsentMeans(string model, int code)
    {
        string file = Write("counter.edn", """
            {:process 1, :type :invoke, :f :read, :key "c", :time 1}
            {:process 1, :type :ok, :f :read, :key "c", :value 0, :time 2}
            """);
        Assert.Equal(code, (await KvasirProcess.Run("check", file, "--model", model)).ExitCode);
    }

    [Fact]
    public async Task WhatCannotBeReadIsAUsageErrorWithItsLine()
    {
        string file = Write("odd.edn", Good + "{:process 1\n");
        string error = (await KvasirProcess.Run("check", file)).AssertUsageError();
        Assert.Contains("odd.edn: line 5: column 12: the line ends too early", error, StringComparison.Ordinal);
        (await KvasirProcess.Run("check", Path.Combine(_folder, "none"))).AssertUsageError();
        (await KvasirProcess.Run("check", file, "--model", "fish")).AssertUsageError();
    }

    [Fact]
    public async Task ASimulatedGroupWritesAHistoryThatTheCheckerAccepts()
    {
        string file = Path.Combine(_folder, "history.edn");
        Outcome first = (await KvasirProcess.Run("simulate", "raft", "--seed", "3", "--minutes", "0.1", "--history", file, "--json")).AssertSuccess();
        Outcome second = (await KvasirProcess.Run("simulate", "raft", "--seed", "3", "--minutes", "0.1", "--json")).AssertSuccess();
        Assert.Equal(Trace(first), Trace(second));
        string text = (await KvasirProcess.Run("simulate", "raft", "--seed", "3", "--minutes", "0.1", "--members", "3")).AssertSuccess().Output;
        Assert.Contains("1 seed from 3 on, 3 members, 0.1 minutes of their time, ", text, StringComparison.Ordinal);
        Assert.Contains("valid; ", (await KvasirProcess.Run("check", file)).AssertSuccess().Output, StringComparison.Ordinal);
        (await KvasirProcess.Run("simulate", "raft", "--faults", "fire")).AssertUsageError();
        (await KvasirProcess.Run("simulate", "raft", "--minutes", "none")).AssertUsageError();
    }

    [Fact]
    public async Task TheBenchOfTheCheckerFindsWhatItMakesValid() =>
        Assert.Contains("3 valid, 0 unknown, 0 invalid", (await KvasirProcess.Run("bench", "checker", "--operations", "500", "--rounds", "3")).AssertSuccess().Output, StringComparison.Ordinal);

    private static string? Trace(Outcome outcome) => JsonDocument.Parse(outcome.Output).RootElement.GetProperty("trace").GetString();

    private string Write(string name, string content)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        return path;
    }
}
