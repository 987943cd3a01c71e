using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Tests;

/// <summary>
/// A RESP server of a few commands in the test's own process, so that clients are tested apart from the real server;
/// it can withhold replies.
/// </summary>
internal sealed class SmallServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<Socket> _sockets = [];
    private long _received;

    public SmallServer()
    {
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _ = Accept();
    }

    public int Port { get; }

    /// <summary>Replies are held back until this many commands have come in all.</summary>
    public long WithholdUntil { get; init; }

    public string? Password { get; init; }

    public IEnumerable<string> Keys => _values.Keys;

    /// <summary>Of each command as it came, apart from those that begin a connection.</summary>
    public ConcurrentQueue<byte[][]> Received { get; } = new();

    public void Dispose()
    {
        _listener.Dispose();
        foreach (Socket socket in _sockets)
            socket.Dispose();
    }

    private async Task Accept()
    {
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptSocketAsync();
                _sockets.Add(socket);
                _ = Serve(socket);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task Serve(Socket socket)
    {
        byte[] input = new byte[1 << 20];
        int length = 0;
        var held = new BytesBuffer();
        var writer = new RespWriter(held);
        try
        {
            while (true)
            {
                int read = await socket.ReceiveAsync(input.AsMemory(length));
                if (read == 0)
                    return;
                length += read;
                int at = 0;
                int used;
                while (at < length && (used = RespReplyReader.Measure(input.AsSpan(at, length - at), out _)) > 0)
                {
                    RespReply command = RespReply.Parse(input.AsSpan(at, used));
                    if (command.Items[0].Text != "HELLO")
                        Received.Enqueue([.. command.Items.Select(i => i.Bytes)]);
                    Execute([.. command.Items.Select(i => i.Text)], writer);
                    Interlocked.Increment(ref _received);
                    at += used;
                }

                input.AsSpan(at, length - at).CopyTo(input);
                length -= at;
                if (Interlocked.Read(ref _received) < WithholdUntil)
                    continue;
                await socket.SendAsync(held.WrittenMemory);
                held.Clear();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The client or the test is done.
        }
    }

    private void Execute(string[] words, RespWriter writer)
    {
        switch (words[0].ToUpperInvariant())
        {
            case "HELLO" when Password is not null && !words.Contains(Password):
                writer.Error("WRONGPASS invalid username-password pair or user is disabled.");
                break;
            case "HELLO" or "SELECT": writer.Ok(); break;
            case "SET":
                _values[words[1]] = words[2];
                writer.Ok();
                break;
            case "INCR":
                writer.Integer(long.Parse(_values.AddOrUpdate(words[1], "1", (_, v) => (long.Parse(v) + 1).ToString()), null));
                break;
            case "GET" when _values.TryGetValue(words[1], out string? value): writer.BulkString(Encoding.UTF8.GetBytes(value)); break;
            case "SUBSCRIBE": Text(writer, ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"); break;
            case "GET" when words[1] == "tracked": Text(writer, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n$5\r\nvalue\r\n"); break;
            case "GET": Text(writer, "$-1\r\n"); break;
            case "MGET":
                Text(writer, $"*{words.Length - 1}\r\n");
                foreach (string key in words[1..])
                    Text(writer, _values.TryGetValue(key, out string? found) ? $"${Encoding.UTF8.GetByteCount(found)}\r\n{found}\r\n" : "$-1\r\n");
                break;
            default: writer.Error($"ERR unknown command '{words[0]}', with args beginning with: "); break;
        }

        static void Text(RespWriter writer, string text) => writer.Buffer.Append(Encoding.UTF8.GetBytes(text));
    }
}
