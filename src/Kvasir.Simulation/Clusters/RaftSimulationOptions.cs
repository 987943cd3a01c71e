using System.Globalization;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Clusters;

/// <summary>How a group is simulated.</summary>
public sealed record RaftSimulationOptions
{
    public required ulong Seed { get; init; }

    /// <summary>Members that the group is founded with; two more stand by when members come and go.</summary>
    public int Members { get; init; } = 5;

    /// <summary>Of the group's time, before everything heals.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What may go wrong; of these each seed draws some.</summary>
    public RaftFaults Faults { get; init; } = RaftFaults.All;

    public int Clients { get; init; } = 6;

    /// <summary>Is told what happens, line by line; costs much.</summary>
    public Action<string>? Trace { get; init; }

    /// <summary>The command line that runs exactly this seed again.</summary>
    public string ReplayCommand => string.Create(
        CultureInfo.InvariantCulture,
        $"./kvasir simulate raft --seed {Seed} --members {Members} --minutes {Time.TotalMinutes:0.####}{(Faults == RaftFaults.All ? "" : $" --faults {RaftFaultNames.Format(Faults)}")}");
}

/// <summary>What a run did.</summary>
/// <param name="Seed">Replays it.</param>
/// <param name="TraceHash">Digest of every message, election and fault: equal for two runs of one seed.</param>
/// <param name="Messages">Sent.</param>
/// <param name="Entries">Committed.</param>
/// <param name="History">What the clients did and were told.</param>
/// <param name="Coverage">How often each thing happened that the simulation is there for.</param>
public sealed record RaftSimulationResult(
    ulong Seed, ulong TraceHash, long Messages, long Entries, IReadOnlyList<HistoryEvent> History, DiskWorkloadCoverage Coverage);
