using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Clusters;

/// <summary>What all members of one simulated group share: the world around them, and nothing of each other.</summary>
internal sealed class RaftWorld
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly Action<string>? _tell;

    public RaftWorld(ulong seed, RaftSettings settings, Action<string>? tell)
    {
        Random = new SeededRandom(seed);
        Settings = settings;
        _tell = tell;
        Events = new EventQueue(new SimulatedClock(s_start));
        Network = new SimulatedNetwork(Events, Random.Fork(), Trace);
        Invariants = new RaftInvariants(Nodes);
    }

    public SeededRandom Random { get; }

    public RaftSettings Settings { get; }

    public EventQueue Events { get; }

    public TraceHash Trace { get; } = new();

    public SimulatedNetwork Network { get; }

    public List<SimulatedRaftNode> Nodes { get; } = [];

    public RaftInvariants Invariants { get; }

    public DiskWorkloadCoverage Coverage { get; } = new();

    /// <summary>A member keeps at most about this many entries that are applied.</summary>
    public int LogEntriesMax { get; set; } = 2000;

    public bool IsTold => _tell is not null;

    public void Tell(string what) =>
        _tell?.Invoke(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Events.Now.TotalMilliseconds,12:F3} ms  {what}"));
}
