using System.Collections.Immutable;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// Where copies shall be, as far as it must change: copies on nodes that are gone are made anew on others, missing ones are added,
/// those of the directory follow the number of nodes. Copies of a shard are kept apart by locality first, and then nodes are
/// filled evenly; whoever has a copy and may keep it does. What is only uneven is left to <see cref="Rebalance"/>.
/// Deterministic: ties are decided by numbers.
/// </summary>
internal sealed class Placement
{
    private const int FewDirectoryVoters = 3;
    private const int ManyDirectoryVoters = 5;

    private readonly DirectoryView _view;
    private readonly StoppedCopies? _stopped;
    private readonly CopyCounts _copies = new();

    // Who may be given copies.
    private readonly NodeRecord[] _takers;

    public Placement(DirectoryView view, StoppedCopies? stopped = null)
    {
        (_view, _stopped) = (view, stopped);
        _takers = [.. view.Nodes.Where(n => n.State == NodeState.Active)];
        foreach (GroupRecord group in view.Groups)
        {
            foreach (NodeId node in group.Replicas)
                Count(node, group.Keyspace, 1);
        }
    }

    /// <summary>How many of the cluster's nodes vote on the directory, where there are so many.</summary>
    public static int DirectoryVoters(DirectoryView view) =>
        view.Nodes.Count(n => n.IsServing) >= ManyDirectoryVoters ? ManyDirectoryVoters : FewDirectoryVoters;

    /// <summary>The group's record with other replicas.</summary>
    /// <param name="group">As it is.</param>
    /// <param name="replicas">Where its copies shall be.</param>
    /// <param name="isLost">
    /// Of members that are there or leaving: never to be named again. Where their nodes are named, another copy is meant.
    /// </param>
    public static GroupRecord Moved(GroupRecord group, IEnumerable<NodeId> replicas, Func<MemberId, bool>? isLost = null)
    {
        ImmutableArray<NodeId> sorted = [.. replicas.Order()];
        bool leads = sorted.Contains(group.PreferredLeader);

        // Copies of the directory are never removed, so they stay who they are.
        bool isDirectory = group.Id == GroupId.Directory;
        uint next = isDirectory ? 0 : checked((uint)group.Epoch);
        MemberId[] known = [.. group.Members, .. group.Leaving];
        uint[] generations = [.. sorted.Select(
            id => known.Where(m => GroupMember.NodeOf(m) == id && (isDirectory || isLost?.Invoke(m) != true)).Select(m => m.Generation).FirstOrDefault(next))];
        return group with
        {
            Replicas = sorted,
            Generations = Array.TrueForAll(generations, g => g == 0) ? [] : [.. generations],
            Leaving = isDirectory ? [] : [.. known.Where(m => !sorted.Contains(GroupMember.NodeOf(m))).OrderBy(m => m.Keeper)],
            Epoch = group.Epoch + 1,
            PreferredLeader = leads ? group.PreferredLeader : NodeId.None,
            IsLeaderPinned = leads && group.IsLeaderPinned,
        };
    }

    /// <summary>The nodes for a new group of this keyspace; the next one will reckon with it.</summary>
    public ImmutableArray<NodeId> ChooseFounders(KeyspaceRecord keyspace)
    {
        List<NodeRecord> chosen = [];
        Fill(chosen, keyspace, keyspace.Replicas);
        // All that are left are being drained.
        if (chosen.Count == 0)
            chosen.Add(_view.Nodes.First(n => n.IsServing));
        return [.. chosen.Select(n => n.Id).Order()];
    }

    /// <summary>Changes the groups that must change.</summary>
    public void Heal(DirectoryDraft draft)
    {
        foreach (GroupRecord group in _view.Groups)
        {
            if (_view.Keyspace(group.Keyspace) is { } keyspace)
                Heal(draft, group, keyspace.Record);
        }
    }

    private void Heal(DirectoryDraft draft, GroupRecord group, KeyspaceRecord keyspace)
    {
        int wanted = keyspace.IsSystem ? DirectoryVoters(_view) : keyspace.Replicas;
        List<NodeRecord> kept = [];
        List<NodeId> dead = [];
        List<NodeId> leaving = [];
        foreach (NodeId id in group.Replicas)
        {
            NodeRecord? node = _view.Node(id);
            if (node is { IsServing: true } or { State: NodeState.Joining })
            {
                kept.Add(node);
                continue;
            }

            (node?.State == NodeState.Dead ? dead : leaving).Add(id);
            Count(id, group.Keyspace, -1);
        }

        while (kept.Count > wanted)
            Drop(kept, group.Keyspace);
        Fill(kept, keyspace, wanted);

        // Who leaves for good keeps nothing, unless nobody else has a copy that is there. When nobody can take a dead node's place it
        // keeps it: it may come back, and the majority would be no smaller without it.
        List<NodeId> replicas = [.. kept.Select(n => n.Id)];
        if (replicas.Count == 0)
            replicas.AddRange(leaving);
        if (replicas.Count < wanted)
            replicas.AddRange(dead.Take(wanted - replicas.Count));
        if (replicas.Count != group.Replicas.Length || !replicas.TrueForAll(group.IsReplica))
            draft.Put(Moved(group, replicas, m => group.Leaving.Contains(m) && IsStopped(group.Id, m)));
    }

    /// <summary>
    /// A copy that is stopped is made anew: on another node where that keeps the copies as far apart (a disk that has damaged one file
    /// may damage more), else where it was, as another member. Its node removes it when it hears of that: it has nothing that
    /// anybody could ask for.
    /// </summary>
    public CopyReplacement? Replace(DirectoryDraft draft, GroupRecord group, MemberId stopped)
    {
        NodeId node = GroupMember.NodeOf(stopped);
        List<NodeRecord> kept = [.. group.Replicas.Where(id => id != node).Select(_view.Node).OfType<NodeRecord>()];
        Count(node, group.Keyspace, -1);
        if (Best(kept, group.Keyspace, last: node) is not { } best)
            return null;
        Count(best.Id, group.Keyspace, 1);
        draft.Put(Moved(group, kept.Select(n => n.Id).Append(best.Id), m => m == stopped));
        return new CopyReplacement(group.Id, stopped, best.Id);
    }

    private bool IsStopped(GroupId group, MemberId member) => _stopped?.IsStopped(group, member) == true;

    private void Fill(List<NodeRecord> chosen, KeyspaceRecord keyspace, int wanted)
    {
        while (chosen.Count < wanted && Best(chosen, keyspace.Id) is { } best)
        {
            chosen.Add(best);
            Count(best.Id, keyspace.Id, 1);
        }
    }

    private NodeRecord? Best(List<NodeRecord> chosen, KeyspaceId keyspace, NodeId last = default) =>
        _takers.Where(n => !chosen.Contains(n))
            .OrderByDescending(n => chosen.Sum(c => c.Locality.DistanceTo(n.Locality)))
            .ThenBy(n => n.Id == last).ThenBy(n => _copies.Of(n.Id)).ThenBy(n => _copies.Of(n.Id, keyspace)).ThenBy(n => n.Id)
            .FirstOrDefault();

    private void Drop(List<NodeRecord> kept, KeyspaceId keyspace)
    {
        NodeRecord worst = kept.OrderByDescending(n => n.State != NodeState.Active)
            .ThenBy(n => kept.Sum(c => c.Locality.DistanceTo(n.Locality)))
            .ThenByDescending(n => _copies.Of(n.Id)).ThenByDescending(n => n.Id).First();
        kept.Remove(worst);
        Count(worst.Id, keyspace, -1);
    }

    // The directory is everywhere anyway: its votes are no load.
    private void Count(NodeId node, KeyspaceId keyspace, int by)
    {
        if (keyspace != KeyspaceId.System)
            _copies.Add(node, keyspace, by);
    }
}
