using System.Globalization;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Nodes;

/// <summary>What all machines of one simulated cluster share: the world around them, and nothing of each other.</summary>
internal sealed class ClusterWorld
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private const ulong FirstUnknown = 1_000_000;
    private const ulong EngineSalt = 0x9E3779B97F4A7C15;

    private readonly Action<string>? _tell;
    private ulong _unknown = FirstUnknown;

    public ClusterWorld(ulong seed, ClusterSimulationOptions options, RaftSettings settings)
    {
        Random = new SeededRandom(seed);
        Options = options;
        Settings = settings;
        _tell = options.Trace;
        Events = new EventQueue(new SimulatedClock(s_start));
        Network = new SimulatedNetwork(Events, Random.Fork(), Trace) { NeedsIntroduction = true };
        Invariants = new ClusterInvariants(this);

        // Of its own, so that what goes wrong with a seed is what went wrong with it when there was one engine.
        var engines = new SeededRandom(options.Seed ^ EngineSalt);
        Engines = [options.Engine.Name, .. options.OtherEngines.Select(e => e.Name)];
        DatabaseEngines = [.. Enumerable.Range(0, ClusterClient.Databases).Select(_ => Engines[engines.Next(Engines.Count)])];
        foreach (string engine in DatabaseEngines)
            Coverage.Add("databases on " + engine);
    }

    public SeededRandom Random { get; }

    public ClusterSimulationOptions Options { get; }

    public RaftSettings Settings { get; }

    /// <summary>That there are.</summary>
    public IReadOnlyList<string> Engines { get; }

    /// <summary>By database.</summary>
    public IReadOnlyList<string> DatabaseEngines { get; }

    /// <summary>Of nodes that start from now on.</summary>
    public long JournalBytesMax { get; set; } = 512L << 20;

    /// <summary>Nodes that are silent for so long are replaced, where there are others.</summary>
    public TimeSpan DeadAfter { get; init; } = TimeSpan.FromMinutes(5);

    public EventQueue Events { get; }

    public TraceHash Trace { get; } = new();

    public SimulatedNetwork Network { get; }

    public List<NodeMachine> Machines { get; } = [];

    public ClusterInvariants Invariants { get; }

    public DiskWorkloadCoverage Coverage { get; } = new();

    /// <summary>The machine that this node is on, while there is one.</summary>
    public NodeMachine? MachineOf(NodeId node) => Machines.Find(m => m.Id == node);

    /// <summary>For a node that the cluster has not given a number yet: one that it never gives.</summary>
    public NodeId NextUnknown() => new(++_unknown);

    public bool IsTold => _tell is not null;

    public void Tell(string what) =>
        _tell?.Invoke(string.Create(CultureInfo.InvariantCulture, $"{Events.Now.TotalMilliseconds,12:F3} ms  {what}"));
}
