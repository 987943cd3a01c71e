using System.Text;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Who leads which shard, as this node knows it: keyspaces and shards from the directory, leaders from its own replicas. Keyspaces
/// that are no database of a number get one here, behind the others, in the order in which they were heard of.
/// </summary>
internal sealed class ClusterRouter(ClusterNode node, int databases) : IRouter
{
    private readonly SortedList<KeyspaceId, int> _numbers = [];
    private readonly SortedList<GroupId, (int Database, int Shard)> _places = [];
    private DatabaseRoutes[] _databases = [.. Enumerable.Repeat(DatabaseRoutes.Unknown, databases)];
    private DirectoryView _view = DirectoryView.Empty;
    private ulong _version;

    public int DatabaseCount => Volatile.Read(ref _databases).Length;

    public ulong Version => _version;

    public Route Route(int database, int slot)
    {
        DatabaseRoutes routes = (uint)database < (uint)_databases.Length ? _databases[database] : DatabaseRoutes.Unknown;
        ReadClaim none = default;
        return routes.Shards.Length == 0
            ? new Route(routes.Kind, GroupId.None, database, null, 0, NodeId.None)
            : RouteTo(routes, database, slot & (routes.Shards.Length - 1), ref none, claims: false);
    }

    public Action<GroupId>? Watcher { get; set; }

    public Route Route(GroupId group)
    {
        ReadClaim none = default;
        return Route(group, ref none, claims: false);
    }

    public Route Route(GroupId group, ref ReadClaim claim) => Route(group, ref claim, claims: true);

    public Replica? StaleReplica(GroupId group, TimeSpan ageMax, out TimeSpan age)
    {
        age = TimeSpan.MaxValue;
        return _places.TryGetValue(group, out (int Database, int Shard) place)
            && _databases[place.Database].Groups[place.Shard] is { } here && here.TryReadStale(ageMax, out age) ? here.Replica : null;
    }

    public bool IsReplicaOf(GroupId group) => _view.Group(group)?.IsReplica(node.Self) == true;

    public LogPosition CommittedIn(GroupId group) =>
        _places.TryGetValue(group, out (int Database, int Shard) place) && _databases[place.Database].Groups[place.Shard] is { } here
            ? new LogPosition(here.CommitIndex.Value)
            : LogPosition.Zero;

    public ReadOnlySpan<GroupId> ShardsOf(int database) => (uint)database < (uint)_databases.Length ? _databases[database].Shards : [];

    public int DatabaseOf(GroupId group) => _places.TryGetValue(group, out (int Database, int Shard) place) ? place.Database : -1;

    public ReadOnlySpan<Replica> ReplicasOf(int database) => (uint)database < (uint)_databases.Length ? _databases[database].Replicas : [];

    public TimeSpan KeyspacesAge => ReferenceEquals(_view, node.View) ? node.ViewAge : TimeSpan.MaxValue;

    public int FindDatabase(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < _databases.Length; i++)
        {
            if (_databases[i].Shards.Length > 0 && name.SequenceEqual(_databases[i].Name))
                return i;
        }

        return -1;
    }

    public int NumberOf(KeyspaceRecord keyspace) =>
        keyspace.Database ?? (_numbers.TryGetValue(keyspace.Id, out int number) ? number : -1);

    /// <summary>Of a group that this node has a replica of, or may have heard of.</summary>
    public NodeId LeaderOf(GroupRecord record)
    {
        if (node.Host is { } host && host.TryFind(record.Id, out RaftGroup? group) && !group.IsOut)
            return group.Leader;

        // A copy that is there tells who leads; one that is away is waited for in vain.
        NodeId likely = !record.PreferredLeader.IsNone ? record.PreferredLeader : record.Replicas[0];
        if (likely != node.Self && node.IsReachable(likely))
            return likely;
        foreach (NodeId replica in record.Replicas)
        {
            // A copy of this node's own would have said so: it is stopped, or not there yet.
            if (replica != node.Self && node.IsReachable(replica))
                return replica;
        }

        return likely;
    }

    /// <summary>A peer has come or gone: who is likely to lead may be another.</summary>
    public void PeersMoved() => _version++;

    /// <summary>Of a group's leader, or of reads that may be answered without its lease.</summary>
    public void Moved(RaftGroup group, bool isOfLeader)
    {
        if (isOfLeader)
            _version++;
        Watcher?.Invoke(group.Id);
    }

    /// <summary>Routes are from this view, but for replicas that came here since.</summary>
    public bool Has(DirectoryView view) => ReferenceEquals(_view, view);

    /// <summary>The directory, or the replicas that are here, have changed.</summary>
    public void Rebuild(DirectoryView view)
    {
        _view = view;
        _version++;
        _places.Clear();
        List<DatabaseRoutes> routes = [.. Enumerable.Repeat(view.Cluster is null ? DatabaseRoutes.Unknown : DatabaseRoutes.Gone, _databases.Length)];
        foreach (KeyspaceShards keyspace in view.Keyspaces)
        {
            if (keyspace.Record.IsSystem)
                continue;
            int number = Number(keyspace.Record);
            while (routes.Count <= number)
                routes.Add(DatabaseRoutes.Gone);
            routes[number] = RoutesOf(keyspace);
            for (int shard = 0; shard < keyspace.Groups.Length; shard++)
            {
                if (keyspace.Groups[shard] is { } group)
                    _places[group.Id] = (number, shard);
            }
        }

        Volatile.Write(ref _databases, [.. routes]);
    }

    private int Number(KeyspaceRecord keyspace)
    {
        if (keyspace.Database is { } database)
            return database;
        if (!_numbers.TryGetValue(keyspace.Id, out int number))
            _numbers.Add(keyspace.Id, number = databases + _numbers.Count);
        return number;
    }

    private DatabaseRoutes RoutesOf(KeyspaceShards keyspace)
    {
        var shards = new GroupId[keyspace.Groups.Length];
        var groups = new RaftGroup?[shards.Length];
        List<Replica> replicas = [];
        for (int i = 0; i < shards.Length; i++)
        {
            shards[i] = keyspace.Groups[i]?.Id ?? GroupId.None;
            if (node.Host is not { } host || !host.TryFind(shards[i], out RaftGroup? group))
                continue;
            if (group.IsOut)
                continue;
            groups[i] = group;
            replicas.Add(group.Replica);
        }

        return new DatabaseRoutes(RouteKind.Local, Encoding.UTF8.GetBytes(keyspace.Record.Name), shards, groups, [.. replicas]);
    }

    private Route Route(GroupId group, ref ReadClaim claim, bool claims) =>
        _places.TryGetValue(group, out (int Database, int Shard) place)
            ? RouteTo(_databases[place.Database], place.Database, place.Shard, ref claim, claims)
            : new Route(RouteKind.Gone, group, -1, null, 0, NodeId.None);

    private Route RouteTo(DatabaseRoutes routes, int database, int shard, ref ReadClaim claim, bool claims)
    {
        GroupId id = routes.Shards[shard];
        if (routes.Groups[shard] is not { } group)
        {
            NodeId likely = _view.Group(id) is { } record ? LeaderOf(record) : NodeId.None;
            return new Route(likely.IsNone || likely == node.Self ? RouteKind.NoLeader : RouteKind.Remote, id, database, null, 0, likely);
        }

        if (group.Role == RaftRole.Leader)
        {
            return (claims ? group.MayRead(ref claim) : group.MayRead())
                ? new Route(RouteKind.Local, id, database, group.Replica, group.Term, node.Self)
                : new Route(RouteKind.NotReady, id, database, null, 0, node.Self);
        }

        NodeId leader = group.Leader;
        return new Route(leader.IsNone ? RouteKind.NoLeader : RouteKind.Remote, id, database, null, 0, leader);
    }

    private sealed class DatabaseRoutes(RouteKind kind, byte[] name, GroupId[] shards, RaftGroup?[] groups, Replica[] replicas)
    {
        /// <summary>Nothing is known of any database yet.</summary>
        public static readonly DatabaseRoutes Unknown = new(RouteKind.NoLeader, [], [], [], []);

        public static readonly DatabaseRoutes Gone = new(RouteKind.Gone, [], [], [], []);

        public RouteKind Kind { get; } = kind;

        public byte[] Name { get; } = name;

        public GroupId[] Shards { get; } = shards;

        public RaftGroup?[] Groups { get; } = groups;

        public Replica[] Replicas { get; } = replicas;
    }
}
