using System.Collections.Concurrent;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Forwarding;

/// <summary>
/// Requests between the nodes of a cluster. Those of this node's clients go to the leaders of their shards, by one stream for
/// each leader and shard (<see cref="OutgoingStream"/>); those of other nodes' clients run here, one session a stream
/// (<see cref="IncomingStream"/>). Requests to a shard that this node itself leads, as parts of commands over all shards,
/// take the same way without a network. A stream is strictly in order; a frame that is missing ends it, and each request on
/// it gets an error that says what is known: one that was sent and may write has an unknown outcome, any other did not
/// happen, and is sent again where that keeps the order of its client.
/// <para>
/// <b>Threads.</b> All state belongs to the mailbox. What the transport, timers and logs tell is posted to it.
/// </para>
/// </summary>
internal sealed partial class RequestExchange : IForwarder, ITransportListener, IDisposable
{
    public const int FrameBytesMax = 1 << 20;

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan s_watch = TimeSpan.FromMilliseconds(100);

    private readonly ServerState _server;
    private readonly IClusteredNode _node;
    private readonly IRouter _router;
    private readonly ITransport _transport;
    private readonly SortedDictionary<NodeId, PeerState> _peers = [];
    private readonly ExchangeUpkeep _upkeep;
    private readonly ITimer _timer;
    private readonly ConcurrentQueue<PeerNotice> _told = new();
    private bool _hasSent;
    private volatile bool _hasUnsent;
    private volatile bool _isHeld;
    private volatile bool _disposed;

    // When the timer is due, as far as the mailbox knows; 0 when it is not set.
    private long _timerDueMs;

    public RequestExchange(ServerState server, IClusteredNode node)
    {
        _server = server;
        _node = node;
        _router = node.Router;
        _transport = node.Transport;
        _nextStream = (ulong)Random.Shared.NextInt64();
        _upkeep = new ExchangeUpkeep(this);
        _timer = server.Time.CreateTimer(_ => Tick(), state: null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public bool HasUnsent => _hasUnsent;

    // A node that joins has its number only then.
    private NodeId Self => _node.Self;

    public void Flush() => _upkeep.Post();

    /// <summary>Logs became durable further, or failed. Any thread.</summary>
    public void LogMoved()
    {
        if (_isHeld)
            _upkeep.Post();
    }

    public void Received(NodeId from, ReadOnlySpan<byte> message)
    {
        if (!StreamFrame.TryRead(message, out _, out _) && !PublishedMessage.TryRead(message, out _, out _, out _))
            throw new MalformedMessageException("no frame of a stream of requests or replies");
        _told.Enqueue(new PeerNotice(NoticeKind.Message, from, MessageBuffer.Copy(message)));
    }

    /// <summary>What came together is taken in by one item: it shares a turn of the logs.</summary>
    public void Settled()
    {
        if (!_told.IsEmpty)
            _upkeep.Post();
    }

    public void Connected(NodeId peer) => Tell(NoticeKind.Connected, peer);

    public void Disconnected(NodeId peer) => Tell(NoticeKind.Disconnected, peer);

    public void Writable(NodeId peer) => Tell(NoticeKind.Writable, peer);

    /// <summary>Nothing is posted any more when it returns; the node may go.</summary>
    public void Dispose()
    {
        _disposed = true;
        _timer.Dispose();
    }

    private void Tell(NoticeKind kind, NodeId peer)
    {
        _told.Enqueue(new PeerNotice(kind, peer, Message: null));
        _upkeep.Post();
    }

    private PeerState Peer(NodeId node)
    {
        if (!_peers.TryGetValue(node, out PeerState? peer))
            _peers.Add(node, peer = new PeerState());
        return peer;
    }

    private void Take(Execution execution, NodeId from, ReadOnlySpan<byte> message)
    {
        if (!StreamFrame.TryRead(message, out StreamFrame frame, out ReadOnlySpan<byte> bytes))
        {
            TakePublished(message);
            return;
        }

        if (frame.IsReply)
            TakeReplies(from, frame, bytes);
        else
            TakeRequests(execution, from, frame, bytes);
    }

    private void Take(Execution execution, in PeerNotice notice)
    {
        NodeId peer = notice.Peer;
        PeerState state = Peer(peer);
        switch (notice.Kind)
        {
            case NoticeKind.Message:
                Take(execution, peer, notice.Message!.Bytes);
                notice.Message.Dispose();
                break;
            case NoticeKind.Connected:
                state.IsReachable = true;
                state.IsFull = false;
                break;
            case NoticeKind.Disconnected:
                state.IsReachable = false;
                state.IsFull = false;
                BreakOutgoing(peer);
                CloseIncoming(peer);
                break;
            case NoticeKind.Writable:
                state.IsFull = false;
                break;
        }
    }

    /// <summary>
    /// Takes in what was told, sends what may be sent, goes on with what may go on, and sees to it that this happens again in
    /// time.
    /// </summary>
    private void LookAfter(Execution execution)
    {
        if (_disposed)
            return;
        while (_told.TryDequeue(out PeerNotice notice))
            Take(execution, notice);
        ServeHeld(execution);
        BreakStale();
        do
        {
            SendParked();
            FlushOutgoing(execution);
        }
        while (_hasUnsent);
        if (_commitNeeded)
            _server.Node.Log.Commit();
        _commitNeeded = false;
        if (_hasSent)
            _transport.Flush();
        _hasSent = false;
        _server.WakeNow();
        bool looks = _parked.Count != 0 || _isSuspended;
        if (looks || _owed != 0)
            LookAgain(looks ? s_look : s_watch);
    }

    private void LookAgain(TimeSpan after)
    {
        long dueMs = NowMs + (long)after.TotalMilliseconds;
        long setMs = Volatile.Read(ref _timerDueMs);
        if (setMs != 0 && setMs <= dueMs)
            return;
        Volatile.Write(ref _timerDueMs, dueMs);
        _timer.Change(after, Timeout.InfiniteTimeSpan);
    }

    private void Tick()
    {
        // Before the item is posted: it sets the timer anew, or one that runs just now does.
        Volatile.Write(ref _timerDueMs, 0);
        _upkeep.Post();
    }

    private long NowMs => _server.Clock.Refresh();

    private enum NoticeKind
    {
        Message,
        Connected,
        Disconnected,
        Writable,
    }

    /// <summary>What the transport told.</summary>
    private readonly record struct PeerNotice(NoticeKind Kind, NodeId Peer, MessageBuffer? Message);

    /// <summary>Looks after everything once, however often it was asked for meanwhile.</summary>
    private sealed class ExchangeUpkeep(RequestExchange exchange) : IMailboxItem
    {
        private int _posted;

        public void Post()
        {
            if (!exchange._disposed && Interlocked.Exchange(ref _posted, 1) == 0)
                exchange._server.Node.Mailbox.Post(this);
        }

        public void Run(Execution execution)
        {
            Volatile.Write(ref _posted, 0);
            exchange.LookAfter(execution);
        }
    }
}
