using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Wire.Peers;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Peers;

/// <summary>
/// Messages between nodes over TCP (docs/formats/peer-protocol.md): one connection for each pair of nodes, made by whichever
/// is first and made again when it ends. A message leaves on its sender's thread if the socket takes it; one thread
/// receives, and tells the listener. In steady state nothing is allocated.
/// </summary>
public sealed class TcpTransport : ITransport, IPeerLink, IDisposable
{
    private readonly TcpTransportOptions _options;
    private readonly ILogger _logger;
    private readonly Socket _socket;
    private readonly PeerLoop _loop;
    private PeerMeter? _meter;
    private ulong _self;
    private long _strayMessages;
    private bool _isStarted;
    private bool _isDisposed;

    /// <summary>Binds and listens at once; talks after <see cref="Start"/>.</summary>
    /// <param name="random">For pauses between attempts, and for telling this process from others: not the same seed in each.</param>
    /// <exception cref="SocketException">The address cannot be had.</exception>
    /// <exception cref="System.Security.Cryptography.CryptographicException">A certificate file does not hold what it should.</exception>
    /// <exception cref="IOException">A certificate file cannot be read.</exception>
    public TcpTransport(TcpTransportOptions options, TimeProvider time, SeededRandom random, ILogger logger)
    {
        if (!OperatingSystem.IsLinux())
            throw new PlatformNotSupportedException("nodes of a cluster talk by the event loop of Linux");
        Check.That(options.MessageBytesMax is > 0 and <= 1 << 30 && options.CallBytesMax is > 0 and <= 1 << 30);
        _options = options;
        _logger = logger;
        PeerTls? tls = options.Certificates is null ? null : PeerTls.Load(options.Certificates);
        if (tls?.Untimely(time) is { } untimely)
            PeerLog.Untimely(logger, options.Certificates!.Certificate, untimely);
        _socket = new Socket(options.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (options.Listen.AddressFamily == AddressFamily.InterNetworkV6)
                _socket.DualMode = options.Listen.Address.Equals(IPAddress.IPv6Any);
            _socket.Bind(options.Listen);
            _socket.Listen(options.Backlog);
            EndPoint = (IPEndPoint)_socket.LocalEndPoint!;
            _loop = new PeerLoop(options, tls, time, random, logger);
        }
        catch (Exception e) when (e is SocketException or Win32Exception)
        {
            _socket.Dispose();
            throw;
        }
    }

    public NodeId Self => new(Volatile.Read(ref _self));

    ITransport IPeerLink.Transport => this;

    public int MessageBytesMax => _options.MessageBytesMax;

    /// <summary>Where others connect, as bound: with the port that the system chose for port 0.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>Of all peers together that there have been.</summary>
    public PeerStatistics Statistics => _loop.Statistics + new PeerStatistics { Dropped = Volatile.Read(ref _strayMessages) };

    /// <summary>All peers, in the order of their numbers.</summary>
    public IReadOnlyList<PeerState> Peers => [.. _loop.Peers.Select(static peer =>
    {
        PeerConnection? link = peer.Link;
        return new PeerState(peer.Id, peer.Address, link is not null, peer.Counters.Read(link?.Output.PendingBytes ?? 0));
    })];

    /// <summary>Begins to talk. The listener hears from now on, until <see cref="Dispose"/> returns.</summary>
    public void Start(ITransportListener listener)
    {
        Check.That(!_isStarted && !_isDisposed);
        _isStarted = true;
        _loop.Start(listener, (int)_socket.Handle);
        _meter = new PeerMeter(this);
        PeerLog.Listening(_logger, EndPoint, _options.Certificates is null ? "" : " with certificates");
    }

    /// <summary>This node belongs to a cluster, and has a number. Before, it can only ask and be asked.</summary>
    public void Identify(ulong cluster, NodeId self)
    {
        Check.That(cluster != 0 && !self.IsNone);
        ulong before = Interlocked.CompareExchange(ref _self, self.Value, 0);
        Check.That(before == 0, $"node {before} is to become node {self}");
        _loop.Post(() => _loop.Identify(cluster, self));
    }

    public SendOutcome Send(NodeId to, MessageBuffer message)
    {
        using (message)
            return Send(to, message.Bytes);
    }

    public SendOutcome Send(NodeId to, ReadOnlySpan<byte> message, bool more = false)
    {
        Check.That(message.Length <= _options.MessageBytesMax, $"a message of {message.Length} bytes");
        if (_loop.Find(to) is not { } peer)
        {
            Interlocked.Increment(ref _strayMessages);
            return SendOutcome.Unreachable;
        }

        SendOutcome outcome = peer.Link is { } link ? link.Output.Add(PeerFrameKind.Message, message, more) : SendOutcome.Unreachable;
        peer.Counters.Sent(outcome, message.Length);
        return outcome;
    }

    public void Flush()
    {
        foreach (KnownPeer peer in _loop.Peers)
            peer.Link?.Output.Flush();
    }

    public void SetPeers(IReadOnlyList<PeerAddress> peers)
    {
        PeerAddress[] copy = [.. peers];
        _loop.Post(() => _loop.SetPeers(copy));
    }

    public void Call(PeerAddress to, ReadOnlySpan<byte> request, TimeSpan patience, Action<CallReply> done)
    {
        Check.That(request.Length <= _options.CallBytesMax, $"a question of {request.Length} bytes");
        byte[] copy = request.ToArray();
        _loop.Post(() => _loop.Call(to, copy, patience, done));
    }

    public void Answer(CallTicket call, ReadOnlySpan<byte> reply)
    {
        Check.That(reply.Length <= _options.CallBytesMax, $"an answer of {reply.Length} bytes");
        byte[] copy = reply.ToArray();
        _loop.Post(() => _loop.Answer(call, copy));
    }

    /// <summary>Ends all connections and the thread. Afterwards nobody can be reached, and the listener hears nothing. Not from inside the listener.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _meter?.Dispose();
        _loop.Dispose();
        _socket.Dispose();
    }
}
