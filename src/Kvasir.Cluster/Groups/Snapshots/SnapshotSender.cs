using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// One stream of a replica's content to a follower that needs entries which are no longer in the log, or so many that this is less: what
/// was stable when it began, in chunks, a few of them ahead of what has arrived. Inside the mailbox.
/// </summary>
internal sealed class SnapshotSender : IDisposable
{
    /// <summary>So many chunks may be on their way.</summary>
    public const ulong Window = 8;

    private readonly BytesBuffer _chunk = new(SnapshotContent.ChunkBytes + 4096);
    private SnapshotContent? _content;
    private ulong _made;
    private ulong _arrived;
    private bool _isHeld;

    public SnapshotSender(RaftGroup group, MemberId member, ulong stream, SnapshotHead head, TimeSpan now)
    {
        (Group, Member, Stream, Head, HeardAt, MovedAt) = (group, member, stream, head, now, now);
        Source = Engine = group.Replica.Engine;
    }

    public RaftGroup Group { get; }

    /// <summary>Whose content it is. The replica may have another by now.</summary>
    public IStorageEngine Engine { get; }

    /// <summary>What is read; null where it is read no more.</summary>
    public IStorageEngine? Source { get; private set; }

    /// <summary>Whom it is for.</summary>
    public MemberId Member { get; }

    public NodeId To => GroupMember.NodeOf(Member);

    public ulong Stream { get; }

    public SnapshotHead Head { get; }

    /// <summary>There is something to send. Before, its files are being made.</summary>
    public bool HasBegun => _content is not null;

    /// <summary>This node leads as it did when it made the offer.</summary>
    public bool Leads => Group.Role == RaftRole.Leader && Group.Member.Term == Head.Offer.Term;

    /// <summary>The files that are being made for it; null where there are none.</summary>
    public OutgoingFiles? Outgoing { get; init; }

    /// <summary>Of its content: what has left, and all of it where that is known.</summary>
    public (long Made, long? Total) Bytes => (_content?.BytesMade ?? 0, _content?.BytesTotal);

    /// <summary>When something of it was last heard.</summary>
    public TimeSpan HeardAt { get; private set; }

    /// <summary>When more of it was last known to have arrived; and when all has, when that was last heard.</summary>
    public TimeSpan MovedAt { get; private set; }

    /// <summary>All of it has left.</summary>
    public bool IsAllMade { get; private set; }

    /// <summary>From now on it is sent. Owns the content.</summary>
    public void Begin(SnapshotContent content, TimeSpan now)
    {
        (_content, HeardAt, MovedAt) = (content, now, now);
        if (Outgoing is not null)
            Source = null;
    }

    public void Arrived(ulong chunks, TimeSpan now)
    {
        bool isNews = Math.Min(chunks, _made) > _arrived;
        _arrived = Math.Max(_arrived, Math.Min(chunks, _made));
        HeardAt = now;
        if (isNews || (IsAllMade && _arrived == _made))
            MovedAt = now;
    }

    /// <summary>
    /// What is on its way is lost: it is made and sent again, from behind what is known to have arrived. Where all has, the last of it:
    /// what became of it was not heard.
    /// </summary>
    public void GoBack(TimeSpan now)
    {
        MovedAt = now;
        if (_made == 0)
            return;
        ulong from = Math.Min(_arrived, _made - 1);
        if (from == _made - 1 && _arrived == _made && !IsAllMade)
            return;
        _content!.GoTo(from);
        (_made, _arrived, _isHeld, IsAllMade) = (from, from, false, false);
    }

    /// <summary>Sends what may be sent; takes it from what is left of the rate.</summary>
    public void Send(ITransport transport, ref long bytesLeft)
    {
        while (bytesLeft > 0 && HasBegun)
        {
            if (!_isHeld)
            {
                // Behind the first only when that has arrived: it offers the snapshot, and may not be needed.
                if (IsAllMade || _made - _arrived >= (_arrived == 0 ? 1 : Window))
                    return;
                Make();
            }

            // One that finds no room is kept, and tried again.
            _isHeld = transport.Send(To, _chunk.WrittenSpan) != SendOutcome.Queued;
            if (_isHeld)
                return;
            bytesLeft -= _chunk.Length;
        }
    }

    public void Dispose() => Dispose(stops: false);

    /// <param name="stops">The node stops.</param>
    public void Dispose(bool stops)
    {
        _content?.Dispose();
        Outgoing?.Abandon(stops);
    }

    private void Make()
    {
        SnapshotCodec.BeginChunk(_chunk, Group.Id, Stream, _made);
        int headBytes = _chunk.Length;
        SnapshotChunkFlags flags = _content!.Kind;
        if (_made == 0)
        {
            flags |= SnapshotChunkFlags.First;
            SnapshotCodec.AddHead(_chunk, Head);
        }

        IsAllMade = _content.Add(_chunk, _made);
        if (IsAllMade)
            flags |= SnapshotChunkFlags.Last;
        SnapshotCodec.EndChunk(_chunk, headBytes, flags);
        _made++;
    }
}
