using Kvasir.Simulation.Runs;

namespace Kvasir.Simulation.Clusters;

/// <summary>How a group is simulated.</summary>
public sealed record RaftSimulationOptions : SimulationOptions<RaftFaults>
{
    /// <summary>Members that the group is founded with; two more stand by when members come and go.</summary>
    public int Members { get; init; } = 5;

    public override (string Name, int Count) Population => ("members", Members);

    protected override string Subject => "raft";

    public override SimulationResult Run() => RaftSimulation.Run(this);
}
