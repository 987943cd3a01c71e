using Kvasir.Simulation.Clusters;
using Kvasir.Simulation.Runs;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Tests.Clusters;

public sealed class RaftSimulationTests
{
    private static readonly string[] s_covered =
    [
        "configurations proposed", "configurations refused", "leaders elected", "lease reads", "logs compacted",
        "messages doubled", "messages lost", "operations answered", "operations asked again in doubt", "operations in doubt",
        "operations refused", "round reads", "snapshots installed", "snapshots sent", "stale reads",
        .. FaultNames.Kinds<RaftFaults>().Select(k => $"faults: {k}"),
    ];

    // In parts, that run beside each other.
    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 5)]
    [InlineData(3, 5)]
    [InlineData(4, 7)]
    public void NoSeedBreaksAPromise(int part, int members)
    {
        const int Seeds = 60;
        (ulong first, int count) = Environment.GetEnvironmentVariable("KVASIR_SIMULATION_SEEDS") is { } wanted
            ? ((ulong)part * 1_000_000, int.Parse(wanted, System.Globalization.CultureInfo.InvariantCulture))
            : ((ulong)part * 1000, Seeds);
        var coverage = new DiskWorkloadCoverage();
        for (ulong seed = first; seed < first + (ulong)count; seed++)
            coverage.Add(RaftSimulation.Run(Options(seed) with { Members = members }).Coverage);

        // A simulation that has stopped doing one of these would pass as well.
        foreach (string what in s_covered)
            Assert.True(coverage.Counts.GetValueOrDefault(what) > 0, $"it never came to: {what}");
    }

    [Theory]
    [InlineData(11, 3)]
    [InlineData(12, 5)]
    [InlineData(13, 7)]
    public void SameSeedSameRun(ulong seed, int members)
    {
        RaftSimulationOptions options = Options(seed) with { Members = members };
        SimulationResult first = RaftSimulation.Run(options), second = RaftSimulation.Run(options);
        Assert.Equal(first.TraceHash, second.TraceHash);
        Assert.Equal(first.History, second.History);
        Assert.Equal(first.Coverage, second.Coverage);

        // Looking does not change what is seen.
        int lines = 0;
        Assert.Equal(first.TraceHash, RaftSimulation.Run(options with { Trace = _ => lines++ }).TraceHash);
        Assert.True(lines > 1000);
        Assert.NotEqual(first.TraceHash, RaftSimulation.Run(options with { Seed = seed + 100 }).TraceHash);
    }

    [Fact]
    public void WithoutFaultsNothingIsLostAndOneLeaderStays()
    {
        SimulationResult result = RaftSimulation.Run(Options(5) with { Faults = RaftFaults.None });
        Assert.Equal(1, result.Coverage.Counts["leaders elected"]);
        Assert.Equal(0, result.Coverage.Counts.GetValueOrDefault("messages lost"));
        Assert.True(result.Coverage.Counts["operations answered"] > 1000);
    }

    [Theory]
    [InlineData("all", RaftFaults.All)]
    [InlineData("none", RaftFaults.None)]
    [InlineData("loss,Crashes", RaftFaults.Loss | RaftFaults.Crashes)]
    [InlineData("-members", RaftFaults.All & ~RaftFaults.Members)]
    [InlineData("loss,fire", null)]
    [InlineData("3", null)]
    public void FaultsHaveNames(string text, RaftFaults? faults)
    {
        Assert.Equal(faults, FaultNames.Parse<RaftFaults>(text));
        if (faults is { } some)
            Assert.Equal(faults, FaultNames.Parse<RaftFaults>(FaultNames.Format(some)));
    }

    private static RaftSimulationOptions Options(ulong seed) => new() { Seed = seed, Time = TimeSpan.FromSeconds(20) };
}
