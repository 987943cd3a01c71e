using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Directory;

/// <summary>
/// One group as Raft would have it, without its messages: a configuration in force, committed or not, a leader, and nodes that
/// have the data or not. Leaders follow the rule; nodes crash, lag, die for good, remove copies as soon as they may and are given new
/// ones; copies stop, and others are put in their place; the target changes, and leaders and nodes may know an old one. Whatever happens, a majority of each configuration in force has
/// the data, and no member that was removed comes back.
/// </summary>
internal sealed class GroupInModel
{
    private const int Nodes = 7;
    private static readonly GroupId s_group = new(2);

    private readonly SeededRandom _random;
    private readonly bool[] _up = new bool[Nodes + 1];
    private readonly bool[] _dead = new bool[Nodes + 1];

    // The copy that each node has; and the last one that it had, which it does not forget.
    private readonly MemberId[] _copies = new MemberId[Nodes + 1];
    private readonly MemberId[] _lastCopies = new MemberId[Nodes + 1];
    private readonly SortedSet<MemberId> _gone = [];

    // Copies that are there and take part in nothing, for ever.
    private readonly SortedSet<MemberId> _stopped = [];
    private readonly bool[] _lags = new bool[Nodes + 1];

    // What each node has applied of the directory.
    private readonly DirectoryView[] _known = new DirectoryView[Nodes + 1];
    private readonly List<string> _trace = [];
    private readonly Clusters _cluster = new(databases: 1, shards: 1);
    private Configuration _committed;
    private Configuration _inForce;
    private bool _isCommitted = true;
    private MemberId _leader;

    public GroupInModel(SeededRandom random)
    {
        _random = random;
        for (int i = 2; i <= Nodes; i++)
            _cluster.Join();
        Array.Fill(_up, true);
        Array.Fill(_known, _cluster.View);
        _copies[1] = _lastCopies[1] = new MemberId(1);
        _committed = _inForce = new Configuration([new MemberId(1)]);
    }

    private GroupRecord Record => _cluster.View.Group(s_group)!;

    public void Run()
    {
        try
        {
            for (int i = 0; i < 400; i++)
                Look(Disturb);
            Heal();
            for (int i = 0; i < 3000 && !IsThere(); i++)
                Look(GoOn);
            Assert.True(IsThere(), $"it stays at {_inForce} led by {_leader}, wanted {Target(_cluster.View).Configuration} led by {Record.PreferredLeader}");
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException(failure.Message + "\n" + string.Join('\n', _trace.TakeLast(40)), failure);
        }
    }

    private void Look(Action step)
    {
        step();
        HasMajorityOfData(_inForce);
        HasMajorityOfData(_committed);
    }

    private void HasMajorityOfData(Configuration configuration)
    {
        Assert.True(IsMajority(configuration.Voters, HasData), $"too few of {configuration} have the data");
        Assert.True(!configuration.IsJoint || IsMajority(configuration.Outgoing, HasData), $"too few of {configuration} have the data");
    }

    private void Disturb()
    {
        int node = _random.Next(1, Nodes + 1);
        switch (_random.Next(13))
        {
            case 0:
                Crash(node);
                break;
            case 1:
                if (!_dead[node])
                    _up[node] = true;
                break;
            case 2:
                _lags[node] = !_lags[node];
                break;
            case 3:
                if (_random.OneIn(4))
                    Retarget();
                break;
            case 4:
                if (_random.OneIn(8))
                    Die(node);
                break;
            case 5:
                if (!_leader.IsNone && _random.OneIn(2))
                    Note($"{_leader} resigns", () => _leader = MemberId.None);
                break;
            case 6:
                if (_random.OneIn(4))
                    Stop(node);
                break;
            default:
                GoOn();
                break;
        }
    }

    /// <summary>What happens by itself when nothing is wrong.</summary>
    private void GoOn()
    {
        int node = _random.Next(1, Nodes + 1);
        switch (_random.Next(6))
        {
            case 5:
                Replace();
                break;
            case 0:
                _known[node] = _cluster.View;
                MayRemove(node, _known[node]);
                break;
            case 1:
                CatchUp(node);
                break;
            case 2:
                Elect();
                break;
            case 3:
                Act();
                break;
            default:
                Commit();
                break;
        }
    }

    private void Heal()
    {
        for (int i = 1; i <= Nodes; i++)
            (_up[i], _lags[i]) = (!_dead[i], false);
        Retarget();
        _trace.Add($"all is well now; {Record.Replicas.Length} wanted: {string.Join(" ", Record.Replicas)}");
    }

    private bool IsThere()
    {
        GroupTarget target = Target(_cluster.View);
        bool leads = !_leader.IsNone && (target.PreferredLeader.IsNone ? target.IsAbleToLead(_leader) : target.PreferredLeader == _leader);
        return _isCommitted && _inForce.Equals(target.Configuration) && Record.IsSettled && leads;
    }

    private void Crash(int node)
    {
        _up[node] = false;
        if (_leader.Keeper == node)
            Note($"{node} crashes, leading", () => _leader = MemberId.None);
    }

    /// <summary>Its disk is gone: as many die as a promise can bear.</summary>
    private void Die(int node)
    {
        bool bearable = Bears(_inForce, node) && Bears(_committed, node);
        if (_dead[node] || !bearable || DirectoryOperations.Dead(_cluster.View, Id(node)).IsRefused)
            return;
        Crash(node);
        (_dead[node], _copies[node]) = (true, MemberId.None);
        _trace.Add($"{node} dies");
        _cluster.Do(DirectoryOperations.Dead(_cluster.View, Id(node)));
        _cluster.Do(DirectoryUpkeep.Next(_cluster.View, [], new UpkeepSettings()));
    }

    /// <summary>Its files are damaged, or differ: as many as a promise can bear.</summary>
    private void Stop(int node)
    {
        MemberId copy = _copies[node];
        if (copy.IsNone || _stopped.Contains(copy) || !Bears(_inForce, node) || !Bears(_committed, node))
            return;
        if (_leader == copy)
            _leader = MemberId.None;
        Note($"{copy} is stopped", () => _stopped.Add(copy));
    }

    /// <summary>The directory's leader has heard of copies that are stopped.</summary>
    private void Replace()
    {
        var stopped = new StoppedCopies();
        foreach (MemberId member in _stopped.Where(m => _copies[m.Keeper] == m && _up[m.Keeper]))
            stopped.Tell(Id((int)member.Keeper), [new StoppedCopy(s_group, member.Generation)], TimeSpan.Zero);
        NodeStanding[] standings = [.. Enumerable.Range(1, Nodes).Where(i => _up[i]).Select(i => new NodeStanding(Id(i), TimeSpan.Zero, HasDirectory: true))];
        if (DirectoryUpkeep.FirstStopped(_cluster.View, standings, new UpkeepSettings(), stopped, TimeSpan.Zero) is not (var group, var lost))
            return;
        var draft = new DirectoryDraft(_cluster.View);
        new Placement(_cluster.View, stopped).Replace(draft, group, lost);
        _cluster.Do(draft.Grant());
        _trace.Add($"{lost} is replaced: {Record}");
    }

    private bool Bears(Configuration configuration, int death) =>
        IsMajority(configuration.Voters, id => HasData(id) && id.Keeper != death)
        && (!configuration.IsJoint || IsMajority(configuration.Outgoing, id => HasData(id) && id.Keeper != death));

    /// <summary>Other nodes are wanted, one, three or five of them; some are drained, somebody should lead.</summary>
    private void Retarget()
    {
        int[] alive = [.. Enumerable.Range(1, Nodes).Where(i => !_dead[i])];
        for (int i = alive.Length - 1; i > 0; i--)
        {
            int j = _random.Next(i + 1);
            (alive[i], alive[j]) = (alive[j], alive[i]);
        }

        int count = Math.Min(alive.Length, 1 + (2 * _random.Next(3)));
        var draft = new DirectoryDraft(_cluster.View);
        draft.Put(Placement.Moved(Record, alive[..count].Select(Id), _stopped.Contains));
        foreach (int node in alive)
        {
            // Somebody can always lead.
            bool drained = node != alive[0] && _random.OneIn(4);
            draft.Put(draft.View.Node(Id(node))! with { State = drained ? NodeState.Draining : NodeState.Active });
        }

        NodeId preferred = _random.OneIn(2) ? Id(alive[0]) : NodeId.None;
        draft.Put(draft.View.Group(s_group)! with { PreferredLeader = preferred });
        _cluster.Do(draft.Grant());
        _trace.Add($"wanted: {string.Join(" ", Record.Replicas)}, led by {preferred}, epoch {Record.Epoch}");
    }

    /// <summary>Whoever is told of the group opens a copy only when the directory, as far as it knows it, names it.</summary>
    private void CatchUp(int node)
    {
        if (_leader.IsNone || !_up[node] || _lags[node] || DutyOf(node, _known[node]) is not (ReplicaDuty.Join or ReplicaDuty.Found))
            return;
        MemberId member = _known[node].Group(s_group)!.MemberOn(Id(node));
        if (!_inForce.IsMember(member))
            return;
        Assert.True(!_gone.Contains(member), $"{member} was removed, and comes back");
        Note($"{member} has caught up", () => _copies[node] = _lastCopies[node] = member);
    }

    private ReplicaDuty DutyOf(int node, DirectoryView view)
    {
        ReplicaTrace trace = !_copies[node].IsNone ? ReplicaTrace.Copy : _lastCopies[node].IsNone ? ReplicaTrace.None : ReplicaTrace.Removed;
        return ReplicaRule.Decide(view, Id(node), s_group, trace, _lastCopies[node].Generation, isViewFresh: true);
    }

    private void MayRemove(int node, DirectoryView view)
    {
        if (_dead[node] || DutyOf(node, view) != ReplicaDuty.Remove)
            return;
        _gone.Add(_copies[node]);
        Note($"{node} removes {_copies[node]}", () => _copies[node] = MemberId.None);
        if (_leader.Keeper == node)
            Note($"{node} removed its copy, leading", () => _leader = MemberId.None);
    }

    private void Elect()
    {
        if (!_leader.IsNone)
            return;
        // Those who are elected may have the last configuration or may not, as long as it is not committed.
        Configuration configuration = _isCommitted || _random.OneIn(2) ? _inForce : _committed;
        MemberId candidate = _copies[_random.Next(1, Nodes + 1)];
        if (!configuration.IsVoter(candidate) || !CanAgree(configuration) || !Serves(candidate))
            return;
        _leader = candidate;
        if (!ReferenceEquals(configuration, _inForce))
            (_inForce, _isCommitted) = (_committed, !_committed.IsJoint);
        _trace.Add($"{candidate} leads {configuration}");
    }

    private void Act()
    {
        if (_leader.IsNone)
            return;
        var knowledge = new GroupKnowledge
        {
            Self = _leader,
            Configuration = _inForce,
            IsChangeInProgress = !_isCommitted,
            CaughtUp = [.. _copies.Where(m => Serves(m) && !_lags[m.Keeper] && _inForce.IsMember(m))],
        };
        GroupTarget target = Target(_known[_leader.Keeper]);
        ReconciliationStep step = Reconciliation.Next(target, knowledge);
        if (step.IsSettled)
            Settled(target.Record.Epoch);
        if (step.Action == ReconciliationAction.Transfer)
        {
            Assert.True(_inForce.IsVoter(step.To));
            Note($"{_leader} hands over to {step.To}: {step.Reason}", () => _leader = step.To);
        }
        else if (step.Action == ReconciliationAction.Configure)
        {
            Configure(knowledge, step);
        }
    }

    private void Configure(GroupKnowledge knowledge, ReconciliationStep step)
    {
        Assert.True(_isCommitted && !_inForce.IsJoint);
        foreach (MemberId voter in step.Voters)
            Assert.True(_inForce.IsVoter(voter) || (_inForce.IsLearner(voter) && knowledge.IsCaughtUp(voter)), $"{voter} shall vote and cannot");
        bool changesVoters = !step.Voters.AsSpan().SequenceEqual(_inForce.Voters);
        Assert.True(!changesVoters || 2 * step.Voters.Count(knowledge.IsCaughtUp) > step.Voters.Length, $"{string.Join(" ", step.Voters)} are no majority");
        var next = new Configuration(step.Voters.AsSpan(), step.Learners.AsSpan(), changesVoters ? _inForce.Voters : default);
        Assert.NotEqual(_inForce, next);
        _committed = _inForce;
        (_inForce, _isCommitted) = (next, false);
        _trace.Add($"{_leader} asks for {next}: {step.Reason}");
    }

    private void Commit()
    {
        if (_isCommitted || _leader.IsNone || !CanAgree(_inForce))
            return;
        _committed = _inForce;
        if (_inForce.IsJoint)
            _inForce = _inForce.LeaveJoint();
        else
            _isCommitted = true;
        _trace.Add($"committed {_committed}");
        if (_isCommitted && !_inForce.IsVoter(_leader))
            Note($"{_leader} has left", () => _leader = MemberId.None);
    }

    /// <summary>The directory hears of it; whoever may remove a copy does so at once.</summary>
    private void Settled(ulong epoch)
    {
        DirectoryDecision decision = DirectoryOperations.Settle(_cluster.View, [new GroupReport(s_group, epoch)]);
        _cluster.Do(decision);
        for (int i = 1; i <= Nodes; i++)
            MayRemove(i, _cluster.View);
    }

    private bool CanAgree(Configuration configuration) =>
        IsMajority(configuration.Voters, Serves) && (!configuration.IsJoint || IsMajority(configuration.Outgoing, Serves));

    private bool Serves(MemberId member) => !member.IsNone && _up[member.Keeper] && HasData(member);

    private bool HasData(MemberId member) => _copies[member.Keeper] == member && !_stopped.Contains(member);

    private void Note(string what, Action change)
    {
        _trace.Add(what);
        change();
    }

    private static bool IsMajority(ReadOnlySpan<MemberId> voters, Func<MemberId, bool> counts)
    {
        int count = 0;
        foreach (MemberId voter in voters)
            count += counts(voter) ? 1 : 0;
        return count > voters.Length / 2;
    }

    private static GroupTarget Target(DirectoryView view) => GroupTarget.Of(view, s_group)!;

    private static NodeId Id(int node) => new((ulong)node);
}
