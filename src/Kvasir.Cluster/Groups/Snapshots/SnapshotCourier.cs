using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// Moves snapshots between nodes: streams them to followers that need one, as fast as they take it and as the node's rate
/// allows, and stages those that come. A stream whose link breaks goes on where it was when there is another; one whose sender leads
/// no more comes to nothing, and another is begun by whoever leads.
/// Belongs to the mailbox, but for <see cref="Post"/>.
/// </summary>
internal sealed partial class SnapshotCourier(
    GroupHost host, ITransport transport, ISnapshotFolders folders, ReplicaMailbox mailbox, IScheduler scheduler, SeededRandom random, long bytesPerSecond,
    Action<string> warn)
    : ISnapshotCourier, IDisposable
{
    // A link may be away for so long, and the stream goes on.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    // What is on its way for so long is lost.
    private static readonly TimeSpan s_lostAfter = TimeSpan.FromSeconds(5);

    // For those who read of the engine that a snapshot took the place of, outside of the mailbox.
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(5);

    private readonly List<SnapshotSender> _senders = [];
    private readonly SortedList<GroupId, SnapshotReceiver> _receivers = [];
    private readonly List<Retired> _retired = [];
    private readonly BytesBuffer _acknowledgement = new(64);

    // Of which it was said that their snapshots are of another format: once for each link.
    private readonly SortedSet<NodeId> _foreign = [];

    /// <summary>Those that are under way from here.</summary>
    public IEnumerable<ulong> Streams => _senders.Select(static s => s.Stream);

    /// <summary>Of all streams, with what was sent again.</summary>
    public long BytesSent { get; private set; }

    /// <summary>Any thread.</summary>
    public SnapshotTotals Totals => new()
    {
        Waiting = _waiting.Count,
        Sending = _senders.Count,
        Receiving = _receivers.Count,
        SentBytes = BytesSent,
        ReceivedBytes = _bytesReceived,
        Delivered = _delivered,
        Undelivered = _undelivered,
        Installed = _installed,
        Failed = _failed,
        Refused = _refused,
    };

    public bool IsIdle => _waiting.Count == 0 && _senders.Count == 0 && _receivers.Count == 0 && _retired.Count == 0;

    /// <summary>A snapshot is on its way to this replica, or the engine that the last one replaced is still there.</summary>
    public bool IsReplacing(RaftGroup group) => _receivers.ContainsKey(group.Id) || _retired.Exists(r => r.Group == group);

    /// <summary>A snapshot is read from this engine.</summary>
    public bool Reads(IStorageEngine engine) => _senders.Exists(s => s.Source == engine);

    /// <summary>A message of one of the two channels; its bytes are copied. Any thread.</summary>
    public void Post(NodeId from, ReadOnlySpan<byte> message) =>
        mailbox.Post(new MessageItem(this, from, MessageBuffer.Copy(message)));

    /// <summary>By the clock, a few times a second.</summary>
    public void Tick()
    {
        if (IsIdle)
            return;
        TimeSpan now = host.Now();
        Look(now);
        foreach (SnapshotSender sender in _senders.ToArray())
        {
            if ((sender.HasBegun && now - sender.HeardAt > s_patience) || !sender.Leads)
                Finish(sender, LogIndex.Zero, now);
            else if (sender.HasBegun && now - sender.MovedAt > s_lostAfter)
                GoBack(sender, now);
        }

        foreach (SnapshotReceiver receiver in _receivers.Values.ToArray())
        {
            if (receiver.IsInFiles)
                Install(receiver, now);
            else if (receiver.HasFailed)
                GiveUp(receiver);
            else if (receiver.IsWhole)
                Acknowledge(receiver, SnapshotProgress.Receiving);
            else if (now - receiver.HeardAt > s_patience)
                GiveUp(receiver);
            else if (receiver.OwesAcknowledgement)
                AcknowledgeWhenReady(receiver);
        }

        foreach (Retired retired in _retired.Where(r => IsDone(r, now)).ToArray())
        {
            _retired.Remove(retired);
            Dispose(retired);
        }
    }

    /// <summary>There is a link again: what was on its way on the last one is lost.</summary>
    public void PeerFound(NodeId peer)
    {
        TimeSpan now = host.Now();
        _foreign.Remove(peer);

        // It may be another one by now, or have what it lacked.
        foreach ((GroupId, MemberId To) pause in _pauses.Keys.Where(p => GroupMember.NodeOf(p.To) == peer).ToArray())
            _pauses.Remove(pause);
        foreach (SnapshotSender sender in _senders.Where(s => s.To == peer).ToArray())
            GoBack(sender, now);
        if (_senders.Exists(s => s.To == peer))
            Pump(now);
    }

    /// <summary>The group is no longer this node's.</summary>
    public void Closed(RaftGroup group)
    {
        foreach (SnapshotSender sender in _senders.Where(s => s.Group == group).ToArray())
            End(sender);
        if (_receivers.TryGetValue(group.Id, out SnapshotReceiver? receiver))
            Drop(receiver);
        _failures.Remove(group.Id);
        foreach (Retired retired in _retired.Where(r => r.Group == group).ToArray())
        {
            _retired.Remove(retired);
            retired.Engine.Dispose();
        }
    }

    /// <summary>The node stops.</summary>
    public void Dispose()
    {
        _looks?.Dispose();
        foreach (SnapshotSender sender in _senders)
            sender.Dispose(stops: true);
        foreach (SnapshotReceiver receiver in _receivers.Values)
            receiver.Drop(discard: null);
        foreach (Retired retired in _retired)
            retired.Engine.Dispose();
        _waiting.Clear();
        _senders.Clear();
        _receivers.Clear();
        _retired.Clear();
    }

    private void Receive(NodeId from, ReadOnlySpan<byte> message)
    {
        if (SnapshotCodec.IsOfOtherFormat(message, out byte version))
        {
            // Entries of the log go on between the two; it is those who lag far behind that wait.
            if (_foreign.Add(from))
                warn($"node {from} sends snapshots of format {version}, and this node has format {SnapshotCodec.FormatVersion}: copies of shards that lag far behind, or are new, wait until both run the same version of Kvasir");
            return;
        }

        if (message[0] == Channel.SnapshotAcknowledgements)
            Acknowledged(from, message);
        else if (SnapshotCodec.TryReadChunk(message, out GroupId group, out ulong stream, out ulong number, out SnapshotChunkFlags flags, out ReadOnlySpan<byte> content))
        {
            _bytesReceived += message.Length;
            Arrived(from, group, stream, number, flags, content);
        }
    }

    private sealed record Retired(RaftGroup Group, IStorageEngine Engine, string Successor, LogIndex Index, TimeSpan Since);

    private sealed class MessageItem(SnapshotCourier courier, NodeId from, MessageBuffer message) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            using (message)
                courier.Receive(from, message.Bytes);
        }
    }

    private sealed class LookItem(SnapshotCourier courier) : IMailboxItem
    {
        public void Run(Execution execution) => courier.Look(courier.Host.Now());
    }

    private sealed class MovedItem(SnapshotCourier courier, SnapshotReceiver receiver) : IMailboxItem
    {
        public void Run(Execution execution) => courier.Moved(receiver);
    }

    private sealed class DamagedItem(RaftGroup group, IStorageEngine engine, CorruptionException damage) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            if (!group.IsClosed && group.Replica.Engine == engine)
                group.Damaged(damage);
        }
    }

    private GroupHost Host => host;
}
