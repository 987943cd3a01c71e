using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Real nodes under real faults, with clients whose histories are judged.</summary>
public sealed class ClusterFaultTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-faults-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(3, "0.4", "kill,pause,power")]
    [InlineData(3, "0.4", "links")]
    [InlineData(3, "0.4", "disk,snapshot")]
    [InlineData(3, "0.4", "roll,members")]
    [InlineData(5, "0.4", "all")]
    public async Task WhatClientsSawCanBe(int nodes, string minutes, string faults)
    {
        string seed = faults.Length.ToString(CultureInfo.InvariantCulture);
        Outcome outcome = await KvasirProcess.RunLong(
            TimeSpan.FromMinutes(8), "torture", "--nodes", $"{nodes}", "--minutes", minutes, "--clients", "4", "--faults", faults, "--seed", seed, "--json");
        Assert.True(outcome.ExitCode == 0, outcome.Output + outcome.Error);
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal("valid", report.GetProperty("verdict").GetString());
        Assert.NotEmpty(report.GetProperty("faults").EnumerateObject());
        Assert.True(report.GetProperty("answered").GetInt64() > 100, outcome.Output);
    }

    /// <summary>The tool, not the cluster: a disk that is to be made full cannot be. What clients had seen by then is judged all the same.</summary>
    [NeedsSmallDiskFact]
    public async Task WhatClientsSawIsJudgedThoughAFaultCannotBeMade()
    {
        // In front of the system's own, which starts the node with the small disk as ever.
        string tools = Directory.CreateDirectory(_folder + "/tools").FullName;
        await File.WriteAllTextAsync(
            tools + "/nsenter", "#!/bin/sh\ncase \"$*\" in *remount*) echo 'no such luck' >&2; exit 1;; esac\nPATH=${PATH#*:} exec nsenter \"$@\"\n");
        Assert.Equal(0, Tools.Run("chmod", "+x", tools + "/nsenter"));
        Dictionary<string, string> environment = new(StringComparer.Ordinal)
        {
            ["PATH"] = $"{tools}:{Environment.GetEnvironmentVariable("PATH")}",
            ["TMPDIR"] = _folder,
        };
        using Process process = KvasirProcess.Start(
            environment, "torture", "--nodes", "3", "--minutes", "60", "--clients", "4", "--faults", "disk", "--json", "--history", _folder + "/history.edn");
        Outcome outcome = await KvasirProcess.Finish(process, patience: TimeSpan.FromMinutes(8));
        Assert.True(outcome.ExitCode == ExitCode.Defect, $"exit code {outcome.ExitCode}: {outcome.Output}{outcome.Error}");
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal("valid", report.GetProperty("verdict").GetString());
        int asked = File.ReadLines(_folder + "/history.edn").Count(line => line.Contains(":type :invoke", StringComparison.Ordinal));
        Assert.Equal(asked, report.GetProperty("operations").GetInt64());
        Assert.NotEqual(0, asked);
        Assert.Contains("no such luck", report.GetProperty("ended_early").GetString(), StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Null, report.GetProperty("broken_promise").ValueKind);
        Assert.Contains("no such luck", outcome.Error, StringComparison.Ordinal);
    }

    /// <summary>The tool again: its file has no room. The run ends with the reason, and what clients saw is judged all the same.</summary>
    [Fact]
    public async Task WhatClientsSawIsJudgedThoughItCannotBeWritten()
    {
        Outcome outcome = await KvasirProcess.RunLong(
            TimeSpan.FromMinutes(8), "torture", "--nodes", "3", "--minutes", "0.05", "--clients", "4", "--faults", "none", "--json", "--history", "/dev/full",
            "--data", _folder);
        Assert.True(outcome.ExitCode == ExitCode.Usage, $"exit code {outcome.ExitCode}: {outcome.Output}{outcome.Error}");
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal("valid", report.GetProperty("verdict").GetString());
        Assert.NotEqual(0, report.GetProperty("answered").GetInt64());
        Assert.StartsWith("the history cannot be written: ", report.GetProperty("ended_early").GetString(), StringComparison.Ordinal);
        Assert.Contains("the history cannot be written: ", outcome.Error, StringComparison.Ordinal);
    }
}
