using System.Globalization;
using System.Text.Json;

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
}
