using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Runs;

/// <summary>What a run did.</summary>
/// <param name="Seed">Replays it.</param>
/// <param name="TraceHash">Digest of every message and fault, and of what came of them: equal for two runs of one seed.</param>
/// <param name="Messages">Sent.</param>
/// <param name="Entries">Committed, of all groups.</param>
/// <param name="History">What the clients did and were told.</param>
/// <param name="Coverage">How often each thing happened that the simulation is there for.</param>
public sealed record SimulationResult(
    ulong Seed, ulong TraceHash, long Messages, long Entries, IReadOnlyList<HistoryEvent> History, DiskWorkloadCoverage Coverage);
