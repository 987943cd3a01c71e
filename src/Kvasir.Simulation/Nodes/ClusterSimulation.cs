using System.Globalization;
using System.Text;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Runs;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// A cluster of whole nodes, the code that servers run, in a world that fails by a seed, with clients whose histories are
/// judged at the end. Everything heals after a while; then every shard must serve, what was acknowledged must be there, and all
/// replicas must be equal.
/// </summary>
public sealed class ClusterSimulation
{
    private static readonly TimeSpan s_healing = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan s_lookInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_deadSoon = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_deadLate = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_supervision = TimeSpan.FromSeconds(1);
    private static readonly CheckLimits s_limits = new() { StepsMax = 5_000_000 };

    private readonly ClusterSimulationOptions _options;
    private readonly ClusterWorld _world;
    private readonly ClusterOperator _operator;
    private readonly SeededRandom _dice;
    private readonly List<ClusterClient> _clients = [];

    private ClusterSimulation(ClusterSimulationOptions options)
    {
        _options = options;
        var random = new SeededRandom(options.Seed);

        // Of its own, so that what goes wrong with a seed is what went wrong with it before groups slept.
        var quiet = new SeededRandom(~options.Seed);
        var settings = new RaftSettings
        {
            ClockDriftMax = random.OneIn(2) ? 0.02 : 0.1,
            InflightMessagesMax = random.OneIn(2) ? 64 : 1 + random.Next(16),
            AppendBytesMax = random.OneIn(2) ? 4 << 10 : 256 << 10,
            UncommittedEntriesMax = random.OneIn(2) ? 64 * 1024 : 20,
            QuiesceAfter = quiet.OneIn(4) ? TimeSpan.MaxValue : TimeSpan.FromMilliseconds(100 + quiet.Next(900)),
        };

        // A transfer that is two entries is whole to everybody as long as both of them travel together: here each entry leaves when the one
        // before it is there. What is half of something is then committed alone, for as long as a message takes, and seen, or left behind.
        bool isOneByOne = options.HasBanks && quiet.OneIn(2);
        if (isOneByOne)
            settings = settings with { AppendBytesMax = 1, InflightMessagesMax = 1 };
        _dice = random.Fork();
        bool replacesSoon = options.Faults.HasFlag(ClusterFaults.Membership) && new SeededRandom(options.Seed).OneIn(2);
        _world = new ClusterWorld(random.NextUInt64(), options, settings) { DeadAfter = replacesSoon ? s_deadSoon : s_deadLate };
        if (isOneByOne)
            _world.Coverage.Add("seeds with entries one by one");
        _operator = new ClusterOperator(_world);
        for (int i = 1; i <= options.Nodes; i++)
            _world.Machines.Add(new NodeMachine(_world, new NodeId((ulong)i), isFounder: i == 1));
    }

    /// <summary>Runs one seed; throws <see cref="WorkloadFailedException"/> when a promise is broken.</summary>
    public static SimulationResult Run(ClusterSimulationOptions options)
    {
        ClusterSimulation? simulation = null;
        try
        {
            simulation = new ClusterSimulation(options);
            return simulation.Run();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            string when = simulation is null ? "" : string.Create(CultureInfo.InvariantCulture, $", {simulation._world.Events.Now.TotalSeconds:F3} s");
            string what = e is InvariantViolationException or WorkloadFailedException ? e.Message : $"unexpected {e.GetType().Name}: {e.Message} {e.StackTrace}";
            throw new WorkloadFailedException($"seed {options.Seed}{when}: {what}\nReplay: {options.ReplayCommand}", e);
        }
        finally
        {
            simulation?.Close();
        }
    }

    private SimulationResult Run()
    {
        Begin();
        TimeSpan end = _world.Events.Now + _options.Time;
        _ = new ClusterNemesis(_world, _operator, _dice.Fork(), _options.Faults, end);
        var clock = new HistoryClock(_world.Events.Clock);
        for (int i = 0; i < _options.Clients; i++)
            _clients.Add(new ClusterClient(_world, i, _options.Clients, clock, end));
        Supervise();
        _world.Events.RunUntil(end);
        Heal();

        // Every other time all lose their power at the very end.
        if (_dice.OneIn(2) && _options.Faults.HasFlag(ClusterFaults.Crashes))
        {
            foreach (NodeMachine machine in _world.Machines)
                machine.Crash(CrashKind.LoseUnsynced);
            Heal();
        }

        List<HistoryEvent> before = HistoryRecorder.Merge(_clients.Select(c => c.Recorder));
        _clients[0].ReadAll([.. before.Select(e => e.Key).Distinct(StringComparer.Ordinal)]);
        RunUntil(() => _clients[0].IsIdle, "every key can be read");
        List<HistoryEvent> history = HistoryRecorder.Merge(_clients.Select(c => c.Recorder));
        Judge(history);
        foreach (KeyspaceShards keyspace in _world.Machines[0].Process!.Node!.View.Keyspaces)
        {
            if (keyspace.Record.Move is { } move)
                _world.Coverage.Add($"last conversions: {move.State}");
        }

        _world.Coverage.Add("messages lost", _world.Network.Lost);
        _world.Coverage.Add("messages doubled", _world.Network.Duplicated);
        _world.Coverage.Add("leaders elected", _world.Invariants.Leaders);
        foreach (NodeMachine machine in _world.Machines)
        {
            _world.Trace.Add(machine.Disk.Fingerprint);
            foreach (RaftGroup group in machine.Process!.Node!.Host!.Groups)
                _world.Coverage.Add("states compared", group.DigestsCompared);
        }

        return new SimulationResult(
            _options.Seed, _world.Trace.Value, _world.Network.Sent, _world.Invariants.Committed, history, _world.Coverage);
    }

    /// <summary>The first founds the cluster, the others join it, and every shard gets its copies.</summary>
    private void Begin()
    {
        foreach (NodeMachine machine in _world.Machines)
        {
            machine.Start();
            RunUntil(() => machine.Process!.Node!.Self == machine.Id, $"node {machine.Id} is let in");
        }

        RunUntil(IsWhole, "every shard has its copies");
    }

    private void Supervise() => _world.Events.After(s_supervision, () =>
    {
        foreach (NodeMachine machine in _world.Machines)
            machine.Supervise();
        Supervise();
    });

    /// <summary>All machines up, all links whole: soon every shard has all its copies, and these are equal.</summary>
    private void Heal()
    {
        _world.Tell("everything heals");
        _world.Network.Behaviour = new NetworkConditions();
        _world.Network.MendAll();
        foreach (NodeMachine machine in _world.Machines)
        {
            machine.Disk.Faults.Clear();
            machine.StallDisk(TimeSpan.Zero);
            if (machine.Link.IsPaused)
                machine.Link.Resume();
            machine.Start();
        }

        RunUntil(() => _clients.TrueForAll(c => c.IsIdle) && _operator.IsIdle && IsWhole() && IsLevel(), "every shard has its copies, and these are equally far");
        DirectoryView view = _world.Machines[0].Process!.Node!.View;
        foreach (GroupRecord group in view.Groups)
        {
            string? first = null;
            foreach (NodeMachine machine in _world.Machines)
            {
                if (!machine.Process!.Node!.Host!.TryFind(group.Id, out RaftGroup? replica))
                    continue;
                string content = Content(replica);
                first ??= content;
                Check.That(first == content, $"group {group.Id}: the replica on node {machine.Id} differs: {Difference(first, content)}");
            }
        }
    }

    private bool IsWhole()
    {
        if (_world.Machines.Exists(m => m.Process?.Node?.Host is null))
            return false;
        DirectoryView view = _world.Machines[0].Process!.Node!.View;
        int copies = Math.Min(3, _options.Nodes);
        return view.Groups.Length == 1 + (ClusterClient.Databases * 2)
            && view.Groups.All(g => g.IsSettled && (g.Id == GroupId.Directory || g.Replicas.Length == copies))
            && _world.Machines.TrueForAll(m => m.Process!.Node!.View.Groups.SequenceEqual(view.Groups))
            && view.Groups.All(g => g.Id == GroupId.Directory || IsSpread(view, g))
            && view.Keyspaces.All(k => k.Record.IsSystem || HasItsEngine(k));
    }

    /// <summary>Every copy has the engine that the directory says, and nobody is on the way to another.</summary>
    private bool HasItsEngine(KeyspaceShards keyspace)
    {
        // Whatever fails is tried again, and no key of these clients is too long for anybody.
        Check.That(keyspace.Record.Move is not { State: KeyspaceMoveState.Failing or KeyspaceMoveState.Failed }, $"the conversion of {keyspace.Record.Name} has failed: {keyspace.Record.Move?.Reason}");
        return !keyspace.Record.IsMoving && keyspace.Groups.ToArray().All(g => _world.Machines.TrueForAll(m =>
            !m.Process!.Node!.Host!.TryFind(g!.Id, out RaftGroup? group) || group.IsOut || group.Replica.Options.Engine == keyspace.Record.Engine));
    }

    /// <summary>As far apart as there are places for it.</summary>
    private static bool IsSpread(DirectoryView view, GroupRecord group)
    {
        int places = view.Nodes.Where(n => n.State == NodeState.Active).Select(n => n.Locality.ToString()).Distinct(StringComparer.Ordinal).Count();
        int used = group.Replicas.Select(id => view.Node(id)!.Locality.ToString()).Distinct(StringComparer.Ordinal).Count();
        return used >= Math.Min(places, group.Replicas.Length);
    }

    private bool IsLevel()
    {
        foreach (GroupRecord record in _world.Machines[0].Process!.Node!.View.Groups)
        {
            RaftGroup? first = null;
            bool isServed = false;
            foreach (NodeMachine machine in _world.Machines)
            {
                bool isHere = machine.Process!.Node!.Host!.TryFind(record.Id, out RaftGroup? group);
                if (isHere != record.Replicas.Contains(machine.Id) && record.Id != GroupId.Directory)
                    return false;
                if (group is null)
                    continue;
                first ??= group;
                isServed |= group.IsServing;
                if (group.AppliedIndex != group.LastIndex || group.LastIndex != first.LastIndex)
                    return false;
            }

            if (!isServed)
                return false;
        }

        return true;
    }

    private void RunUntil(Func<bool> condition, string what)
    {
        TimeSpan end = _world.Events.Now + s_healing;
        while (!condition())
        {
            if (_world.Events.Now >= end)
                Check.Fail($"{s_healing.TotalSeconds:F0} s later it is still not so that {what}: {Describe()}");
            _world.Events.RunUntil(_world.Events.Now + s_lookInterval);
        }
    }

    private string Describe()
    {
        var text = new StringBuilder(_operator.IsIdle ? "" : $"\n  the operator is busy: {_operator.Work}");
        foreach (NodeMachine machine in _world.Machines)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n  node {machine.Id}");
            if (machine.Process?.Node is not { } node)
            {
                text.Append(" is down");
                continue;
            }

            text.Append(CultureInfo.InvariantCulture, $" {node.Log.Refusal?.Message ?? node.Refused}");
            foreach (RaftGroup group in node.Host?.Groups ?? [])
            {
                text.Append(CultureInfo.InvariantCulture,
                    $"\n    {group.Id} {group.Role} term {group.Term} leader {group.Leader} log {group.BaseIndex}-{group.LastIndex} commit {group.CommitIndex} applied {group.AppliedIndex} in {group.Configuration}{(group.IsServing ? " serves" : "")}{(group.IsQuiet ? " quiet" : "")} {group.ApplyFailure}");
                foreach (MemberId member in group.Configuration.Members)
                {
                    if (group.TryFollower(member, out FollowerStatus follower) && follower.MatchIndex < group.LastIndex)
                        text.Append(CultureInfo.InvariantCulture, $"\n      {member} has {follower.MatchIndex}, {follower.State}{(follower.IsSuspected ? ", suspected" : "")}");
                }
            }

            foreach (GroupRecord group in node.View.Groups)
                text.Append(CultureInfo.InvariantCulture, $"\n    wanted {group.Id} on {string.Join(',', group.Replicas)}{(group.IsSettled ? "" : " unsettled")}");
        }

        return text.ToString();
    }

    private static string Content(RaftGroup group)
    {
        var content = new StringBuilder();
        using EngineScan iterator = group.Replica.Engine.CreateScan(default);
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
        {
            content.Append(Convert.ToHexString(iterator.Key)).Append('=')
                .Append(StableHash.Hash64(iterator.Value).ToString("x16", CultureInfo.InvariantCulture)).Append('\n');
        }

        return content.ToString();
    }

    private static string Difference(string a, string b)
    {
        string[] left = a.Split('\n'), right = b.Split('\n');
        return $"only one has {string.Join(", ", left.Except(right, StringComparer.Ordinal).Take(5))}; only the other {string.Join(", ", right.Except(left, StringComparer.Ordinal).Take(5))}";
    }

    private void Close()
    {
        foreach (NodeMachine machine in _world.Machines)
            machine.Abandon();
    }

    private static void Judge(List<HistoryEvent> history)
    {
        CheckReport banks = BankChecker.Check([.. history.Where(static e => Bank.Is(e.Key))], Bank.Total);
        if (banks.Verdict != Verdict.Valid)
            throw new WorkloadFailedException($"what the clients were told of a bank cannot be: {banks.Explain()}");
        CheckReport report = LinearizabilityChecker.Check(
            [.. history.Where(static e => !Bank.Is(e.Key))], key => key.StartsWith("counter", StringComparison.Ordinal) ? KeyModel.Counter() : KeyModel.Plain(), s_limits);
        if (report.Verdict == Verdict.Invalid)
            throw new WorkloadFailedException($"what the clients were told cannot be: {report.Explain()}");
        if (report.Keys.FirstOrDefault(k => k.Verdict == Verdict.Unknown) is { } unknown)
            throw new WorkloadFailedException($"the history of \"{unknown.Key}\" is beyond the checker: {unknown.Bound}");
    }
}
