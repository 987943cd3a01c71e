using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Forwarding;

/// <summary>
/// Requests of another node's clients on a shard, and the session that runs them here. Inside the mailbox, but for what
/// wakes it.
/// </summary>
internal sealed class IncomingStream : ISessionOwner
{
    private const int InputBytes = 16 << 10;
    private const int SpareBytesMax = 256 << 10;
    private readonly RequestExchange _exchange;
    private readonly ForwardedRun _run;
    private byte[]? _spare;
    private ulong _nextFrame;
    private ulong _nextReply;
    private int _woken;

    public IncomingStream(RequestExchange exchange, ServerState server, NodeId peer, in StreamFrame first)
    {
        Peer = peer;
        Id = first.Stream;
        _exchange = exchange;
        Session = new RespSession(server, this, $"node {peer}", "forwarding")
        {
            Pinned = first.Group,
            DatabaseIndex = first.Database,
            Forwarded = _run = new ForwardedRun(first.Stream, first.Known, first.IsLane),
        };

        // Its own node asked every client for a password, if there is one.
        Session.Client.Authenticated = true;
        Session.Parser.Authenticated = true;
        Session.Reply.Protocol = first.Protocol;
    }

    public NodeId Peer { get; }

    public ulong Id { get; }

    public RespSession Session { get; }

    public bool IsClosed { get; private set; }

    /// <summary>It stands in the list of those whose replies wait for a log or for room.</summary>
    public bool IsHeld { get; set; }

    /// <summary>The other node takes nothing more for now.</summary>
    public bool AwaitsRoom { get; set; }

    /// <summary>Any thread.</summary>
    public void Wake(RespSession session)
    {
        if (Interlocked.Exchange(ref _woken, 1) == 0)
            _exchange.Wake(this);
    }

    public void Woken() => Volatile.Write(ref _woken, 0);

    /// <summary>Takes requests; they run with <see cref="Run"/>. False: a frame is missing.</summary>
    public bool Receive(in StreamFrame frame, ReadOnlySpan<byte> bytes)
    {
        if (frame.Number != _nextFrame)
            return frame.Number < _nextFrame;
        _nextFrame++;
        if (frame.Repeat is { } repeat && !_run.TryExpect(repeat))
            return false;
        SessionInput input = Session.Input;
        while (!bytes.IsEmpty)
        {
            if (input.Array is null)
                input.Lend(TakeSpare());
            Memory<byte> room = input.Room(Math.Max(Session.Parser.BytesWanted, input.Length + Math.Min(bytes.Length, 1 << 20)));
            int count = Math.Min(room.Length, bytes.Length);
            bytes[..count].CopyTo(room.Span);
            input.Received(count);
            bytes = bytes[count..];
        }

        return true;
    }

    /// <summary>Runs what is there, and sends replies that may leave. False: the stream is over.</summary>
    public bool Serve(Execution execution)
    {
        do
        {
            if (Session.Input.Length != 0 || Session.Suspended is not null)
                Session.ExecuteInside(execution);
            if (!SendReplies())
                return false;
        }
        while (Session.HasMore && Session.Suspended is null && !AwaitsRoom && !Session.Output.HasGates);
        if (Session.Input.TakeBack() is { Length: <= SpareBytesMax } array)
            _spare ??= array;
        return !Session.ClosesNow;
    }

    /// <summary>False: the stream is over.</summary>
    public bool SendReplies()
    {
        AwaitsRoom = false;
        while (true)
        {
            Memory<byte> bytes = Session.Sendable();
            if (bytes.IsEmpty)
                return !Session.ClosesAfterReplies || Session.Output.HasGates;
            if (bytes.Length > RequestExchange.FrameBytesMax)
                bytes = bytes[..RequestExchange.FrameBytesMax];
            StreamFrame frame = new() { IsReply = true, Stream = Id, Number = _nextReply, Known = _run.Committed };
            switch (_exchange.SendReply(Peer, frame, bytes.Span))
            {
                case SendOutcome.Unreachable:
                    return false;
                case SendOutcome.Full:
                    AwaitsRoom = true;
                    return true;
            }

            _nextReply++;
            Session.Output.Sent(bytes.Length);
        }
    }

    public byte[] End()
    {
        byte[] frame = new byte[StreamFrame.ReplyHeaderBytes];
        new StreamFrame { IsReply = true, Ends = true, Stream = Id, Number = _nextReply, Known = _run.Committed }.Write(frame);
        return frame;
    }

    /// <summary>What is under way goes on; nobody hears of it.</summary>
    public void Close(ServerState server)
    {
        IsClosed = true;
        Session.ClosesNow = true;
        Session.Input.Executed(Session.Input.Length);
        server.Closed(Session);
    }

    private byte[] TakeSpare()
    {
        byte[] array = _spare ?? new byte[InputBytes];
        _spare = null;
        return array;
    }
}
