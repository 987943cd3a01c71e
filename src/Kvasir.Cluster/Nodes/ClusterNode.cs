using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// One node of a cluster: its replicas, each a member of a Raft group with an engine of its own, over one journal and one
/// mailbox. It has a copy of the directory, from which it knows which replicas shall be here, and it brings the groups that
/// it leads to what the directory wants.
/// <para>
/// <b>Start.</b> A folder that is a cluster's node comes back with what it has, whoever else is there. An empty folder founds
/// a cluster, or asks the seeds for a number; until it has one, there is nothing to serve.
/// </para>
/// <para>
/// <b>Threads.</b> Members are thread-safe unless they say that they belong to the mailbox.
/// </para>
/// </summary>
public sealed partial class ClusterNode : IServedNode, IClusteredNode, ITransportListener, ILogListener, IDisposable
{
    internal const string ReplicasFolder = "replicas";

    // Of the journal, where memory is small.
    private const long PendingBytesMin = 8L << 20;

    private readonly ClusterNodeOptions _options;
    private readonly NodeEnvironment _environment;
    private readonly IPeerLink _link;
    private readonly HeldFolder _folder;
    private readonly SeededRandom _random;
    private readonly MemoryBudget _memory;
    private readonly WriteRoom _room;
    private readonly SpaceReserve _reserve;
    private readonly NodeLog _log;
    private readonly ClusterRouter _router;
    private readonly ITimer _timer;
    private readonly ITimer _mailboxTimer;
    private readonly ITimer _openTimer;
    private readonly UpkeepItem _upkeepItem;
    private readonly Lock _closing = new();
    private NodeIdentity _identity;
    private ClusterMembership? _membership;
    private GroupHost? _host;
    private GroupJournal? _journal;
    private RaftGroup? _directory;
    private DirectoryRecords? _records;
    private DirectoryDesk? _desk;
    private ILogListener? _listener;
    private readonly ForwardingNews _forwarding = new();
    private bool _disposed;

    private ClusterNode(ClusterNodeOptions options, NodeEnvironment environment, IPeerLink link, HeldFolder folder)
    {
        _options = options;
        _environment = environment with { Files = folder };
        _link = link;
        _folder = folder;
        _random = new SeededRandom(environment.Seed);
        _memory = new MemoryBudget(options.MemoryBytes);
        Conversions = new ConversionMeter(environment.Scheduler.Time);
        _room = new WriteRoom(_memory);
        _reserve = new SpaceReserve(folder, options.Folder + "/" + SpaceReserve.Name, options.RoomBytes);
        _log = new NodeLog(this);
        _router = new ClusterRouter(this, options.DatabaseCount);
        _folders = new ReplicaFolders(folder, options.Folder + "/" + ReplicasFolder, OpenEngine)
        {
            EngineWanted = EngineWantedOf,
            FactoryOf = name => environment.Engines.FirstOrDefault(e => e.Name == name),
        };
        _upkeepItem = new UpkeepItem(this);
        _deskItem = new PostedItem(this, static (node, execution) => node._desk?.Look(execution));
        _rearrangeItem = new PostedItem(this, static (node, _) =>
        {
            node.Rearrange();
            node.Reconcile();
        });
        _openItem = new PostedItem(this, static (node, _) =>
        {
            node._opensLater = false;
            node.Rearrange();
        });
        _transferItem = new PostedItem(this, static (node, _) => node.LookAfterTransfers());
        _roomItem = new PostedItem(this, static (node, _) => node.BoundMemory());
        _memory.RoomWanted = _roomItem.Post;
        _handOverItem = new PostedItem(this, static (node, _) => node.HandOverLeaders());
        Mailbox = new ReplicaMailbox(EndTurn);
        _timer = environment.Scheduler.Time.CreateTimer(
            static node => ((ClusterNode)node!).PostUpkeep(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _mailboxTimer = environment.Scheduler.Time.CreateTimer(
            static node => ((ClusterNode)node!).Mailbox.RunWaiting(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _openTimer = environment.Scheduler.Time.CreateTimer(
            static node => ((ClusterNode)node!)._openItem.Post(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _handOverTimer = environment.Scheduler.Time.CreateTimer(
            static node => ((ClusterNode)node!)._handOverItem.Post(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public ReplicaMailbox Mailbox { get; }

    public INodeLog Log => _log;

    public MemoryBudget Memory => _memory;

    public ConversionMeter Conversions { get; }

    public TimeProvider Time => _environment.Scheduler.Time;

    public Durability Durability => Durability.Sync;

    public int DatabaseCount => _router.DatabaseCount;

    public ILoneNode? Alone => null;

    public IClusteredNode? Clustered => this;

    /// <summary>Nobody before it was given a number.</summary>
    public NodeId Self => _membership?.Node ?? NodeId.None;

    public IRouter Router => _router;

    public ITransport Transport => _link.Transport;

    public IClusterTopology Topology => this;

    public IClusterAdministration Administration => this;

    /// <summary>The folder's own number, drawn when it was made.</summary>
    public ulong Identity => _identity.Id;

    /// <summary>Why this node can be no part of the cluster, for good; null when nothing like that was said.</summary>
    public string? Refused { get; private set; }

    /// <summary>It lacks what it has acknowledged.</summary>
    internal bool HasForgotten { get; private set; }

    /// <summary>Told what people should know, in a line. Any thread.</summary>
    public Action<string>? Announcer { get; set; }

    /// <summary>Told what people must know; else the <see cref="Announcer"/> is. Any thread.</summary>
    public Action<string>? Warner { get; set; }

    internal NodeEnvironment Environment => _environment;

    internal GroupHost? Host => _host;

    internal SnapshotCourier? Snapshots => _snapshots;

    public string? LookForFolder() => _folder.LookForParts() ? null : _folder.Loss;

    internal DirectoryView View => _records?.View ?? DirectoryView.Empty;

    private IFileSystem Files => _environment.Files;

    /// <summary>
    /// Opens the folder's node, or makes a new one, and begins to work. Throws <see cref="StorageException"/>s that say what
    /// is wrong.
    /// </summary>
    public static ClusterNode Open(ClusterNodeOptions options, NodeEnvironment environment, IPeerLink link, ILogListener? listener = null)
    {
        HeldFolder folder = HeldFolder.Take(environment.Files, options.Folder);
        ClusterNode? node = null;
        try
        {
            node = new ClusterNode(options, environment, link, folder) { _listener = listener };
            node.Begin();
            return node;
        }
        catch
        {
            node?.CloseStorage();
            folder.Dispose();
            throw;
        }
    }

    public void SetLogListener(ILogListener listener) => _listener = listener;

    public void SetForwarding(ITransportListener listener) => _forwarding.PassTo(listener);

    public Replica Database(int index)
    {
        Check.Fail($"database {index} has many shards, and the key says which");
        return null!;
    }

    public ReadOnlySpan<Replica> ReplicasOf(int database) => _router.ReplicasOf(database);

    /// <summary>
    /// Stops cleanly: what is in the journal is made durable, then all files are closed. The caller has stopped posting to the
    /// mailbox, and the link has been disposed of or may be told more in vain. Not from inside the mailbox.
    /// </summary>
    public void Dispose()
    {
        lock (_closing)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        _timer.Dispose();
        _handOverTimer.Dispose();
        _openTimer.Dispose();
        bool isClosed = false;
        StorageException? failure = null;
        IWaitPoint closed = _environment.Scheduler.CreateWaitPoint();
        Mailbox.Post(new ActionItem(_ =>
        {
            try
            {
                CloseStorage();
            }
            catch (StorageException e)
            {
                failure = e;
            }

            _folder.Dispose();
            Volatile.Write(ref isClosed, true);
            closed.Pulse();
        }));
        closed.WaitUntil(() => Volatile.Read(ref isClosed));
        _mailboxTimer.Dispose();
        if (failure is not null)
            throw failure;
    }

    void ILogListener.Durable(IReplicaLog log, LogPosition position)
    {
        _listener?.Durable(log, position);
        if (ReferenceEquals(log, _directory))
            _deskItem.Post();
    }

    void ILogListener.Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason)
    {
        _listener?.Failed(log, durable, loss, reason);
        if (loss == LogLoss.LeadershipLost && ReferenceEquals(log, _directory))
            _desk?.Lost(durable);
    }

    void ITransportListener.Received(NodeId from, ReadOnlySpan<byte> message)
    {
        if (message.IsEmpty)
            throw new MalformedMessageException("an empty message");
        switch (message[0])
        {
            case Channel.Raft:
                _host?.Gather(from, message);
                break;
            case Channel.Calls:
                ReceivedReports(from, message[1..]);
                break;
            case Channel.Requests or Channel.Replies or Channel.Published:
                _forwarding.Received(from, message);
                break;
            case Channel.SnapshotChunks or Channel.SnapshotAcknowledgements:
                _snapshots?.Post(from, message);
                break;
            default:
                throw new MalformedMessageException($"a message for channel {message[0]}, which there is not");
        }
    }

    void ITransportListener.Connected(NodeId peer)
    {
        _host?.PeerConnected(peer);
        _forwarding.Connected(peer);
        Mailbox.Post(new ActionItem(_ =>
        {
            _reachable[peer] = _host?.Now() ?? TimeSpan.Zero;
            _router.PeersMoved();
            _snapshots?.PeerFound(peer);
        }));
    }

    void ITransportListener.Disconnected(NodeId peer)
    {
        _host?.PeerDisconnected(peer);
        _forwarding.Disconnected(peer);
        Mailbox.Post(new ActionItem(_ =>
        {
            _reachable.Remove(peer);
            _router.PeersMoved();
        }));
    }

    void ITransportListener.Settled()
    {
        _host?.Settled();
        _forwarding.Settled();
    }

    void ITransportListener.Writable(NodeId peer) => _forwarding.Writable(peer);

    private void Begin()
    {
        _identity = IdentityFile.ReadOrCreate(Files, _options.Folder, _random.NextUInt64());
        RefuseLoneNode();
        _membership = ClusterFile.Find(Files, _options.Folder);
        if (_membership is null && _options.Seeds.Count == 0)
            Enlist(new ClusterMembership(_random.NextUInt64() | 1, new NodeId(1), IsFounder: true));
        RecallPeers();
        _link.Start(this);
        if (_membership is { } membership)
            Serve(membership);
        _timer.Change(TimeSpan.Zero, s_upkeepPeriod);
    }

    private void RefuseLoneNode()
    {
        if (_identity.DatabaseCount > 0 || KeyspaceFolders.List(Files, _options.Folder).Count > 0)
            throw new StorageException($"{_options.Folder} is the folder of a node that is alone; give a node of a cluster another, and load the data there");
    }

    private void Enlist(ClusterMembership membership)
    {
        ClusterFile.Write(Files, _options.Folder, membership);
        _membership = membership;
    }

    /// <summary>It has a number: opens what there is under it.</summary>
    private void Serve(ClusterMembership membership)
    {
        var options = new GroupHostOptions
        {
            Raft = _options.Raft,
            EntryBytesMax = _options.EntryBytesMax,
            OldBytesPerTurn = _options.OldBytesPerTurn,
            SnapshotInsteadBytes = _options.SnapshotInsteadBytes,
            SessionBytesMax = _options.SessionBytesMax,
            RoomBytes = _options.RoomBytes,
        };
        var host = new GroupHost(membership.Node, options, Time, _random.Fork())
        {
            Listener = this,
            RouteWatcher = RouteMoved,
            ForgottenWatcher = Forgot,
        };
        JournalOptions journal = _options.Journal with
        {
            MustExist = _identity.HasJournal,
            JournalId = _identity.JournalId,
            PendingBytesMax = (int)Math.Min(_options.Journal.PendingBytesMax, Math.Max(PendingBytesMin, _options.MemoryBytes / 16)),
        };
        _journal = OpenJournalOnAnyDisk(journal, membership.Node, host);
        NodeIdentity recorded = _identity with { HasJournal = true, JournalId = _journal.JournalId };
        if (recorded != _identity)
            IdentityFile.Write(Files, _options.Folder, recorded);
        _identity = recorded;
        host.Start(_journal, Transport, Mailbox);
        Mailbox.Post(new ActionItem(_ => TellOfRecalledPeers()));
        _startedAt = host.Now();
        _link.Identify(membership.Cluster, membership.Node);

        // What peers send from now on, which may be much, is not for the thread that starts the node and goes on to open its ports.
        Mailbox.PostBriefly(new ActionItem(execution => OpenReplicas(host, membership)), () => _mailboxTimer.Change(TimeSpan.Zero, Timeout.InfiniteTimeSpan));
    }

    private void Warn(string text) => (Warner ?? Announcer)?.Invoke(text);

    private void EndTurn() => _host?.EndTurn();

    private void CloseStorage()
    {
        GroupHost? host = _host;
        _host = null;
        _directory = null;
        host?.Dispose();
        StopConversions();
        _snapshots?.Dispose();
        _snapshots = null;
        try
        {
            _journal?.Dispose();
        }
        finally
        {
            if (host is not null)
            {
                foreach (RaftGroup group in host.Groups)
                    group.Replica.Engine.Dispose();
            }
        }
    }

    /// <summary>Work inside the mailbox that is too rare to have an item of its own.</summary>
    private sealed class ActionItem(Action<Execution> action) : IMailboxItem
    {
        public void Run(Execution execution) => action(execution);
    }

    /// <summary>The node's journal as those see it who serve clients. What is appended is on its way at the end of each turn.</summary>
    private sealed class NodeLog(ClusterNode node) : INodeLog
    {
        public WriteRefusal? Refusal => node._host?.Refusal;

        public bool IsStopped => Refusal is not null;

        public LogPosition AppendedPosition => node._journal?.AppendedPosition ?? LogPosition.Zero;

        public LogPosition DurablePosition => node._journal?.DurablePosition ?? LogPosition.Zero;

        public long RetainedBytes => node._journal?.RetainedBytes ?? 0;

        public JournalStatistics Statistics => node._journal?.Statistics ?? default;

        public void Commit()
        {
        }

        public void CommitInline()
        {
        }
    }
}
