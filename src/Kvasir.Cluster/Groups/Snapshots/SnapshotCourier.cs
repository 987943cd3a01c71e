using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// Moves snapshots between nodes: streams them to followers that need one, as fast as they take it and as the node's rate
/// allows, and stages those that come. A stream whose link breaks goes on where it was when there is another; one whose sender leads
/// no more comes to nothing, and another is begun by whoever leads.
/// Belongs to the mailbox, but for <see cref="Post"/>.
/// </summary>
internal sealed class SnapshotCourier(
    GroupHost host, ITransport transport, ISnapshotFolders folders, ReplicaMailbox mailbox, SeededRandom random, long bytesPerSecond) : ISnapshotCourier
{
    // A link may be away for so long, and the stream goes on.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    // What is on its way for so long is lost.
    private static readonly TimeSpan s_lostAfter = TimeSpan.FromSeconds(5);

    // For those who read of the engine that a snapshot took the place of, outside of the mailbox.
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(5);

    private readonly List<SnapshotSender> _senders = [];
    private readonly SortedList<GroupId, SnapshotReceiver> _receivers = [];
    private readonly SortedList<GroupId, SnapshotOffered> _offers = [];
    private readonly List<Retired> _retired = [];
    private readonly BytesBuffer _acknowledgement = new(64);
    private TimeSpan _filledAt;
    private long _bytesLeft;

    /// <summary>Those that are under way from here.</summary>
    public IEnumerable<ulong> Streams => _senders.Select(static s => s.Stream);

    /// <summary>Of all streams, with what was sent again.</summary>
    public long BytesSent { get; private set; }

    public bool IsIdle => _senders.Count == 0 && _receivers.Count == 0 && _retired.Count == 0;

    /// <summary>A snapshot is on its way to this replica, or the engine that the last one replaced is still there.</summary>
    public bool IsReplacing(RaftGroup group) => _receivers.ContainsKey(group.Id) || _retired.Exists(r => r.Group == group);

    /// <summary>A snapshot is read from this engine.</summary>
    public bool Reads(IStorageEngine engine) => _senders.Exists(s => s.Source == engine);

    /// <summary>A message of one of the two channels; its bytes are copied. Any thread.</summary>
    public void Post(NodeId from, ReadOnlySpan<byte> message) =>
        mailbox.Post(new MessageItem(this, from, MessageBuffer.Copy(message)));

    public void Wanted(RaftGroup group, in SnapshotWanted wanted)
    {
        NodeId to = GroupMember.NodeOf(wanted.To);
        End(_senders.Find(s => s.Group == group && s.To == to));
        SnapshotHead head = group.StableHead();
        Check.That(head.Index >= wanted.AtLeast);
        try
        {
            _senders.Add(new SnapshotSender(group, wanted.To, random.NextUInt64(), head, host.Now()));
        }
        catch (CorruptionException e)
        {
            group.Damaged(e);
            return;
        }

        host.Send(group, new RaftMessage
        {
            Kind = MessageKind.SnapshotOffer,
            From = group.Member.Id,
            To = wanted.To,
            Term = wanted.Term,
            Index = head.Index,
            LogTerm = head.Term,
        });
        mailbox.Post(new PumpItem(this));
    }

    public void Offered(RaftGroup group, in SnapshotOffered offer) => _offers[group.Id] = offer;

    /// <summary>By the clock, a few times a second.</summary>
    public void Tick()
    {
        if (IsIdle)
            return;
        TimeSpan now = host.Now();
        Pump(now);
        foreach (SnapshotSender sender in _senders.ToArray())
        {
            if (now - sender.HeardAt > s_patience || sender.Group.Role != RaftRole.Leader)
                Finish(sender, LogIndex.Zero, now);
            else if (now - sender.MovedAt > s_lostAfter)
                GoBack(sender, now);
        }

        foreach (SnapshotReceiver receiver in _receivers.Values.ToArray())
        {
            if (receiver.IsInFiles)
                Install(receiver, now);
            else if (receiver.Engine.BackgroundFailure is not null)
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
        foreach (Retired retired in _retired.Where(r => r.Group == group).ToArray())
        {
            _retired.Remove(retired);
            retired.Engine.Dispose();
        }

        _offers.Remove(group.Id);
    }

    /// <summary>The node stops.</summary>
    public void Stop()
    {
        foreach (SnapshotSender sender in _senders)
            sender.Dispose();
        foreach (SnapshotReceiver receiver in _receivers.Values)
            receiver.Engine.Dispose();
        foreach (Retired retired in _retired)
            retired.Engine.Dispose();
        _senders.Clear();
        _receivers.Clear();
        _retired.Clear();
    }

    private void Pump(TimeSpan now)
    {
        // At most what a tenth of a second allows, however long nothing was sent.
        TimeSpan passed = now - _filledAt;
        _filledAt = now;
        long fill = (long)(bytesPerSecond * Math.Min(passed.TotalSeconds, 0.1));
        _bytesLeft = Math.Min(_bytesLeft + fill, bytesPerSecond / 10);
        foreach (SnapshotSender sender in _senders.ToArray())
        {
            try
            {
                long before = _bytesLeft;
                sender.Send(transport, ref _bytesLeft);
                BytesSent += before - _bytesLeft;
            }
            catch (CorruptionException e)
            {
                Damaged(sender, e, now);
            }
        }
    }

    private void GoBack(SnapshotSender sender, TimeSpan now)
    {
        try
        {
            sender.GoBack(now);
        }
        catch (CorruptionException e)
        {
            Damaged(sender, e, now);
        }
    }

    /// <summary>Whoever leads next sends what it has.</summary>
    private void Damaged(SnapshotSender sender, CorruptionException cause, TimeSpan now)
    {
        sender.Group.Damaged(cause);
        Finish(sender, LogIndex.Zero, now);
    }

    private void Receive(NodeId from, ReadOnlySpan<byte> message)
    {
        if (message[0] == Channel.SnapshotAcknowledgements)
            Acknowledged(from, message);
        else if (SnapshotCodec.TryReadChunk(message, out GroupId group, out ulong stream, out ulong number, out SnapshotChunkFlags flags, out ReadOnlySpan<byte> content))
            Arrived(from, group, stream, number, flags, content);
    }

    private void Arrived(NodeId from, GroupId id, ulong stream, ulong number, SnapshotChunkFlags flags, ReadOnlySpan<byte> content)
    {
        if ((flags & SnapshotChunkFlags.First) != 0 && !IsUnderWay(from, id, stream))
            Begin(from, id, stream, ref content);
        if (!IsUnderWay(from, id, stream))
        {
            Acknowledge(from, id, stream, 0, SnapshotProgress.Failed);
            return;
        }

        SnapshotReceiver receiver = _receivers[id];
        receiver.HeardAt = host.Now();

        // It was here before, or one before it was lost: the sender goes back to what is lacking.
        if (number == receiver.Chunks && !receiver.IsWhole && !receiver.TryTake(content, (flags & SnapshotChunkFlags.Last) != 0))
            GiveUp(receiver);
        else
            AcknowledgeWhenReady(receiver);
    }

    /// <summary>At once, or when the engine takes more.</summary>
    private void AcknowledgeWhenReady(SnapshotReceiver receiver)
    {
        receiver.OwesAcknowledgement = receiver.Engine.SuggestWriteDelay(SnapshotSender.ChunkBytes) > TimeSpan.Zero;
        if (!receiver.OwesAcknowledgement)
            Acknowledge(receiver, SnapshotProgress.Receiving);
    }

    private bool IsUnderWay(NodeId from, GroupId id, ulong stream) =>
        _receivers.TryGetValue(id, out SnapshotReceiver? receiver) && receiver.Stream == stream && receiver.From == from;

    private void Begin(NodeId from, GroupId id, ulong stream, ref ReadOnlySpan<byte> content)
    {
        if (!SnapshotCodec.TryReadHead(ref content, out SnapshotHead head) || !host.TryFind(id, out RaftGroup? group)
            || !_offers.TryGetValue(id, out SnapshotOffered offer) || GroupMember.NodeOf(offer.From) != from
            || offer.Index != head.Index || offer.SnapshotTerm != head.Term)
            return;
        _offers.Remove(id);
        if (_receivers.TryGetValue(id, out SnapshotReceiver? before))
            Drop(before);
        try
        {
            IStorageEngine engine = folders.OpenIncoming(group, out string folder, out string name);
            _receivers.Add(id, new SnapshotReceiver(group, from, stream, head, engine, name, folder) { HeardAt = host.Now() });
        }
        catch (StorageException)
        {
            // The sender is told that it comes to nothing.
        }
    }

    private void Acknowledged(NodeId from, ReadOnlySpan<byte> message)
    {
        if (!SnapshotCodec.TryReadAcknowledgement(message, out GroupId group, out ulong stream, out ulong chunks, out SnapshotProgress progress)
            || _senders.Find(s => s.Stream == stream && s.To == from && s.Group.Id == group) is not { } sender)
            return;
        TimeSpan now = host.Now();
        if (progress == SnapshotProgress.Receiving)
        {
            sender.Arrived(chunks, now);
            Pump(now);
            return;
        }

        Finish(sender, progress == SnapshotProgress.Installed ? sender.Head.Index : LogIndex.Zero, now);
    }

    private void Install(SnapshotReceiver receiver, TimeSpan now)
    {
        RaftGroup group = receiver.Group;
        _receivers.Remove(group.Id);
        try
        {
            // Only while the log begins before it: the mark of one that is not installed must never be believed.
            bool installs = group.CommitIndex < receiver.Head.Index;
            if (installs)
            {
                folders.Mark(group, receiver.Folder, receiver.Head.Index);
                installs = group.TryInstall(now, receiver.Head, receiver.Engine, receiver.EngineName, out IStorageEngine before);
                if (installs)
                    _retired.Add(new Retired(group, before, receiver.Folder, receiver.Head.Index, now));
            }

            if (!installs)
                Throw(receiver);
            Acknowledge(receiver, SnapshotProgress.Installed);
        }
        catch (StorageException)
        {
            Throw(receiver);
            Acknowledge(receiver, SnapshotProgress.Failed);
        }
    }

    /// <summary>
    /// The record that begins the log anew is durable: nothing of the new log is before it is. Until then a start would find the log
    /// that was there before, and look for the files that go with it.
    /// </summary>
    private static bool IsDone(Retired retired, TimeSpan now) =>
        now - retired.Since >= s_grace && retired.Group.Member.SyncedIndex >= retired.Index;

    private void Dispose(Retired retired)
    {
        retired.Engine.Dispose();
        try
        {
            folders.DiscardBefore(retired.Group, retired.Successor);
        }
        catch (StorageException)
        {
            // What is left goes at the next start.
        }
    }

    private void GiveUp(SnapshotReceiver receiver)
    {
        Drop(receiver);
        Acknowledge(receiver, SnapshotProgress.Failed);
    }

    private void Drop(SnapshotReceiver receiver)
    {
        _receivers.Remove(receiver.Group.Id);
        Throw(receiver);
    }

    private void Throw(SnapshotReceiver receiver)
    {
        receiver.Engine.Dispose();
        folders.Discard(receiver.Group, receiver.Folder);
    }

    private void Finish(SnapshotSender sender, LogIndex installed, TimeSpan now)
    {
        End(sender);
        sender.Group.SnapshotFinished(now, sender.Member, installed);
    }

    private void End(SnapshotSender? sender)
    {
        if (sender is null)
            return;
        _senders.Remove(sender);
        sender.Dispose();
    }

    private void Acknowledge(SnapshotReceiver receiver, SnapshotProgress progress) =>
        Acknowledge(receiver.From, receiver.Group.Id, receiver.Stream, receiver.Chunks, progress);

    private void Acknowledge(NodeId to, GroupId group, ulong stream, ulong chunks, SnapshotProgress progress)
    {
        SnapshotCodec.WriteAcknowledgement(_acknowledgement, group, stream, chunks, progress);
        transport.Send(to, _acknowledgement.WrittenSpan);
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

    private sealed class PumpItem(SnapshotCourier courier) : IMailboxItem
    {
        public void Run(Execution execution) => courier.Pump(courier.Host.Now());
    }

    private GroupHost Host => host;
}
