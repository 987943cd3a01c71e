using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Commands;
using Kvasir.Server.Forwarding;
using Kvasir.Server.Hosting;
using Kvasir.Server.Sessions;
using Kvasir.Server.Tests.Commands;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;
using Microsoft.Extensions.Logging.Abstractions;
using DirectoryHealth = Kvasir.Cluster.Directory.DirectoryHealth;
using KeyspaceRequest = Kvasir.Cluster.Directory.KeyspaceRequest;
using MoveOverview = Kvasir.Cluster.Directory.MoveOverview;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>One node of a <see cref="ClusterInMemory"/>, and the server on it.</summary>
internal sealed class NodeOfCluster : IServedNode, IClusteredNode, IRouter, INodeLog, ITransport, IClusterTopology, IClusterAdministration
{
    private readonly ClusterInMemory _cluster;
    private readonly Replica[] _replicas;
    private ILogListener? _listener;

    public NodeOfCluster(ClusterInMemory cluster, NodeId self)
    {
        _cluster = cluster;
        Self = self;
        Mailbox = new ReplicaMailbox();
        _replicas = [.. cluster.Groups.Select(g => new Replica(g.Id.Value, new KeyspaceOptions { Name = "db" + g.Database }, g.Engine, g))];
        Server = new ServerState(this, cluster.Scheduler.Time, AllCommands.List);
        Exchange = new RequestExchange(Server, this);
        Server.Router = new CommandRouter(Server, this, Exchange);
        SetLogListener(new LogWatcher(Server, Exchange.LogMoved, NullLogger.Instance));
    }

    public ServerState Server { get; }

    public RequestExchange Exchange { get; }

    public NodeId Self { get; }

    public ReplicaMailbox Mailbox { get; }

    public INodeLog Log => this;

    public Kvasir.Cluster.Conversions.ConversionMeter Conversions { get; } = new(TimeProvider.System);

    public MemoryBudget Memory { get; } = new(MemoryBudget.MinimumBytes);

    public TimeProvider Time => _cluster.Scheduler.Time;

    public Durability Durability => Durability.Sync;

    public int DatabaseCount => ClusterInMemory.Databases;

    public ILoneNode? Alone => null;

    public IClusteredNode? Clustered => this;

    public IRouter Router => this;

    public ITransport Transport => this;

    public IClusterTopology Topology => this;

    public IClusterAdministration Administration => this;

    public ulong Version => _cluster.Version;

    public WriteRefusal? Refusal => null;

    public bool IsStopped => false;

    public LogPosition AppendedPosition => LogPosition.Zero;

    public LogPosition DurablePosition => LogPosition.Zero;

    public long RetainedBytes => 0;

    public JournalStatistics Statistics => default!;

    public ulong ClusterId => 0xC0FFEE;

    public NodeId DirectoryLeader => new(1);

    public IReadOnlyList<NodeDescription> Nodes
    {
        get
        {
            NodesAsked++;
            return [.. _cluster.Nodes.Select(n => new NodeDescription(n.Self, n.State, n.State == "active", $"127.0.0.1:{7100 + n.Self.Value}", $"{n.Host}:{7000 + n.Self.Value}", "", ""))];
        }
    }

    /// <summary>How often the list was made.</summary>
    public int NodesAsked { get; private set; }

    public string State { get; set; } = "active";

    /// <summary>Where clients are told that it is.</summary>
    public string Host { get; set; } = "127.0.0.1";

    public IReadOnlyList<KeyspaceDescription> Keyspaces =>
        [.. Enumerable.Range(0, ClusterInMemory.Databases).Select(i => new KeyspaceDescription("db" + i, i, "model", "static", ClusterInMemory.Shards, "raft", 3, "sync"))];

    public IReadOnlyList<GroupDescription> Groups =>
        [.. _cluster.Groups.Select((g, i) => new GroupDescription(g.Id, "db" + g.Database, i % ClusterInMemory.Shards, 1, ReplicasOf(g, i % ClusterInMemory.Shards), g.Leader))];

    /// <summary>Shards of db1 of which the second node has the only copy.</summary>
    public List<int> Lone { get; } = [];

    public IReadOnlyList<ReplicaDescription> Replicas => [.. _cluster.Groups.Select(g => new ReplicaDescription
    {
        Group = g.Id,
        Role = g.Leader == Self ? "leader" : "follower",
        Followers = g.Leader == Self ? [new FollowerLag(new NodeId(3), 7, 700, 70, Going)] : [],
        Snapshot = Coming,
        SnapshotFailure = SnapshotFailure,
    })];

    /// <summary>The snapshot that the third node needs of each shard that this one leads.</summary>
    public SnapshotDispatch? Going { get; set; }

    /// <summary>The snapshot that comes for each copy here.</summary>
    public SnapshotArrival? Coming { get; set; }

    public string? SnapshotFailure { get; set; }

    public SnapshotTotals Snapshots { get; set; }

    public DirectoryHealth? Health { get; set; }

    /// <summary>What was asked of the administration.</summary>
    public List<string> Asked { get; } = [];

    private NodeId[] ReplicasOf(GroupInMemory group, int shard) =>
        group.Database == 1 && Lone.Contains(shard) ? [new NodeId(2)] : [.. _cluster.Nodes.Select(n => n.Self)];

    public SessionPeer Connect() => new(Server);

    public Replica Database(int index) => throw new InvalidOperationException("a database of a cluster has many replicas");

    public ReadOnlySpan<Replica> ReplicasOf(int database) => _replicas.AsSpan(database * ClusterInMemory.Shards, ClusterInMemory.Shards);

    public string? LookForFolder() => null;

    public void SetLogListener(ILogListener listener) => _listener = listener;

    public void HandOver(TimeSpan patience, Action<int> done) => done(0);

    public void SetForwarding(ITransportListener listener)
    {
    }

    public void Commit()
    {
        foreach (GroupInMemory group in _cluster.Groups.Where(g => g.CommitsAtOnce && g.Leader == Self && g.TryCommit()))
            _listener!.Durable(group, group.DurablePosition);
    }

    public void CommitInline() => Commit();

    public void Committed(GroupInMemory group) => _listener!.Durable(group, group.DurablePosition);

    public void Lost(GroupInMemory group, LogPosition durable, LogLoss loss) => _listener!.Failed(group, durable, loss, "another term");

    public Route Route(int database, int slot) => Route(ShardsOf(database)[slot % ClusterInMemory.Shards]);

    public Route Route(GroupId id)
    {
        int index = (int)id.Value - ClusterInMemory.FirstGroup;
        GroupInMemory group = _cluster.Groups[index];
        NodeId leader = _cluster.LeaderAsSeenBy(Self, group);
        RouteKind kind = leader.IsNone ? RouteKind.NoLeader
            : leader != Self ? RouteKind.Remote
            : group.LacksLease ? RouteKind.NotReady : RouteKind.Local;
        return new Route(kind, id, group.Database, kind == RouteKind.Local ? _replicas[index] : null, group.Term, leader);
    }

    public Action<GroupId>? Watcher { get; set; }

    public Route Route(GroupId id, ref ReadClaim claim)
    {
        GroupInMemory group = _cluster.Groups[(int)id.Value - ClusterInMemory.FirstGroup];
        if (group.Leader != Self || !group.LacksLease)
            return Route(id);
        ReadClaim fresh = group.Claim();
        if (claim == default || claim.Ticket.Term != fresh.Ticket.Term)
            claim = fresh;
        if (!group.IsConfirmed(claim))
            return Route(id);
        group.LacksLease = false;
        Route local = Route(id);
        group.LacksLease = true;
        return local;
    }

    /// <summary>Followers have answered: reads that were claimed before may be answered.</summary>
    public void Confirm(GroupInMemory group)
    {
        group.ConfirmReads();
        Watcher?.Invoke(group.Id);
    }

    public Replica? StaleReplica(GroupId group, TimeSpan ageMax, out TimeSpan age)
    {
        int index = (int)group.Value - ClusterInMemory.FirstGroup;
        age = Age;
        return _cluster.Groups[index].Leader != Self && Age <= ageMax ? _replicas[index] : null;
    }

    public bool IsReplicaOf(GroupId group) => HasCopies;

    public bool HasCopies { get; set; } = true;

    /// <summary>How old its replicas are that it does not lead.</summary>
    public TimeSpan Age { get; set; } = TimeSpan.MaxValue;

    /// <summary>It has numbered the databases the other way about.</summary>
    public bool NumbersBackwards { get; set; }

    public ReadOnlySpan<GroupId> ShardsOf(int database) =>
        (uint)database < 2 ? _cluster.ShardsOf(NumbersBackwards ? 1 - database : database) : [];

    public int DatabaseOf(GroupId group) => ShardsOf(0).Contains(group) ? 0 : ShardsOf(1).Contains(group) ? 1 : -1;

    public int FindDatabase(ReadOnlySpan<byte> name) =>
        name.SequenceEqual("db0"u8) ? 0 : name.SequenceEqual("db1"u8) || (HasHeard && name.SequenceEqual("news"u8)) ? 1 : -1;

    public TimeSpan KeyspacesAge { get; set; }

    /// <summary>Of a keyspace that was made just now.</summary>
    public bool HasHeard { get; set; }

    public int MessageBytesMax => 128 << 20;

    public SendOutcome Send(NodeId to, MessageBuffer message) => _cluster.Send(Self, to, message);

    public SendOutcome Send(NodeId to, ReadOnlySpan<byte> message, bool more = false) => _cluster.Send(Self, to, MessageBuffer.Copy(message));

    public void Flush()
    {
    }

    public void SetPeers(IReadOnlyList<PeerAddress> peers)
    {
    }

    public void Call(PeerAddress to, ReadOnlySpan<byte> request, TimeSpan patience, Action<CallReply> done) => throw new NotSupportedException();

    public void Answer(CallTicket call, ReadOnlySpan<byte> reply) => throw new NotSupportedException();

    public void CreateKeyspace(KeyspaceRequest request, Action<string?> done)
    {
        Asked.Add(request.ToString());
        done(request.Engine == "heap" ? "ERR there is no such engine" : null);
    }

    public void DropKeyspace(string name, Action<string?> done) => Ask($"drop {name}", done);

    public void ConvertKeyspace(string name, string engine, Action<string?> done) => Ask($"convert {name} {engine}", done);

    public void AbortConversion(string name, Action<string?> done) => Ask($"abort {name}", done);

    public void ConversionOf(string name, Action<MoveOverview?> done) => done(name == Move?.Keyspace ? Move : null);

    /// <summary>What is known of a conversion.</summary>
    public MoveOverview? Move { get; set; }

    public void Drain(NodeId node, Action<string?> done) => Ask($"drain {node}", done);

    public void Decommission(NodeId node, Action<string?> done) => Ask($"decommission {node}", done);

    public void TransferLeader(string keyspace, int shard, NodeId to, Action<string?> done) => Ask($"transfer {keyspace} {shard} {to}", done);

    private void Ask(string what, Action<string?> done)
    {
        Asked.Add(what);
        done(null);
    }
}
