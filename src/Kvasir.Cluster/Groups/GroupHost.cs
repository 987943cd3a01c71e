using System.Diagnostics.CodeAnalysis;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// All Raft groups of a node: what happens to them comes in as items of the node's mailbox (messages of peers, durable
/// notices, ticks, commands), and at the end of each item (a turn) the groups that were touched do what they want to do,
/// together: one journal record, one batch of messages to each peer.
/// <para>
/// Belongs to the mailbox, but for <see cref="Gather"/>, <see cref="Durable"/>, <see cref="Failed"/> and the news of peers.
/// </para>
/// </summary>
internal sealed partial class GroupHost : IDisposable
{
    private readonly TimeProvider _time;
    private readonly SeededRandom _random;
    private readonly Dictionary<GroupId, RaftGroup> _groups = [];

    // The same, in the order of their numbers: what happens depends on the order.
    private readonly List<RaftGroup> _ordered = [];
    private readonly Ready _ready = new();
    private readonly PendingWrites _pending = new();
    private readonly List<PeerOutbox> _outboxes = [];
    private readonly SortedList<NodeId, WriteRefusal> _notLeader = [];
    private readonly List<(RaftGroup Group, NodeId Peer)> _unreachable = [];
    private List<RaftGroup> _touched = [];
    private List<RaftGroup> _turn = [];
    private readonly List<RaftGroup> _moved = [];
    private readonly SortedSet<NodeId> _absent = [];
    private GroupJournal? _journal;
    private ITransport? _transport;
    private ReplicaMailbox? _mailbox;
    private readonly long _origin;
    private TimeSpan _last;
    private bool _disposed;

    public GroupHost(NodeId self, GroupHostOptions options, TimeProvider time, SeededRandom random)
    {
        Self = self;
        Options = options;
        _time = time;
        _origin = time.GetTimestamp();
        _random = random;
        Memory = new EntryMemory(options.EntryBytesMax);
        _tick = new TickItem(this);
        _durableItem = new DurableItem(this);
        _goOnItem = new GoOnItem(this);
        _goOnTimer = time.CreateTimer(static host => ((GroupHost)host!).PostGoOn(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer = time.CreateTimer(static host => ((GroupHost)host!).PostTick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public NodeId Self { get; }

    public GroupHostOptions Options { get; }

    public RaftSettings Settings => Options.Raft;

    public EntryMemory Memory { get; }

    public GroupJournal Journal
    {
        get
        {
            Check.That(_journal is not null);
            return _journal;
        }
    }

    /// <summary>Why no group of this node takes writes; null when nothing is wrong with the node. Any thread.</summary>
    public WriteRefusal? Refusal => Volatile.Read(ref _journalRefusal) ?? Volatile.Read(ref _suspension);

    /// <summary>Told when answers may leave, and when they never will. Set before the first write.</summary>
    public ILogListener? Listener { get; set; }

    /// <summary>
    /// Told of each change of role, leader or readiness of a group, with true; and, with false, of reads that may be answered now.
    /// </summary>
    public Action<RaftGroup, bool>? RouteWatcher { get; set; }

    /// <summary>Told of messages to groups that are not here.</summary>
    public Action<NodeId, GroupId>? StrangerWatcher { get; set; }

    /// <summary>Told of a group that lacks an entry which this node has acknowledged; without it that is a broken invariant.</summary>
    public Action<RaftGroup, LogIndex>? ForgottenWatcher { get; set; }

    /// <summary>
    /// Told when a snapshot is about to give a group another replica, with its engine: reads what it needs of it, and may fail, and then
    /// it is not done. What it returns is called when it is, and does not fail.
    /// </summary>
    public Func<RaftGroup, IStorageEngine, Action>? ReplicaReplacing { get; set; }

    /// <summary>Told when a replica differs from its leader's, and when it comes back so.</summary>
    public Action<RaftGroup>? ReplicaStopped { get; set; }

    /// <summary>Who moves snapshots; null for nobody.</summary>
    public ISnapshotCourier? Snapshots { get; set; }

    /// <summary>In the order of their numbers.</summary>
    public IReadOnlyList<RaftGroup> Groups => _ordered;

    /// <summary>Batches that made no sense.</summary>
    public long MalformedBatches { get; private set; }

    public void Start(GroupJournal journal, ITransport transport, ReplicaMailbox mailbox)
    {
        _journal = journal;
        _transport = transport;
        _mailbox = mailbox;
        _syncedAt = Now();
    }

    public bool TryFind(GroupId id, [NotNullWhen(true)] out RaftGroup? group) => _groups.TryGetValue(id, out group);

    /// <summary>
    /// A replica comes to life from what is durable of it: its log, and its engine, which may be behind the log, and is
    /// never ahead of it; with the entry of the snapshot that its engine began with.
    /// </summary>
    public RaftGroup Open(GroupId id, RaftRecovery recovery, KeyspaceOptions options, IStorageEngine engine, LogIndex snapshot = default)
    {
        var flushed = new LogIndex(engine.FlushedPosition.Value);
        if (flushed > recovery.LastIndex)
        {
            throw new StorageException(
                $"the files of replica {id} hold entry {flushed}, and the journal ends at entry {recovery.LastIndex}: it is an older copy, or has lost its end");
        }

        // Behind its last write an engine knows nothing of no-ops and configurations that left the log.
        recovery = recovery with { AppliedIndex = LogIndex.Greatest(flushed, recovery.SnapshotIndex) };
        var group = new RaftGroup(this, id, recovery, snapshot, _random.Fork(), Now());
        group.Attach(new Replica(id.Value, options, engine, group));
        _groups.Add(id, group);
        int at = _ordered.FindIndex(g => g.Id > id);
        _ordered.Insert(at < 0 ? _ordered.Count : at, group);
        Touch(group);
        WriteSoon();
        return group;
    }

    /// <summary>Something was gathered for the journal beside what members ask for: it goes out with this turn.</summary>
    public void WriteSoon() => _hasGathered = true;

    /// <summary>The group is no longer this node's; nothing of it is sent or written any more.</summary>
    public void Close(RaftGroup group)
    {
        _groups.Remove(group.Id);
        _ordered.Remove(group);
        _touched.Remove(group);
        group.Close();
    }

    /// <summary>A reading of the monotonic clock, never before the last one.</summary>
    public TimeSpan Now()
    {
        TimeSpan now = _time.GetElapsedTime(_origin);
        return _last = now > _last ? now : _last;
    }

    /// <summary>The last reading.</summary>
    public TimeSpan LastNow => _last;

    /// <summary>Something has happened to this group: it is looked after at the end of the turn.</summary>
    public void Touch(RaftGroup group)
    {
        if (group.IsTouched || group.IsClosed)
            return;
        group.IsTouched = true;
        _touched.Add(group);
    }

    /// <summary>A batch has come from a peer.</summary>
    public void Receive(NodeId from, ReadOnlySpan<byte> batch)
    {
        TimeSpan now = Now();
        _receivedBytes += batch.Length;
        var reader = new RaftBatchReader(batch);
        while (!_hasForgotten && reader.MoveNext())
        {
            if (_groups.TryGetValue(reader.Group, out RaftGroup? group))
                group.Step(now, from, reader);
            else
                StrangerWatcher?.Invoke(from, reader.Group);
        }

        if (reader.Malformed)
            MalformedBatches++;
    }

    /// <summary>
    /// The node has acknowledged more than it has: its folder is an older copy, or its disk has lost what it had synced. Its votes may be
    /// forgotten, too, so it does nothing more.
    /// </summary>
    public void Forgot(TimeSpan now, RaftGroup group, LogIndex acknowledged)
    {
        Check.That(ForgottenWatcher is not null, $"{group.Member.Id} acknowledged {acknowledged} of group {group.Id} and has only {group.LastIndex}");
        Stall(now);
        _hasForgotten = true;
        ForgottenWatcher(group, acknowledged);
    }

    public WriteRefusal NotLeader(NodeId leader)
    {
        if (_notLeader.TryGetValue(leader, out WriteRefusal? refusal))
            return refusal;
        refusal = new WriteRefusal("NOTLEADER", $"node {leader} leads the shard");
        _notLeader.Add(leader, refusal);
        return refusal;
    }

    public bool TryReadBack(RaftGroup group, LogIndex first, LogIndex last, IEntrySink sink, long bytesMax = long.MaxValue) =>
        Journal.TryRead(group.Id, first, last, bytesMax, sink);

    public void LeaderChanged(RaftGroup group) => RouteWatcher?.Invoke(group, true);

    public void ReadsConfirmed(RaftGroup group) => RouteWatcher?.Invoke(group, false);

    /// <summary>Its connection broke, and there is no other.</summary>
    public bool IsAbsent(NodeId peer) => _absent.Contains(peer);

    /// <summary>The node is about to stop: nothing is led here any more, once what is was handed over.</summary>
    public void Retire()
    {
        TimeSpan now = Now();
        foreach (RaftGroup group in _ordered)
            group.Retire(now);
    }

    public void Lost(RaftGroup group, LogPosition safe, LogLoss loss) =>
        Listener?.Failed(group, safe, loss, $"this node no longer leads shard {group.Id}");

    /// <summary>The first chunk of a snapshot has come from a peer; true when the group is here and the snapshot is one that it can use.</summary>
    public bool TakesSnapshot(NodeId from, GroupId id, in SnapshotHead head, [NotNullWhen(true)] out RaftGroup? group) =>
        TryFind(id, out group) && !_hasForgotten && group.TakesSnapshot(Now(), from, head);

    public void SnapshotWanted(RaftGroup group, in SnapshotWanted wanted) => Snapshots?.Wanted(group, wanted);

    public void Dispose()
    {
        _disposed = true;
        _timer.Dispose();
        _goOnTimer.Dispose();
    }
}

/// <summary>Who moves snapshots between nodes. Inside the mailbox.</summary>
internal interface ISnapshotCourier
{
    void Wanted(RaftGroup group, in SnapshotWanted wanted);

    /// <summary>
    /// Files of an engine that has so many bytes are there sooner than so many bytes of entries, for less; and none to this member came to
    /// nothing lately.
    /// </summary>
    bool IsCheaper(RaftGroup group, MemberId to, long engineBytes, long entryBytes);
}
