using System.Collections.Concurrent;
using System.Net;
using Kvasir.Server.Sessions;
using Microsoft.AspNetCore.Connections;

namespace Kvasir.Server.Transport;

/// <summary>
/// RESP over Kestrel: for TLS everywhere, and for plain connections where there is no epoll. Feeds the same sessions as the
/// event loop. Thread-safe.
/// </summary>
internal sealed class KestrelRespHandler : ConnectionHandler, IDisposable
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(100);

    // Each connection is looked after once a second, as those of event loops are.
    private const int TicksPerRound = 10;

    private readonly ServerState _server;
    private readonly bool _clientsShowCertificates;
    private readonly ConcurrentDictionary<long, KestrelConnection> _connections = new();
    private readonly ITimer _timer;
    private int _ticking;
    private int _tick;

    /// <param name="server">Whose sessions these are.</param>
    /// <param name="clientsShowCertificates">Nobody gets here without a certificate of an authority that was named.</param>
    public KestrelRespHandler(ServerState server, bool clientsShowCertificates)
    {
        _server = server;
        _clientsShowCertificates = clientsShowCertificates;
        _timer = server.Time.CreateTimer(_ => Tick(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public int ConnectionCount => _connections.Count;

    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        if (IsProtectedFrom(connection.RemoteEndPoint))
        {
            await Refuse(connection, ConnectionRefusal.Protected);
            return;
        }

        KestrelConnection served = new(_server, connection, Address(connection.RemoteEndPoint), Address(connection.LocalEndPoint));
        long id = served.Session.Client.Id;
        _connections[id] = served;
        _server.Opened(served.Session);
        if (Interlocked.Exchange(ref _ticking, 1) == 0)
            _timer.Change(s_tick, s_tick);
        try
        {
            await served.Serve();
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException or TimeoutException)
        {
            // The other side went away, or was sent away.
        }
        finally
        {
            _connections.TryRemove(id, out _);
            served.Ended.TrySetResult();
            _server.Node.Mailbox.Post(new SessionClosing(served.Session));
        }
    }

    /// <summary>The log became durable further, or failed. Any thread.</summary>
    public void LogMoved()
    {
        foreach (KestrelConnection connection in _connections.Values)
        {
            if (connection.AwaitsLog)
                connection.Wake(connection.Session);
        }
    }

    /// <summary>Takes nothing more from clients, and completes when each has the replies to all that had come from it. Any thread.</summary>
    public Task Finish() => Task.WhenAll(_connections.Values.Select(static c => c.Finish()));

    public void Dispose() => _timer.Dispose();

    private static string Address(EndPoint? endPoint) => endPoint?.ToString() ?? "/unix:0";

    private bool IsProtectedFrom(EndPoint? remote) =>
        remote is IPEndPoint { Address: { } address } && !IPAddress.IsLoopback(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address)
        && !_clientsShowCertificates && !_server.RequiresPassword && _server.Settings.Flag("protected-mode");

    private async Task Refuse(ConnectionContext connection, byte[] reason)
    {
        await connection.Transport.Output.WriteAsync(reason);
        _server.Statistics.ConnectionRejected();
    }

    private void Tick()
    {
        long nowMs = Environment.TickCount64;
        int turn = Interlocked.Increment(ref _tick) % TicksPerRound;
        _server.Statistics.Sample(nowMs);
        foreach ((long id, KestrelConnection connection) in _connections)
            connection.Look(nowMs, tend: id % TicksPerRound == turn);
    }
}
