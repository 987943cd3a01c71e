using Kvasir.Simulation.Runs;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Nodes;

/// <summary>How a cluster is simulated.</summary>
public sealed record ClusterSimulationOptions : SimulationOptions<ClusterFaults>
{
    /// <summary>The engine of the directory.</summary>
    public required IEngineFactory Engine { get; init; }

    /// <summary>Engines that databases may have beside that one: each seed draws.</summary>
    public IReadOnlyList<IEngineFactory> OtherEngines { get; init; } = [];

    public int Nodes { get; init; } = 3;

    /// <summary>Clients also move money between the accounts of banks, each bank in one shard: several keys in one transaction.</summary>
    public bool HasBanks { get; init; }

    public override (string Name, int Count) Population => ("nodes", Nodes);

    protected override string Subject => "cluster";

    protected override string More => HasBanks ? " --banks" : "";

    public override SimulationResult Run() => ClusterSimulation.Run(this);
}
