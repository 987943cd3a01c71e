using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft;

/// <summary>
/// What a member does as leader of one term: it appends, replicates, counts, keeps its followers and its lease, and gives
/// up when a majority or its disk is silent. Made at the election, gone with the term.
/// </summary>
internal sealed class Leadership
{
    private readonly MemberCore _core;
    private readonly ProgressTable _peers;
    private readonly Replicator _replicator;
    private readonly ReadBatches _reads = new();
    private readonly LogIndex _termStart;
    private Handover _handover = new();
    private ulong _round;
    private ulong _quiesceRound;
    private TimeSpan _heartbeatAt;
    private TimeSpan _inspectAt;
    private TimeSpan _workedAt;

    public Leadership(MemberCore core)
    {
        _core = core;
        _peers = new ProgressTable(core.Id);
        _replicator = new Replicator(core, _peers);
        _termStart = core.Log.LastIndex.Next;
    }

    public ProgressTable Peers => _peers;

    public Replicator Replicator => _replicator;

    /// <summary>A leader knows what is committed once an entry of its own term is (paper, 8).</summary>
    public bool KnowsCommit => _core.Commit >= _termStart;

    public TimeSpan WakeAt =>
        _core.Quiesced ? TimeSpan.MaxValue : _heartbeatAt < _inspectAt ? _heartbeatAt : _inspectAt;

    public bool IsHandingOver => _handover.IsUnderWay;

    /// <summary>Until when reads may be answered alone; in the past when they may not.</summary>
    public TimeSpan LeaseEnd
    {
        get
        {
            if (!KnowsCommit || _handover.IsUnderWay || _core.DiskStalled)
                return TimeSpan.MinValue;
            RaftSettings settings = _core.Settings;
            var answered = TimeSpan.FromTicks(Reached(QuorumMeasure.AckedSentAt, long.MaxValue));
            return LeaseRule.End(answered, LeaseRule.Duration(settings.ElectionTimeout, settings.ClockDriftMax),
                _core.DiskSyncedAt, settings.LeaseDiskSilenceMax);
        }
    }

    private Configuration Configuration => _core.Configuration;

    public void Begin()
    {
        _workedAt = _core.Now;
        _inspectAt = _core.Now + _core.Settings.HeartbeatInterval;
        _peers.Adopt(Configuration, _termStart, _core.Now);
        AppendOwn(EntryKind.NoOp, null);
        StartRound();
    }

    public ProposeOutcome Propose(int entries)
    {
        if (_handover.IsUnderWay)
            return Refuse(ProposeStatus.Transferring);
        ulong waiting = _core.Log.LastIndex - _core.Commit;
        if (waiting > 0 && waiting + (ulong)entries > (ulong)_core.Settings.UncommittedEntriesMax)
            return Refuse(ProposeStatus.Busy);
        Work();
        LogIndex first = _core.Log.LastIndex.Next;
        _core.Log.Append(first, _core.Log.LastIndex + (ulong)entries, _core.Term);
        return new ProposeOutcome(ProposeStatus.Accepted, first, _core.Term, _core.Id);
    }

    public ProposeOutcome ProposeConfiguration(ReadOnlySpan<MemberId> voters, ReadOnlySpan<MemberId> learners)
    {
        if (_handover.IsUnderWay)
            return Refuse(ProposeStatus.Transferring);
        if (!KnowsCommit || Configuration.IsJoint || _core.Configurations.Last.Index > _core.Commit)
            return Refuse(ProposeStatus.ChangeInProgress);
        foreach (MemberId voter in voters)
        {
            if (!Configuration.IsVoter(voter) && !HasCaughtUp(voter))
                return Refuse(ProposeStatus.LearnerBehind);
        }

        Work();
        var target = new Configuration(voters, learners);
        if (!target.Voters.SequenceEqual(Configuration.Voters))
            target = new Configuration(voters, learners, Configuration.Voters);
        return new ProposeOutcome(ProposeStatus.Accepted, AppendOwn(EntryKind.Configuration, target), _core.Term, _core.Id);
    }

    public bool TryHandOver(MemberId to)
    {
        if (to == _core.Id || _handover.IsUnderWay || !Configuration.Voters.Contains(to)
            || _peers.Find(to) is not { IsSuspected: false, Declines: false })
            return false;
        Work();
        _handover.Begin(to, _core.Now + _core.Settings.ElectionTimeout);
        MaybeHandOver();
        return true;
    }

    public ReadTicket RequestRead()
    {
        Work();
        return new ReadTicket(_core.Term, _reads.Join());
    }

    public void Tick()
    {
        if (_core.Quiesced)
            return;
        // Apart from heartbeats, which reads may bring forward again and again.
        _inspectAt = _core.Now + _core.Settings.HeartbeatInterval;
        if (_core.Writes.TryOldestPending(out TimeSpan pendingAt) && _core.Now - pendingAt > _core.Settings.DiskStallMax)
        {
            _core.DiskStalled = true;
            GiveUp();
            return;
        }

        long heard = Reached(QuorumMeasure.HeardAt, long.MaxValue);
        if (heard != long.MaxValue && _core.Now.Ticks - heard > _core.Settings.ElectionTimeout.Ticks)
        {
            _core.BecomeFollower(_core.Term, MemberId.None);
            return;
        }

        if (_handover.IsUnderWay && _core.Now >= _handover.Deadline)
            _handover.GiveUp(_core.Now);
        MaybeHandOver();
        if (_core.Now >= _heartbeatAt)
            StartRound();
    }

    /// <summary>True while a majority was heard of lately: then nobody else is given a vote.</summary>
    public bool KeepsFaith()
    {
        long heard = Reached(QuorumMeasure.HeardAt, long.MaxValue);
        return heard == long.MaxValue || _core.Now.Ticks - heard < _core.Settings.ElectionTimeout.Ticks;
    }

    public void OnResponse(in RaftMessage message)
    {
        if (_peers.Find(message.From) is not { } peer)
            return;
        peer.HeardAt = _core.Now;
        peer.IsSuspected = false;
        switch (message.Kind)
        {
            case MessageKind.AppendResponse:
                OnAppendResponse(peer, message);
                break;
            case MessageKind.HeartbeatResponse:
                OnHeartbeatResponse(peer, message);
                break;
        }
    }

    /// <summary>The leader's own log counts as far as its disk has come.</summary>
    public void Count()
    {
        var reached = new LogIndex((ulong)Reached(QuorumMeasure.MatchIndex, (long)_core.Writes.SyncedIndex.Value));
        // Older entries are committed only by one of this term behind them (paper, 5.4.2).
        if (reached <= _core.Commit || reached < _termStart)
            return;
        Check.That(_core.Log.TermAt(reached) == _core.Term);
        _core.CommitTo(reached);
        bool isConfigured = _core.Configurations.Last.Index <= _core.Commit;
        if (isConfigured && Configuration.IsJoint)
            AppendOwn(EntryKind.Configuration, Configuration.LeaveJoint());
        else if (isConfigured && !Configuration.IsVoter(_core.Id))
            GiveUp();
        MaybeHandOver();
    }

    /// <summary>What is best done once for all events of a turn: a read round, and the appends.</summary>
    public void Flush(long oldBytesMax)
    {
        if (_reads.WantsRound && KnowsCommit)
            StartRound();
        _replicator.Flush(oldBytesMax);
    }

    /// <summary>Passes leadership to the follower with the longest log, if there is one, and steps down at once.</summary>
    public void GiveUp()
    {
        // As for work: a round of a leader that has done nothing for long would tell those who sleep to go on sleeping, and if the one
        // that is chosen cannot take over, or never hears of it, nobody else would.
        Work();
        Progress? best = null;
        foreach (Progress peer in _peers.Others)
        {
            if (Configuration.Voters.Contains(peer.Id) && !peer.IsSuspected && !peer.Declines && (best is null || peer.MatchIndex > best.MatchIndex))
                best = peer;
        }

        if (best is not null && best.MatchIndex >= _core.Commit)
            SendTimeoutNow(best.Id);
        _core.BecomeFollower(_core.Term, MemberId.None);
    }

    /// <summary>There is something to do: a quiet group wakes.</summary>
    public void Work()
    {
        _workedAt = _core.Now;
        Rouse();
    }

    public void Suspect(Progress peer, bool suspected)
    {
        if (!suspected && peer.IsSuspected)
            Work();
        peer.IsSuspected = suspected;
        if (suspected)
            MaybeGiveUpHandover(peer);
    }

    /// <summary>Who will not take over is not waited for: this leader goes on at once.</summary>
    private void MaybeGiveUpHandover(Progress peer)
    {
        if (_handover.IsUnderWay && _handover.To == peer.Id)
            _handover.GiveUp(_core.Now);
    }

    private ProposeOutcome Refuse(ProposeStatus status) => new(status, LogIndex.Zero, _core.Term, _core.Id);

    private long Reached(QuorumMeasure measure, long own) => _peers.Reached(Configuration, measure, own);

    private void Rouse()
    {
        _quiesceRound = 0;
        if (!_core.Quiesced)
            return;
        _core.Quiesced = false;
        foreach (Progress peer in _peers.Others)
            peer.HeardAt = _core.Now;
        StartRound();
    }

    /// <summary>
    /// Whether a durable log that agrees up to here has all but the latest. Where the leader's is short, an empty one ends near its end,
    /// too: it must have the newest configuration, and with it everything from before its member began to learn. (A member without
    /// any gives no votes: it would be a voter on whom nobody can count.)
    /// </summary>
    public bool HasCaughtUp(LogIndex match) =>
        match >= _core.Configurations.Last.Index && _core.Log.LastIndex - match <= (ulong)_core.Settings.PromotionLagMax;

    /// <summary>Durably within reach of the log's end, sent to without pause, and heard of within an election timeout.</summary>
    private bool HasCaughtUp(MemberId id) =>
        Configuration.IsLearner(id) && _peers.Find(id) is { State: ReplicationState.Replicate } learner && HasCaughtUp(learner.MatchIndex)
        && _core.Now - learner.HeardAt <= _core.Settings.ElectionTimeout;

    private LogIndex AppendOwn(EntryKind kind, Configuration? configuration)
    {
        LogIndex index = _core.Log.LastIndex.Next;
        _core.Log.Append(index, index, _core.Term);
        _core.Own(new OwnEntry(index, _core.Term, kind, configuration));
        if (configuration is not null)
        {
            // In force from now on, not from its commit.
            _core.Configurations.Append(new ConfigurationEntry(index, _core.Term, configuration));
            _peers.Adopt(configuration, index, _core.Now);
        }

        return index;
    }

    /// <summary>
    /// The one that is to lead has everything, and everything is committed: so whoever waits for a write is answered by this
    /// leader, and need not wonder what became of it.
    /// </summary>
    private void MaybeHandOver()
    {
        LogIndex last = _core.Log.LastIndex;
        if (_core.Role == RaftRole.Leader && _handover.IsUnderWay && _core.Commit == last && _peers.Find(_handover.To)?.MatchIndex == last)
            SendTimeoutNow(_handover.To);
    }

    private void SendTimeoutNow(MemberId to) =>
        _core.Send(new RaftMessage { Kind = MessageKind.TimeoutNow, To = to, Round = _round });

    /// <summary>One heartbeat to everybody: it keeps followers, renews the lease, serves reads, and carries the commit index.</summary>
    private void StartRound()
    {
        _round++;
        _heartbeatAt = _core.Now + _core.Settings.HeartbeatInterval;
        if (KnowsCommit)
            _reads.RoundStarts(_round, _core.Commit);
        MessageFlags flags = _handover.IsUnderWay ? MessageFlags.Transferring : MessageFlags.None;
        if (MayQuiesce())
        {
            flags |= MessageFlags.Quiesce;
            if (_quiesceRound == 0)
                _quiesceRound = _round;
        }
        else
        {
            _quiesceRound = 0;
        }

        LogIndex committedInGroup = LeaseEnd > _core.Now ? _core.Commit : LogIndex.Zero;
        foreach (Progress peer in _peers.Others)
        {
            _core.Send(new RaftMessage
            {
                Kind = MessageKind.Heartbeat,
                Flags = flags,
                To = peer.Id,
                Commit = LogIndex.Least(peer.MatchIndex, _core.Commit),
                Round = _round,
                SentAt = _core.Now,
                Echo = peer.Echo,
                LastIndex = committedInGroup,
            });
        }

        ConfirmReads();
        MaybeQuiesce();
    }

    private void OnAppendResponse(Progress peer, in RaftMessage message)
    {
        if (message.Rejects)
        {
            Work();
            LogIndex hint = message.LogTerm > Term.Zero
                ? _core.Log.LastNotAbove(message.LastIndex, message.LogTerm).Index
                : message.LastIndex;
            peer.Refused(message.Index, hint);
            return;
        }

        Check.That(message.Index <= _core.Log.LastIndex, $"{peer.Id} acknowledged {message.Index}, the log ends at {_core.Log.LastIndex}");
        bool isNews = peer.Acknowledged(message.Index);
        bool isWhereProbed = peer.State == ReplicationState.Probe && peer.MatchIndex == message.Index;
        if ((isNews || isWhereProbed) && peer.State != ReplicationState.Replicate && peer.MatchIndex >= LogIndex.Greatest(_core.Log.BaseIndex, peer.SnapshotUntil))
            peer.BecomeReplicate();
        if (!isNews)
            return;
        Count();
        if (_handover.To == peer.Id)
            MaybeHandOver();
    }

    private void OnHeartbeatResponse(Progress peer, in RaftMessage message)
    {
        Check.That(message.Round <= _round);
        peer.AckedRound = Math.Max(peer.AckedRound, message.Round);
        peer.Echo = message.Echo;
        peer.Declines = (message.Flags & MessageFlags.Declines) != 0;
        if (peer.Declines)
            MaybeGiveUpHandover(peer);
        if (!_handover.IsUnderWay && message.SentAt > _handover.LeaseFloor && message.SentAt > peer.AckedSentAt)
            peer.AckedSentAt = message.SentAt;
        peer.HeartbeatAnswered(message.SentAt);
        bool stands = peer.MatchIndex == peer.MatchAtHeartbeat && peer.NextIndex.Previous > peer.MatchIndex;
        peer.DoubtsNext = peer.State == ReplicationState.Replicate && stands;
        peer.MatchAtHeartbeat = peer.MatchIndex;
        ConfirmReads();
        if ((message.Flags & MessageFlags.Quiesce) == 0 || _quiesceRound == 0)
            return;
        peer.QuiescedRound = Math.Max(peer.QuiescedRound, message.Round);
        MaybeQuiesce();
    }

    private void ConfirmReads()
    {
        var round = (ulong)Reached(QuorumMeasure.AckedRound, (long)_round);
        if (_reads.Confirmed(round, out ulong batch, out LogIndex index))
            _core.ReadsConfirmed = new ReadReady(_core.Term, batch, index);
    }

    private bool MayQuiesce()
    {
        RaftSettings settings = _core.Settings;
        LogIndex last = _core.Log.LastIndex;
        if (settings.QuiesceAfter == TimeSpan.MaxValue || _core.Now - _workedAt < settings.QuiesceAfter || _handover.IsUnderWay
            || !_reads.IsIdle || _core.Applied != last || _core.Writes.SyncedIndex != last || Configuration.IsJoint)
            return false;
        foreach (Progress peer in _peers.Others)
        {
            if (!peer.IsSuspected && peer.MatchIndex != last)
                return false;
        }

        return true;
    }

    /// <summary>Goes quiet when all who are not taken for dead, and a majority, have said that they did.</summary>
    private void MaybeQuiesce()
    {
        if (_quiesceRound == 0 || (ulong)Reached(QuorumMeasure.QuiescedRound, long.MaxValue) < _quiesceRound)
            return;
        foreach (Progress peer in _peers.Others)
        {
            if (!peer.IsSuspected && peer.QuiescedRound < _quiesceRound)
                return;
        }

        _core.Quiesced = true;
        foreach (Progress peer in _peers.Others)
            peer.Trim();
    }
}
