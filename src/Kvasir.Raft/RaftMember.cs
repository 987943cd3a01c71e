using Kvasir.Primitives;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft;

/// <summary>
/// One member of a Raft group, as a value: events go in, <see cref="TakeReady"/> gives what to do. It owns no thread, reads no
/// clock and no disk, and holds no entry's bytes, only their terms. Not thread-safe: one event at a time.
/// <para>
/// Follows Ongaro's paper and thesis ("Consensus: Bridging Theory and Practice"): pre-vote and check-quorum (9.6, 6.2), joint
/// consensus (4.3), leadership transfer (3.10), read-index and leases (6.4), the leader's disk in parallel with the network
/// (10.2.1). docs/internals/raft.md says where each rule is and which test holds it.
/// </para>
/// <para>
/// Each event carries <c>now</c>, a reading of a monotonic clock that was taken after the event came to be: after a message was
/// received, after a read was asked for. Leases depend on that order.
/// </para>
/// </summary>
public sealed class RaftMember
{
    private readonly MemberCore _core;

    /// <summary>
    /// Makes a member from what is durable of it; <paramref name="sizes"/> answers for the entries from then on.
    /// <paramref name="random"/> must not be seeded as in an earlier life of the same member.
    /// </summary>
    public RaftMember(RaftSettings settings, RaftRecovery recovery, IEntrySizes sizes, SeededRandom random, TimeSpan now) =>
        _core = new MemberCore(settings.Checked(), recovery, sizes, random, now);

    public MemberId Id => _core.Id;

    public RaftRole Role => _core.Role;

    public Term Term => _core.Term;

    /// <summary>Who leads this term; nobody when that is not known.</summary>
    public MemberId Leader => _core.Leader;

    public HardState HardState => new(_core.Term, _core.Vote);

    public LogIndex CommitIndex => _core.Commit;

    public LogIndex AppliedIndex => _core.Applied;

    /// <summary>Entries up to here are compacted away.</summary>
    public LogIndex BaseIndex => _core.Log.BaseIndex;

    public LogIndex LastIndex => _core.Log.LastIndex;

    public LogIndex SyncedIndex => _core.Writes.SyncedIndex;

    /// <summary>This leader is handing over: it takes no proposals meanwhile.</summary>
    public bool IsTransferring => _core.Leadership is { IsHandingOver: true };

    /// <summary>The configuration in force: the newest in the log, committed or not.</summary>
    public Configuration Configuration => _core.Configuration;

    /// <summary>True when the group is idle and its members' clocks stand; any event wakes it.</summary>
    public bool IsQuiesced => _core.Quiesced;

    /// <summary>There is something for <see cref="TakeReady"/> to give.</summary>
    public bool HasReady { get; private set; }

    /// <summary>When <see cref="Tick"/> is due; <see cref="TimeSpan.MaxValue"/> for not until another event.</summary>
    public TimeSpan WakeAt =>
        _core.Leadership is { } leadership ? leadership.WakeAt
        : _core.MayCampaign ? _core.Clock.Deadline : TimeSpan.MaxValue;

    /// <summary>Until when this leader may answer reads alone; <see cref="TimeSpan.MinValue"/> when it may not.</summary>
    public TimeSpan LeaseEnd => _core.Leadership?.LeaseEnd ?? TimeSpan.MinValue;

    /// <summary>The term of an entry; false when it is compacted away or not in the log.</summary>
    public bool TryTermAt(LogIndex index, out Term term) => _core.Log.TryTermAt(index, out term);

    /// <summary>The configuration for a snapshot that ends at this index.</summary>
    public ConfigurationEntry ConfigurationAt(LogIndex index) => _core.Configurations.At(index);

    /// <summary>A follower as this leader sees it; false when this is no leader or knows no such member.</summary>
    public bool TryFollower(MemberId id, out FollowerStatus status)
    {
        Progress? peer = _core.Leadership?.Peers.Find(id);
        status = peer is null
            ? default
            : new FollowerStatus(
                peer.Id, peer.State, peer.MatchIndex, peer.NextIndex, peer.InflightMessages, peer.InflightBytes, peer.HeardAt, peer.IsSuspected, peer.Declines,
                _core.Leadership!.HasCaughtUp(peer.MatchIndex));
        return peer is not null;
    }

    /// <summary>Time has passed. Needed when <see cref="WakeAt"/> is reached; harmless at any other time.</summary>
    public void Tick(TimeSpan now)
    {
        _core.Advance(now);
        if (now < WakeAt)
            return;
        HasReady = true;
        if (_core.Leadership is { } leadership)
            leadership.Tick();
        else if (_core.DiskStalled || _core.LagsBehind)
            _core.Clock.Restart(now, _core.Random);
        else
            Candidacy.PreCampaign(_core);
    }

    /// <summary>Asks for votes without waiting for the deadline, unless faith is owed to a leader or this member has no vote.</summary>
    public void Campaign(TimeSpan now)
    {
        _core.Advance(now);
        if (_core.Leadership is not null || !_core.MayCampaign || _core.Clock.KeepsFaith(now) || _core.DiskStalled || _core.LagsBehind)
            return;
        HasReady = true;
        Candidacy.PreCampaign(_core);
    }

    /// <summary>A message has come from another member.</summary>
    public StepOutcome Step(TimeSpan now, in RaftMessage message)
    {
        Check.That(message.To == _core.Id && message.From != _core.Id && !message.From.IsNone);
        _core.Advance(now);
        HasReady = true;
        if (_core.Quiesced && message.Kind is MessageKind.PreVote or MessageKind.Vote && message.From != _core.Leader)
            Rouse();
        return Admit(message) ? Deliver(message) : default;
    }

    /// <summary>
    /// Asks for <paramref name="entries"/> entries at the log's end. When accepted, their bytes must be kept under their indexes
    /// before the next event.
    /// </summary>
    public ProposeOutcome Propose(TimeSpan now, int entries)
    {
        Check.That(entries > 0);
        _core.Advance(now);
        if (_core.Leadership is not { } leadership)
            return new ProposeOutcome(ProposeStatus.NotLeader, LogIndex.Zero, _core.Term, _core.Leader);
        HasReady = true;
        return leadership.Propose(entries);
    }

    /// <summary>
    /// Asks for another configuration. A change of voters goes through a joint configuration, which the leader leaves by itself.
    /// A member that is to vote must be a learner that has caught up (<see cref="RaftSettings.PromotionLagMax"/>).
    /// </summary>
    public ProposeOutcome ProposeConfiguration(TimeSpan now, ReadOnlySpan<MemberId> voters, ReadOnlySpan<MemberId> learners)
    {
        _core.Advance(now);
        if (_core.Leadership is not { } leadership)
            return new ProposeOutcome(ProposeStatus.NotLeader, LogIndex.Zero, _core.Term, _core.Leader);
        HasReady = true;
        return leadership.ProposeConfiguration(voters, learners);
    }

    /// <summary>Hands leadership to a voter; false when this is no leader, or that no other voter.</summary>
    public bool TryTransferLeadership(TimeSpan now, MemberId to)
    {
        _core.Advance(now);
        HasReady = true;
        return _core.Leadership is { } leadership && leadership.TryHandOver(to);
    }

    /// <summary>
    /// The node is about to stop: this member does not ask for votes any more, and tells its leader that it will not take over. If it
    /// leads, it goes on until the driver has handed over.
    /// </summary>
    public void Retire(TimeSpan now)
    {
        _core.Advance(now);
        _core.Retires = true;
    }

    /// <summary>The group is used in a way that needs no message: it is not to go quiet.</summary>
    public void Used(TimeSpan now)
    {
        _core.Advance(now);
        _core.Leadership?.Work();
    }

    /// <summary>A linearizable read is wanted; see <see cref="ReadTicket"/>.</summary>
    public ReadTicket RequestRead(TimeSpan now)
    {
        _core.Advance(now);
        if (_core.Leadership is not { } leadership)
            return default;
        HasReady = true;
        return leadership.RequestRead();
    }

    /// <summary>True when this leader's lease holds: the state is linearizable once <paramref name="index"/> is applied.</summary>
    public bool TryLeaseRead(TimeSpan now, out LogIndex index)
    {
        _core.Advance(now);
        index = _core.Commit;
        return _core.Leadership is { } leadership && now < leadership.LeaseEnd;
    }

    /// <summary>
    /// How old the applied state can be, at most and by this member's own clock; false when nothing is known. For stale reads.
    /// A leader's lease read is of age zero.
    /// </summary>
    public bool TryAge(TimeSpan now, out TimeSpan age)
    {
        _core.Advance(now);
        return _core.Following.Freshness.TryAge(now, out age);
    }

    /// <summary>All of <see cref="Ready.Persist"/> up to this write is durable.</summary>
    public void Synced(TimeSpan now, WriteNumber upTo)
    {
        _core.Advance(now);
        bool wasHardStateSynced = _core.Writes.IsHardStateSynced;
        if (!_core.Writes.Synced(upTo, out TimeSpan handedOutAt))
            return;
        HasReady = true;
        _core.DiskAnswered(handedOutAt);
        if (!wasHardStateSynced && _core.Writes.IsHardStateSynced)
            Candidacy.OnHardStateSynced(_core);
        _core.Leadership?.Count();
    }

    /// <summary>The state machine holds the effects of all entries up to this index.</summary>
    public void Applied(TimeSpan now, LogIndex index)
    {
        _core.Advance(now);
        _core.AppliedTo(index);
    }

    /// <summary>
    /// A sync of the disk, of whatever, succeeded that began at this time. Keeps the lease of a leader that writes nothing itself.
    /// </summary>
    public void DiskSynced(TimeSpan now, TimeSpan beganAt)
    {
        _core.Advance(now);
        Check.That(beganAt <= now);
        _core.DiskAnswered(beganAt);
    }

    /// <summary>The disk hangs or fails: a leader gives up, and no campaign is begun before the disk answers again.</summary>
    public void DiskStalled(TimeSpan now)
    {
        _core.Advance(now);
        HasReady = true;
        _core.DiskStalled = true;
        _core.Leadership?.GiveUp();
    }

    /// <summary>A message to this member was lost: what is on its way to it may be, too.</summary>
    public void PeerUnreachable(TimeSpan now, MemberId peer)
    {
        _core.Advance(now);
        if (_core.Leadership?.Peers.Find(peer) is { State: ReplicationState.Replicate } progress)
        {
            HasReady = true;
            progress.BackToProbe();
        }
    }

    /// <summary>
    /// The node's failure detector takes a member for dead. A group that it led elects as soon as faith in it ends, and its
    /// members one after another; one that it follows in may sleep without it.
    /// </summary>
    public void PeerSuspected(TimeSpan now, MemberId peer)
    {
        _core.Advance(now);
        if (_core.Leadership is { } leadership)
        {
            if (leadership.Peers.Find(peer) is { } progress)
                leadership.Suspect(progress, suspected: true);
        }
        else if (_core.Leader == peer && _core.Role == RaftRole.Follower)
        {
            _core.Quiesced = false;
            _core.Succeed(peer);
        }
    }

    /// <summary>A member that was suspected is there again.</summary>
    public void PeerAlive(TimeSpan now, MemberId peer)
    {
        _core.Advance(now);
        HasReady = true;
        if (_core.Leader == peer)
            _core.EndSuccession();
        if (_core.Leadership is { } leadership && leadership.Peers.Find(peer) is { } progress)
            leadership.Suspect(progress, suspected: false);
    }

    /// <summary>
    /// A snapshot that ends at (<paramref name="index"/>, <paramref name="term"/>) is staged, whole and checked, with the
    /// configuration in force there. True: the log now begins behind it, and the state machine must take its place before the
    /// next event; the next <see cref="Ready.Persist"/> says so to the disk. False: it is not needed, throw it away.
    /// </summary>
    public bool TryInstallSnapshot(TimeSpan now, LogIndex index, Term term, in ConfigurationEntry configuration)
    {
        _core.Advance(now);
        HasReady = true;
        return _core.Following.TryInstall(index, term, configuration);
    }

    /// <summary>
    /// The driver rather sends this follower a snapshot than the entries that it lacks: nothing is appended until
    /// <see cref="SnapshotFinished"/>. False where nothing is sent to it at the moment, or it lacks nothing that is applied here.
    /// </summary>
    public bool TryPreferSnapshot(TimeSpan now, MemberId to)
    {
        _core.Advance(now);
        if (_core.Leadership?.Peers.Find(to) is not { State: ReplicationState.Replicate } progress || progress.MatchIndex >= _core.Applied)
            return false;
        HasReady = true;
        progress.BecomeSnapshot(until: _core.Applied);
        return true;
    }

    /// <summary>The stream to this member has ended; <paramref name="installed"/> is the snapshot's index, zero when it failed.</summary>
    public void SnapshotFinished(TimeSpan now, MemberId to, LogIndex installed)
    {
        _core.Advance(now);
        if (_core.Leadership?.Peers.Find(to) is { State: ReplicationState.Snapshot } progress)
            progress.SnapshotFinished(installed, now);
    }

    /// <summary>The entries up to this index, all applied and durable, are no longer in the log.</summary>
    public void Compact(LogIndex index)
    {
        Check.That(index <= BaseIndex || index <= SyncedIndex, $"compaction up to {index} would take what is not durable behind {SyncedIndex}");
        Check.That(index <= _core.Applied, $"compaction up to {index} would take what is not applied behind {_core.Applied}");
        _core.Log.Compact(index);
        _core.Configurations.Compact(index);
    }

    /// <summary>Moves what there is to do into <paramref name="ready"/>, which forgets what it held.</summary>
    /// <param name="ready">To be filled.</param>
    /// <param name="oldBytesMax">
    /// As many bytes of entries, and one append more at most, go to followers that lag behind; <see cref="Ready.HoldsBack"/> says when
    /// there was more, and then the driver comes again soon.
    /// </param>
    public void TakeReady(Ready ready, long oldBytesMax = long.MaxValue)
    {
        ready.Clear();
        HasReady = false;
        if (_core.Leadership is { } leader)
        {
            leader.Flush(oldBytesMax);
            (ready.OldBytes, ready.HoldsBack) = (leader.Replicator.OldBytes, leader.Replicator.HoldsBack);
        }

        _core.Following.Acknowledge();
        _core.MoveOwnEntries(ready.OwnEntryList);
        if (_core.Writes.HasWork(_core.Log.LastIndex))
            ready.Persist = _core.Writes.Take(_core.Now, HardState, _core.Log);
        _core.Outbox.MoveTo(ready.MessageList, _core.Writes.IsHardStateSynced);
        if (_core.Leadership is { } leadership)
        {
            foreach (Progress peer in leadership.Peers.Others)
            {
                if (!peer.WantsSnapshot)
                    continue;
                peer.WantsSnapshot = false;
                ready.SnapshotWantedList.Add(new SnapshotWanted(peer.Id, _core.Term, _core.Log.BaseIndex));
            }
        }

        (ready.CommitAdvanced, _core.CommitAdvanced) = (_core.CommitAdvanced, false);
        (ready.RoleChanged, _core.RoleChanged) = (_core.RoleChanged, false);
        (ready.Reads, _core.ReadsConfirmed) = (_core.ReadsConfirmed, null);
        (ready.CommitIndex, ready.Role, ready.Term, ready.Leader) = (_core.Commit, _core.Role, _core.Term, _core.Leader);
        if (_core.Quiesced)
            _core.Trim();
    }

    /// <summary>Somebody asks for votes while this member sleeps: it has not heard of the leader, which may be alive.</summary>
    private void Rouse()
    {
        if (_core.Leadership is { } leadership)
            leadership.Work();
        else
            _core.Following.RouseLeader();
    }

    /// <summary>The rules on terms (paper, figure 2, all servers); false when the message has no further say.</summary>
    private bool Admit(in RaftMessage message)
    {
        if (message.Kind is MessageKind.PreVote or MessageKind.Vote && message.Term > _core.Term && !MayVoteAgainstLeader(message))
        {
            if (message.Kind == MessageKind.PreVote)
                _core.Send(new RaftMessage { Kind = MessageKind.PreVoteResponse, To = message.From, Flags = MessageFlags.Reject });
            return false;
        }

        if (message.Term > _core.Term)
        {
            // Neither asking for a pre-vote nor granting one means that anybody is in that term.
            bool isAboutTheFuture = message.Kind == MessageKind.PreVote || (message.Kind == MessageKind.PreVoteResponse && !message.Rejects);
            if (!isAboutTheFuture)
                _core.BecomeFollower(message.Term, MemberId.None);
            return true;
        }

        if (message.Term == _core.Term)
        {
            // This term was entered on hearsay, while faith is owed to the leader of an earlier one.
            bool breaksFaith = message.Kind == MessageKind.Vote && _core.Vote.IsNone && _core.Clock.KeepsFaith(_core.Now);
            if (breaksFaith)
                _core.Send(new RaftMessage { Kind = MessageKind.VoteResponse, To = message.From, Flags = MessageFlags.Reject });
            return !breaksFaith;
        }

        // A leader or a candidate of a past term is told of this one, and steps down.
        MessageKind answer = message.Kind switch
        {
            MessageKind.PreVote => MessageKind.PreVoteResponse,
            MessageKind.Vote => MessageKind.VoteResponse,
            _ when message.IsFromLeader => MessageKind.AppendResponse,
            _ => MessageKind.None,
        };
        if (answer != MessageKind.None)
            _core.Send(new RaftMessage { Kind = answer, To = message.From, Flags = MessageFlags.Reject });
        return false;
    }

    /// <summary>
    /// While a leader may hold a lease nobody is helped to replace it (thesis, 4.2.3), unless it asks for itself, or
    /// somebody does on its behalf.
    /// </summary>
    private bool MayVoteAgainstLeader(in RaftMessage message)
    {
        if (_core.Leadership is { } leadership)
        {
            return ((message.Flags & MessageFlags.Force) != 0 && leadership.IsHandingOver) || !leadership.KeepsFaith();
        }

        if (message.From == _core.Leader)
            return true;
        if ((message.Flags & MessageFlags.Force) != 0 && !_core.Clock.IsJustStarted(_core.Now))
            return message.Term > _core.Term.Next || _core.Following.HonoursHandover(message.Round);
        return !_core.Clock.KeepsFaith(_core.Now);
    }

    private StepOutcome Deliver(in RaftMessage message)
    {
        switch (message.Kind)
        {
            case MessageKind.PreVote:
                Candidacy.OnPreVote(_core, message);
                break;
            case MessageKind.Vote:
                Candidacy.OnVote(_core, message);
                break;
            case MessageKind.PreVoteResponse:
            case MessageKind.VoteResponse:
                Candidacy.OnResponse(_core, message);
                break;
            case MessageKind.Append:
                return _core.Following.OnAppend(message);
            case MessageKind.Heartbeat:
                _core.Following.OnHeartbeat(message);
                break;
            case MessageKind.SnapshotOffer:
                return _core.Following.OnSnapshotOffer(message);
            case MessageKind.TimeoutNow:
                if (_core.Role == RaftRole.Follower && _core.MayCampaign && !_core.DiskStalled && !_core.LagsBehind)
                    Candidacy.Campaign(_core, MessageFlags.Force, message.Round);
                break;
            case MessageKind.AppendResponse:
            case MessageKind.HeartbeatResponse:
                _core.Leadership?.OnResponse(message);
                break;
            case MessageKind.Wake:
                _core.Leadership?.Work();
                break;
        }

        return default;
    }
}
