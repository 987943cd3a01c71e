using System.Net.Sockets;
using Kvasir.Cli.CommandLine;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Administration;

/// <summary>
/// What all nodes say of the cluster, each of its own replicas. Nodes that do not answer are part of the picture.
/// </summary>
internal sealed class ClusterSurvey
{
    private readonly Dictionary<long, (NodeEntry Node, ReplicaEntry Replica)> _leaders = [];

    private ClusterSurvey(NodeAnswer first, IReadOnlyList<NodeFound> nodes)
    {
        First = first;
        Nodes = nodes;
        foreach (NodeFound found in nodes)
        {
            foreach (ReplicaEntry replica in found.Answer?.Replicas.Where(r => r.Leads) ?? [])
            {
                // One that was cut off may not know yet that it leads no more: the later term is right.
                if (!_leaders.TryGetValue(replica.Group, out (NodeEntry Node, ReplicaEntry Replica) known) || known.Replica.Term < replica.Term)
                    _leaders[replica.Group] = (found.Node, replica);
            }
        }
    }

    /// <summary>Of the node that was asked first.</summary>
    public NodeAnswer First { get; }

    public IReadOnlyList<NodeFound> Nodes { get; }

    /// <summary>Asks one node, and then each that it names.</summary>
    public static ClusterSurvey Ask(HostPort first, string? password, TimeSpan patience)
    {
        NodeAnswer answer = AskOne(first, password, patience);
        return From(answer, node => AskNamed(node, password, patience));
    }

    public static NodeAnswer AskOne(HostPort address, string? password, TimeSpan patience)
    {
        using NodeConnection connection = NodeConnection.Open(address, password, patience);
        return NodeAnswer.From(connection.Call("STATUS"));
    }

    /// <param name="first">Of the node that was asked first.</param>
    /// <param name="ask">Asks another one; its answer, or why there is none.</param>
    public static ClusterSurvey From(NodeAnswer first, Func<NodeEntry, (NodeAnswer? Answer, string? Silence)> ask)
    {
        List<NodeFound> nodes = [];
        foreach (NodeEntry node in first.Nodes)
        {
            (NodeAnswer? answer, string? silence) = node.Id == first.Node ? (first, null) : ask(node);
            nodes.Add(new NodeFound(node, answer, silence));
        }

        return new ClusterSurvey(first, nodes);
    }

    public (NodeEntry Node, ReplicaEntry Replica)? LeaderOf(long group) =>
        _leaders.TryGetValue(group, out (NodeEntry Node, ReplicaEntry Replica) leader) ? leader : null;

    public IEnumerable<GroupEntry> GroupsOf(string keyspace) =>
        First.Groups.Where(g => string.Equals(g.Keyspace, keyspace, StringComparison.Ordinal)).OrderBy(g => g.Shard);

    /// <summary>
    /// Voters of a group that answer and follow its leader, itself among them; 0 without a leader. What the configuration
    /// names is a promise; this is what would be left to go on with.
    /// </summary>
    public int CopiesOf(GroupEntry group) =>
        LeaderOf(group.Id) is not { } leader
            ? 0
            : leader.Replica.Voters.Count(v => Nodes.Any(n => n.Node.Id == v && n.Answer is not null && n.Answer.Replicas.Any(r => r.Group == group.Id)));

    /// <summary>
    /// How far a copy is behind: what it has not applied of what it knows, or what it lacks of what its leader knows, whichever is more. Of
    /// one whose node is silent what the leader knows; null where nobody knows.
    /// </summary>
    public CopyLag LagOf(long group, long node, ReplicaEntry? own)
    {
        FollowerEntry? seen = SeenByLeader(group, node);
        return new CopyLag(Greater(own?.LagEntries, seen?.LagEntries), Greater(own?.LagBytes, seen?.LagBytes), Greater(own?.LagMilliseconds, seen?.LagMilliseconds))
        {
            IsAgeUnknown = own is { LagMilliseconds: null },
            IsUnseen = seen is null && LeaderOf(group) is { } leader && leader.Node.Id != node,
        };

        static long? Greater(long? a, long? b) => a is null || b > a ? b : a;
    }

    /// <summary>The snapshot that a copy needs: as its leader knows it, and as the copy does where that one knows nothing of it; null for none.</summary>
    public SnapshotEntry? SnapshotOf(long group, long node, ReplicaEntry? own) =>
        SeenByLeader(group, node) is { } seen ? seen.Snapshot : own?.Snapshot;

    private FollowerEntry? SeenByLeader(long group, long node) => LeaderOf(group)?.Replica.Followers.FirstOrDefault(f => f.Node == node);

    /// <summary>Why a keyspace has not yet as many copies as wanted; null when it has.</summary>
    public string? Lacking(string keyspace, int copies)
    {
        GroupEntry[] groups = [.. GroupsOf(keyspace)];
        if (groups.Length == 0)
            return $"{keyspace} is not there yet";
        foreach (GroupEntry group in groups)
        {
            if (LeaderOf(group.Id) is null)
                return $"shard {group.Shard} of {keyspace} has no leader";
            int present = CopiesOf(group);
            if (present < copies)
                return $"shard {group.Shard} of {keyspace} has {present} of {copies} copies";
        }

        return null;
    }

    private static (NodeAnswer? Answer, string? Silence) AskNamed(NodeEntry node, string? password, TimeSpan patience)
    {
        if (node.Resp is null || !HostPort.TryParse(node.Resp, out HostPort? address))
            return (null, "no address is known");
        try
        {
            NodeAnswer answer = AskOne(address!, password, patience);
            return answer.Node == node.Id ? (answer, null) : (null, $"node {answer.Node} answers there");
        }
        catch (Exception e) when (e is UsageException or RefusedException or SocketException or IOException or RespFormatException)
        {
            return (null, e.Message);
        }
    }
}

/// <param name="Node">As the directory has it.</param>
/// <param name="Answer">What it said of itself, or null.</param>
/// <param name="Silence">Why it said nothing.</param>
internal sealed record NodeFound(NodeEntry Node, NodeAnswer? Answer, string? Silence);
