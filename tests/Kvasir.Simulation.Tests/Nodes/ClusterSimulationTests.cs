using System.Globalization;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Nodes;
using Kvasir.Simulation.Runs;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.BTree;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Simulation.Tests.Nodes;

public sealed class ClusterSimulationTests
{
    // Many short runs, each with other settings and faults: a quarter of a minute is time for several, and for what comes of them together.
    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 3)]
    [InlineData(3, 3)]
    [InlineData(4, 5)]
    public void NoSeedBreaksAPromise(int part, int nodes)
    {
        const int Seeds = 50;
        (ulong first, int count) = Environment.GetEnvironmentVariable("KVASIR_CLUSTER_SIMULATION_SEEDS") is { } wanted
            ? ((ulong)part * 1_000_000, int.Parse(wanted, CultureInfo.InvariantCulture))
            : ((ulong)part * 1000, Seeds);
        var coverage = new DiskWorkloadCoverage();
        for (ulong seed = first; seed < first + (ulong)count; seed++)
            coverage.Add(ClusterSimulation.Run(Options(seed) with { Nodes = nodes, Time = TimeSpan.FromSeconds(15) }).Coverage);

        // A simulation that has stopped doing one of these would pass as well.
        foreach (string what in (string[])["operations answered", "operations in doubt", "messages lost", "leaders elected", "leaders gone quiet", "followers gone quiet",
            "requests by claim", "writes known again", "writes that may be forgotten", "states compared", "stale reads", "stops after handing over", "faults: Crashes", "faults: Partitions",
            "databases on lsm", "databases on log", "databases on btree"])
            Assert.True(coverage.Counts.GetValueOrDefault(what) > 0, $"it never came to: {what}");
    }

    /// <summary>Databases that move from engine to engine all the while, beside crashes, disks that fail, cuts and snapshots.</summary>
    [Fact]
    public void DatabasesMoveFromEngineToEngine()
    {
        const int Seeds = 12;
        int count = Environment.GetEnvironmentVariable("KVASIR_CLUSTER_CONVERSION_SEEDS") is { } wanted ? int.Parse(wanted, CultureInfo.InvariantCulture) : Seeds;
        var coverage = new DiskWorkloadCoverage();
        for (ulong seed = 5000; seed < 5000 + (ulong)count; seed++)
        {
            ClusterSimulationOptions options = Options(seed) with
            {
                Time = TimeSpan.FromSeconds(40),
                Faults = ClusterFaults.All & ~(ClusterFaults.Membership | ClusterFaults.Rot),
            };
            coverage.Add(ClusterSimulation.Run(options).Coverage);
        }

        foreach (string what in (string[])["conversions begun", "conversions aborted", "last conversions: Done", "last conversions: Aborted", "states compared"])
            Assert.True(coverage.Counts.GetValueOrDefault(what) > 0, $"it never came to: {what}");
    }

    /// <summary>Transactions over several keys of a shard: whatever breaks, none is half there, and no read sees half of one.</summary>
    [Fact]
    public void MoneyIsNeitherMadeNorLost()
    {
        var coverage = new DiskWorkloadCoverage();
        for (ulong seed = 6002; seed < 6006; seed++)
        {
            SimulationResult result = ClusterSimulation.Run(Options(seed) with { HasBanks = true });
            coverage.Add(result.Coverage);
            Assert.Contains(result.History, e => e is { Operation: OperationKind.Transfer, Kind: EventKind.Ok, Value: { IsNumber: true, Number: 1 } });
            Assert.Contains(result.History, e => e is { Operation: OperationKind.Transfer, Kind: EventKind.Ok, Value: { IsNumber: true, Number: 0 } });

            // Had the last transfer lost one of its halves, what was read then would have shown it.
            HistoryEvent[] banks = [.. result.History.Where(e => e.Key.StartsWith("{bank", StringComparison.Ordinal))];
            Assert.Equal(Verdict.Valid, BankChecker.Check(banks).Verdict);
            int last = Array.FindLastIndex(banks, e => e is { Operation: OperationKind.Read, Kind: EventKind.Ok });
            HistoryValue[] accounts = [.. banks[last].Value.List];
            accounts[0] = HistoryValue.Of(accounts[0].List[0], HistoryValue.Of(accounts[0].List[1].Number - 1));
            banks[last] = banks[last] with { Value = HistoryValue.Of(accounts) };
            CheckReport spoilt = BankChecker.Check(banks);
            Assert.Equal(Verdict.Invalid, spoilt.Verdict);
            Assert.Contains("the total is 99, not 100", spoilt.Explain(), StringComparison.Ordinal);
        }

        Assert.True(coverage.Counts["faults: Crashes"] > 0);

        // Only there a transfer that is not one entry is ever seen, or left, by halves.
        Assert.InRange(coverage.Counts["seeds with entries one by one"], 1, 3);
        Assert.EndsWith(" --banks", (Options(1) with { HasBanks = true }).ReplayCommand, StringComparison.Ordinal);
    }

    /// <summary>A replica is stopped while it moves; one of these seeds once waited for itself.</summary>
    [Theory]
    [InlineData(92026, 5)]
    [InlineData(91078, 3)]
    public void DamageThatAMoveFindsStopsTheReplica(ulong seed, int nodes) => ClusterSimulation.Run(Options(seed) with
    {
        Nodes = nodes,
        Time = TimeSpan.FromSeconds(40),
    });

    /// <summary>Disks that are lost, emptied or rot, nodes that come, go and stay away too long, and nothing else.</summary>
    [Fact]
    public void NodesAndDisksComeAndGo()
    {
        var coverage = new DiskWorkloadCoverage();
        for (ulong seed = 4000; seed < 4010; seed++)
        {
            ClusterSimulationOptions options = Options(seed) with
            {
                Nodes = 4,
                Time = TimeSpan.FromSeconds(60),
                Faults = ClusterFaults.Membership | ClusterFaults.Rot | ClusterFaults.Crashes,
            };
            coverage.Add(ClusterSimulation.Run(options).Coverage);
        }

        foreach (string what in (string[])["disks emptied", "disks that rot", "operator: a decommission", "operator: a lost disk", "operator: a repave",
            "operator: another machine", "absent nodes replaced", "replicas stopped", "disks that healed"])
            Assert.True(coverage.Counts.GetValueOrDefault(what) > 0, $"it never came to: {what}");
    }

    [Theory]
    [InlineData(11, 3)]
    [InlineData(12, 5)]
    public void SameSeedSameRun(ulong seed, int nodes)
    {
        ClusterSimulationOptions options = Options(seed) with { Nodes = nodes, Time = TimeSpan.FromSeconds(10) };
        SimulationResult first = ClusterSimulation.Run(options), second = ClusterSimulation.Run(options);
        Assert.Equal(first.TraceHash, second.TraceHash);
        Assert.Equal(first.History, second.History);
        Assert.Equal(first.Coverage, second.Coverage);

        // Looking does not change what is seen.
        int lines = 0;
        Assert.Equal(first.TraceHash, ClusterSimulation.Run(options with { Trace = _ => lines++ }).TraceHash);
        Assert.True(lines > 10);
        Assert.NotEqual(first.TraceHash, ClusterSimulation.Run(options with { Seed = seed + 100 }).TraceHash);
    }

    [Fact]
    public void WithoutFaultsNothingIsLost()
    {
        SimulationResult result = ClusterSimulation.Run(Options(5) with { Faults = ClusterFaults.None });
        Assert.Equal(0, result.Coverage.Counts.GetValueOrDefault("messages lost"));
        Assert.True(result.Coverage.Counts["operations answered"] > 1000);
    }

    [Fact]
    public void PlannedHandOversLoseNoAnswer()
    {
        var coverage = new DiskWorkloadCoverage();
        for (ulong seed = 1; seed <= 3; seed++)
            coverage.Add(ClusterSimulation.Run(Options(seed) with { Faults = ClusterFaults.Transfers }).Coverage);
        Assert.True(coverage.Counts["leaders handed over"] > 5);
        Assert.Equal(0, coverage.Counts.GetValueOrDefault("answers lost with a lead"));
    }

    /// <summary>Each once broke a promise that no other test had: a directory that cannot be read, a leader that is no more, a full disk that was asked to forget; the last, over logs, entries applied together of which a flush left the end.</summary>
    [Theory]
    [InlineData(210509)]
    [InlineData(215232)]
    [InlineData(216980)]
    public void SeedsThatOnceBrokeAPromise(ulong seed)
    {
        ClusterSimulationOptions options = Options(seed) with { Time = TimeSpan.FromMinutes(1), Faults = ClusterFaults.All & ~ClusterFaults.Conversions };
        ClusterSimulation.Run(options);
        ClusterSimulation.Run(options with { OtherEngines = [] });
    }

    [Theory]
    [InlineData("all", ClusterFaults.All)]
    [InlineData("none", ClusterFaults.None)]
    [InlineData("loss,Crashes", ClusterFaults.Loss | ClusterFaults.Crashes)]
    [InlineData("-errors", ClusterFaults.All & ~ClusterFaults.Errors)]
    [InlineData("loss,fire", null)]
    [InlineData("3", null)]
    public void FaultsHaveNames(string text, ClusterFaults? faults)
    {
        Assert.Equal(faults, FaultNames.Parse<ClusterFaults>(text));
        if (faults is { } some)
            Assert.Equal(faults, FaultNames.Parse<ClusterFaults>(FaultNames.Format(some)));
    }

    private static ClusterSimulationOptions Options(ulong seed) =>
        new()
        {
            Seed = seed,
            Engine = new LsmEngineFactory(LsmOptions.Tiny),
            OtherEngines = [new HashLogEngineFactory(HashLogOptions.Tiny), BTreeEngineFactory.Tiny],
            Time = TimeSpan.FromSeconds(20),
        };
}
