using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Replication;

/// <summary>How a leader sends to a follower.</summary>
public enum ReplicationState : byte
{
    /// <summary>Where the logs meet is not known: one append at a time, until one is accepted.</summary>
    Probe = 0,

    /// <summary>Appends follow one another without waiting, within the window.</summary>
    Replicate = 1,

    /// <summary>What it needs is compacted away, or more than a snapshot: nothing is appended until that has arrived.</summary>
    Snapshot = 2,
}

/// <summary>
/// What a leader knows of one follower. Invariant: match &lt; next; match is durable there and equal to the leader's log.
/// </summary>
internal sealed class Progress(MemberId id)
{
    private InflightWindow _inflight;
    private LogIndex _probeLast;

    public MemberId Id { get; } = id;

    public ReplicationState State { get; private set; }

    public LogIndex MatchIndex { get; private set; }

    public LogIndex NextIndex { get; private set; } = new(1);

    /// <summary>In Probe: an append is out, and nothing else goes before it is answered or a heartbeat is.</summary>
    public bool ProbeSent { get; private set; }

    /// <summary>When that append was sent.</summary>
    public TimeSpan ProbeSentAt { get; private set; }

    /// <summary>In Replicate: an append without entries is owed, to find out whether one was lost.</summary>
    public bool DoubtsNext { get; set; }

    /// <summary>The commit index of the last append that was sent, unless it may be lost.</summary>
    public LogIndex CommitSent { get; set; }

    /// <summary>Where match stood at the last heartbeat's answer.</summary>
    public LogIndex MatchAtHeartbeat { get; set; }

    /// <summary>When it was last heard of, whatever it said.</summary>
    public TimeSpan HeardAt { get; set; }

    /// <summary>On the leader's clock, when the newest heartbeat that it answered was sent; what leases are counted from.</summary>
    public TimeSpan AckedSentAt { get; set; } = TimeSpan.MinValue;

    /// <summary>The newest heartbeat round that it answered.</summary>
    public ulong AckedRound { get; set; }

    /// <summary>The number of an answer that has arrived from it, for it to see that what is sent now was sent later.</summary>
    public ulong Echo { get; set; }

    /// <summary>The newest heartbeat round at which it stopped its clock.</summary>
    public ulong QuiescedRound { get; set; }

    /// <summary>The node's failure detector takes it for dead: quiescence does not wait for it.</summary>
    public bool IsSuspected { get; set; }

    /// <summary>It does not want to lead: its node is about to stop.</summary>
    public bool Declines { get; set; }

    /// <summary>A snapshot is wanted and the driver has not been told.</summary>
    public bool WantsSnapshot { get; set; }

    /// <summary>In Snapshot: what it lacks up to here is in the log and comes with the snapshot all the same.</summary>
    public LogIndex SnapshotUntil { get; private set; }

    public int InflightMessages => _inflight.Messages;

    public long InflightBytes => _inflight.Bytes;

    public void Reset(LogIndex next)
    {
        MatchIndex = LogIndex.Zero;
        NextIndex = next;
        BecomeProbe();
    }

    public void BecomeProbe()
    {
        State = ReplicationState.Probe;
        ProbeSent = DoubtsNext = WantsSnapshot = false;
        _probeLast = CommitSent = SnapshotUntil = LogIndex.Zero;
        _inflight.Clear();
    }

    /// <summary>What is on its way may be lost: begin again behind what is known to be there.</summary>
    public void BackToProbe()
    {
        BecomeProbe();
        NextIndex = MatchIndex.Next;
    }

    /// <summary>A snapshot has arrived there, or its stream has failed (zero); the next heartbeat's answer lets the probe go on.</summary>
    public void SnapshotFinished(LogIndex installed, TimeSpan now)
    {
        BecomeProbe();
        NextIndex = LogIndex.Greatest(NextIndex, LogIndex.Greatest(MatchIndex, installed).Next);
        (ProbeSent, ProbeSentAt) = (true, now);
    }

    /// <summary>An append was accepted. What the probe carried is there, too, if not durable yet: it is not sent again.</summary>
    public void BecomeReplicate()
    {
        LogIndex there = LogIndex.Greatest(MatchIndex, _probeLast);
        BecomeProbe();
        State = ReplicationState.Replicate;
        NextIndex = there.Next;
    }

    /// <param name="until">It has to have this before entries are sent again; zero where the log says by itself what it has.</param>
    public void BecomeSnapshot(LogIndex until)
    {
        BecomeProbe();
        (State, WantsSnapshot, SnapshotUntil) = (ReplicationState.Snapshot, true, until);
    }

    /// <summary>The follower has everything up to this index, durably; false when that is not news.</summary>
    public bool Acknowledged(LogIndex index)
    {
        if (index <= MatchIndex)
            return false;
        MatchIndex = index;
        NextIndex = LogIndex.Greatest(NextIndex, MatchIndex.Next);
        _inflight.FreeTo(index);
        ProbeSent = false;
        return true;
    }

    /// <summary>
    /// The follower refused an append after <paramref name="refused"/> and offers to try after <paramref name="hint"/>;
    /// false when the refusal is of an older append.
    /// </summary>
    public bool Refused(LogIndex refused, LogIndex hint)
    {
        if (State == ReplicationState.Replicate)
        {
            if (refused <= MatchIndex)
                return false;
            BecomeProbe();
            NextIndex = LogIndex.Greatest(LogIndex.Least(refused, hint.Next), MatchIndex.Next);
            return true;
        }

        if (NextIndex.Previous != refused || State != ReplicationState.Probe)
            return false;
        NextIndex = LogIndex.Greatest(LogIndex.Least(refused, hint.Next), MatchIndex.Next);
        ProbeSent = false;
        _probeLast = LogIndex.Zero;
        return true;
    }

    /// <summary>A heartbeat was answered that was sent at this time: an append from before it has had its chance.</summary>
    public void HeartbeatAnswered(TimeSpan sentAt)
    {
        if (sentAt > ProbeSentAt)
            ProbeSent = false;
    }

    public bool HasRoom(int messagesMax, long bytesMax) => State switch
    {
        ReplicationState.Probe => !ProbeSent,
        ReplicationState.Replicate => _inflight.Messages < messagesMax && (_inflight.Bytes < bytesMax || _inflight.Messages == 0),
        _ => false,
    };

    /// <summary>Entries up to this index are on their way; none when <paramref name="last"/> is below next.</summary>
    public void Sent(LogIndex last, long bytes, TimeSpan now)
    {
        DoubtsNext = false;
        if (State == ReplicationState.Probe)
        {
            (ProbeSent, ProbeSentAt, _probeLast) = (true, now, last);
            return;
        }

        Check.That(State == ReplicationState.Replicate);
        if (last < NextIndex)
            return;
        _inflight.Add(last, bytes);
        NextIndex = last.Next;
    }

    public void Trim() => _inflight.Trim();
}
