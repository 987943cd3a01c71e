using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Runs;
using Kvasir.Simulation.Workloads;

namespace Kvasir.Simulation.Clusters;

/// <summary>
/// A Raft group of real members in a world that fails by a seed, with clients whose histories are judged at the end. Everything
/// heals after a while; then a leader must come to be, and what it is given must reach all.
/// </summary>
public sealed class RaftSimulation
{
    private const int StandbyMembers = 2;
    private static readonly TimeSpan s_healing = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_lookInterval = TimeSpan.FromMilliseconds(100);
    private static readonly CheckLimits s_limits = new() { StepsMax = 5_000_000 };

    private readonly RaftSimulationOptions _options;
    private readonly RaftWorld _world;
    private readonly List<RaftClient> _clients = [];

    private RaftSimulation(RaftSimulationOptions options)
    {
        _options = options;
        var random = new SeededRandom(options.Seed);
        var settings = new RaftSettings
        {
            ClockDriftMax = random.OneIn(2) ? 0.02 : 0.1,
            AppendBytesMax = random.OneIn(2) ? 200 : 64 * 1024,
            InflightMessagesMax = 1 + random.Next(16),
            UncommittedEntriesMax = 500,
            PromotionLagMax = random.OneIn(2) ? 5 : 1000,
            ApplyLagMax = random.OneIn(2) ? 5 : 1000,
            QuiesceAfter = random.OneIn(2) ? TimeSpan.FromMilliseconds(500) : TimeSpan.MaxValue,
        };
        SeededRandom dice = random.Fork();
        _world = new RaftWorld(random.NextUInt64(), settings, options.Trace);
        MemberId[] founders = [.. Enumerable.Range(1, options.Members).Select(i => new MemberId((ulong)i))];
        var founding = new Configuration(founders);
        int count = options.Members + (options.Faults.HasFlag(RaftFaults.Members) ? StandbyMembers : 0);
        for (int i = 1; i <= count; i++)
            _world.Nodes.Add(new SimulatedRaftNode(_world, new MemberId((ulong)i), i <= options.Members ? founding : Configuration.Empty));
        _ = new RaftNemesis(_world, dice, options.Faults, options.Time);
        var clock = new HistoryClock(_world.Events.Clock);
        for (int i = 0; i < options.Clients; i++)
            _clients.Add(new RaftClient(_world, i, options.Clients, clock, options.Time));
    }

    /// <summary>Runs one seed; throws <see cref="WorkloadFailedException"/> when a promise is broken.</summary>
    public static SimulationResult Run(RaftSimulationOptions options)
    {
        RaftSimulation? simulation = null;
        try
        {
            simulation = new RaftSimulation(options);
            return simulation.Run();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            string when = simulation is null ? "" : string.Create(CultureInfo.InvariantCulture, $", {simulation._world.Events.Now.TotalSeconds:F3} s");
            string what = e is InvariantViolationException or WorkloadFailedException ? e.Message : $"unexpected {e.GetType().Name}: {e.Message}";
            throw new WorkloadFailedException($"seed {options.Seed}{when}: {what}\nReplay: {options.ReplayCommand}", e);
        }
    }

    private SimulationResult Run()
    {
        _world.Events.RunUntil(_options.Time);
        Heal();
        List<HistoryEvent> history = HistoryRecorder.Merge(_clients.Select(c => c.Recorder));
        Judge(history);
        _world.Coverage.Add("messages lost", _world.Network.Lost);
        _world.Coverage.Add("messages doubled", _world.Network.Duplicated);
        foreach (SimulatedRaftNode node in _world.Nodes)
            _world.Trace.Add(node.StateHash);
        return new SimulationResult(
            _options.Seed, _world.Trace.Value, _world.Network.Sent, (long)_world.Invariants.Committed.Value, history, _world.Coverage);
    }

    /// <summary>All machines up, all links whole: a leader soon, and all that it is given with everybody.</summary>
    private void Heal()
    {
        _world.Tell("everything heals");
        _world.Network.Behaviour = new Network.NetworkConditions();
        _world.Network.MendAll();
        foreach (SimulatedRaftNode node in _world.Nodes)
        {
            node.StallDisk(TimeSpan.Zero);
            if (node.IsDown)
                node.Restart();
            else
                node.Transport.Resume();
        }

        TimeSpan end = _world.Events.Now + s_healing;
        bool isProposed = false;
        LogIndex target = LogIndex.Max;
        while (_world.Events.Now < end)
        {
            _world.Events.RunUntil(_world.Events.Now + s_lookInterval);
            SimulatedRaftNode? leader = _world.Nodes.Find(n => n.Raft.Role == RaftRole.Leader && n.Raft.Term == _world.Nodes.Max(m => m.Raft.Term));
            if (leader is null || !_clients.TrueForAll(c => c.IsIdle))
                continue;
            if (!isProposed)
            {
                isProposed = true;
                leader.Ask(
                    new RaftRequest(new MachineCommand(int.MaxValue, (long)_world.Events.Now.Ticks, OperationKind.Write, "healed", HistoryValue.Of(1)), ReadWay.Log),
                    reply => (target, isProposed) = reply.IsDone ? (_world.Invariants.Committed, true) : (target, false));
            }

            if (leader.Raft.CommitIndex >= target && !leader.Raft.Configuration.IsJoint
                && leader.Raft.Configuration.Members.ToArray().All(id => _world.Nodes[(int)id.Value - 1].Raft.AppliedIndex >= target))
                return;
        }

        string members = string.Join("; ", _world.Nodes.Select(n => string.Create(
            CultureInfo.InvariantCulture,
            $"{n.Id} {n.Raft.Role} term {n.Raft.Term} log {n.Raft.BaseIndex}-{n.Raft.LastIndex} commit {n.Raft.CommitIndex} applied {n.Raft.AppliedIndex} in {n.Raft.Configuration}{(n.Raft.IsQuiesced ? " quiet" : "")}")));
        Check.Fail($"a minute after everything healed the group has not come to rest: {members}");
    }

    private static void Judge(List<HistoryEvent> history)
    {
        CheckReport report = LinearizabilityChecker.Check(
            history, key => key.StartsWith("counter", StringComparison.Ordinal) ? KeyModel.Counter() : KeyModel.Plain(), s_limits);
        if (report.Verdict == Verdict.Invalid)
            throw new WorkloadFailedException($"what the clients were told cannot be: {report.Explain()}");
        if (report.Keys.FirstOrDefault(k => k.Verdict == Verdict.Unknown) is { } unknown)
            throw new WorkloadFailedException($"the history of \"{unknown.Key}\" is beyond the checker: {unknown.Bound}");
    }
}
