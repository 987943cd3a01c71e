using System.Collections.Immutable;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// Whether the cluster keeps what it promises, in numbers for INFO and metrics and in words for people. Judged by the directory and
/// by who is silent; what single copies lack is known to their groups.
/// </summary>
public sealed record DirectoryHealth
{
    public int NodesActive { get; private init; }

    public int NodesJoining { get; private init; }

    public int NodesDraining { get; private init; }

    /// <summary>Dead, or silent at the moment.</summary>
    public int NodesLost { get; private init; }

    /// <summary>Shards of all keyspaces, the directory's own among them.</summary>
    public int Shards { get; private init; }

    /// <summary>Shards with fewer copies on nodes that are there than promised, or with one of them still being made.</summary>
    public int ShardsUnderReplicated { get; private init; }

    /// <summary>Of those the ones that have fewer, whatever is being made.</summary>
    public int ShardsLacking { get; private init; }

    /// <summary>Shards that have lost too many copies to take writes.</summary>
    public int ShardsUnavailable { get; private init; }

    /// <summary>Shards whose copies are being made or moved.</summary>
    public int ShardsMoving { get; private init; }

    /// <summary>Copies that are known here to be stopped: damaged, or different from their leaders'.</summary>
    public int CopiesStopped { get; private init; }

    /// <summary>One sentence each, the worst first; empty when all is well.</summary>
    public ImmutableArray<string> Problems { get; private init; }

    /// <summary>Every copy that was promised is there.</summary>
    public bool IsWhole => ShardsUnderReplicated == 0;

    /// <summary>Something was lost, or never was there: copies that are only being moved are no reason to look.</summary>
    public bool IsAlarming => ShardsLacking > 0 || ShardsUnavailable > 0 || CopiesStopped > 0 || NodesLost > 0;

    /// <summary><c>ok</c>, <c>degraded</c> (fewer copies than promised) or <c>unavailable</c> (some shards take no writes).</summary>
    public string Word => ShardsUnavailable > 0 ? "unavailable" : IsWhole ? "ok" : "degraded";

    /// <param name="view">The directory.</param>
    /// <param name="isSilent">Nodes that are not heard of now, whatever the directory says of them.</param>
    /// <param name="isStopped">Copies that are stopped, as far as that is known here.</param>
    /// <param name="isMissing">Copies that are not there though their nodes are, as far as that is known here.</param>
    public static DirectoryHealth Of(
        DirectoryView view, Func<NodeId, bool> isSilent, Func<GroupId, MemberId, bool>? isStopped = null, Func<GroupId, MemberId, bool>? isMissing = null)
    {
        var present = new SortedSet<NodeId>(view.Nodes.Where(n => n.IsServing && !isSilent(n.Id)).Select(n => n.Id));
        int under = 0, lacking = 0, unavailable = 0, moving = 0, stopped = 0, fewest = int.MaxValue, promisedMost = 0;
        foreach (GroupRecord group in view.Groups)
        {
            if (view.Keyspace(group.Keyspace) is not { } keyspace)
                continue;
            int promised = keyspace.Record.Replicas;
            int lost = isStopped is null ? 0 : group.Members.Count(m => present.Contains(GroupMember.NodeOf(m)) && isStopped(group.Id, m));
            int missing = isMissing is null ? 0 : group.Members.Count(m => present.Contains(GroupMember.NodeOf(m)) && isMissing(group.Id, m));
            int copies = group.Replicas.Count(present.Contains) - lost - missing;
            stopped += lost;
            promisedMost = Math.Max(promisedMost, promised);
            moving += group.IsSettled ? 0 : 1;

            // One that is being made may not have said anything yet.
            lacking += copies + (group.IsSettled ? 0 : missing) < promised ? 1 : 0;
            if (copies < promised || !group.IsSettled)
            {
                under++;
                fewest = Math.Min(fewest, copies);
            }

            // Before it has settled nobody here knows whose votes it needs.
            unavailable += group.IsSettled && 2 * copies <= group.Replicas.Length ? 1 : 0;
        }

        var health = new DirectoryHealth
        {
            NodesActive = view.Nodes.Count(n => n.State == NodeState.Active && present.Contains(n.Id)),
            NodesJoining = view.Nodes.Count(n => n.State == NodeState.Joining),
            NodesDraining = view.Nodes.Count(n => n.State == NodeState.Draining && present.Contains(n.Id)),
            NodesLost = view.Nodes.Count(n => n.State == NodeState.Dead || (n.IsServing && !present.Contains(n.Id))),
            Shards = view.Groups.Length,
            ShardsUnderReplicated = under,
            ShardsLacking = lacking,
            ShardsUnavailable = unavailable,
            ShardsMoving = moving,
            CopiesStopped = stopped,
        };
        return health with { Problems = [.. Sentences(health, present.Count, fewest, promisedMost, view, isSilent)] };
    }

    private static IEnumerable<string> Sentences(
        DirectoryHealth health, int present, int fewest, int promised, DirectoryView view, Func<NodeId, bool> isSilent)
    {
        if (health.ShardsUnavailable > 0)
            yield return $"{health.ShardsUnavailable} of {health.Shards} shards have lost their majority and take no writes";
        if (health.CopiesStopped > 0)
        {
            yield return $"{health.CopiesStopped} {(health.CopiesStopped == 1 ? "copy is" : "copies are")} stopped, damaged or different from "
                + "what their leaders have; they are made anew, one after another, where most copies of the shard are good";
        }

        int lacking = promised - present;
        if (health.ShardsUnderReplicated > 0 && lacking > 0)
        {
            yield return $"{health.ShardsUnderReplicated} of {health.Shards} shards have fewer copies than promised (down to {fewest} of {promised}): "
                + $"{present} {(present == 1 ? "node is" : "nodes are")} there and {promised} are needed; start {lacking} more, with --join";
        }
        else if (health.ShardsUnderReplicated > health.CopiesStopped)
        {
            yield return $"{health.ShardsUnderReplicated} of {health.Shards} shards have copies that are still being made";
        }

        foreach (NodeRecord node in view.Nodes)
        {
            if (node.State == NodeState.Dead)
                yield return $"node {node.Id} ({node.PeerAddress}) is dead";
            else if (node.IsServing && isSilent(node.Id))
                yield return $"node {node.Id} ({node.PeerAddress}) is silent";
        }
    }
}
