using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// Who runs the machines: adds some, restarts, empties and takes away others, loses disks. One thing after another, and as the manual
/// says: nothing that costs a copy is begun before every shard has all of its copies on disks that are whole.
/// </summary>
internal sealed class ClusterOperator(ClusterWorld world)
{
    private const int MachinesMore = 2;
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_answerMax = TimeSpan.FromSeconds(6);

    private IEnumerator<Func<bool>>? _work;

    public bool IsIdle => _work is null;

    /// <summary>What was begun last.</summary>
    public string Work { get; private set; } = "";

    private TimeSpan Now => world.Events.Now;

    /// <summary>Begins something, unless there is something to be finished first.</summary>
    public void Begin(SeededRandom random)
    {
        if (!IsIdle)
            return;
        NodeMachine machine = world.Machines[random.Next(world.Machines.Count)];
        TimeSpan time = TimeSpan.FromSeconds(random.NextDouble() * 25);
        bool isClean = random.OneIn(2);
        switch (random.Next(8))
        {
            case 0 or 1 when world.Machines.Count < world.Options.Nodes + MachinesMore:
                Begin("another machine", null, Add());
                break;
            case 2:
                Begin("a restart", machine, Restart(machine, time / 10));
                break;
            case 3 when IsWhole():
                Begin("an absence", machine, StayAway(machine, time));
                break;
            case 4 or 5 when IsWhole():
                Begin("a decommission", machine, Leave(machine, isClean));
                break;
            case 6 when IsWhole():
                Begin("a repave", machine, Repave(machine, isClean));
                break;
            case 7 when IsWhole():
                Begin("a lost disk", machine, LoseDisk(machine));
                break;
        }
    }

    /// <summary>Files of a machine rot; after a while somebody sees to it.</summary>
    public void LetRot(SeededRandom random)
    {
        // What rots in an engine that is about to be left, nobody may ever find.
        if (!IsIdle || !IsWhole() || DirectoryOfNow()?.Keyspaces.Any(k => k.Record.IsMoving) != false)
            return;
        NodeMachine machine = world.Machines[random.Next(world.Machines.Count)];
        TimeSpan time = TimeSpan.FromSeconds(random.NextDouble() * 20);
        machine.Rot(random);
        bool healsItself = machine.MayHealItself && random.OneIn(2);
        Begin(healsItself ? "rot that is found" : "rot", machine, healsItself ? Scrub(machine, time) : Discard(machine, time));
    }

    private void Begin(string what, NodeMachine? machine, IEnumerable<Func<bool>> work)
    {
        world.Coverage.Add("operator: " + what);
        Work = machine is null ? what : $"{what}, node {machine.Id}";
        world.Tell("operator: " + Work);
        _work = work.GetEnumerator();
        GoOn(static () => true);
    }

    /// <summary>Each condition is waited for; then comes what follows it.</summary>
    private void GoOn(Func<bool> condition)
    {
        while (condition())
        {
            if (!_work!.MoveNext())
            {
                _work = null;
                world.Tell("operator: done");
                return;
            }

            condition = _work.Current;
        }

        world.Events.After(s_look, () => GoOn(condition));
    }

    private IEnumerable<Func<bool>> Add()
    {
        var machine = new NodeMachine(world, world.NextUnknown(), isFounder: false);
        world.Machines.Add(machine);
        machine.Start();
        yield return () => IsIn(machine);
        yield return IsWhole;
    }

    private IEnumerable<Func<bool>> Restart(NodeMachine machine, TimeSpan pause)
    {
        Question question = Ask((a, done) => a.Drain(machine.Id, done));
        yield return question.IsAnswered;
        TimeSpan stop = Now + pause;
        yield return () => Now >= stop;
        machine.Crash(CrashKind.ProcessKill, isClean: !machine.Link.IsPaused);
        machine.Start();
        yield return () => IsIn(machine);
    }

    private IEnumerable<Func<bool>> StayAway(NodeMachine machine, TimeSpan time)
    {
        machine.Crash(CrashKind.LoseUnsynced);
        machine.IsKeptDown = true;
        TimeSpan back = Now + time;
        yield return () => Now >= back;
        if (DirectoryOfNow() is { } view && view.Node(machine.Id)?.State == NodeState.Dead && !view.Groups.Any(g => g.IsReplica(machine.Id)))
            world.Coverage.Add("absent nodes replaced");
        machine.IsKeptDown = false;
        machine.Start();
        yield return () => IsIn(machine);
        yield return IsWhole;
    }

    private IEnumerable<Func<bool>> Leave(NodeMachine machine, bool goesAway)
    {
        NodeId leaving = machine.Id;
        Question question = Ask((a, done) => a.Decommission(leaving, done));
        yield return question.IsAnswered;
        if (question.Refusal is not null)
            yield break;
        yield return () => DirectoryOfNow() is { } view && !view.IsMember(view.Node(leaving)!);
        machine.Crash(CrashKind.ProcessKill);
        if (goesAway && world.Machines.Count > world.Options.Nodes)
        {
            machine.IsKeptDown = true;
            world.Machines.Remove(machine);
            yield break;
        }

        machine.Wipe();
        machine.Start();
        yield return () => IsIn(machine);
        yield return IsWhole;
    }

    private IEnumerable<Func<bool>> Repave(NodeMachine machine, bool isClean)
    {
        Question question = Ask((a, done) => a.Drain(machine.Id, done));
        yield return question.IsAnswered;
        if (question.Refusal is not null)
            yield break;
        TimeSpan stop = Now + TimeSpan.FromSeconds(2);
        yield return () => Now >= stop && IsWhole();
        NodeId lost = machine.Id;
        machine.Crash(CrashKind.ProcessKill, isClean && !machine.Link.IsPaused);
        foreach (Func<bool> step in Replace(machine, lost))
            yield return step;
    }

    /// <summary>Without a word before. The address is the lost node's until it is said that it will not come back.</summary>
    private IEnumerable<Func<bool>> LoseDisk(NodeMachine machine)
    {
        NodeId lost = machine.Id;
        machine.Crash(CrashKind.LoseUnsynced);
        return Replace(machine, lost);
    }

    /// <summary>After a while it is started anew, and all of its files are read: what is damaged the cluster replaces by itself.</summary>
    private IEnumerable<Func<bool>> Scrub(NodeMachine machine, TimeSpan time)
    {
        TimeSpan seen = Now + time;
        yield return () => Now >= seen;
        machine.Crash(CrashKind.ProcessKill);
        machine.Start();
        yield return () => machine.TryScrub() && IsWhole();
        world.Coverage.Add("disks that healed");
    }

    private IEnumerable<Func<bool>> Discard(NodeMachine machine, TimeSpan time)
    {
        NodeId lost = machine.Id;
        TimeSpan seen = Now + time;
        yield return () => Now >= seen;
        machine.Crash(CrashKind.ProcessKill);
        foreach (Func<bool> step in Replace(machine, lost))
            yield return step;
    }

    private IEnumerable<Func<bool>> Replace(NodeMachine machine, NodeId lost)
    {
        machine.Wipe();
        do
        {
            // A late word of the lost node may have taken the drain back.
            machine.IsKeptDown = true;
            machine.Crash(CrashKind.ProcessKill);
            Question question = Ask((a, done) => a.Drain(lost, done));
            yield return question.IsAnswered;
            machine.IsKeptDown = false;
            machine.Start();
            yield return () => IsIn(machine) || machine.Process?.Node?.Refused is not null;
        }
        while (!IsIn(machine));
        yield return IsWhole;
    }

    private Question Ask(Action<IClusterAdministration, Action<string?>> question) => new(world, question);

    /// <summary>The directory by who leads it and may be believed; null while there is nobody.</summary>
    private DirectoryView? DirectoryOfNow()
    {
        foreach (NodeMachine machine in world.Machines)
        {
            if (machine.Process?.Node is { Host: { } host } node && !machine.Link.IsPaused
                && host.TryFind(GroupId.Directory, out RaftGroup? directory) && directory.HasLease)
                return node.View;
        }

        return null;
    }

    private bool IsIn(NodeMachine machine) =>
        machine.Process?.Node is { Host: not null } && DirectoryOfNow()?.Node(machine.Id)?.State == NodeState.Active;

    /// <summary>Every shard has its copies, where they shall be, and its leader says so.</summary>
    private bool IsWhole()
    {
        if (DirectoryOfNow() is not { } view)
            return false;
        int copies = Math.Min(3, world.Machines.Count);
        foreach (GroupRecord record in view.Groups)
        {
            if (!record.IsSettled || (record.Id != GroupId.Directory && record.Replicas.Length != copies)
                || record.Replicas.Any(n => world.MachineOf(n) is null or { IsRotten: true }) || !IsAsWanted(record))
                return false;
        }

        return true;
    }

    private bool IsAsWanted(GroupRecord record)
    {
        // Idle groups have no lease; of two who believe that they lead the later one is right.
        RaftGroup? leader = null;
        foreach (NodeMachine machine in world.Machines)
        {
            if (machine.Process?.Node?.Host is { } host && host.TryFind(record.Id, out RaftGroup? group) && group.IsServing
                && (leader is null || group.Term > leader.Term))
                leader = group;
        }

        if (leader is not { IsConfigurationSettled: true } || leader.Configuration.Voters.Length != record.Replicas.Length)
            return false;
        foreach (MemberId member in record.Members)
        {
            if (!leader.Configuration.IsVoter(member))
                return false;
        }

        return true;
    }

    /// <summary>Something that is asked of the cluster, of anybody, until somebody answers it for good.</summary>
    private sealed class Question(ClusterWorld world, Action<IClusterAdministration, Action<string?>> question)
    {
        private bool _isDone;
        private int _attempt;
        private TimeSpan _givesUpAt = TimeSpan.MinValue;

        /// <summary>Why not; null when it was done.</summary>
        public string? Refusal { get; private set; }

        public bool IsAnswered()
        {
            if (_isDone || world.Events.Now < _givesUpAt)
                return _isDone;
            int attempt = ++_attempt;
            NodeMachine asked = world.Machines[attempt % world.Machines.Count];
            if (asked.Process is not { Node: { Host: not null } node } process)
                return false;
            _givesUpAt = world.Events.Now + s_answerMax;
            process.Happen(() => question(node, error => Answered(attempt, error)));
            return _isDone;
        }

        private void Answered(int attempt, string? error)
        {
            if (attempt != _attempt)
                return;
            _givesUpAt = TimeSpan.MinValue;
            if (error is not null && !error.StartsWith("ERR ", StringComparison.Ordinal))
                return;
            (_isDone, Refusal) = (true, error);
            if (world.IsTold)
                world.Tell($"operator: the answer is {error ?? "yes"}");
        }
    }
}
