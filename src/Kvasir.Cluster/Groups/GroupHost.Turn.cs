using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups;

/// <summary>The end of a turn.</summary>
internal sealed partial class GroupHost
{
    private bool _hasForgotten;
    private bool _hasGathered;
    private bool _wantsProbe;
    private bool _hasSent;
    private TimeSpan _wake;
    private bool _leads;
    private long _oldBytesLeft;
    private long _applyBytesLeft;
    private long _receivedBytes;

    /// <summary>What may still be applied from the log in this turn.</summary>
    public long ApplyBytesLeft => _applyBytesLeft;

    /// <summary>Of the group that applies entries now.</summary>
    public GatheredEntries ToApply { get; } = new();

    /// <summary>What may still go to followers that lag behind, in this turn.</summary>
    public long OldBytesLeft => _oldBytesLeft;

    /// <summary>
    /// Called when an item of the mailbox ends. What the touched groups want goes into one journal record and one batch for
    /// each peer; nothing of it waits. A round may make another necessary: a batch that did not leave, for example.
    /// </summary>
    public void EndTurn()
    {
        if (_touched.Count == 0 && !_wantsProbe && !_hasGathered)
            return;
        if (_disposed || _hasForgotten)
        {
            _touched.Clear();
            return;
        }

        (_wake, _leads) = (TimeSpan.MaxValue, false);

        // Who is sent more than it applies falls behind until memory is short, and then has to read back what it had.
        (_oldBytesLeft, _applyBytesLeft) = (Options.OldBytesPerTurn, Math.Max(Options.ApplyBytesPerTurn, 2 * _receivedBytes));
        _receivedBytes = 0;
        do
            Round();
        while (_touched.Count > 0);
        if (_hasSent)
            _transport!.Flush();
        _hasSent = false;
        foreach (RaftGroup group in _moved)
            Listener?.Durable(group, group.DurablePosition);
        _moved.Clear();
        if (Memory.IsFull)
            Shed();
        ArmFor(_wake, _leads);
    }

    /// <summary>The member's write goes into the record of this round.</summary>
    public void Written(RaftGroup group, WriteNumber write)
    {
        _pending.Gather(group, write);
        _hasGathered = true;
    }

    public void Send(RaftGroup group, in RaftMessage message)
    {
        NodeId peer = GroupMember.NodeOf(message.To);
        PeerOutbox outbox = OutboxOf(peer);
        if (!outbox.TryAdd(group, message))
            _unreachable.Add((group, peer));
        if (outbox.Length >= Options.BatchBytesMax)
            Flush(outbox);
    }

    /// <summary>
    /// There is more to do than fits in a turn: another follows, behind what waits in the mailbox; first of all for those who got nothing
    /// of this one.
    /// </summary>
    public void GoOn(RaftGroup group, bool isStarved)
    {
        (isStarved ? _starved : _goingOn).Add(group);
        if (_goingOnPosted)
            return;
        _goingOnPosted = true;

        // By another thread: whoever happens to run the mailbox, a loop that has connections for example, would not get away from it
        // before all of it is done.
        _goOnTimer.Change(TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Followers of the group got so much of what they lack.</summary>
    public void SentOld(RaftGroup group, long bytes, bool holdsBack)
    {
        _oldBytesLeft -= bytes;
        if (holdsBack)
            GoOn(group, isStarved: bytes == 0);
    }

    public void AppliedBytes(long bytes) => _applyBytesLeft -= bytes;

    private void Round()
    {
        (_turn, _touched) = (_touched, _turn);
        TimeSpan now = Now();
        foreach (RaftGroup group in _turn)
        {
            group.IsTouched = false;
            if (group.TakeReady(now, _ready) && !_moved.Contains(group))
                _moved.Add(group);
            _wake = Earlier(_wake, group.WakeAt);
            _leads |= NeedsDisk(group);
        }

        _turn.Clear();
        WriteJournal(now);
        foreach (PeerOutbox outbox in _outboxes)
            Flush(outbox);
        foreach ((RaftGroup group, NodeId peer) in _unreachable)
            group.PeerUnreachable(now, peer);
        _unreachable.Clear();
    }

    // A handful: whoever was ever a peer.
    private PeerOutbox OutboxOf(NodeId peer)
    {
        foreach (PeerOutbox outbox in _outboxes)
        {
            if (outbox.Peer == peer)
                return outbox;
        }

        _outboxes.Add(new PeerOutbox(peer));
        return _outboxes[^1];
    }

    private void WriteJournal(TimeSpan now)
    {
        bool isAwaited = _pending.HasGathered || _wantsProbe;
        if (_wantsProbe)
            Journal.Probe();
        if (!isAwaited && !_hasGathered)
            return;
        (_wantsProbe, _hasGathered) = (false, false);
        LogPosition position = Journal.Write();

        // What nobody waits for may have been written, and be durable, before: no notice of it would come.
        if (isAwaited)
            _pending.Written(position, now);
        Journal.RequestSync();
    }

    private void Flush(PeerOutbox outbox)
    {
        if (outbox.IsEmpty)
            return;
        _hasSent = true;
        if (_transport!.Send(outbox.Peer, outbox.Bytes, more: true) != SendOutcome.Queued)
        {
            foreach (RaftGroup group in outbox.Appending)
                _unreachable.Add((group, outbox.Peer));
        }

        outbox.Clear();
    }

    /// <summary>Memory for entries is short: every group keeps its share.</summary>
    private void Shed()
    {
        long share = Memory.BytesMax / 2;
        for (; Memory.IsFull && share > 0; share = share < 4096 ? 0 : share / 4)
        {
            foreach (RaftGroup group in _ordered)
                group.Shed(share);
        }
    }
}
