using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Directory;

/// <summary>
/// One group as Raft would have it, without its messages: a configuration in force, committed or not, a leader, and nodes that
/// have the data or not. Leaders follow the rule; nodes crash, lag, die for good and remove copies as soon as they may; the target
/// changes, and leaders may know an old one. Whatever happens, a majority of each configuration in force has the data.
/// </summary>
internal sealed class GroupInModel
{
    private const int Nodes = 7;
    private static readonly GroupId s_group = new(2);

    private readonly SeededRandom _random;
    private readonly bool[] _up = new bool[Nodes + 1];
    private readonly bool[] _dead = new bool[Nodes + 1];
    private readonly bool[] _hasData = new bool[Nodes + 1];
    private readonly bool[] _lags = new bool[Nodes + 1];

    // What each node has applied of the directory.
    private readonly DirectoryView[] _known = new DirectoryView[Nodes + 1];
    private readonly List<string> _trace = [];
    private readonly Clusters _cluster = new(databases: 1, shards: 1);
    private Configuration _committed;
    private Configuration _inForce;
    private bool _isCommitted = true;
    private int _leader;

    public GroupInModel(SeededRandom random)
    {
        _random = random;
        for (int i = 2; i <= Nodes; i++)
            _cluster.Join();
        Array.Fill(_up, true);
        Array.Fill(_known, _cluster.View);
        _hasData[1] = true;
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
        Assert.True(IsMajority(configuration.Voters, id => _hasData[id]), $"too few of {configuration} have the data");
        Assert.True(!configuration.IsJoint || IsMajority(configuration.Outgoing, id => _hasData[id]), $"too few of {configuration} have the data");
    }

    private void Disturb()
    {
        int node = _random.Next(1, Nodes + 1);
        switch (_random.Next(12))
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
                if (_leader != 0 && _random.OneIn(2))
                    Note($"{_leader} resigns", () => _leader = 0);
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
        switch (_random.Next(5))
        {
            case 0:
                _known[node] = _cluster.View;
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
        bool leads = _leader != 0 && (target.PreferredLeader.IsNone ? target.IsAbleToLead(Member(_leader)) : target.PreferredLeader == Member(_leader));
        return _isCommitted && _inForce.Equals(target.Configuration) && Record.IsSettled && leads;
    }

    private void Crash(int node)
    {
        _up[node] = false;
        if (_leader == node)
            Note($"{node} crashes, leading", () => _leader = 0);
    }

    /// <summary>Its disk is gone: as many die as a promise can bear.</summary>
    private void Die(int node)
    {
        bool bearable = Bears(_inForce, node) && Bears(_committed, node);
        if (_dead[node] || !bearable || DirectoryOperations.Dead(_cluster.View, Id(node)).IsRefused)
            return;
        Crash(node);
        (_dead[node], _hasData[node]) = (true, false);
        _trace.Add($"{node} dies");
        _cluster.Do(DirectoryOperations.Dead(_cluster.View, Id(node)));
        _cluster.Do(DirectoryUpkeep.Next(_cluster.View, [], new UpkeepSettings()));
    }

    private bool Bears(Configuration configuration, int death) =>
        IsMajority(configuration.Voters, id => _hasData[id] && id != death)
        && (!configuration.IsJoint || IsMajority(configuration.Outgoing, id => _hasData[id] && id != death));

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
        draft.Put(Placement.Moved(Record, alive[..count].Select(Id)));
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

    /// <summary>Whoever is told of the group opens a copy only when the directory names it.</summary>
    private void CatchUp(int node)
    {
        if (_leader != 0 && _up[node] && Record.IsReplica(Id(node)) && _inForce.IsMember(Member(node)) && !_lags[node] && !_hasData[node])
            Note($"{node} has caught up", () => _hasData[node] = true);
    }

    private void Elect()
    {
        if (_leader != 0)
            return;
        // Those who are elected may have the last configuration or may not, as long as it is not committed.
        Configuration configuration = _isCommitted || _random.OneIn(2) ? _inForce : _committed;
        int candidate = _random.Next(1, Nodes + 1);
        if (!configuration.IsVoter(Member(candidate)) || !CanAgree(configuration) || !Serves(candidate))
            return;
        _leader = candidate;
        if (!ReferenceEquals(configuration, _inForce))
            (_inForce, _isCommitted) = (_committed, !_committed.IsJoint);
        _trace.Add($"{candidate} leads {configuration}");
    }

    private void Act()
    {
        if (_leader == 0)
            return;
        var knowledge = new GroupKnowledge
        {
            Self = Member(_leader),
            Configuration = _inForce,
            IsChangeInProgress = !_isCommitted,
            CaughtUp = [.. Enumerable.Range(1, Nodes).Where(i => Serves(i) && !_lags[i] && _inForce.IsMember(Member(i))).Select(Member)],
        };
        GroupTarget target = Target(_known[_leader]);
        ReconciliationStep step = Reconciliation.Next(target, knowledge);
        if (step.IsSettled)
            Settled(target.Record.Epoch);
        if (step.Action == ReconciliationAction.Transfer)
        {
            Assert.True(_inForce.IsVoter(step.To));
            Note($"{_leader} hands over to {step.To}: {step.Reason}", () => _leader = (int)step.To.Value);
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
        if (_isCommitted || _leader == 0 || !CanAgree(_inForce))
            return;
        _committed = _inForce;
        if (_inForce.IsJoint)
            _inForce = _inForce.LeaveJoint();
        else
            _isCommitted = true;
        _trace.Add($"committed {_committed}");
        if (_isCommitted && !_inForce.IsVoter(Member(_leader)))
            Note($"{_leader} has left", () => _leader = 0);
    }

    /// <summary>The directory hears of it; whoever may remove a copy does so at once.</summary>
    private void Settled(ulong epoch)
    {
        DirectoryDecision decision = DirectoryOperations.Settle(_cluster.View, [new GroupReport(s_group, epoch)]);
        _cluster.Do(decision);
        for (int i = 1; i <= Nodes; i++)
        {
            ReplicaTrace trace = _hasData[i] ? ReplicaTrace.Copy : ReplicaTrace.Removed;
            if (ReplicaRule.Decide(_cluster.View, Id(i), s_group, trace, isViewFresh: true) == ReplicaDuty.Remove)
                Note($"{i} removes its copy", () => _hasData[i] = false);
        }
    }

    private bool CanAgree(Configuration configuration) =>
        IsMajority(configuration.Voters, Serves) && (!configuration.IsJoint || IsMajority(configuration.Outgoing, Serves));

    private bool Serves(int node) => _up[node] && _hasData[node];

    private void Note(string what, Action change)
    {
        _trace.Add(what);
        change();
    }

    private static bool IsMajority(ReadOnlySpan<MemberId> voters, Func<int, bool> counts)
    {
        int count = 0;
        foreach (MemberId voter in voters)
            count += counts((int)voter.Value) ? 1 : 0;
        return count > voters.Length / 2;
    }

    private static GroupTarget Target(DirectoryView view) => GroupTarget.Of(view, s_group)!;

    private static NodeId Id(int node) => new((ulong)node);

    private static MemberId Member(int node) => new((ulong)node);
}
