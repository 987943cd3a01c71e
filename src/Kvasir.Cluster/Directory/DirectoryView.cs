using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// The directory as it was at one moment: read from any thread, looked up without allocation. All lists ascend by number.
/// </summary>
public sealed class DirectoryView
{
    public static readonly DirectoryView Empty = new(null, IdCounters.First, [], [], []);

    private readonly KeyspaceShards?[] _databases;

    // Ascending by the bytes of the name.
    private readonly (byte[] Name, KeyspaceShards Keyspace)[] _names;

    internal DirectoryView(ClusterRecord? cluster, IdCounters counters, NodeRecord[] nodes, KeyspaceRecord[] keyspaces, GroupRecord[] groups)
    {
        Cluster = cluster;
        Counters = counters;
        Nodes = ImmutableCollectionsMarshal.AsImmutableArray(nodes);
        Groups = ImmutableCollectionsMarshal.AsImmutableArray(groups);

        var byId = new SortedDictionary<KeyspaceId, GroupRecord?[]>();
        foreach (KeyspaceRecord keyspace in keyspaces)
            byId.Add(keyspace.Id, new GroupRecord?[keyspace.Shards]);
        foreach (GroupRecord group in groups)
        {
            if (byId.TryGetValue(group.Keyspace, out GroupRecord?[]? shards) && group.Shard < shards.Length)
                shards[group.Shard] = group;
        }

        Keyspaces = [.. keyspaces.Select(k => new KeyspaceShards(k, byId[k.Id]))];
        _databases = new KeyspaceShards?[1 + keyspaces.Select(k => k.Database ?? -1).DefaultIfEmpty(-1).Max()];
        _names = new (byte[], KeyspaceShards)[Keyspaces.Length];
        for (int i = 0; i < Keyspaces.Length; i++)
        {
            _names[i] = (Encoding.UTF8.GetBytes(Keyspaces[i].Record.Name), Keyspaces[i]);
            if (Keyspaces[i].Record.Database is { } database)
                _databases[database] = Keyspaces[i];
        }

        Array.Sort(_names, static (a, b) => a.Name.AsSpan().SequenceCompareTo(b.Name));
    }

    /// <summary>Null before the cluster is founded, and on a node that has not heard of it yet.</summary>
    public ClusterRecord? Cluster { get; }

    public IdCounters Counters { get; }

    /// <summary>All that ever were, also those that are gone.</summary>
    public ImmutableArray<NodeRecord> Nodes { get; }

    public ImmutableArray<KeyspaceShards> Keyspaces { get; }

    public ImmutableArray<GroupRecord> Groups { get; }

    /// <summary>One more than the highest index that SELECT knows.</summary>
    public int DatabaseCount => _databases.Length;

    public NodeRecord? Node(NodeId id)
    {
        int at = Find(Nodes.AsSpan(), id, static node => node.Id);
        return at < 0 ? null : Nodes[at];
    }

    public NodeRecord? NodeByIdentity(ulong identity)
    {
        foreach (NodeRecord node in Nodes)
        {
            if (node.Identity == identity)
                return node;
        }

        return null;
    }

    public KeyspaceShards? Keyspace(KeyspaceId id)
    {
        int at = Find(Keyspaces.AsSpan(), id, static keyspace => keyspace.Record.Id);
        return at < 0 ? null : Keyspaces[at];
    }

    public GroupRecord? Group(GroupId id)
    {
        int at = Find(Groups.AsSpan(), id, static group => group.Id);
        return at < 0 ? null : Groups[at];
    }

    /// <summary>The group was there and its keyspace was dropped: its number will not come back.</summary>
    public bool IsDropped(GroupId id) => id < Counters.NextGroup && Group(id) is null;

    /// <summary>
    /// Others talk to it. One that leaves for good is needed until every group has settled without it: it may have the vote, or
    /// the data, that a move needs.
    /// </summary>
    public bool IsMember(NodeRecord node) =>
        node.State != NodeState.Decommissioned || Groups.Any(g => !g.IsSettled || g.IsReplica(node.Id));

    /// <summary>
    /// Another node lives at the address where it was: who lost its folder, or was told to leave, does not come back there, and whoever calls
    /// it there is turned away.
    /// </summary>
    public bool IsReplaced(NodeRecord node) =>
        node.State is NodeState.Dead or NodeState.Decommissioned
        && Nodes.Any(other => other.Id != node.Id && other.State is NodeState.Active or NodeState.Joining && other.PeerAddress == node.PeerAddress);

    public KeyspaceShards? KeyspaceOfDatabase(int database) =>
        (uint)database < (uint)_databases.Length ? _databases[database] : null;

    public KeyspaceShards? KeyspaceByName(ReadOnlySpan<byte> name)
    {
        int low = 0;
        int high = _names.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            int order = name.SequenceCompareTo(_names[middle].Name);
            if (order == 0)
                return _names[middle].Keyspace;
            if (order < 0)
                high = middle - 1;
            else
                low = middle + 1;
        }

        return null;
    }

    public KeyspaceShards? KeyspaceByName(string name) => KeyspaceByName(Encoding.UTF8.GetBytes(name));

    private static int Find<TRecord, TId>(ReadOnlySpan<TRecord> sorted, TId id, Func<TRecord, TId> idOf)
        where TId : struct, IComparable<TId>
    {
        int low = 0;
        int high = sorted.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            int order = id.CompareTo(idOf(sorted[middle]));
            if (order == 0)
                return middle;
            if (order < 0)
                high = middle - 1;
            else
                low = middle + 1;
        }

        return -1;
    }
}
