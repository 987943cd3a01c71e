using System.Globalization;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Nodes;

/// <summary>How a cluster is simulated.</summary>
public sealed record ClusterSimulationOptions
{
    public required ulong Seed { get; init; }

    /// <summary>The engine of all shards, under the name that keyspaces ask for.</summary>
    public required IEngineFactory Engine { get; init; }

    public int Nodes { get; init; } = 3;

    /// <summary>Of the cluster's time, before everything heals.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What may go wrong; of these each seed draws some.</summary>
    public ClusterFaults Faults { get; init; } = ClusterFaults.All;

    public int Clients { get; init; } = 6;

    /// <summary>Is told what happens, line by line; costs much.</summary>
    public Action<string>? Trace { get; init; }

    /// <summary>The command line that runs exactly this seed again.</summary>
    public string ReplayCommand => string.Create(
        CultureInfo.InvariantCulture,
        $"./kvasir simulate cluster --seed {Seed} --nodes {Nodes} --minutes {Time.TotalMinutes:0.####}{(Faults == ClusterFaults.All ? "" : $" --faults {ClusterFaultNames.Format(Faults)}")}");
}

/// <summary>What a run did.</summary>
/// <param name="Seed">Replays it.</param>
/// <param name="TraceHash">Digest of every message and fault, and of what is on the disks at the end: equal for two runs of one seed.</param>
/// <param name="Messages">Sent.</param>
/// <param name="Entries">Committed, of all groups.</param>
/// <param name="History">What the clients did and were told.</param>
/// <param name="Coverage">How often each thing happened that the simulation is there for.</param>
public sealed record ClusterSimulationResult(
    ulong Seed, ulong TraceHash, long Messages, long Entries, IReadOnlyList<HistoryEvent> History, DiskWorkloadCoverage Coverage);
