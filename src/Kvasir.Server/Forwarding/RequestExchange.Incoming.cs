using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Server.Forwarding;

/// <content>Requests of other nodes' clients, and of this node's own on shards that it leads.</content>
internal sealed partial class RequestExchange
{
    private readonly Dictionary<(NodeId Peer, ulong Stream), IncomingStream> _incoming = [];

    // Those whose replies wait for a log or for room, whose session is suspended, or that were woken.
    private readonly List<IncomingStream> _held = [];
    private readonly System.Collections.Concurrent.ConcurrentQueue<IncomingStream> _woken = new();
    private readonly BytesBuffer _reply = new(1024);
    private bool _isSuspended;
    private bool _commitNeeded;

    /// <summary>Any thread.</summary>
    public void Wake(IncomingStream stream)
    {
        _woken.Enqueue(stream);
        _upkeep.Post();
    }

    /// <summary>Sends replies to a stream's node. By the stream.</summary>
    public SendOutcome SendReply(NodeId peer, in StreamFrame frame, ReadOnlySpan<byte> bytes)
    {
        if (peer == Self)
        {
            TakeReplies(Self, frame, bytes);
            return SendOutcome.Queued;
        }

        PeerState state = Peer(peer);
        if (state.IsFull)
            return SendOutcome.Full;
        _reply.Clear();
        frame.Write(_reply.GetSpan(StreamFrame.ReplyHeaderBytes));
        _reply.Advance(StreamFrame.ReplyHeaderBytes);
        _reply.Append(bytes);
        SendOutcome outcome = _transport.Send(peer, _reply.WrittenSpan, more: true);
        _hasSent |= outcome == SendOutcome.Queued;
        state.IsFull = outcome == SendOutcome.Full;
        return outcome;
    }

    private void TakeRequests(Execution execution, NodeId from, in StreamFrame frame, ReadOnlySpan<byte> bytes)
    {
        if (frame.Ends)
        {
            EndIncoming(from, frame.Stream);
            return;
        }

        // What was sent again here must not run late where it was sent first.
        if (frame.Repeat is { } repeat && repeat.Id.Session != frame.Stream)
            EndIncoming(from, repeat.Id.Session);
        if (!_incoming.TryGetValue((from, frame.Stream), out IncomingStream? stream))
        {
            stream = new IncomingStream(this, _server, from, frame);
            if (frame.Number != 0)
            {
                // Its first frames are lost, or this stream was ended here before.
                Tell(from, stream.End());
                stream.Close(_server);
                return;
            }

            _incoming.Add((from, frame.Stream), stream);
        }

        if (stream.Receive(frame, bytes))
        {
            Serve(execution, stream);
            return;
        }

        Tell(from, stream.End());
        Close(stream);
    }

    private void Serve(Execution execution, IncomingStream stream)
    {
        bool goesOn = stream.Serve(execution);
        _commitNeeded |= stream.Session.Output.AwaitsLog;
        if (goesOn && !stream.IsHeld && (stream.AwaitsRoom || stream.Session.Output.HasGates || stream.Session.Suspended is not null))
        {
            Hold(stream);

            // The log may have moved before it was known that somebody wants to hear of it.
            goesOn = stream.SendReplies();
        }

        _isSuspended |= stream.Session.Suspended is not null;
        if (goesOn)
            return;
        Tell(stream.Peer, stream.End());
        Close(stream);
    }

    private void Hold(IncomingStream stream)
    {
        stream.IsHeld = true;
        _held.Add(stream);
        _isHeld = true;
    }

    private void ServeHeld(Execution execution)
    {
        while (_woken.TryDequeue(out IncomingStream? stream))
        {
            stream.Woken();
            if (!stream.IsClosed && !stream.IsHeld)
                Hold(stream);
        }

        _isSuspended = false;
        IncomingStream[] held = [.. _held];
        _held.Clear();
        foreach (IncomingStream stream in held)
        {
            stream.IsHeld = false;
            if (!stream.IsClosed)
                Serve(execution, stream);
        }

        _isHeld = _held.Count != 0;
    }

    private void CloseIncoming(NodeId peer)
    {
        foreach (IncomingStream stream in _incoming.Values.Where(s => s.Peer == peer).ToArray())
            Close(stream);
    }

    private void EndIncoming(NodeId peer, ulong id)
    {
        if (_incoming.TryGetValue((peer, id), out IncomingStream? stream))
            Close(stream);
    }

    private void Close(IncomingStream stream)
    {
        _incoming.Remove((stream.Peer, stream.Id));
        stream.Close(_server);
    }

    private void Tell(NodeId peer, byte[] frame)
    {
        if (peer != Self)
            _transport.Send(peer, frame);
        else if (StreamFrame.TryRead(frame, out StreamFrame end, out ReadOnlySpan<byte> none))
            TakeReplies(Self, end, none);
    }
}
