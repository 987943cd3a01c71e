using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>From other nodes: what arrives becomes an engine beside the one that is there, and takes its place when it is whole.</summary>
internal sealed partial class SnapshotCourier
{
    private static readonly TimeSpan s_saidAgainAfter = TimeSpan.FromSeconds(60);
    private TimeSpan? _saidAt;

    // Why the last one came to nothing, until one is installed.
    private readonly Dictionary<GroupId, string> _failures = [];
    private long _bytesReceived;
    private long _installed;
    private long _failed;
    private long _refused;

    /// <summary>What is on its way to this replica.</summary>
    public SnapshotArrival? ArrivalOf(RaftGroup group) =>
        _receivers.TryGetValue(group.Id, out SnapshotReceiver? receiver) ? new SnapshotArrival(receiver.From, receiver.Bytes, receiver.BytesTotal) : null;

    /// <summary>Why the last snapshot for this replica came to nothing, where that is known and none was installed since.</summary>
    public string? FailureOf(RaftGroup group) => _failures.GetValueOrDefault(group.Id);

    private void Arrived(NodeId from, GroupId id, ulong stream, ulong number, SnapshotChunkFlags flags, ReadOnlySpan<byte> content)
    {
        if ((flags & SnapshotChunkFlags.First) != 0)
        {
            if (!SnapshotCodec.TryReadHead(ref content, out SnapshotHead head))
                return;
            SnapshotProgress progress = IsUnderWay(from, id, stream)
                ? SnapshotProgress.Receiving
                : Begin(from, id, stream, head, flags & SnapshotChunkFlags.Files, content);
            if (progress != SnapshotProgress.Receiving)
            {
                Acknowledge(from, id, stream, 0, progress);
                return;
            }

            if ((flags & SnapshotChunkFlags.Files) != 0)
                content = default;
        }

        if (!IsUnderWay(from, id, stream) || _receivers[id].Kind != (flags & SnapshotChunkFlags.Files))
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
        receiver.OwesAcknowledgement = !receiver.TakesMore;
        if (!receiver.OwesAcknowledgement)
            Acknowledge(receiver, SnapshotProgress.Receiving);
    }

    private bool IsUnderWay(NodeId from, GroupId id, ulong stream) =>
        _receivers.TryGetValue(id, out SnapshotReceiver? receiver) && receiver.Stream == stream && receiver.From == from;

    private SnapshotProgress Begin(NodeId from, GroupId id, ulong stream, in SnapshotHead head, SnapshotChunkFlags kind, ReadOnlySpan<byte> content)
    {
        if (!host.TakesSnapshot(from, id, head, out RaftGroup? group))
            return group?.CommitIndex >= head.Index ? SnapshotProgress.Installed : SnapshotProgress.Failed;
        if (_receivers.TryGetValue(id, out SnapshotReceiver? before))
        {
            _failed++;
            Drop(before);
        }

        try
        {
            if (Open(group, from, stream, head, kind, content) is not { } receiver)
            {
                _refused++;
                return SnapshotProgress.Failed;
            }

            receiver.HeardAt = host.Now();
            _receivers.Add(id, receiver);
            return SnapshotProgress.Receiving;
        }
        catch (StorageException e)
        {
            _refused++;
            Say(id, from, e.Message);
            return SnapshotProgress.Failed;
        }
    }

    /// <summary>Null where it cannot be taken as it comes.</summary>
    private SnapshotReceiver? Open(
        RaftGroup group, NodeId from, ulong stream, in SnapshotHead head, SnapshotChunkFlags kind, ReadOnlySpan<byte> content)
    {
        if (kind == SnapshotChunkFlags.None)
        {
            IStorageEngine engine = folders.OpenIncoming(group, out string path, out string name);
            return new RowReceiver(group, from, stream, head, engine, name, path);
        }

        if (!SnapshotCodec.TryReadFiles(content, out string sent, out List<SnapshotFile> table))
            return null;
        string folder = folders.BeginCopy(group, out string wanted);
        if (sent == wanted && folders.ShipsFiles(wanted))
            return new FileReceiver(group, from, stream, head, wanted, folder, table, folders, scheduler, r => mailbox.Post(new MovedItem(this, r)));
        folders.Discard(group, folder);
        return null;
    }

    /// <summary>Of a receiver that works in the background.</summary>
    private void Moved(SnapshotReceiver receiver)
    {
        if (!_receivers.TryGetValue(receiver.Group.Id, out SnapshotReceiver? current) || current != receiver)
            return;
        if (receiver.IsInFiles)
            Install(receiver, host.Now());
        else if (receiver.HasFailed)
            GiveUp(receiver);
        else if (receiver.OwesAcknowledgement)
            AcknowledgeWhenReady(receiver);
    }

    private void Install(SnapshotReceiver receiver, TimeSpan now)
    {
        RaftGroup group = receiver.Group;
        _receivers.Remove(group.Id);
        IStorageEngine engine = receiver.TakeEngine();
        try
        {
            // Only while the log begins before it: the mark of one that is not installed must never be believed.
            bool installs = group.CommitIndex < receiver.Head.Index;
            if (installs)
            {
                folders.Mark(group, receiver.Folder, receiver.Head.Index);
                installs = group.TryInstall(now, receiver.Head, engine, receiver.EngineName, out IStorageEngine before);
                if (installs)
                {
                    _installed++;
                    _failures.Remove(group.Id);
                    _retired.Add(new Retired(group, before, receiver.Folder, receiver.Head.Index, now));
                }
            }

            if (!installs)
                Throw(receiver, engine);
            Acknowledge(receiver, SnapshotProgress.Installed);
        }
        catch (StorageException e)
        {
            _failed++;
            Say(group.Id, receiver.From, e.Message);
            Throw(receiver, engine);
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
        _failed++;
        if (receiver.Failure is { } failure)
            Say(receiver.Group.Id, receiver.From, failure);
        Drop(receiver);
        Acknowledge(receiver, SnapshotProgress.Failed);
    }

    /// <summary>The sender is told that it comes to nothing, and whoever looks after this node, why: now and then, since there may be many.</summary>
    private void Say(GroupId id, NodeId from, string why)
    {
        _failures[id] = why;
        TimeSpan now = host.Now();
        if (_saidAt is { } at && now - at < s_saidAgainAfter)
            return;
        _saidAt = now;
        warn($"a snapshot of shard {id} from node {from} could not be taken: {why}; it is tried again");
    }

    private void Drop(SnapshotReceiver receiver)
    {
        _receivers.Remove(receiver.Group.Id);
        receiver.Drop(() => TryDiscard(receiver));
    }

    private void Throw(SnapshotReceiver receiver, IStorageEngine engine)
    {
        engine.Dispose();
        receiver.Drop(() => folders.Discard(receiver.Group, receiver.Folder));
    }

    /// <summary>Of what never had a mark, by whatever thread: nobody takes it for the replica's.</summary>
    private void TryDiscard(SnapshotReceiver receiver)
    {
        try
        {
            folders.Discard(receiver.Group, receiver.Folder);
        }
        catch (StorageException)
        {
            // What is left goes at the next start.
        }
    }

    private void Acknowledge(SnapshotReceiver receiver, SnapshotProgress progress) =>
        Acknowledge(receiver.From, receiver.Group.Id, receiver.Stream, receiver.Chunks, progress);

    private void Acknowledge(NodeId to, GroupId group, ulong stream, ulong chunks, SnapshotProgress progress)
    {
        SnapshotCodec.WriteAcknowledgement(_acknowledgement, group, stream, chunks, progress);
        transport.Send(to, _acknowledgement.WrittenSpan);
    }
}
