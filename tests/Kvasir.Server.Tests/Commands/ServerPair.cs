using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Kvasir.Server.Tests.Commands;

/// <summary>A few clients of ours and as many of Redis's, on servers that are empty and as they were started.</summary>
internal sealed class ServerPair : IDisposable
{
    public const int Clients = 3;

    private readonly RedisPeer _redis;
    private readonly CommandWorld _world;
    private readonly Socket[] _theirs = new Socket[Clients];
    private readonly SessionPeer[] _ours = new SessionPeer[Clients];
    private readonly byte[] _buffer = new byte[1 << 16];

    public ServerPair(RedisPeer redis, CommandWorld world)
    {
        _redis = redis;
        _world = world;
        world.Advance(DateTimeOffset.UtcNow - world.Scheduler.Time.GetUtcNow());
        foreach (string[] line in Beginning())
        {
            redis.Execute(line);
            world.Execute(line);
        }

        for (int i = 0; i < Clients; i++)
            Connect(i);
    }

    public IReadOnlyList<string> CommandNames => [.. _world.Server.Commands.AllWithSubcommands.Select(c => c.FullName)];

    public bool Queues(int client) => _ours[client].Session.Transaction.IsOpen;

    /// <summary>Redis counts keys that have expired until it deletes them, which a scan does.</summary>
    public void ForgetExpired()
    {
        for (int i = 15; i >= 0; i--)
        {
            _redis.Execute("SELECT", i.ToString(CultureInfo.InvariantCulture));
            _redis.Execute("SCAN", "0", "COUNT", "1000");
        }

        // What CLIENT LIST shows of this connection stays the same.
        _redis.Execute("PING");
    }

    /// <summary>What every client has received when the request of one was answered.</summary>
    public (byte[] Redis, byte[] Ours)[] Send(int client, byte[] bytes)
    {
        _theirs[client].Send(bytes);
        byte[] first = _ours[client].Send(bytes);
        var received = new (byte[] Redis, byte[] Ours)[Clients];
        for (int k = 0; k < Clients; k++)
        {
            // The one that asked comes first: the others hear of it in the same turn.
            int i = (client + k) % Clients;
            byte[] ours = i == client ? [.. first, .. _ours[i].Receive()] : _ours[i].Receive();
            received[i] = (Receive(_theirs[i], ours.Length, _ours[i].IsClosed, out bool closed), ours);
            if (closed != _ours[i].IsClosed)
                received[i] = ([.. received[i].Redis, .. closed ? "(closed)"u8 : "(open)"u8], ours);
            if (!closed && !_ours[i].IsClosed)
                continue;
            _theirs[i].Dispose();
            _ours[i].Close();
            Connect(i);
        }

        return received;
    }

    public void Dispose()
    {
        for (int i = 0; i < Clients; i++)
        {
            _theirs[i].Dispose();
            _ours[i].Close();
        }
    }

    private static IEnumerable<string[]> Beginning()
    {
        yield return ["CLIENT", "KILL", "TYPE", "pubsub"];
        yield return ["CLIENT", "KILL", "TYPE", "normal"];
        yield return ["CLIENT", "UNPAUSE"];
        foreach ((string name, string value) in SessionLines.Settings.OrderBy(s => s.Key, StringComparer.Ordinal))
            yield return ["CONFIG", "SET", name, value];
        yield return ["DEBUG", "SET-ACTIVE-EXPIRE", "1"];
        yield return ["CONFIG", "RESETSTAT"];
        yield return ["SLOWLOG", "RESET"];
        yield return ["FLUSHALL"];
        yield return ["PING"];
    }

    private void Connect(int i)
    {
        _theirs[i] = _redis.OpenSocket();
        _ours[i] = _world.Connect();
    }

    /// <summary>As many bytes as are expected, and more if there are more; fewer when no more come.</summary>
    private byte[] Receive(Socket socket, int expected, bool closes, out bool closed)
    {
        var bytes = new MemoryStream();
        closed = false;
        while (true)
        {
            // Long only where something differs.
            int wait = bytes.Length < expected ? 5_000_000 : closes ? 1_000_000 : 0;
            if (!socket.Poll(wait, SelectMode.SelectRead))
                return bytes.ToArray();
            int count;
            try
            {
                count = socket.Receive(_buffer);
            }
            catch (SocketException)
            {
                count = 0;
            }

            if (count == 0)
            {
                closed = true;
                return bytes.ToArray();
            }

            bytes.Write(_buffer, 0, count);
        }
    }
}
