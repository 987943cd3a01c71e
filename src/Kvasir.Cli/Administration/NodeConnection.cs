using System.Net.Sockets;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Administration;

/// <summary>A connection for commands that run the cluster. What the server refuses is an exception with its words.</summary>
internal sealed class NodeConnection : IDisposable
{
    private readonly RespConnection _connection;

    private NodeConnection(RespConnection connection, HostPort address)
    {
        _connection = connection;
        Address = address;
    }

    public HostPort Address { get; }

    /// <param name="address">Of RESP.</param>
    /// <param name="password">Null for none.</param>
    /// <param name="patience">How long a reply may take: a node may be stopped, or cut off, and still accept connections.</param>
    public static NodeConnection Open(HostPort address, string? password, TimeSpan patience)
    {
        RespConnection connection = RespConnection.Open(address);
        try
        {
            connection.Socket.ReceiveTimeout = (int)patience.TotalMilliseconds;
            if (password is not null)
                connection.Greet(password);
        }
        catch (Exception e)
        {
            connection.Dispose();
            if (e is SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock })
                throw Silent(address, patience, e);
            throw;
        }

        return new NodeConnection(connection, address);
    }

    public RespReply Call(params string[] words)
    {
        try
        {
            RespReply reply = _connection.Call(words);
            return reply.Kind == RespReplyKind.Error ? throw new RefusedException(reply.Text) : reply;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
        {
            throw Silent(Address, TimeSpan.FromMilliseconds(_connection.Socket.ReceiveTimeout), e);
        }
    }

    public void Dispose() => _connection.Dispose();

    private static UsageException Silent(HostPort address, TimeSpan patience, Exception e) =>
        new($"{address} takes connections and does not answer within {patience.TotalSeconds:0.#} s", e);
}

/// <summary>A server answered with an error; the message is its text.</summary>
internal sealed class RefusedException : Exception
{
    public RefusedException() { }

    public RefusedException(string message) : base(message) { }

    public RefusedException(string message, Exception? inner) : base(message, inner) { }
}
