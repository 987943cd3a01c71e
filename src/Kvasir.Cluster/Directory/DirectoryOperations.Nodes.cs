using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>Those that are about nodes that come and go.</summary>
public static partial class DirectoryOperations
{
    /// <summary>
    /// Before a stop that is planned: the node hands over what it leads and is given nothing more. It keeps its copies, and
    /// when it starts again it is active; when another folder comes to its address, its old number is dead.
    /// </summary>
    public static DirectoryDecision Drain(DirectoryView view, NodeId id) =>
        Change(view, id, NodeState.Draining, node => node.State switch
        {
            NodeState.Active when view.Nodes.Count(n => n.State == NodeState.Active) == 1 => $"node {id} is the last one: there is nobody to take over",
            NodeState.Active or NodeState.Draining => null,
            _ => $"node {id} is {WordOf(node.State)}",
        });

    /// <summary>Takes back a drain, or says that a joining node is there.</summary>
    public static DirectoryDecision Activate(DirectoryView view, NodeId id) =>
        Change(view, id, NodeState.Active, node => node.State switch
        {
            NodeState.Joining or NodeState.Draining or NodeState.Active => null,
            NodeState.Dead => $"node {id} is dead: it comes back by starting",
            _ => $"node {id} is {WordOf(node.State)}",
        });

    /// <summary>
    /// For good: the node's copies move away, and when none is left it can be stopped. Without <paramref name="force"/> not where
    /// shards would be left with fewer copies than promised.
    /// </summary>
    public static DirectoryDecision Decommission(DirectoryView view, NodeId id, bool force) =>
        Change(view, id, NodeState.Decommissioned, node =>
        {
            if (node.State is NodeState.Joining or NodeState.Dead or NodeState.Decommissioned)
                return null;
            int left = view.Nodes.Count(n => n.State == NodeState.Active && n.Id != id);
            if (left == 0)
                return $"node {id} is the last one that can hold copies";
            int lacking = view.Groups.Count(g => g.IsReplica(id) && view.Keyspace(g.Keyspace)?.Record.Replicas > left && g.Id != GroupId.Directory);
            return lacking == 0 || force
                ? null
                : $"{lacking} shards would have fewer copies than promised, with {left} nodes left to hold them: let another node join first";
        });

    /// <summary>
    /// The node is lost with its folder, or silent for too long: what it held is made anew on others, as far as there are others.
    /// </summary>
    public static DirectoryDecision Dead(DirectoryView view, NodeId id) =>
        Change(view, id, NodeState.Dead, node => node.State switch
        {
            NodeState.Active or NodeState.Draining when Serving(view) == 1 => $"node {id} is the last one",
            NodeState.Decommissioned => $"node {id} is decommissioned",
            _ => null,
        });

    /// <summary>All other copies of these groups are lost, whoever was named: each goes on with this member alone.</summary>
    public static DirectoryDecision KeepOnly(DirectoryView view, IReadOnlyList<(GroupId Group, MemberId Member)> left)
    {
        var draft = new DirectoryDraft(view);
        foreach ((GroupId group, MemberId member) in left)
        {
            if (view.Group(group) is not { } record)
                continue;
            draft.Put(record with
            {
                Replicas = [GroupMember.NodeOf(member)],
                Generations = member.Generation == 0 ? [] : [member.Generation],
                Leaving = [],
                Epoch = record.Epoch + 1,
                PreferredLeader = NodeId.None,
                IsLeaderPinned = false,
            });
        }

        return draft.Grant();
    }

    private static int Serving(DirectoryView view) => view.Nodes.Count(n => n.IsServing);

    private static DirectoryDecision Change(DirectoryView view, NodeId id, NodeState state, Func<NodeRecord, string?> refusal)
    {
        if (view.Node(id) is not { } node)
            return DirectoryDecision.Refuse($"there is no node {id}");
        if (refusal(node) is { } reason)
            return DirectoryDecision.Refuse(reason);
        var draft = new DirectoryDraft(view);
        if (node.State != state)
            draft.Put(node with { State = state });
        return draft.Grant();
    }
}
