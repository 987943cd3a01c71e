using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// Who should lead which group: as many on each node as can be, with as few changes as that takes. Those who lead go on unless a
/// chain of hand-overs, each to another copy of the same group, leads from a node to one with at least two fewer; without such a
/// chain no other choice is more even. Of several groups one goes of whose keyspace the giver leads more than the taker: one keyspace may
/// have all the work. What a person chose stays, while that node can lead.
/// </summary>
internal sealed class LeaderSpread
{
    private readonly List<LeaderChoice> _choices = [];
    private readonly CopyCounts _leads = new();
    private readonly NodeId[] _nodes;

    private LeaderSpread(DirectoryView view)
    {
        NodeRecord[] active = [.. view.Nodes.Where(n => n.State == NodeState.Active)];
        _nodes = [.. active.Select(n => n.Id)];
        foreach (GroupRecord group in view.Groups)
        {
            // Whoever leads the directory leads it: nothing waits for it.
            if (group.Keyspace == KeyspaceId.System)
                continue;
            NodeId[] able = [.. group.Replicas.Where(id => Array.BinarySearch(_nodes, id) >= 0)];
            if (able.Length > 0)
                _choices.Add(new LeaderChoice(group, able));
        }
    }

    /// <summary>Makes so many hand-overs at most, beside those where the one who should lead cannot.</summary>
    public static void Apply(DirectoryDraft draft, int handOversMax)
    {
        var spread = new LeaderSpread(draft.View);
        spread.Fill();
        while (handOversMax > 0 && spread.TryEven(out int handOvers))
            handOversMax -= handOvers;
        foreach (LeaderChoice choice in spread._choices)
        {
            if (choice.Leader != choice.Group.PreferredLeader)
                draft.Put(choice.Group with { PreferredLeader = choice.Leader, IsLeaderPinned = false });
        }
    }

    private void Fill()
    {
        foreach (LeaderChoice choice in _choices)
        {
            if (!Array.Exists(choice.Able, id => id == choice.Group.PreferredLeader))
                continue;
            choice.Leader = choice.Group.PreferredLeader;
            _leads.Add(choice.Leader, choice.Group.Keyspace, 1);
        }

        foreach (LeaderChoice choice in _choices)
        {
            if (!choice.Leader.IsNone)
                continue;
            choice.Leader = choice.Able.OrderBy(_leads.Of).ThenBy(id => _leads.Of(id, choice.Group.Keyspace)).ThenBy(id => id).First();
            _leads.Add(choice.Leader, choice.Group.Keyspace, 1);
        }
    }

    /// <summary>Takes one group from a node with many, by the shortest chain to a node with at least two fewer.</summary>
    private bool TryEven(out int handOvers)
    {
        handOvers = 0;
        foreach (NodeId start in _nodes.OrderByDescending(_leads.Of).ThenBy(id => id))
        {
            if (FindChain(start) is not { } chain)
                continue;
            foreach ((LeaderChoice choice, NodeId to) in chain)
            {
                _leads.Add(choice.Leader, choice.Group.Keyspace, -1);
                _leads.Add(to, choice.Group.Keyspace, 1);
                choice.Leader = to;
            }

            handOvers = chain.Count;
            return true;
        }

        return false;
    }

    /// <summary>
    /// Breadth first over "leads a group that the other could lead"; of the nearest, the one with the fewest, and to each by the group
    /// whose keyspace that evens most.
    /// </summary>
    private List<(LeaderChoice LeaderChoice, NodeId To)>? FindChain(NodeId start)
    {
        var cameBy = new Dictionary<NodeId, LeaderChoice>();
        List<NodeId> level = [start];
        while (level.Count > 0)
        {
            List<NodeId> next = [];
            foreach (LeaderChoice choice in _choices)
            {
                if (choice.Group.IsLeaderPinned || !level.Contains(choice.Leader))
                    continue;
                foreach (NodeId id in choice.Able)
                {
                    if (id == start)
                        continue;
                    if (cameBy.TryAdd(id, choice))
                        next.Add(id);
                    else if (next.Contains(id) && Surplus(choice, id) > Surplus(cameBy[id], id))
                        cameBy[id] = choice;
                }
            }

            NodeId end = next.OrderBy(_leads.Of).ThenBy(id => id).FirstOrDefault();
            if (!end.IsNone && _leads.Of(end) <= _leads.Of(start) - 2)
            {
                List<(LeaderChoice, NodeId)> chain = [];
                for (NodeId at = end; at != start; at = cameBy[at].Leader)
                    chain.Add((cameBy[at], at));
                return chain;
            }

            level = next;
        }

        return null;
    }

    private int Surplus(LeaderChoice choice, NodeId to) =>
        _leads.Of(choice.Leader, choice.Group.Keyspace) - _leads.Of(to, choice.Group.Keyspace);

    private sealed class LeaderChoice(GroupRecord group, NodeId[] able)
    {
        public GroupRecord Group { get; } = group;

        public NodeId[] Able { get; } = able;

        public NodeId Leader { get; set; }
    }
}
