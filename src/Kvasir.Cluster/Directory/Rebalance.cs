using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// Moves of copies that nothing forces: to keep the copies of a shard further apart, and then to have as many on each node, give or
/// take one. Only groups at rest are moved, one copy each; a move is made only when it makes one of the two better and the first
/// no worse, so that it comes to an end.
/// </summary>
internal sealed class Rebalance
{
    private readonly NodeRecord[] _takers;
    private readonly List<MovableReplica> _movable = [];
    private readonly CopyCounts _copies = new();

    private Rebalance(DirectoryView view)
    {
        _takers = [.. view.Nodes.Where(n => n.State == NodeState.Active)];
        foreach (GroupRecord group in view.Groups)
        {
            if (group.Keyspace == KeyspaceId.System)
                continue;
            foreach (NodeId node in group.Replicas)
                _copies.Add(node, group.Keyspace, 1);
            if (group.IsSettled && group.Replicas.All(id => view.Node(id) is { IsServing: true }))
                _movable.Add(new MovableReplica(group, [.. group.Replicas.Select(id => view.Node(id)!)]));
        }
    }

    /// <summary>Makes so many moves at most.</summary>
    public static void Apply(DirectoryDraft draft, int movesMax)
    {
        if (movesMax <= 0)
            return;
        var rebalance = new Rebalance(draft.View);
        for (int i = 0; i < movesMax && (rebalance.MoveApart() ?? rebalance.MoveToEven()) is { } moved; i++)
            draft.Put(moved);
    }

    private GroupRecord? MoveApart()
    {
        if (_takers.Length == 0 || Array.TrueForAll(_takers, n => n.Locality.Equals(_takers[0].Locality)))
            return null;
        foreach (MovableReplica group in _movable)
        {
            (NodeRecord From, NodeRecord To)? best = null;
            int bestGain = 0;
            foreach (NodeRecord from in group.Replicas.Where(n => n.State == NodeState.Active).OrderByDescending(n => _copies.Of(n.Id)).ThenBy(n => n.Id))
            {
                foreach (NodeRecord to in _takers.OrderBy(n => _copies.Of(n.Id)).ThenBy(n => n.Id))
                {
                    int gain = group.Has(to) ? 0 : group.GainOf(from, to);
                    if (gain > bestGain)
                        (best, bestGain) = ((from, to), gain);
                }
            }

            if (best is { } move)
                return Move(group, move.From, move.To);
        }

        return null;
    }

    private GroupRecord? MoveToEven()
    {
        var pairs =
            from full in _takers
            from free in _takers
            let gap = _copies.Of(full.Id) - _copies.Of(free.Id)
            where gap >= 2
            orderby gap descending, full.Id, free.Id
            select (full, free);
        foreach ((NodeRecord full, NodeRecord free) in pairs)
        {
            MovableReplica? best = null;
            int bestGap = int.MinValue;
            foreach (MovableReplica group in _movable)
            {
                if (!group.Has(full) || group.Has(free) || group.GainOf(full, free) < 0)
                    continue;
                int gap = _copies.Of(full.Id, group.Record.Keyspace) - _copies.Of(free.Id, group.Record.Keyspace);
                if (gap > bestGap)
                    (best, bestGap) = (group, gap);
            }

            if (best is not null)
                return Move(best, full, free);
        }

        return null;
    }

    private GroupRecord Move(MovableReplica group, NodeRecord from, NodeRecord to)
    {
        _movable.Remove(group);
        _copies.Add(from.Id, group.Record.Keyspace, -1);
        _copies.Add(to.Id, group.Record.Keyspace, 1);
        return Placement.Moved(group.Record, group.Record.Replicas.Where(id => id != from.Id).Append(to.Id));
    }

    private sealed record MovableReplica(GroupRecord Record, NodeRecord[] Replicas)
    {
        public bool Has(NodeRecord node) => Record.IsReplica(node.Id);

        /// <summary>How much further apart the copies are with one node in another's place.</summary>
        public int GainOf(NodeRecord from, NodeRecord to) =>
            Replicas.Where(n => n != from).Sum(n => to.Locality.DistanceTo(n.Locality) - from.Locality.DistanceTo(n.Locality));
    }
}
