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
using Kvasir.Raft.Reads;
using Kvasir.Raft.Replication;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// This node's member of one Raft group, and the log of the replica that it keeps. Positions of the log are the indexes of
/// its entries; durable means committed.
/// <para>
/// <b>Leader.</b> Commands run on its engine, and what they stage becomes an entry (<see cref="Append"/>) and is published at once,
/// ahead of its commit: later commands see it, and answers wait. It serves once an entry of its own term is committed and
/// applied. When it ceases to lead, the engine forgets what is not committed, and whoever waits for it is told so: the next leader
/// may have it. If it does, it is applied again, from the log; what became of it is told as soon as the log tells.
/// </para>
/// <para>
/// <b>Follower.</b> What is committed is applied from memory, or from the journal where it is no longer there.
/// </para>
/// <para>
/// <b>Stable.</b> The engine may put into its files what is committed and durable in this node's own journal: so a log
/// never ends before what its engine holds.
/// </para>
/// Belongs to the mailbox, but for what says otherwise. Allocates nothing for an entry.
/// </summary>
public sealed partial class RaftGroup : IReplicaLog, IEntryArchive
{
    private static readonly TimeSpan s_unwantedPatience = TimeSpan.FromSeconds(5);

    private static readonly WriteRefusal s_notReady =
        new("TRYAGAIN", "this node leads the shard since a moment ago and is not ready yet; try again");

    private static readonly WriteRefusal s_noLeader =
        new("TRYAGAIN", "nobody leads the shard at the moment; try again");

    private static readonly WriteRefusal s_transferring =
        new("TRYAGAIN", "leadership of the shard is being handed over; try again");

    private static readonly WriteRefusal s_busy =
        new("TRYAGAIN", "too many writes of the shard wait for a majority of its replicas; try again");

    // Uncommitted bytes of one group, beyond which it takes no more.
    private const long UncommittedBytesMax = 64L << 20;

    // Entries that nobody is known to want are let go when there are so many bytes, down to half.
    private const long DoneBytesMax = 256 << 10;
    private const long DoneBytesKept = DoneBytesMax / 2;

    private readonly GroupHost _host;
    private readonly RaftMember _member;
    private readonly EntryStore _entries;
    private readonly EntryApply _apply;
    private Replica? _replica;
    private Term _leadsTerm;
    private LogIndex _noOp;
    private LogIndex _applied;
    private LogIndex _stable;

    // That the engine began with.
    private LogIndex _snapshot;
    private TimeSpan _leaseEnd = TimeSpan.MinValue;

    // Since when this follower sleeps though the directory wants no copy on its leader's node.
    private TimeSpan _unwantedSince = TimeSpan.MaxValue;
    private WriteRefusal _notServing = s_noLeader;
    private bool _serves;
    private bool _isUsed;
    private ReadReady _confirmed;
    private ulong _appended;
    private ulong _awaited;
    private ulong _durable;

    internal RaftGroup(GroupHost host, GroupId id, RaftRecovery recovery, LogIndex snapshot, SeededRandom random, TimeSpan now)
    {
        _host = host;
        _snapshot = snapshot;
        Id = id;
        _entries = new EntryStore(host.Memory, this);
        _entries.Reset(recovery.LastIndex);

        // What nodes know of each other comes by the directory's heartbeats; and what it wants of them, they do when they have applied it.
        RaftSettings settings = id == GroupId.Directory
            ? host.Settings with { QuiesceAfter = TimeSpan.MaxValue, TellsCommits = true }
            : host.Settings;
        _member = new RaftMember(settings, recovery, _entries, random, now);
        _apply = new EntryApply(this);
        _applied = _stable = recovery.AppliedIndex;
        Sessions = new SessionTable(new LogPosition(_applied.Value), host.Options.SessionBytesMax);
        _appended = _awaited = _durable = _applied.Value;
        WakeAt = _member.WakeAt;
    }

    public GroupId Id { get; }

    public RaftRole Role => _member.Role;

    public ulong Term => _member.Term.Value;

    /// <summary>Who leads, as far as this node knows; nobody when it does not.</summary>
    public NodeId Leader => GroupMember.NodeOf(_member.Leader);

    public LogIndex CommitIndex => _member.CommitIndex;

    /// <summary>The engine has the effects of all entries up to here.</summary>
    public LogIndex AppliedIndex => _applied;

    public LogIndex LastIndex => _member.LastIndex;

    /// <summary>Entries up to here are only in the engine.</summary>
    public LogIndex BaseIndex => _member.BaseIndex;

    public Configuration Configuration => _member.Configuration;

    /// <summary>The newest configuration is committed, and none is being left.</summary>
    public bool IsConfigurationSettled =>
        !Configuration.IsJoint && _member.ConfigurationAt(_member.LastIndex).Index <= CommitIndex;

    /// <summary>This node leads, and has applied an entry of its term: it takes writes.</summary>
    public bool IsServing => _serves;

    /// <summary>It is idle, and costs nothing until something happens to it.</summary>
    public bool IsQuiet => _member.IsQuiesced;

    /// <summary>Leadership is being handed over.</summary>
    public bool IsTransferring => _member.IsTransferring;

    public bool HasLease => _serves && _host.Now() < _leaseEnd;

    /// <summary>What was applied cannot be: the engine refuses. Null when all is well.</summary>
    public string? ApplyFailure { get; private set; }

    /// <summary>The replica whose log this is.</summary>
    public Replica Replica
    {
        get
        {
            Check.That(_replica is not null);
            return _replica;
        }
    }

    /// <summary>Told of each committed entry's payload, in order, once in the life of the process; null for nobody.</summary>
    internal CommittedEntryHandler? Watcher { get; set; }

    internal bool IsTouched { get; set; }

    /// <summary>It is no longer this node's: late news of it is nobody's business.</summary>
    internal bool IsClosed { get; private set; }

    internal TimeSpan WakeAt { get; private set; }

    internal EntryStore Entries => _entries;

    internal RaftMember Member => _member;

    /// <summary>
    /// True when a read may be answered from the engine now: this node leads, has applied what was committed before, and holds
    /// its lease. Call it after the read has come. When there is no lease a round is begun that renews it.
    /// </summary>
    public bool MayRead()
    {
        if (IsLeased())
            return true;
        if (_serves)
            _ = BeginRound();
        return false;
    }

    /// <summary>
    /// As <see cref="MayRead()"/>; where there is no lease the read gets a claim, and may be answered when a round of heartbeats that
    /// began afterwards has shown that this node leads still (<see cref="GroupHost.RouteWatcher"/> is told of it). The round
    /// needs no disk, and no clock.
    /// </summary>
    public bool MayRead(ref ReadClaim claim)
    {
        if (IsLeased())
            return true;
        if (!_serves)
            return false;
        if (claim.Group == Id && claim.Ticket.Term == _leadsTerm)
            return _confirmed.Term == _leadsTerm && _confirmed.Batch >= claim.Ticket.Batch && _applied >= _confirmed.Index;
        claim = new ReadClaim(Id, BeginRound());
        return false;
    }

    private bool IsLeased()
    {
        if (!_serves || _host.Now() >= _leaseEnd)
            return false;
        _isUsed = true;
        return true;
    }

    private ReadTicket BeginRound()
    {
        _host.Touch(this);
        return _member.RequestRead(_host.Now());
    }

    /// <summary>There is something for this group's leader to do: it wakes if it sleeps.</summary>
    public void Rouse()
    {
        _member.Used(_host.Now());
        _host.Touch(this);
    }

    /// <summary>Hands leadership to another voter; false when this node does not lead, or knows no such voter.</summary>
    public bool TryTransfer(MemberId to)
    {
        if (IsOut)
            return false;
        _host.Touch(this);
        return _member.TryTransferLeadership(_host.Now(), to);
    }

    /// <inheritdoc cref="RaftMember.ProposeConfiguration"/>
    public ProposeStatus Configure(ReadOnlySpan<MemberId> voters, ReadOnlySpan<MemberId> learners)
    {
        _host.Touch(this);
        return _member.ProposeConfiguration(_host.Now(), voters, learners).Status;
    }

    /// <summary>A follower as this leader sees it; false when this node does not lead, or knows no such member.</summary>
    public bool TryFollower(MemberId id, out FollowerStatus status) => _member.TryFollower(id, out status);

    /// <summary>How old the applied state can be, at most; false when nothing is known. For stale reads.</summary>
    public bool TryAge(out TimeSpan age) => _member.TryAge(_host.Now(), out age);

    /// <summary>
    /// True when the replica may answer reads that need not be current: it follows, and has everything that was committed
    /// <paramref name="age"/> ago, by this node's clock, which is within the bound. Nothing in it is uncommitted.
    /// </summary>
    public bool TryReadStale(TimeSpan ageMax, out TimeSpan age)
    {
        age = TimeSpan.MaxValue;
        return !_serves && !IsOut && Damage is null && _member.Role != RaftRole.Leader && _member.TryAge(_host.Now(), out age) && age <= ageMax;
    }

    internal void Attach(Replica replica)
    {
        Check.That(_replica is null && replica.StreamId == Id.Value);
        _replica = replica;
        replica.Engine.ExpectReads(false);
    }

    /// <summary>Called once, when the host knows it no more.</summary>
    internal void Close()
    {
        GiveUpDoubt();
        IsClosed = true;
        _entries.Reset(LastIndex);
    }

    internal void Tick(TimeSpan now)
    {
        if (now < WakeAt)
            return;

        // Reads under a lease need no message: the member is told of them by the clock.
        if (_isUsed)
            _member.Used(now);
        _isUsed = false;
        _member.Tick(now);
        _host.Touch(this);
    }

    /// <summary>A message has come, with its entries beside it. What is meant for an earlier copy of this node has nobody to hear it.</summary>
    internal void Step(TimeSpan now, NodeId from, in RaftBatchReader reader)
    {
        if (IsOut || reader.ToGeneration != _member.Id.Generation)
            return;
        RaftMessage message = reader.Message;
        message.From = GroupMember.Of(from, reader.FromGeneration);
        message.To = _member.Id;
        if (message.Kind == MessageKind.Heartbeat && message.Term >= _member.Term && message.Commit > _member.LastIndex)
        {
            _host.Forgot(now, this, message.Commit);
            return;
        }

        StepOutcome outcome = _member.Step(now, message);
        _host.Touch(this);
        if (outcome.TruncatedFrom > LogIndex.Zero)
            _entries.TruncateFrom(outcome.TruncatedFrom);
        if (!outcome.HasEntries)
            return;
        RaftEntryReader entries = reader.Entries;
        for (LogIndex index = message.Index.Next; index <= outcome.Last; index = index.Next)
        {
            Check.That(entries.MoveNext());
            if (index >= outcome.First)
                _entries.Add(index, message.EntryTerm, entries.Kind, entries.Bytes);
        }
    }

    /// <summary>A leader offers this snapshot: a message like the others, which comes with the first chunk. True when it is needed.</summary>
    internal bool TakesSnapshot(TimeSpan now, NodeId from, in SnapshotHead head)
    {
        if (IsOut || head.Offer.ToGeneration != _member.Id.Generation)
            return false;
        _host.Touch(this);
        return _member.Step(now, new RaftMessage
        {
            Kind = MessageKind.SnapshotOffer,
            From = GroupMember.Of(from, head.Offer.FromGeneration),
            To = _member.Id,
            Term = head.Offer.Term,
            Index = head.Index,
            LogTerm = head.Term,
        }).TakesSnapshot;
    }

    internal void Synced(TimeSpan now, WriteNumber write)
    {
        if (IsOut)
            return;
        _member.Synced(now, write);
        _host.Touch(this);
    }

    internal void DiskSynced(TimeSpan now, TimeSpan beganAt)
    {
        if (IsOut)
            return;
        _member.DiskSynced(now, beganAt);
        _leaseEnd = _member.LeaseEnd;
    }

    internal void DiskStalled(TimeSpan now)
    {
        if (IsOut)
            return;
        _member.DiskStalled(now);
        _host.Touch(this);
    }

    internal void PeerUnreachable(TimeSpan now, NodeId peer)
    {
        if (IsOut)
            return;
        foreach (MemberId member in _member.Configuration.Members)
        {
            if (member.Keeper == peer.Value)
                _member.PeerUnreachable(now, member);
        }

        if (_member.HasReady)
            _host.Touch(this);
    }

    internal void PeerSuspected(TimeSpan now, NodeId peer)
    {
        if (IsOut)
            return;
        foreach (MemberId member in _member.Configuration.Members)
        {
            if (member.Keeper == peer.Value)
                _member.PeerSuspected(now, member);
        }

        // One that this member has not read of yet.
        if (_member.Leader.Keeper == peer.Value && !_member.Configuration.IsMember(_member.Leader))
            _member.PeerSuspected(now, _member.Leader);
        SetWake();
    }

    /// <summary>
    /// The copy that is wanted on the leader's node; nobody when none is. A group that sleeps is woken by the end of its leader's node: where
    /// the node lives and only its copy was replaced, or was stopped in its sleep and is to be elsewhere, nothing else would tell this member
    /// that its leader is no more. A leader that does lead wakes the group by itself when its copy is to be elsewhere.
    /// </summary>
    internal void HeedLeader(TimeSpan now, MemberId wanted)
    {
        if (IsOut || !_member.IsQuiesced || _member.Leader == MemberId.None || wanted == _member.Leader)
        {
            _unwantedSince = TimeSpan.MaxValue;
            return;
        }

        if (wanted == MemberId.None)
        {
            if (_unwantedSince > now)
                _unwantedSince = now;
            if (now - _unwantedSince < s_unwantedPatience)
                return;
        }

        _member.PeerSuspected(now, _member.Leader);
        _host.Touch(this);
    }

    /// <summary>The node is about to stop: it leads this group no more once leadership was handed over.</summary>
    internal void Retire(TimeSpan now)
    {
        _member.Retire(now);
        _host.Touch(this);
    }

    internal void PeerAlive(TimeSpan now, NodeId peer)
    {
        if (IsOut)
            return;
        foreach (MemberId member in _member.Configuration.Members)
        {
            if (member.Keeper == peer.Value)
                _member.PeerAlive(now, member);
        }

        _host.Touch(this);
    }

    /// <summary>The snapshot's stream to this member has ended; with zero when it came to nothing.</summary>
    internal void SnapshotFinished(TimeSpan now, MemberId to, LogIndex installed)
    {
        if (IsOut)
            return;
        _member.SnapshotFinished(now, to, installed);
        _host.Touch(this);
    }

    /// <summary>What a snapshot of the stable state stands for.</summary>
    internal SnapshotHead StableHead()
    {
        Check.That(_member.TryTermAt(_stable, out Term term));
        return new SnapshotHead(_stable, term, _member.ConfigurationAt(_stable)) { Digest = Replica.Engine.StableDigest };
    }

    /// <summary>
    /// The replica begins anew from a snapshot that is in an engine of its own; false when it is not needed. The engine that was
    /// there is the caller's.
    /// </summary>
    internal bool TryInstall(TimeSpan now, in SnapshotHead head, IStorageEngine engine, string engineName, out IStorageEngine before)
    {
        before = Replica.Engine;

        // Whatever may fail comes first: behind this, the engine is the group's, and not the caller's to throw away.
        Action? replaced = _host.ReplicaReplacing?.Invoke(this, engine);
        _host.Touch(this);
        if (IsOut || !_member.TryInstallSnapshot(now, head.Index, head.Term, head.Configuration))
            return false;
        _replica = new Replica(Id.Value, Replica.Options with { Engine = engineName }, engine, this);
        HasMisfit = false;
        engine.ExpectReads(false);
        _entries.Reset(head.Index);

        // Of which terms the entries were that it stands for is not told.
        GiveUpDoubt();
        _applied = _stable = _snapshot = head.Index;
        Sessions.Forget(new LogPosition(head.Index.Value));
        Volatile.Write(ref _appended, head.Index.Value);
        Volatile.Write(ref _awaited, head.Index.Value);
        Volatile.Write(ref _durable, head.Index.Value);
        replaced?.Invoke();
        return true;
    }

    /// <summary>Lets go of the oldest entries that are durable, until so many bytes are left.</summary>
    internal void Shed(long bytesLeft) => DropUpTo(_member.SyncedIndex, bytesLeft);

    /// <summary>
    /// What is applied, durable and at all followers that are there will hardly be asked for again: memory that is used anew soon
    /// stays near the processor.
    /// </summary>
    private void ShedDone()
    {
        LogIndex done = LogIndex.Least(_applied, _member.SyncedIndex);
        if (_member.Role == RaftRole.Leader)
        {
            foreach (MemberId id in _member.Configuration.Members)
            {
                if (_member.TryFollower(id, out FollowerStatus follower) && !follower.IsSuspected)
                    done = LogIndex.Least(done, follower.MatchIndex);
            }
        }

        DropUpTo(done, DoneBytesKept);
    }

    private void DropUpTo(LogIndex last, long bytesLeft)
    {
        LogIndex end = LogIndex.Least(last.Next, _entries.Next);
        while (_entries.Weight > bytesLeft && _entries.First < end)
        {
            // In steps: chunks go as a whole.
            _entries.DropBefore(LogIndex.Least(_entries.First + 64, end));
        }
    }

    /// <summary>Puts entries into the message that was begun; false when they cannot be read.</summary>
    internal bool TryWriteEntries(BytesBuffer to, LogIndex first, LogIndex last)
    {
        LogIndex index = first;
        if (index < _entries.First)
        {
            LogIndex end = LogIndex.Least(last, _entries.First.Previous);
            var sink = new MessageSink(to, index);
            if (!_host.TryReadBack(this, index, end, sink) || sink.Next != end.Next)
                return false;
            index = sink.Next;
        }

        for (; index <= last; index = index.Next)
            RaftMessageCodec.AddEntry(to, _entries.KindOf(index), _entries.BytesOf(index));
        return true;
    }

    LogIndex IEntryArchive.Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes) =>
        _host.Journal.Fit(Id, first, last, bytesMax, out bytes);

    private sealed class MessageSink(BytesBuffer to, LogIndex next) : IEntrySink
    {
        public LogIndex Next { get; private set; } = next;

        public void Entry(LogIndex index, Term term, EntryKind kind, ReadOnlySpan<byte> bytes)
        {
            Check.That(index == Next);
            RaftMessageCodec.AddEntry(to, kind, bytes);
            Next = index.Next;
        }
    }
}

/// <summary>Hears of a committed entry; the payload is lent for the time of the call.</summary>
internal delegate void CommittedEntryHandler(LogIndex index, ReadOnlySpan<byte> payload);
