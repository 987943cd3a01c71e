using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// One stream of a replica's content to a follower that needs entries which are no longer in the log: what was stable when
/// it began, in the engine's order, in chunks, a few of them ahead of what has arrived. Inside the mailbox.
/// </summary>
internal sealed class SnapshotSender : IDisposable
{
    public const int ChunkBytes = 256 << 10;
    private const ulong Window = 8;

    private readonly EngineScan _rows;

    // Where the last few chunks began: the same view cut into the same pieces again.
    private readonly BytesBuffer?[] _beginnings = new BytesBuffer?[Window];
    private readonly BytesBuffer _chunk = new(ChunkBytes + 4096);
    private ulong _made;
    private ulong _arrived;
    private bool _isHeld;

    public SnapshotSender(RaftGroup group, MemberId member, ulong stream, SnapshotHead head, TimeSpan now)
    {
        (Group, Member, Stream, Head, HeardAt, MovedAt) = (group, member, stream, head, now, now);
        Source = group.Replica.Engine;
        _rows = Source.CreateScan(new IteratorOptions { View = ReadView.Stable, IncludeExpired = true, BypassCache = true });
        try
        {
            _rows.SeekToFirst();
        }
        catch
        {
            _rows.Dispose();
            throw;
        }
    }

    public RaftGroup Group { get; }

    /// <summary>What is read.</summary>
    public IStorageEngine Source { get; }

    /// <summary>Whom it is for.</summary>
    public MemberId Member { get; }

    public NodeId To => GroupMember.NodeOf(Member);

    public ulong Stream { get; }

    public SnapshotHead Head { get; }

    /// <summary>When something of it was last heard.</summary>
    public TimeSpan HeardAt { get; private set; }

    /// <summary>When more of it was last known to have arrived; and when all has, when that was last heard.</summary>
    public TimeSpan MovedAt { get; private set; }

    /// <summary>All of it has left.</summary>
    public bool IsAllMade { get; private set; }

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
        if (from == 0)
            _rows.SeekToFirst();
        else
            _rows.Seek(_beginnings[from % Window]!.WrittenSpan);
        (_made, _arrived, _isHeld, IsAllMade) = (from, from, false, false);
    }

    /// <summary>Sends what may be sent; takes it from what is left of the rate.</summary>
    public void Send(ITransport transport, ref long bytesLeft)
    {
        while (bytesLeft > 0)
        {
            if (!_isHeld)
            {
                if (IsAllMade || _made - _arrived >= Window)
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

    public void Dispose() => _rows.Dispose();

    private void Make()
    {
        BytesBuffer beginning = _beginnings[_made % Window] ??= new BytesBuffer(64);
        beginning.Clear();
        if (_rows.Valid)
            beginning.Append(_rows.Key);
        SnapshotCodec.BeginChunk(_chunk, Group.Id, Stream, _made);
        int headBytes = _chunk.Length;
        SnapshotChunkFlags flags = SnapshotChunkFlags.None;
        if (_made == 0)
        {
            flags = SnapshotChunkFlags.First;
            SnapshotCodec.AddHead(_chunk, Head);
        }

        for (; _rows.Valid && _chunk.Length < ChunkBytes; _rows.Next())
            SnapshotCodec.AddRow(_chunk, _rows.Key, _rows.Value, _rows.ExpiresAtMs);
        IsAllMade = !_rows.Valid;
        if (IsAllMade)
            flags |= SnapshotChunkFlags.Last;
        SnapshotCodec.EndChunk(_chunk, headBytes, flags);
        _made++;
    }
}
