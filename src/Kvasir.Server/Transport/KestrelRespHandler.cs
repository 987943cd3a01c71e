using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net;
using Kvasir.Server.Sessions;
using Microsoft.AspNetCore.Connections;

namespace Kvasir.Server.Transport;

/// <summary>
/// RESP over Kestrel: for TLS everywhere, and for plain connections where there is no epoll. Feeds the same sessions as the
/// event loop. Thread-safe.
/// </summary>
internal sealed class KestrelRespHandler(ServerState server) : ConnectionHandler
{
    private readonly ConcurrentDictionary<long, KestrelConnection> _connections = new();

    public int ConnectionCount => _connections.Count;

    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        if (_connections.Count >= server.Limits.ClientsMax)
        {
            await connection.Transport.Output.WriteAsync("-ERR max number of clients reached\r\n"u8.ToArray());
            server.Statistics.ConnectionRejected();
            return;
        }

        KestrelConnection served = new(server, connection.Transport, Address(connection.RemoteEndPoint), Address(connection.LocalEndPoint));
        _connections[served.Session.Client.Id] = served;
        server.Opened(served.Session);
        try
        {
            await served.Serve(connection.ConnectionClosed);
        }
        finally
        {
            _connections.TryRemove(served.Session.Client.Id, out _);
            server.Node.Mailbox.Post(new SessionClosing(served.Session));
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

    private static string Address(EndPoint? endPoint) => endPoint?.ToString() ?? "/unix:0";
}

/// <summary>One Kestrel connection: a single asynchronous loop that reads, runs and sends.</summary>
internal sealed class KestrelConnection : ISessionOwner
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(5);
    private readonly ServerState _server;
    private readonly IDuplexPipe _pipe;
    private int _woken;

    public KestrelConnection(ServerState server, IDuplexPipe pipe, string address, string localAddress)
    {
        _server = server;
        _pipe = pipe;
        Session = new RespSession(server, this, address, localAddress);
    }

    public RespSession Session { get; }

    /// <summary>Replies wait for the log.</summary>
    public volatile bool AwaitsLog;

    public void Wake(RespSession session)
    {
        if (Interlocked.Exchange(ref _woken, 1) == 0)
            _pipe.Input.CancelPendingRead();
    }

    public async Task Serve(CancellationToken closed)
    {
        while (!Session.ClosesNow)
        {
            if (Session.Suspended is not null || Session.HasMore)
            {
                if (Session.Suspended is not null)
                    await Task.Delay(s_look, closed).ContinueWith(static _ => { }, TaskScheduler.Default);
                if (closed.IsCancellationRequested)
                    return;
                await Run();
            }
            else
            {
                ReadResult read = await _pipe.Input.ReadAsync(CancellationToken.None);
                Volatile.Write(ref _woken, 0);
                if (read.IsCompleted && read.Buffer.IsEmpty)
                    return;
                if (!read.Buffer.IsEmpty)
                {
                    Take(read.Buffer);
                    await Run();
                }
                else
                {
                    _pipe.Input.AdvanceTo(read.Buffer.Start);
                }
            }

            if (!await Send() || Session.ClosesAfterReplies)
                return;
        }
    }

    private void Take(ReadOnlySequence<byte> bytes)
    {
        SessionInput input = Session.Input;
        if (input.Array is null)
            input.Lend(ArrayPool<byte>.Shared.Rent(16 << 10));
        foreach (ReadOnlyMemory<byte> piece in bytes)
        {
            Memory<byte> room = input.Room(Math.Max(Session.Parser.BytesWanted, input.Length + piece.Length));
            piece.CopyTo(room);
            input.Received(piece.Length);
        }

        _server.Statistics.Received((int)bytes.Length);
        _pipe.Input.AdvanceTo(bytes.End);
        if (input.Length > _server.Limits.InputMax)
            Session.ClosesNow = true;
    }

    private async ValueTask Run()
    {
        Session.Execute();
        while (Session.IsRunning)
            await Task.Yield();
        byte[]? array = Session.Input.TakeBack();
        if (array is not null && array.Length <= 64 << 10)
            ArrayPool<byte>.Shared.Return(array);
    }

    /// <summary>False when the connection is gone.</summary>
    private async ValueTask<bool> Send()
    {
        if (Session.Output.HasGates)
            AwaitsLog = true;
        LogGate.Commit(_server, inline: false);
        bool flushed = true;
        Memory<byte> bytes = Session.Sendable();
        AwaitsLog = Session.Output.HasGates;

        // Looked at again: the log may have moved between the two lines above.
        if (AwaitsLog)
            bytes = Session.Sendable();
        if (!bytes.IsEmpty)
        {
            FlushResult result = await _pipe.Output.WriteAsync(bytes);
            flushed = !result.IsCompleted;
            Session.Output.Sent(bytes.Length);
            _server.Statistics.Sent(bytes.Length);
        }

        while (Session.ClosesAfterReplies && Session.Output.Length != 0 && flushed)
        {
            await Task.Delay(s_look);
            bytes = Session.Sendable();
            if (!bytes.IsEmpty)
            {
                flushed = !(await _pipe.Output.WriteAsync(bytes)).IsCompleted;
                Session.Output.Sent(bytes.Length);
            }
        }

        return flushed;
    }
}
