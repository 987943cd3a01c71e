using System.Net;
using System.Net.Sockets;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <summary>The plain RESP endpoints of a server and the loops that serve them.</summary>
internal sealed class EpollListener : IDisposable
{
    private readonly List<Socket> _sockets = [];
    private readonly EpollLoop[] _loops;

    /// <summary>Binds and listens at once; serves after <see cref="Start"/>. Throws what the system says.</summary>
    public EpollListener(ServerState server, IEnumerable<IPEndPoint> endPoints, int loops, int backlog, bool commitInline, TimeSpan busyPoll)
    {
        try
        {
            foreach (IPEndPoint endPoint in endPoints)
            {
                Socket socket = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                _sockets.Add(socket);
                if (endPoint.AddressFamily == AddressFamily.InterNetworkV6)
                    socket.DualMode = endPoint.Address.Equals(IPAddress.IPv6Any);

                // Bind asks for SO_REUSEADDR by itself. The platform's ReuseAddress would ask for SO_REUSEPORT, too, and
                // two servers would share a port without a word.
                socket.Bind(endPoint);
                socket.Listen(backlog);
            }
        }
        catch
        {
            foreach (Socket socket in _sockets)
                socket.Dispose();
            throw;
        }

        EndPoints = [.. _sockets.Select(s => (IPEndPoint)s.LocalEndPoint!)];
        Acceptor = new ConnectionAcceptor(server, EndPoints[0].ToString());
        _loops = [.. Enumerable.Range(0, loops).Select(i => new EpollLoop(server, Acceptor, $"kvasir loop {i}", commitInline, busyPoll))];
        Acceptor.SetLoops(_loops);
        foreach (Socket socket in _sockets)
            _loops[0].Listen((int)socket.Handle);
    }

    public ConnectionAcceptor Acceptor { get; }

    /// <summary>As bound: with the port that the system chose for port 0.</summary>
    public IReadOnlyList<IPEndPoint> EndPoints { get; }

    public void Start()
    {
        foreach (EpollLoop loop in _loops)
            loop.Start();
    }

    /// <summary>The log became durable further, or failed. Any thread.</summary>
    public void LogMoved()
    {
        foreach (EpollLoop loop in _loops)
            loop.LogMoved();
    }

    public void Dispose()
    {
        foreach (EpollLoop loop in _loops)
            loop.Dispose();
        foreach (Socket socket in _sockets)
            socket.Dispose();
    }
}
