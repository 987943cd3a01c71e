using System.Collections.Concurrent;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups;

/// <summary>What comes from outside of the mailbox, and the clock.</summary>
internal sealed partial class GroupHost
{
    // All groups hear of a sync at most so often; those whose writes it made durable, always.
    private static readonly TimeSpan s_tellAll = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentQueue<ReceivedItem> _spareItems = new();
    private readonly Lock _gatherLock = new();
    private readonly List<RaftGroup> _starved = [];
    private readonly List<RaftGroup> _goingOn = [];
    private readonly TickItem _tick;
    private readonly DurableItem _durableItem;
    private readonly GoOnItem _goOnItem;
    private bool _goingOnPosted;
    private readonly ITimer _timer;
    private readonly ITimer _goOnTimer;
    private ReceivedItem? _gathering;
    private WriteRefusal? _journalRefusal;
    private WriteRefusal? _suspension;
    private TimeSpan _armedFor = TimeSpan.MaxValue;
    private TimeSpan _syncedAt;
    private TimeSpan _toldAllAt = TimeSpan.MinValue;
    private bool _stalled;

    /// <summary>A batch for <see cref="Receive"/>, which is copied. It waits for <see cref="Settled"/>. Any thread.</summary>
    public void Gather(NodeId from, ReadOnlySpan<byte> batch)
    {
        MessageBuffer copy = MessageBuffer.Copy(batch);
        lock (_gatherLock)
        {
            if (_gathering is null && !_spareItems.TryDequeue(out _gathering))
                _gathering = new ReceivedItem(this);
            _gathering.Batches.Add((from, copy));
        }
    }

    /// <summary>All that had come is gathered, and becomes one item of the mailbox: one turn for all of it. Any thread.</summary>
    public void Settled()
    {
        ReceivedItem? gathered;
        lock (_gatherLock)
            (gathered, _gathering) = (_gathering, null);
        if (gathered is not null)
            _mailbox!.Post(gathered);
    }

    /// <summary>Everything that the journal was given up to here is on stable storage. Any thread.</summary>
    public void Durable(LogPosition position) => _durableItem.Post(position);

    /// <summary>The journal takes nothing more: until there is room, or until the node is started anew. Any thread.</summary>
    public void Failed(JournalFailure failure, Exception cause)
    {
        Volatile.Write(ref _journalRefusal, (failure, cause) switch
        {
            (JournalFailure.DiskFull, _) => new WriteRefusal(
                WriteRefusal.FullDisk, $"disk full: this node leads nothing and takes no writes; {FreeSome} and it goes on by itself. {cause.Message}"),
            (_, FolderLostException) => new WriteRefusal(
                "IOERR", $"{cause.Message}; this node leads nothing and takes no writes: put it back, then restart it"),
            _ => new WriteRefusal("IOERR", "the disk failed: this node leads nothing and takes no writes; check the disk, then restart it. " + cause.Message),
        });
        _mailbox?.Post(new FailedItem(this));
    }

    private string FreeSome => Options.RoomBytes == 0 ? "free some space" : $"free {Options.RoomBytes >> 20} MiB";

    /// <summary>
    /// The journal has room again: what the members asked for meanwhile is written, and when it is durable they go on, as after
    /// a disk that took long.
    /// </summary>
    public void Resume()
    {
        // Before the writing: it may fail again, and then that stands.
        WriteRefusal? before = Interlocked.Exchange(ref _journalRefusal, null);
        LogPosition position = Journal.Resume(id => _groups[id].Entries);
        _pending.WrittenAgain(position, Now());
        if (position == LogPosition.Max)
            Interlocked.CompareExchange(ref _journalRefusal, before, comparand: null);
        Journal.RequestSync();
        Arm();
    }

    /// <summary>
    /// For a reason beside the journal this node takes no writes, and leads nothing so that others do; null: no longer.
    /// </summary>
    public void Suspend(WriteRefusal? reason)
    {
        if (reason?.Message == _suspension?.Message)
            return;
        Volatile.Write(ref _suspension, reason);
        if (reason is not null)
        {
            Stall(Now());
            return;
        }

        // The next sync is the sign that members wait for.
        _wantsProbe = Refusal is null;
    }

    public void PeerConnected(NodeId peer) => TellOf(peer, isThere: true);

    public void PeerDisconnected(NodeId peer) => TellOf(peer, isThere: false);

    private void TellOf(NodeId peer, bool isThere)
    {
        // What it said before comes first.
        Settled();
        _mailbox!.Post(new PeerItem(this, peer, isThere));
    }

    private void PostTick()
    {
        if (!_disposed)
            _mailbox?.Post(_tick);
    }

    private void PostGoOn()
    {
        if (!_disposed)
            _mailbox?.Post(_goOnItem);
    }

    private void Tick()
    {
        _armedFor = TimeSpan.MaxValue;
        if (_disposed)
            return;
        TimeSpan now = Now();
        bool leads = false;
        foreach (RaftGroup group in _ordered)
        {
            group.Tick(now);
            leads |= NeedsDisk(group);
        }

        if (!_pending.IsEmpty && !_stalled && now - _pending.OldestAt > Settings.DiskStallMax)
            Stall(Now());

        // A leader's lease needs a sign of life of the disk, and so does whoever waits for one; nobody else may have written.
        if ((leads || _stalled) && _pending.IsEmpty && now - _syncedAt >= Settings.LeaseDiskSilenceMax / 3 && Refusal is null)
            _wantsProbe = true;
        Arm();
    }

    /// <summary>The timer is set for the earliest that any group wants.</summary>
    private void Arm()
    {
        TimeSpan wake = TimeSpan.MaxValue;
        bool leads = false;
        foreach (RaftGroup group in _ordered)
        {
            wake = Earlier(wake, group.WakeAt);
            leads |= NeedsDisk(group);
        }

        ArmFor(wake, leads);
    }

    /// <summary>
    /// It may come closer; that it moved away is found out when the timer fires, so that a turn need not ask every group.
    /// </summary>
    private void ArmFor(TimeSpan wake, bool leads)
    {
        if (_disposed)
            return;
        if (!_pending.IsEmpty && !_stalled)
            wake = Earlier(wake, _pending.OldestAt + Settings.DiskStallMax);
        if ((leads || _stalled) && Refusal is null)
            wake = Earlier(wake, _syncedAt + (Settings.LeaseDiskSilenceMax / 3));
        if (wake == TimeSpan.MaxValue)
            return;
        TimeSpan now = Now();
        long step = Options.TickStep.Ticks;
        var due = TimeSpan.FromTicks((((wake > now ? wake : now).Ticks / step) + 1) * step);
        if (due >= _armedFor)
            return;
        _armedFor = due;
        _timer.Change(due - now, Timeout.InfiniteTimeSpan);
    }

    private void SyncedTo(LogPosition durable)
    {
        TimeSpan now = Now();
        TimeSpan began = TimeSpan.MinValue;
        while (_pending.TryTake(durable, out TimeSpan at, out int writes))
        {
            began = at;
            while (writes-- > 0)
            {
                PendingWrites.GroupWrite write = _pending.TakeWrite();
                write.Group.Synced(now, write.Write);
            }
        }

        if (began == TimeSpan.MinValue)
            return;
        _syncedAt = began > _syncedAt ? began : _syncedAt;
        if (!_stalled && _toldAllAt > now - s_tellAll)
            return;
        (_stalled, _toldAllAt) = (false, now);
        foreach (RaftGroup group in _ordered)
            group.DiskSynced(now, began);

        // A disk that answers is not yet one that takes all there is to write.
        if (Refusal is not null)
            Stall(Now());
    }

    /// <summary>No group is led from here until the disk answers.</summary>
    private void Stall(TimeSpan now)
    {
        _stalled = true;
        foreach (RaftGroup group in _ordered)
            group.DiskStalled(now);
    }

    // A leader that sleeps has no lease to keep.
    private static bool NeedsDisk(RaftGroup group) => group.IsServing && !group.IsQuiet;

    private static TimeSpan Earlier(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private sealed class ReceivedItem(GroupHost host) : IMailboxItem
    {
        public List<(NodeId From, MessageBuffer Bytes)> Batches { get; } = [];

        public void Run(Execution execution)
        {
            foreach ((NodeId from, MessageBuffer bytes) in Batches)
            {
                host.Receive(from, bytes.Bytes);
                bytes.Dispose();
            }

            Batches.Clear();
            host._spareItems.Enqueue(this);
        }
    }

    private sealed class DurableItem(GroupHost host) : IMailboxItem
    {
        private ulong _position;
        private int _posted;

        public void Post(LogPosition position)
        {
            ulong seen = Volatile.Read(ref _position);
            while (position.Value > seen)
            {
                ulong now = Interlocked.CompareExchange(ref _position, position.Value, seen);
                if (now == seen)
                    break;
                seen = now;
            }

            if (Interlocked.Exchange(ref _posted, 1) == 0)
                host._mailbox?.Post(this);
        }

        public void Run(Execution execution)
        {
            // Before the position is read: what comes from now on posts again.
            Interlocked.Exchange(ref _posted, 0);
            host.SyncedTo(new LogPosition(Volatile.Read(ref _position)));
        }
    }

    private sealed class TickItem(GroupHost host) : IMailboxItem
    {
        public void Run(Execution execution) => host.Tick();
    }

    private sealed class GoOnItem(GroupHost host) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            host._goingOnPosted = false;
            foreach (RaftGroup group in host._starved)
                host.Touch(group);
            foreach (RaftGroup group in host._goingOn)
                host.Touch(group);
            host._starved.Clear();
            host._goingOn.Clear();
        }
    }

    /// <summary>What was not written never will be: this node leads nothing, and votes for nobody that it could not remember.</summary>
    private sealed class FailedItem(GroupHost host) : IMailboxItem
    {
        public void Run(Execution execution) => host.Stall(host.Now());
    }

    private sealed class PeerItem(GroupHost host, NodeId peer, bool isThere) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            TimeSpan now = host.Now();
            _ = isThere ? host._absent.Remove(peer) : host._absent.Add(peer);
            foreach (RaftGroup group in host._ordered)
            {
                if (isThere)
                {
                    group.PeerAlive(now, peer);
                    continue;
                }

                group.PeerUnreachable(now, peer);
                group.PeerSuspected(now, peer);
            }

            host.Arm();
        }
    }
}
