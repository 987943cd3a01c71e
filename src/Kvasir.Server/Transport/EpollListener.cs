using System.Net;
using System.Net.Sockets;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <summary>The plain RESP endpoints of a server and the loops that serve them.</summary>
internal sealed class EpollListener : IDisposable
{
    private readonly EpollLoop[] _loops;
    private readonly int _backlog;
    private readonly UnixSocket? _unix;
    private List<Socket> _sockets = [];

    /// <summary>Binds and listens at once; serves after <see cref="Start"/>. Throws what the system says.</summary>
    public EpollListener(
        ServerState server,
        IEnumerable<IPEndPoint> endPoints,
        UnixSocketOptions? unixSocket,
        int loops,
        int backlog,
        bool commitInline,
        TimeSpan busyPoll)
    {
        _backlog = backlog;
        try
        {
            foreach (IPEndPoint endPoint in endPoints)
                _sockets.Add(Bind(endPoint));
            if (unixSocket is not null)
                _unix = new UnixSocket(unixSocket, backlog);
        }
        catch
        {
            DisposeSockets();
            throw;
        }

        Acceptor = new ConnectionAcceptor(server, LocalAddress(), unixSocket?.Path);
        _loops = [.. Enumerable.Range(0, loops).Select(i => new EpollLoop(server, Acceptor, $"kvasir loop {i}", commitInline, busyPoll))];
        Acceptor.SetLoops(_loops);
        foreach (Socket socket in _sockets)
            _loops[0].Listen((int)socket.Handle);
        if (_unix is not null)
            _loops[0].Listen(_unix.FileDescriptor);
    }

    public ConnectionAcceptor Acceptor { get; }

    /// <summary>As bound: with the port that the system chose for port 0.</summary>
    public IReadOnlyList<IPEndPoint> EndPoints => [.. _sockets.Select(static s => (IPEndPoint)s.LocalEndPoint!)];

    public void Start()
    {
        foreach (EpollLoop loop in _loops)
            loop.Start();
    }

    /// <summary>
    /// Listens at other addresses instead; connections stay. False when one of them cannot be had, and then all is as it
    /// was. Inside the mailbox.
    /// </summary>
    public bool Rebind(IReadOnlyList<IPEndPoint> endPoints)
    {
        List<Socket> kept = [.. _sockets.Where(s => endPoints.Contains((IPEndPoint)s.LocalEndPoint!))];
        // Those not wanted any more go first: an address that covers another cannot be bound beside it.
        IPEndPoint[] dropped = [.. EndPoints.Except(endPoints)];
        foreach (Socket socket in _sockets.Except(kept))
        {
            // Clients that the system has connected and no loop has taken yet would be reset by the close.
            _loops[0].Ignore((int)socket.Handle);
            TakeWaiting((int)socket.Handle);
            socket.Dispose();
        }

        List<Socket> added = [];
        try
        {
            foreach (IPEndPoint endPoint in endPoints.Except(kept.Select(static s => (IPEndPoint)s.LocalEndPoint!)))
                added.Add(Bind(endPoint));
        }
        catch (SocketException)
        {
            foreach (Socket socket in added)
                socket.Dispose();
            added = [.. dropped.Select(Bind)];
            Take(kept, added);
            return false;
        }

        Take(kept, added);
        return true;
    }

    /// <summary>The log became durable further, or failed. Any thread.</summary>
    public void LogMoved()
    {
        foreach (EpollLoop loop in _loops)
            loop.LogMoved();
    }

    /// <summary>Write memory was at its limit and is not any more. Any thread.</summary>
    public void RoomMade()
    {
        foreach (EpollLoop loop in _loops)
            loop.RoomMade();
    }

    /// <summary>Sessions that were to be woken later are woken now. Any thread.</summary>
    public void WakeNow()
    {
        foreach (EpollLoop loop in _loops)
            loop.WakeNow();
    }

    /// <summary>
    /// Takes nothing more in, and completes when each client has the replies to all that had come from it. Any thread, once, after
    /// <see cref="Start"/>.
    /// </summary>
    public Task Finish()
    {
        // Who comes now is refused at once, and asks another node: it would wait here for its end.
        foreach (Socket socket in _sockets)
        {
            _loops[0].Ignore((int)socket.Handle);
            socket.Dispose();
        }

        _sockets = [];
        if (_unix is not null)
            _loops[0].Ignore(_unix.FileDescriptor);
        return Task.WhenAll(_loops.Select(static l => l.Finish()));
    }

    public void Dispose()
    {
        foreach (EpollLoop loop in _loops)
            loop.Dispose();
        DisposeSockets();
    }

    private Socket Bind(IPEndPoint endPoint)
    {
        Socket socket = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endPoint.AddressFamily == AddressFamily.InterNetworkV6)
                socket.DualMode = endPoint.Address.Equals(IPAddress.IPv6Any);

            // Bind asks for SO_REUSEADDR by itself. The platform's ReuseAddress would ask for SO_REUSEPORT, too, and
            // two servers would share a port without a word.
            socket.Bind(endPoint);
            socket.Listen(_backlog);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private void TakeWaiting(int listener)
    {
        for (int i = 0; i <= _backlog; i++)
        {
            AcceptResult result = Acceptor.Accept(listener, out AcceptedSocket socket);
            if (result is AcceptResult.NoneLeft or AcceptResult.NoFiles)
                return;
            if (result == AcceptResult.Accepted)
                _loops[0].Adopt(socket);
        }
    }

    private void Take(List<Socket> kept, List<Socket> added)
    {
        foreach (Socket socket in added)
            _loops[0].Listen((int)socket.Handle);
        _sockets = [.. kept, .. added];
        Acceptor.LocalAddress = LocalAddress();
    }

    private string LocalAddress() => _sockets.Count == 0 ? "" : _sockets[0].LocalEndPoint!.ToString()!;

    private void DisposeSockets()
    {
        foreach (Socket socket in _sockets)
            socket.Dispose();
        _unix?.Dispose();
    }
}
