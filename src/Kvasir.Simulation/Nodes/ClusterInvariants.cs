using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// Sees the groups of all nodes, after each thing that happens to any: one leader a term, the same entries committed
/// everywhere, and what is committed durable on a majority.
/// </summary>
internal sealed class ClusterInvariants(ClusterWorld world)
{
    private readonly Dictionary<(GroupId Group, ulong Term), MemberId> _leaders = [];
    private readonly Dictionary<(GroupId Group, ulong Index), (ulong Term, ulong Hash)> _committed = [];
    private readonly Dictionary<(MemberId Member, GroupId Group), GroupTrace> _traces = [];

    public int Leaders => _leaders.Count;

    public long Committed => _committed.Count;

    /// <summary>To be called after everything that happens to a node.</summary>
    public void Look(NodeMachine machine)
    {
        if (machine.Process is not { Node.Host: { } host } process)
            return;
        Check.That(!process.Node.HasForgotten, $"node {machine.Id}: {process.Node.Refused}");
        foreach (RaftGroup group in host.Groups)
            Look(machine, process, group);
    }

    private void Look(NodeMachine machine, NodeProcess process, RaftGroup group)
    {
        MemberId self = group.Member.Id;
        if (!_traces.TryGetValue((self, group.Id), out GroupTrace? trace))
            _traces.Add((self, group.Id), trace = new GroupTrace());
        trace.Synced = group.Member.SyncedIndex;
        Hold(group.Difference is null, machine, group, $"{group.Difference}");
        Hold(group.Damage is null || machine.WasRotten, machine, group, $"{group.Damage}");
        if (group.IsOut && !trace.IsOut)
            world.Coverage.Add("replicas stopped");
        trace.IsOut = group.IsOut;
        if (group.IsQuiet && !trace.IsQuiet)
            world.Coverage.Add(group.Role == RaftRole.Leader ? "leaders gone quiet" : "followers gone quiet");
        trace.IsQuiet = group.IsQuiet;
        if (group.Role == RaftRole.Leader && _leaders.TryAdd((group.Id, group.Term), self) && world.IsTold)
            world.Tell($"node {machine.Id} leads group {group.Id} in term {group.Term}");
        if (group.Role == RaftRole.Leader)
        {
            MemberId known = _leaders[(group.Id, group.Term)];
            Hold(known == self, machine, group, $"{known} led this term, too");
        }

        bool isSame = trace.Process == process && group.Configuration.Equals(trace.Configuration);
        LogIndex seen = trace.Process == process ? trace.Commit : LogIndex.Zero;
        (trace.Process, trace.Configuration) = (process, group.Configuration);
        if (group.CommitIndex <= seen)
            return;
        trace.Commit = group.CommitIndex;
        for (LogIndex i = LogIndex.Greatest(seen.Next, group.Entries.First); i <= group.CommitIndex && group.Entries.Holds(i); i = i.Next)
            Commit(machine, group, i);
        if (isSame && group.Role == RaftRole.Leader)
        {
            IsOnAMajority(machine, group, group.Configuration.Voters);
            if (group.Configuration.IsJoint)
                IsOnAMajority(machine, group, group.Configuration.Outgoing);
        }
    }

    private void Commit(NodeMachine machine, RaftGroup group, LogIndex index)
    {
        ulong term = group.Entries.TermOf(index).Value;
        ulong hash = StableHash.Hash64(group.Entries.BytesOf(index), (ulong)group.Entries.KindOf(index));
        if (_committed.TryAdd((group.Id, index.Value), (term, hash)))
            return;
        (ulong Term, ulong Hash) known = _committed[(group.Id, index.Value)];
        Hold(known == (term, hash), machine, group, $"its committed entry {index} of term {term} is another than others have there, of term {known.Term}");
    }

    private void IsOnAMajority(NodeMachine machine, RaftGroup group, ReadOnlySpan<MemberId> voters)
    {
        int have = 0;
        foreach (MemberId voter in voters)
            have += _traces.TryGetValue((voter, group.Id), out GroupTrace? trace) && trace.Synced >= group.CommitIndex ? 1 : 0;
        Hold(have > voters.Length / 2, machine, group, $"{group.CommitIndex} is committed, and durable on {have} of {voters.Length} voters");
    }

    private static void Hold(bool condition, NodeMachine machine, RaftGroup group, string what)
    {
        if (!condition)
            Check.Fail($"node {machine.Id}, {group.Role} of group {group.Id} in term {group.Term}: {what}");
    }

    private sealed class GroupTrace
    {
        public NodeProcess? Process { get; set; }

        public Configuration? Configuration { get; set; }

        public LogIndex Commit { get; set; }

        public bool IsQuiet { get; set; }

        public bool IsOut { get; set; }

        /// <summary>Also of a node that is down: what it had durable last.</summary>
        public LogIndex Synced { get; set; }
    }
}
