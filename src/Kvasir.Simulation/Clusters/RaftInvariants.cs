using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Simulation.Clusters;

/// <summary>
/// Sees all members at once, after each thing that happens to any, and so can say what none of them can: the five promises of
/// the paper's figure 3, and that what is committed is durable on a majority.
/// </summary>
internal sealed class RaftInvariants(List<SimulatedRaftNode> nodes)
{
    private readonly Dictionary<ulong, MemberId> _leaders = [];
    private readonly Dictionary<(ulong Index, ulong Term), ulong> _chains = [];

    // By index, from 1: the term and the chain of what is committed, and the state's hash once somebody applied it.
    private readonly List<(Term Term, ulong Chain)> _committed = [(default, 0)];
    private readonly List<ulong> _states = [1];

    // When commits became known, and at the latest in which term: both only grow.
    private readonly List<(TimeSpan At, Term Term, LogIndex Index)> _commits = [];

    /// <summary>The highest index that any member ever took for committed.</summary>
    public LogIndex Committed => new((ulong)_committed.Count - 1);

    public int Leaders => _leaders.Count;

    public bool TryCommitted(LogIndex index, out ulong chain)
    {
        bool isCommitted = index <= Committed;
        chain = isCommitted ? _committed[(int)index.Value].Chain : 0;
        return isCommitted;
    }

    /// <summary>Log matching: an entry of one index and term has the same content and the same past wherever it is.</summary>
    public void Kept(SimulatedRaftNode node, LogIndex index, Term term, ulong chain)
    {
        if (_chains.TryAdd((index.Value, term.Value), chain))
            return;
        Hold(_chains[(index.Value, term.Value)] == chain, node, $"log matching: its entry {index} of term {term}, or one before it, differs from another member's");
    }

    /// <summary>To be called after every event of a member.</summary>
    public void Look(SimulatedRaftNode node, TimeSpan now, Configuration inForceBefore)
    {
        RaftMember raft = node.Raft;
        if (raft.Role == RaftRole.Leader)
            Lead(node);
        if (raft.CommitIndex > Committed)
            Commit(node, now, inForceBefore);
    }

    /// <summary>State-machine safety: what is applied at an index is the same everywhere, and so is what comes of it.</summary>
    public void Applied(SimulatedRaftNode node, LogIndex index, ulong chain, ulong state)
    {
        Hold(index <= Committed, node, $"it applies {index}, and only {Committed} is committed");
        Hold(_committed[(int)index.Value].Chain == chain, node, $"state-machine safety: it applies another entry at {index} than was committed there");
        if (_states.Count == (int)index.Value)
            _states.Add(state);
        Hold((int)index.Value < _states.Count && _states[(int)index.Value] == state, node, $"state-machine safety: after {index} its state is another than that of others");
    }

    /// <summary>A lease is good for reads only while nobody else can have committed anything.</summary>
    public void LeaseRead(SimulatedRaftNode node, LogIndex index) =>
        Hold(index >= Committed, node, $"lease: it reads at {index}, and {Committed} is committed");

    public void RoundRead(SimulatedRaftNode node, LogIndex index, LogIndex committedWhenAsked) =>
        Hold(index >= committedWhenAsked, node, $"read index: it reads at {index}, and {committedWhenAsked} was committed before it was asked");

    /// <summary>A member says that its state holds all that was committed by this time.</summary>
    public void AgedRead(SimulatedRaftNode node, TimeSpan freshAt)
    {
        int at = _commits.Count - 1;
        while (at >= 0 && _commits[at].At >= freshAt)
            at--;
        if (at >= 0)
            Hold(_commits[at].Index <= node.Raft.AppliedIndex, node, $"stale read: it claims to know all up to {freshAt}, and {_commits[at].Index} was committed at {_commits[at].At}");
    }

    /// <summary>A client is about to be told that its write at this index happened.</summary>
    public void Acknowledge(SimulatedRaftNode node, LogIndex index) =>
        Hold(index <= Committed, node, $"it acknowledges {index}, and only {Committed} is committed");

    private static void Hold(bool condition, SimulatedRaftNode node, string what)
    {
        if (!condition)
            Fail(node, what);
    }

    private static void Fail(SimulatedRaftNode node, string what) => Check.Fail($"member {node.Id}, {node.Raft.Role} of term {node.Raft.Term}: {what}");

    private void Lead(SimulatedRaftNode node)
    {
        ulong term = node.Raft.Term.Value;
        if (_leaders.TryGetValue(term, out MemberId known))
        {
            Hold(known == node.Id, node, $"election safety: member {known} led this term, too");
            return;
        }

        _leaders.Add(term, node.Id);

        // Leader completeness: what was committed in earlier terms is in its log. By log matching, the last of it is enough.
        int at = _commits.Count - 1;
        while (at >= 0 && _commits[at].Term.Value >= term)
            at--;
        if (at < 0)
            return;
        LogIndex index = _commits[at].Index;
        Hold(node.TryChainAt(index, out ulong chain) && chain == _committed[(int)index.Value].Chain, node,
            $"leader completeness: it lacks {index}, which was committed in term {_commits[at].Term}");
    }

    private void Commit(SimulatedRaftNode node, TimeSpan now, Configuration configuration)
    {
        for (LogIndex i = Committed.Next; i <= node.Raft.CommitIndex; i = i.Next)
        {
            Hold(node.TryChainAt(i, out ulong chain) && node.Raft.TryTermAt(i, out _), node, $"it takes {i} for committed and does not have it");
            node.Raft.TryTermAt(i, out Term term);
            _committed.Add((term, chain));
        }

        _commits.Add((now, node.Raft.Term, Committed));
        Term last = _committed[^1].Term;
        if (node.Raft.Role == RaftRole.Leader)
            Hold(last == node.Raft.Term, node, $"it commits {Committed} of the earlier term {last} by counting");
        IsOnAMajority(node, configuration.Voters, Committed, last);
        if (configuration.IsJoint)
            IsOnAMajority(node, configuration.Outgoing, Committed, last);
    }

    private void IsOnAMajority(SimulatedRaftNode node, ReadOnlySpan<MemberId> voters, LogIndex index, Term term)
    {
        if (node.Raft.Role != RaftRole.Leader)
            return;
        int have = 0;
        foreach (MemberId voter in voters)
            have += nodes[(int)voter.Value - 1].Disk.Holds(index, term) ? 1 : 0;
        Hold(have > voters.Length / 2, node, $"{index} is committed, and durable on {have} of {voters.Length} voters");
    }
}
