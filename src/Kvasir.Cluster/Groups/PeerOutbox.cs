using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Messages;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// What a turn has to say to one peer: the messages of all groups, in one batch. And whose appends are in it, who must be told when
/// it did not leave.
/// </summary>
internal sealed class PeerOutbox
{
    private readonly BytesBuffer _bytes = new(4096);
    private readonly List<RaftGroup> _appending = [];

    public PeerOutbox(NodeId peer)
    {
        Peer = peer;
        Clear();
    }

    public NodeId Peer { get; }

    public bool IsEmpty => _bytes.Length == RaftMessageCodec.BatchHeaderBytes;

    public int Length => _bytes.Length;

    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    public List<RaftGroup> Appending => _appending;

    /// <summary>False, and nothing written, when its entries cannot be read.</summary>
    public bool TryAdd(RaftGroup group, in RaftMessage message)
    {
        int start = RaftMessageCodec.Begin(_bytes, group.Id, message);
        if (message.HasEntries && !group.TryWriteEntries(_bytes, message.Index.Next, message.LastIndex))
        {
            _bytes.Truncate(start);
            return false;
        }

        RaftMessageCodec.End(_bytes, start);
        if (message.HasEntries && (_appending.Count == 0 || _appending[^1] != group))
            _appending.Add(group);
        return true;
    }

    public void Clear()
    {
        _appending.Clear();
        if (_bytes.Capacity > 4 << 20)
            _bytes.ClearAndTrim(1 << 20);
        RaftMessageCodec.BeginBatch(_bytes);
    }
}
