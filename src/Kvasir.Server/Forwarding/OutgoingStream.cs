using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
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
    // What is unsent, frame by frame, each with room for its header.
    private readonly Queue<UnsentFrame> _frames = new();
    private UnsentFrame _last;
    private int _sentBytes;
    private RespReplyScanner _scanner;
    private int _unsentRequests;
    private ulong _nextCommand;
    private ulong _nextFrame;
    private ulong _nextReply;

    public OutgoingStream(ulong id, StreamKey key, int database, CommittedPosition committed)
    {
        Id = id;
        Key = key;
        Database = database;
        Committed = committed;
    }

    public ulong Id { get; }

    public StreamKey Key { get; }

    public int Database { get; }

    public CommittedPosition Committed { get; }

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
        ulong number = _nextCommand + (ulong)request.RepliesBefore;
        _nextCommand = number + 1;
        if (request.IsUnknown)
        {
            BeginFrame(new RepeatedWrite(number, request.Id, request.Known));
        }
        else
        {
            (request.Id, request.Known) = (new WriteId(Id, number), Committed.Value);
            if (_last.Requests == 0 || _last.Repeat is not null)
                BeginFrame(repeat: null);
        }

        _requests.Enqueue(request);
        _unsent.Append(request.Bytes);
        _unsentRequests++;
        _last.Requests++;
        _last.End = _unsent.Length;
    }

    /// <summary>The first frame that is unsent. Lent until the next call.</summary>
    public ReadOnlySpan<byte> Frame()
    {
        UnsentFrame next = _frames.Count != 0 ? _frames.Peek() : _last;
        Span<byte> bytes = _unsent.WrittenSpan[_sentBytes..next.End];
        new StreamFrame
        {
            IsLane = Key.Lane is not null,
            Stream = Id,
            Number = _nextFrame,
            Known = Committed.Value,
            Group = Key.Group,
            Database = Database,
            Protocol = Key.Protocol,
            Repeat = next.Repeat,
        }.Write(bytes);
        return bytes;
    }

    /// <summary>The frame is on its way.</summary>
    public void Sent()
    {
        _nextFrame++;
        if (_frames.TryDequeue(out UnsentFrame frame))
        {
            _unsentRequests -= frame.Requests;
            _sentBytes = frame.End;
            return;
        }

        _unsentRequests -= _last.Requests;
        Check.That(_unsentRequests == 0);
        ClearUnsent();
    }

    /// <summary>The frame that lets the other side forget the stream.</summary>
    public byte[] End()
    {
        byte[] frame = new byte[StreamFrame.RequestHeaderBytes];
        new StreamFrame
        {
            Ends = true,
            Stream = Id,
            Number = _nextFrame,
            Group = Key.Group,
            Database = Database,
            Protocol = Key.Protocol,
        }.Write(frame);
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
        {
            Committed.Heard(frame.Known);
            return false;
        }

        if (frame.Number < _nextReply)
            return true;
        _nextReply++;
        Committed.Heard(frame.Known);
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

                    // Not this node, but the log of the shard can tell: the stream is over, and the next leader is asked.
                    if (request.Lane is null && SentRequest.IsLost(_received.WrittenSpan.Slice(start, length)))
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

    private void BeginFrame(in RepeatedWrite? repeat)
    {
        if (_last.Requests != 0)
            _frames.Enqueue(_last);
        _last = new UnsentFrame { Repeat = repeat };
        int header = repeat is null ? StreamFrame.RequestHeaderBytes : StreamFrame.RepeatHeaderBytes;
        _ = _unsent.GetSpan(header);
        _unsent.Advance(header);
    }

    private void ClearUnsent()
    {
        _frames.Clear();
        _last = default;
        _sentBytes = 0;
        _unsent.ClearAndTrim(KeptBytes);
    }

    private struct UnsentFrame
    {
        /// <summary>The only one in it was sent before.</summary>
        public RepeatedWrite? Repeat;

        /// <summary>Where it ends in what is unsent.</summary>
        public int End;

        public int Requests;
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

/// <summary>Up to where the log of a shard is committed, as far as its leaders have told.</summary>
internal sealed class CommittedPosition
{
    public LogPosition Value { get; private set; }

    public void Heard(LogPosition position)
    {
        if (position > Value)
            Value = position;
    }
}

/// <param name="Peer">Who leads the shard; may be this node.</param>
/// <param name="Group">The shard.</param>
/// <param name="Protocol">Of RESP.</param>
/// <param name="Lane">Whose it is alone; null for everybody's.</param>
internal readonly record struct StreamKey(NodeId Peer, GroupId Group, int Protocol, WatchLane? Lane);
