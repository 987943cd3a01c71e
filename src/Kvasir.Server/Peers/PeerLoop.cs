using System.Collections.Concurrent;
using System.ComponentModel;
using System.Runtime.InteropServices;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Transport;
using Kvasir.Wire.Peers;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Peers;

/// <summary>
/// The thread that connects to other nodes, is connected to, receives, and tells the listener. All decisions about
/// connections are made here, so that none of them needs a lock.
/// </summary>
/// <remarks>
/// Two nodes share one connection, whichever of them made it. Both try; of several candidates the node with the lower number
/// chooses one and says so (<see cref="PeerFrameKind.Open"/>), so both ends always agree on which it is. A connection
/// that was chosen later takes the place of the one before.
/// </remarks>
internal sealed unsafe partial class PeerLoop : IDisposable
{
    private const int EventsMax = 128;
    private const ulong WakeToken = ulong.MaxValue;

    private readonly TcpTransportOptions _options;
    private readonly TimeProvider _time;
    private readonly SeededRandom _random;
    private readonly ILogger _logger;
    private readonly PeerTls? _tls;
    private readonly long _startTimestamp;
    private readonly ulong _incarnation;
    private readonly EventWait _wait;
    private readonly int _epoll;
    private readonly int _wake;
    private readonly Lock _wakeLock = new();
    private readonly Lock _statisticsLock = new();
    private readonly byte* _events;
    private readonly Thread _thread;
    private readonly LoopListeners _listeners;
    private readonly ConcurrentQueue<Action> _commands = new();
    private readonly ChunkPool _pool = new();
    private readonly Dictionary<ulong, PeerConnection> _connections = [];
    private readonly List<PeerConnection> _overdue = [];

    // Sorted by number; a new array whenever it changes, because any thread reads it.
    private KnownPeer[] _peers = [];
    private ITransportListener _listener = null!;
    private ITimer? _heartbeat;
    private bool _wakeIsClosed;
    private volatile bool _stopping;
    private int _signalled;
    private long _nowMs;
    private long _nextSweepMs;
    private ulong _tokens;
    private ulong _lastLink;
    private ulong _cluster;
    private ulong _self;
    private bool _peersAreSet;
    private bool _hasDelivered;
    private int _strangers;
    private long _lastBeatMs;
    private PeerStatistics _gone;

    public PeerLoop(TcpTransportOptions options, PeerTls? tls, TimeProvider time, SeededRandom random, ILogger logger)
    {
        _options = options;
        _tls = tls;
        _time = time;
        _random = random;
        _logger = logger;
        _startTimestamp = time.GetTimestamp();
        _incarnation = random.NextUInt64() | 1;
        _lastLink = random.NextUInt64() >> 1;
        _wait = new EventWait(options.BusyPoll);
        _epoll = Require(LinuxCalls.EpollCreate(), "epoll_create1");
        _listeners = new LoopListeners(_epoll);
        _wake = Require(LinuxCalls.EventCreate(), "eventfd");
        _events = (byte*)NativeMemory.AllocZeroed((nuint)(EventsMax * LinuxCalls.EventBytes));
        Require(LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollAdd, _wake, LinuxCalls.EpollIn, WakeToken), "epoll_ctl");
        _thread = new Thread(Run) { Name = "kvasir peers", IsBackground = true };
    }

    public NodeId Self => new(Volatile.Read(ref _self));

    public KnownPeer[] Peers => Volatile.Read(ref _peers);

    /// <summary>Of all peers that there have been. Any thread.</summary>
    public PeerStatistics Statistics
    {
        get
        {
            lock (_statisticsLock)
            {
                PeerStatistics sum = _gone;
                foreach (KnownPeer peer in _peers)
                    sum += peer.Counters.Read(peer.Link?.Output.PendingBytes ?? 0);
                return sum;
            }
        }
    }

    public void Start(ITransportListener listener, int listeningSocket)
    {
        _listener = listener;
        _lastBeatMs = Now();
        LinuxCalls.SetNonBlocking(listeningSocket);
        Require(_listeners.Add(listeningSocket), "epoll_ctl");
        _thread.Start();

        // A listener that takes its time must not make this node look dead, nor must a pool of threads without a free one:
        // a timer does it, and the loop when the timer has not.
        _heartbeat = _time.CreateTimer(_ => Beat(), null, _options.HeartbeatInterval, _options.HeartbeatInterval);
    }

    public KnownPeer? Find(NodeId id)
    {
        KnownPeer[] peers = Peers;
        int low = 0, high = peers.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            int order = peers[middle].Id.CompareTo(id);
            if (order == 0)
                return peers[middle];
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }

        return null;
    }

    /// <summary>Has the loop do something, in order. Any thread.</summary>
    public void Post(Action command)
    {
        _commands.Enqueue(command);
        if (Environment.CurrentManagedThreadId != _thread.ManagedThreadId)
            Signal();
    }

    public void Dispose()
    {
        Check.That(Environment.CurrentManagedThreadId != _thread.ManagedThreadId, "a transport is not disposed of by its own thread");
        if (_stopping)
            return;
        _heartbeat?.Dispose();
        _stopping = true;
        Signal();
        if (_thread.IsAlive)
            _thread.Join();
        lock (_wakeLock)
            _wakeIsClosed = true;
        LinuxCalls.Close(_wake);
        LinuxCalls.Close(_epoll);
        NativeMemory.Free(_events);
    }

    private static int Require(int result, string call) =>
        result >= 0 ? result : throw new Win32Exception(Marshal.GetLastPInvokeError(), call + " failed");

    private static string Describe(int error) => new Win32Exception(error).Message;

    private void Signal()
    {
        if (Interlocked.Exchange(ref _signalled, 1) != 0)
            return;
        lock (_wakeLock)
        {
            if (!_wakeIsClosed)
                LinuxCalls.Signal(_wake);
        }
    }

    private void Beat()
    {
        Volatile.Write(ref _lastBeatMs, Now());
        _pool.Trim();
        foreach (KnownPeer peer in Peers)
        {
            if (peer.Link is not { } link)
                continue;
            link.Output.Flush();
            link.Output.AddPingIfIdle();
        }
    }

    private void Run()
    {
        ThreadSlice.AskForShort();
        try
        {
            while (!_stopping)
                Turn();
            foreach (PeerConnection connection in _connections.Values)
            {
                connection.IsClosed = true;
                if (connection.Peer is { } peer && peer.Link == connection)
                    peer.Link = null;
                connection.Output.Close();
            }

            _connections.Clear();
        }
        catch (Exception e)
        {
            // What others send is not what ends here: it is a defect of ours, and a node that hears nobody is worse than none.
            Environment.FailFast("the thread that talks with other nodes met a defect", e);
        }
    }

    private long Now() => (long)_time.GetElapsedTime(_startTimestamp).TotalMilliseconds + 1;

    private void Turn()
    {
        long wait = _commands.IsEmpty ? Math.Clamp(_nextSweepMs - Now(), 0, 60_000) * 1000 : 0;
        int count = _wait.Next(_epoll, _events, EventsMax, wait);
        _nowMs = Now();
        for (int i = 0; i < count; i++)
        {
            byte* record = _events + (i * LinuxCalls.EventBytes);
            Dispatch(*(int*)record, *(ulong*)(record + LinuxCalls.EventDataOffset));
        }

        if (_hasDelivered)
        {
            _hasDelivered = false;
            _listener.Settled();
        }

        for (int left = _commands.Count; left > 0 && _commands.TryDequeue(out Action? command); left--)
            command();
        if (_nowMs - Volatile.Read(ref _lastBeatMs) > 2 * _options.HeartbeatInterval.TotalMilliseconds)
            Beat();
        if (_nowMs >= _nextSweepMs)
            Sweep(sawAll: count is >= 0 and < EventsMax);
    }

    private void Dispatch(int events, ulong token)
    {
        if (token == WakeToken)
        {
            LinuxCalls.DrainSignal(_wake);
            Volatile.Write(ref _signalled, 0);
            return;
        }

        if ((token & LoopListeners.Tokens) != 0)
        {
            Accept((int)(token & int.MaxValue));
            return;
        }

        if (!_connections.TryGetValue(token, out PeerConnection? connection))
            return;
        if (connection.Stage == PeerStage.Connecting)
        {
            Connected(connection);
            return;
        }

        if ((events & LinuxCalls.EpollOut) != 0 && connection.Output.RoomCame() && connection.Stage == PeerStage.Linked)
            _listener.Writable(connection.Peer!.Id);
        if ((events & (LinuxCalls.EpollIn | LinuxCalls.EpollHangUp | LinuxCalls.EpollError)) != 0)
            Receive(connection);
    }

    private void Receive(PeerConnection connection)
    {
        nint received = LinuxCalls.Receive(connection.FileDescriptor, connection.Input.Room(connection.WantedBytes));
        if (received <= 0)
        {
            int error = received == 0 ? 0 : Marshal.GetLastPInvokeError();
            if (error is not (LinuxCalls.TryAgain or LinuxCalls.Interrupted))
                Close(connection, connection.Relay?.Trouble ?? (error == 0 ? "the other side closed the connection" : Describe(error)));
            return;
        }

        connection.Input.Filled((int)received);
        connection.HeardMs = _nowMs;
        connection.IsDoubted = false;
        if (connection.IsMagicSeen || TakeMagic(connection))
            TakeFrames(connection);
    }

    private bool TakeMagic(PeerConnection connection)
    {
        ReadOnlySpan<byte> received = connection.Input.Received;
        if (!PeerProtocol.MayBegin(received))
        {
            const byte TlsHandshake = 0x16;
            string what = received[0] == TlsHandshake ? "it speaks TLS, and this node has no certificates" : "it does not speak the protocol of nodes";
            if (connection.IsStranger)
                LogRefusal(connection.Remote, what);
            Close(connection, what);
            return false;
        }

        if (received.Length < PeerProtocol.Magic.Length)
            return false;
        connection.IsMagicSeen = true;
        connection.Input.Consume(PeerProtocol.Magic.Length);
        return true;
    }

    private void TakeFrames(PeerConnection connection)
    {
        while (!connection.IsClosed)
        {
            ReadOnlySpan<byte> received = connection.Input.Received;
            PeerFrameStatus status = PeerFrame.Read(received, PayloadBytesMax(connection), out int frameBytes);
            if (status == PeerFrameStatus.Partial)
            {
                connection.WantedBytes = frameBytes;
                if (!received.IsEmpty && connection.FrameBeganMs == 0)
                {
                    connection.FrameBeganMs = _nowMs;
                    SweepBy(_nowMs + (long)_options.FrameMax.TotalMilliseconds);
                }

                return;
            }

            connection.FrameBeganMs = 0;
            if (status == PeerFrameStatus.Whole)
            {
                Take(connection, received[..frameBytes]);
                connection.Input.Consume(frameBytes);
            }
            else
            {
                Malformed(connection, status switch
                {
                    PeerFrameStatus.TooLong => "a frame that is longer than may be",
                    PeerFrameStatus.Empty => "a frame without content",
                    _ => "a frame whose checksum does not fit",
                });
            }
        }
    }

    private int PayloadBytesMax(PeerConnection connection) => connection.Stage switch
    {
        PeerStage.Linked => _options.MessageBytesMax + 1,
        PeerStage.AwaitsCall or PeerStage.AwaitsAnswer => _options.CallBytesMax + 1,
        _ => PeerProtocol.GreetingBytesMax,
    };

    private void Take(PeerConnection connection, ReadOnlySpan<byte> frame)
    {
        PeerFrameKind kind = PeerFrame.Kind(frame);
        switch (connection.Stage, kind)
        {
            case (PeerStage.Linked, PeerFrameKind.Message):
                Deliver(connection, PeerFrame.Body(frame));
                break;
            case (PeerStage.Linked, PeerFrameKind.Ping):
                break;
            case (PeerStage.AwaitsHello, PeerFrameKind.Hello):
                TakeHello(connection, frame);
                break;
            case (PeerStage.AwaitsWelcome, PeerFrameKind.Welcome):
                TakeWelcome(connection, frame);
                break;
            case (PeerStage.AwaitsOpen, PeerFrameKind.Open):
                TakeOpen(connection, frame);
                break;
            case (PeerStage.AwaitsWelcome or PeerStage.AwaitsOpen or PeerStage.AwaitsAnswer, PeerFrameKind.Refusal):
                TakeRefusal(connection, frame);
                break;
            case (PeerStage.AwaitsCall, PeerFrameKind.Call):
                TakeCall(connection, PeerFrame.Body(frame));
                break;
            case (PeerStage.AwaitsAnswer, PeerFrameKind.Answer):
                TakeAnswer(connection, PeerFrame.Body(frame));
                break;
            default:
                Malformed(connection, $"a frame of kind {(int)kind} that has no place there");
                break;
        }
    }

    private void Deliver(PeerConnection connection, ReadOnlySpan<byte> message)
    {
        connection.Peer!.Counters.Received(message.Length);
        _hasDelivered = true;
        try
        {
            _listener.Received(connection.Peer.Id, message);
        }
        catch (MalformedMessageException e)
        {
            Malformed(connection, e.Message);
        }
    }

    /// <summary>The other side is told, if it is not our peer yet, and heard no more.</summary>
    private void Malformed(PeerConnection connection, string what)
    {
        if (connection.Stage is PeerStage.Linked or PeerStage.AwaitsWelcome or PeerStage.AwaitsAnswer or PeerStage.AwaitsOpen)
            Close(connection, "it sent " + what);
        else
            Refuse(connection, PeerRefusalReason.Malformed, what);
    }

    private void SweepBy(long ms) => _nextSweepMs = Math.Min(_nextSweepMs, ms);

    /// <summary>What is due by the clock: deadlines, silence, attempts to connect.</summary>
    private void Sweep(bool sawAll)
    {
        long silenceMs = (long)_options.SilenceMax.TotalMilliseconds;
        long frameMs = (long)_options.FrameMax.TotalMilliseconds;
        _nextSweepMs = _nowMs + (long)Math.Min(2 * _options.HeartbeatInterval.TotalMilliseconds, int.MaxValue) + 1;
        _listeners.Resume();
        foreach (PeerConnection connection in _connections.Values)
        {
            bool overdue = connection.DeadlineMs <= _nowMs;
            SweepBy(connection.DeadlineMs);
            if (connection.Stage == PeerStage.Linked)
            {
                if (connection.FrameBeganMs != 0)
                {
                    overdue |= _nowMs - connection.FrameBeganMs >= frameMs;
                    SweepBy(connection.FrameBeganMs + frameMs);
                }

                long silentMs = connection.HeardMs + silenceMs;
                bool silent = silentMs <= _nowMs && sawAll;

                // It may be this process that stood still: what came meanwhile is looked at first.
                overdue |= silent && connection.IsDoubted;
                connection.IsDoubted = silent;
                SweepBy(silentMs);
            }

            if (overdue)
                _overdue.Add(connection);
        }

        foreach (PeerConnection connection in _overdue)
            Close(connection, OverdueReason(connection));
        _overdue.Clear();
        foreach (KnownPeer peer in _peers)
        {
            if (_self == 0 || peer.Link is not null || peer.Attempt is not null || peer.IsResolving || peer.Address is null)
                continue;
            if (peer.NextAttemptMs <= _nowMs)
                Attempt(peer);
            else
                SweepBy(peer.NextAttemptMs);
        }
    }

    private static string OverdueReason(PeerConnection connection) => connection.Stage switch
    {
        PeerStage.Linked => connection.IsDoubted ? "it was not heard for too long" : "it has not finished what it began to send",
        PeerStage.Connecting => connection.Relay?.Trouble ?? "nobody answers",
        PeerStage.AwaitsAnswer or PeerStage.OwesAnswer => "no answer came in time",
        _ => connection.Relay?.Trouble ?? "it did not say in time who it is",
    };

    private void Close(PeerConnection connection, string reason)
    {
        if (connection.IsClosed)
            return;
        connection.IsClosed = true;
        _connections.Remove(connection.Token);
        if (connection.IsStranger)
            _strangers--;
        long lost = connection.Output.Close();
        SweepBy(_nowMs);
        if (connection.Call is { } call)
        {
            connection.Call = null;
            call.Done(new CallReply(connection.Stage == PeerStage.AwaitsAnswer ? CallOutcome.Lost : CallOutcome.Failed, default, reason));
        }

        KnownPeer? peer = connection.Peer;
        if (peer is not null && peer.Attempt == connection)
        {
            peer.Attempt = null;
            AttemptFailed(peer, reason);
        }
        else if (peer is not null && peer.Link == connection)
        {
            peer.Link = null;
            peer.Counters.Lost(lost);
            if (_nowMs - peer.LinkedMs >= _options.BackoffMax.TotalMilliseconds)
                peer.Failures = 0;
            BackOff(peer);
            PeerLog.Disconnected(_logger, peer.Id.Value, connection.Remote, reason);
            _listener.Disconnected(peer.Id);
        }
        else if (connection.Relay is { IsMistrust: true, Trouble: { } trouble })
        {
            LogRefusal(connection.Remote, trouble);
        }
        else
        {
            PeerLog.CameToNothing(_logger, connection.Remote, reason);
        }
    }
}
