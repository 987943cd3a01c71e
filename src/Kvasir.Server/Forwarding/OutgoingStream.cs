using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Forwarding;

/// <summary>
/// Requests of this node's clients on their way to another node that leads a shard, in order, and the replies to them.
/// Inside the mailbox.
/// </summary>
internal sealed class OutgoingStream
{
    private const int KeptBytes = 64 << 10;
    private readonly BytesBuffer _unsent = new(1024);
    private readonly BytesBuffer _received = new(1024);
    private readonly Queue<SentRequest> _requests = new();
    private RespReplyScanner _scanner;
    private int _unsentRequests;
    private ulong _nextFrame;
    private ulong _nextReply;

    public OutgoingStream(ulong id, StreamKey key, int database)
    {
        Id = id;
        Key = key;
        Database = database;
        ClearUnsent();
    }

    public ulong Id { get; }

    public StreamKey Key { get; }

    public int Database { get; }

    /// <summary>Requests without a reply.</summary>
    public int Count => _requests.Count;

    public bool HasUnsent => _unsentRequests != 0;

    /// <summary>Nothing more comes: it ends when all is answered.</summary>
    public bool EndsWhenAnswered { get; set; }

    /// <summary>It stands in the list of those to send from.</summary>
    public bool IsDirty { get; set; }

    /// <summary>Its node has refused a request, and with it all that came behind: none of them has happened.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>Since when its node has not been the leader that this one knows of; 0 while it is.</summary>
    public long StaleSinceMs { get; set; }

    public void Append(SentRequest request)
    {
        request.RepliesToDrop = request.RepliesBefore;
        _requests.Enqueue(request);
        _unsent.Append(request.Bytes);
        _unsentRequests++;
    }

    /// <summary>Everything unsent as one frame. Lent until the next call.</summary>
    public ReadOnlySpan<byte> Frame()
    {
        new StreamFrame(IsReply: false, Ends: false, Id, _nextFrame, Key.Group, Database, Key.Protocol).Write(_unsent.WrittenSpan);
        return _unsent.WrittenSpan;
    }

    /// <summary>The frame is on its way.</summary>
    public void Sent()
    {
        _nextFrame++;
        _unsentRequests = 0;
        ClearUnsent();
    }

    /// <summary>The frame that lets the other side forget the stream.</summary>
    public byte[] End()
    {
        byte[] frame = new byte[StreamFrame.RequestHeaderBytes];
        new StreamFrame(IsReply: false, Ends: true, Id, _nextFrame, Key.Group, Database, Key.Protocol).Write(frame);
        return frame;
    }

    /// <summary>
    /// Takes replies, and hands on each whole one with its request. False: something is missing or makes no sense, or the node
    /// does not lead, and the stream is over.
    /// </summary>
    public bool Receive(RequestExchange exchange, in StreamFrame frame, ReadOnlySpan<byte> bytes)
    {
        // One that comes twice is no loss.
        if (frame.Ends || frame.Number > _nextReply)
            return false;
        if (frame.Number < _nextReply)
            return true;
        _nextReply++;
        _received.Append(bytes);
        int start = 0;
        try
        {
            while (_requests.Count != 0 && _scanner.Measure(_received.WrittenSpan[start..]) is var length and > 0)
            {
                SentRequest request = _requests.Peek();
                if (request.RepliesToDrop > 0)
                {
                    request.RepliesToDrop--;
                }
                else
                {
                    if (_requests.Count == _unsentRequests)
                        return false;
                    _requests.Dequeue();
                    if (!exchange.TryAnswer(this, request, _received.WrittenSpan.Slice(start, length)))
                    {
                        IsRefused = true;
                        return false;
                    }
                }

                start += length;
            }
        }
        catch (RespFormatException)
        {
            return false;
        }

        if (_requests.Count == 0 && start < _received.Length)
            return false;
        DropReceived(start);
        return true;
    }

    /// <summary>The stream is over: every request without a reply, and whether it was sent, in order.</summary>
    public void TakeAll(List<(SentRequest Request, bool WasSent)> requests)
    {
        int sent = _requests.Count - _unsentRequests;
        foreach (SentRequest request in _requests)
            requests.Add((request, sent-- > 0));
        _requests.Clear();
        _unsentRequests = 0;
        ClearUnsent();
    }

    private void ClearUnsent()
    {
        _unsent.ClearAndTrim(KeptBytes);
        _ = _unsent.GetSpan(StreamFrame.RequestHeaderBytes);
        _unsent.Advance(StreamFrame.RequestHeaderBytes);
    }

    private void DropReceived(int count)
    {
        int left = _received.Length - count;
        if (left == 0)
        {
            _received.ClearAndTrim(KeptBytes);
        }
        else if (count != 0)
        {
            _received.WrittenSpan[count..].CopyTo(_received.WrittenSpan);
            _received.Truncate(left);
        }
    }
}

/// <param name="Peer">Who leads the shard; may be this node.</param>
/// <param name="Group">The shard.</param>
/// <param name="Protocol">Of RESP.</param>
/// <param name="Lane">Whose it is alone; null for everybody's.</param>
internal readonly record struct StreamKey(NodeId Peer, GroupId Group, int Protocol, WatchLane? Lane);
