using System.Collections.Immutable;
using System.Globalization;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>How a cluster begins.</summary>
public sealed record FoundRequest
{
    /// <summary>Drawn at random.</summary>
    public required ulong ClusterId { get; init; }

    public string ClusterName { get; init; } = "kvasir";

    /// <summary>The one node that there is.</summary>
    public required JoinRequest Node { get; init; }

    public int Databases { get; init; } = 16;

    public int ShardsPerDatabase { get; init; } = 4;

    public int Replicas { get; init; } = 3;

    /// <summary>Of the directory itself: an ordered one.</summary>
    public string Engine { get; init; } = "lsm";

    /// <summary>Of the databases, in turn; none for the directory's.</summary>
    public IReadOnlyList<string> DatabaseEngines { get; init; } = [];
}

/// <summary>
/// What may be asked of the directory. Each is a function of a view and a request: the changes to make, or why not. The leader of
/// the directory decides on what it has applied, proposes the changes as one entry, and decides on nothing else before that is
/// applied; a decision whose entry was lost has not happened.
/// </summary>
public static partial class DirectoryOperations
{
    /// <summary>Shards of all keyspaces together: each is a Raft group.</summary>
    private const int GroupsMax = 16 * 1024;

    /// <summary>A cluster of one node: the system keyspace, and each database with as many shards as asked for.</summary>
    public static DirectoryDecision Found(FoundRequest request)
    {
        if (request.ClusterId == 0)
            return DirectoryDecision.Refuse("a cluster's id is not 0");
        if (OfAddresses(request.Node) is { } refusal)
            return DirectoryDecision.Refuse(refusal);
        KeyspaceRequest[] databases = [.. Enumerable.Range(0, Math.Clamp(request.Databases, 0, DirectoryCodec.DatabasesMax)).Select(i => new KeyspaceRequest
        {
            Name = KeyspaceRules.NameOfDatabase(i),
            Engine = request.DatabaseEngines.Count == 0 ? request.Engine : request.DatabaseEngines[i % request.DatabaseEngines.Count],
            Shards = request.ShardsPerDatabase,
            Replicas = request.Replicas,
        })];
        var system = new KeyspaceRequest { Name = KeyspaceRules.SystemName, Engine = request.Engine, Shards = 1, Replicas = request.Replicas };
        if (request.Databases is < 0 or > DirectoryCodec.DatabasesMax)
            return DirectoryDecision.Refuse($"databases {request.Databases} is not in 0 to {DirectoryCodec.DatabasesMax}");
        if (databases.Append(system).Select(KeyspaceRules.RefusalOfNumbers).FirstOrDefault(r => r is not null) is { } numbers)
            return DirectoryDecision.Refuse(numbers);
        var draft = new DirectoryDraft(DirectoryView.Empty);
        draft.Put(new ClusterRecord(request.ClusterId, request.ClusterName));
        NodeId node = draft.TakeNodeId();
        draft.Put(RecordOf(node, request.Node, NodeState.Active, incarnation: 1));
        Add(draft, system, database: null, [node]);
        for (int i = 0; i < databases.Length; i++)
            Add(draft, databases[i], i, [node]);
        return draft.Grant();
    }

    /// <summary>
    /// Lets a node in, or takes note that it is back. The same folder gets the same number; <paramref name="id"/> is that number when
    /// granted, and holds once the changes are committed.
    /// </summary>
    public static DirectoryDecision Join(DirectoryView view, JoinRequest request, out NodeId id)
    {
        id = NodeId.None;
        if (view.Cluster is not { } cluster)
            return DirectoryDecision.Refuse("this node belongs to no cluster yet");
        if (request.ClusterId != 0 && request.ClusterId != cluster.Id)
            return DirectoryDecision.Refuse($"the folder belongs to the cluster {Hex(request.ClusterId)}, and this is {Hex(cluster.Id)}");
        if (OfAddresses(request) is { } refusal)
            return DirectoryDecision.Refuse(refusal);
        NodeRecord? known = view.NodeByIdentity(request.Identity);
        if (!request.Node.IsNone && known?.Id != request.Node)
            return DirectoryDecision.Refuse($"the folder says that it is node {request.Node}, whose folder is another one: it is a copy, or damaged");
        if (known is not null && !view.IsMember(known))
            return DirectoryDecision.Refuse($"node {known.Id} was decommissioned: empty its folder to let it join under a new number");
        var draft = new DirectoryDraft(view);
        if (known is not null)
        {
            // It may be another's address by what is written down: all may have new ones. That one says where it is when it is back.
            id = known.Id;
            draft.Put(RecordOf(id, request, StateAfterStart(view, known), known.Incarnation + 1));
            return draft.Grant();
        }

        foreach (NodeRecord other in view.Nodes)
        {
            if (other.State == NodeState.Active && other.PeerAddress == request.PeerAddress)
                return DirectoryDecision.Refuse($"{request.PeerAddress} is the address of node {other.Id}, which is {WordOf(other.State)}: if its folder is lost, drain it first (node drain {other.Id})");
        }

        id = draft.TakeNodeId();
        foreach (NodeRecord other in view.Nodes)
        {
            // The folder that was at this address is gone: it was being emptied, or never got further than asking.
            if (other.PeerAddress != request.PeerAddress)
                continue;
            if (other.State == NodeState.Draining)
                draft.Put(other with { State = NodeState.Dead });
            else if (other.State == NodeState.Joining)
                draft.Put(other with { State = NodeState.Decommissioned });
        }

        draft.Put(RecordOf(id, request, NodeState.Joining, incarnation: 1));
        return draft.Grant();
    }

    /// <summary>A keyspace with all its groups, each founded on nodes that are there now.</summary>
    public static DirectoryDecision CreateKeyspace(DirectoryView view, KeyspaceRequest request)
    {
        if (KeyspaceRules.Refusal(request) is { } refusal)
            return DirectoryDecision.Refuse(refusal);
        if (view.KeyspaceByName(request.Name) is not null)
            return DirectoryDecision.Refuse($"there is a keyspace '{request.Name}' already");
        if (view.Groups.Length + request.Shards > GroupsMax)
            return DirectoryDecision.Refuse($"a cluster has {GroupsMax} shards at most, and {view.Groups.Length} are there");
        if (!view.Nodes.Any(n => n.IsServing))
            return DirectoryDecision.Refuse("there is no node to hold it");
        var draft = new DirectoryDraft(view);
        Add(draft, request, database: null, founders: []);
        return draft.Grant();
    }

    /// <summary>Forgets a keyspace; nodes remove what they hold of it when they hear of it.</summary>
    public static DirectoryDecision DropKeyspace(DirectoryView view, string name)
    {
        if (view.KeyspaceByName(name) is not { } keyspace)
            return DirectoryDecision.Refuse($"there is no keyspace '{name}'");
        if (keyspace.Record.IsSystem)
            return DirectoryDecision.Refuse("the keyspace 'system' is the cluster's own");
        if (keyspace.Record.Database is { } database)
            return DirectoryDecision.Refuse($"'{name}' is the database that SELECT {database} knows: it can be emptied, not dropped");
        if (keyspace.Record.IsMoving)
            return DirectoryDecision.Refuse($"keyspace {name} is being converted: abort that first");
        var draft = new DirectoryDraft(view);
        foreach (GroupRecord group in view.Groups)
        {
            if (group.Keyspace == keyspace.Record.Id)
                draft.Delete(group.Id);
        }

        draft.Delete(keyspace.Record.Id);
        return draft.Grant();
    }

    /// <summary>Each of the two database indexes stands for what the other did.</summary>
    public static DirectoryDecision SwapDatabases(DirectoryView view, int first, int second)
    {
        if (view.KeyspaceOfDatabase(first) is not { } one || view.KeyspaceOfDatabase(second) is not { } other)
            return DirectoryDecision.Refuse("DB index is out of range");
        var draft = new DirectoryDraft(view);
        if (first != second)
        {
            draft.Put(one.Record with { Database = null });
            draft.Put(other.Record with { Database = first });
            draft.Put(one.Record with { Database = second });
        }

        return draft.Grant();
    }

    /// <summary>Who should lead a group, by the choice of a person; nobody gives the choice back to the cluster.</summary>
    public static DirectoryDecision SetPreferredLeader(DirectoryView view, GroupId id, NodeId node)
    {
        if (view.Group(id) is not { } group)
            return DirectoryDecision.Refuse($"there is no group {id}");
        if (!node.IsNone && !group.IsReplica(node))
            return DirectoryDecision.Refuse($"node {node} holds no copy of group {id} that votes: those are on {string.Join(", ", group.Replicas)}");
        if (!node.IsNone && view.Node(node)?.State != NodeState.Active)
            return DirectoryDecision.Refuse($"node {node} is {WordOf(view.Node(node)?.State)}, so it is given nothing to lead");
        var draft = new DirectoryDraft(view);
        GroupRecord changed = group with { PreferredLeader = node, IsLeaderPinned = !node.IsNone };
        if (!changed.Equals(group))
            draft.Put(changed);
        return draft.Grant();
    }

    /// <summary>
    /// Takes note of what the leaders of groups told. A report of an epoch that is not the record's is of the past, and passed over.
    /// </summary>
    public static DirectoryDecision Settle(DirectoryView view, IReadOnlyList<GroupReport> reports)
    {
        var draft = new DirectoryDraft(view);
        foreach (GroupReport report in reports)
        {
            if (view.Group(report.Group) is { IsSettled: false } group && group.Epoch == report.Epoch)
                draft.Put(group with { SettledEpoch = report.Epoch, Leaving = [] });
        }

        return draft.Grant();
    }

    internal static string WordOf(NodeState? state) => state is { } known ? known.ToString().ToLowerInvariant() : "not known";

    /// <summary>The keyspace's record and those of its groups; founded where placement wants them when nobody is named.</summary>
    private static void Add(DirectoryDraft draft, KeyspaceRequest request, int? database, ImmutableArray<NodeId> founders)
    {
        KeyspaceRecord keyspace = KeyspaceRules.Record(draft.TakeKeyspaceId(), request) with { Database = database };
        draft.Put(keyspace);
        GroupId first = draft.TakeGroupIds(keyspace.Shards);
        var placement = founders.IsEmpty ? new Placement(draft.View) : null;
        for (int shard = 0; shard < keyspace.Shards; shard++)
        {
            ImmutableArray<NodeId> replicas = placement?.ChooseFounders(keyspace) ?? founders;
            draft.Put(new GroupRecord
            {
                Id = new GroupId(first.Value + (uint)shard),
                Keyspace = keyspace.Id,
                Shard = shard,
                Replicas = replicas,
                Founders = replicas,
                Epoch = 1,
            });
        }
    }

    // What it was drained for is over. One that was dead must catch up before it is given anything, and may go on with what it still has.
    internal static NodeState StateAfterStart(DirectoryView view, NodeRecord node) => node.State switch
    {
        NodeState.Draining => NodeState.Active,
        NodeState.Dead => view.Groups.Any(g => g.IsReplica(node.Id)) ? NodeState.Active : NodeState.Joining,
        _ => node.State,
    };

    private static NodeRecord RecordOf(NodeId id, JoinRequest request, NodeState state, ulong incarnation) => new()
    {
        Id = id,
        Identity = request.Identity,
        PeerAddress = request.PeerAddress,
        RespAddress = request.RespAddress,
        HttpAddress = request.HttpAddress,
        Locality = request.Locality,
        State = state,
        Incarnation = incarnation,
    };

    private static string? OfAddresses(JoinRequest request)
    {
        if (!IsAddress(request.PeerAddress))
            return $"'{request.PeerAddress}' is no address of a node: HOST:PORT, where other nodes reach it";
        if (!IsAddress(request.RespAddress))
            return $"'{request.RespAddress}' is no address of a node: HOST:PORT, where clients reach it";
        return request.HttpAddress.Length == 0 || IsAddress(request.HttpAddress) ? null : $"'{request.HttpAddress}' is no address of a node: HOST:PORT";
    }

    private static bool IsAddress(string text)
    {
        int colon = text.LastIndexOf(':');
        return colon > 0 && text.Length <= DirectoryCodec.AddressLengthMax && !text.Any(c => char.IsControl(c) || char.IsWhiteSpace(c))
            && int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= 65535;
    }

    private static string Hex(ulong id) => id.ToString("x16", CultureInfo.InvariantCulture);
}
