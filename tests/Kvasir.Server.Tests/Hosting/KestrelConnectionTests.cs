using System.Diagnostics;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Server.Hosting;
using Kvasir.Server.Transport;
using Microsoft.AspNetCore.Connections;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>What plain sockets of the event loop promise holds over Kestrel, too: with TLS, and without where there is no epoll.</summary>
public sealed class KestrelConnectionTests : IDisposable
{
    private readonly TlsWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData(true, 'x', "-ERR Protocol error: too big inline request\r\n")]
    [InlineData(true, '$', "-ERR Protocol error: too big bulk count string\r\n")]
    [InlineData(false, '$', "-ERR Protocol error: too big bulk count string\r\n")]
    public async Task TheReasonIsReadableThoughMuchIsOnItsWay(bool tls, char kind, string expected)
    {
        await using ServedNode served = await ServedNode.Start(Options(tls));
        using Stream stream = await Connect(served, tls);
        string start = kind == '$' ? "*1\r\n$" : kind.ToString();
        byte[] line = Encoding.Latin1.GetBytes(start + new string('1', 3 << 20));

        await stream.WriteAsync(line);

        Assert.Equal(expected, await ReadToEnd(stream));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AHalfClosedConnectionGetsItsReplies(bool tls)
    {
        await using ServedNode served = await ServedNode.Start(Options(tls), Durability.Sync);
        for (int round = 0; round < 20; round++)
        {
            StringBuilder request = new();
            StringBuilder expected = new();
            for (int i = 0; i < 1 + (round * 20); i++)
            {
                request.Append(CultureInfo.InvariantCulture, $"SET key:{i} {round % 10}\r\nGET key:{i}\r\n");
                expected.Append(CultureInfo.InvariantCulture, $"+OK\r\n$1\r\n{round % 10}\r\n");
            }

            using Stream stream = await Connect(served, tls);
            await stream.WriteAsync(Encoding.Latin1.GetBytes(request.ToString()));
            if (stream is SslStream secured)
                await secured.ShutdownAsync();
            else
                ((NetworkStream)stream).Socket.Shutdown(SocketShutdown.Send);

            Assert.Equal(expected.ToString(), await ReadToEnd(stream));
        }
    }

    [Theory]
    [InlineData(true, "pubsub 1000000 0 0")]
    [InlineData(false, "pubsub 1000000 0 0")]
    [InlineData(true, "pubsub 0 500000 1")]
    public async Task ASubscriberThatDoesNotReadIsClosedAtItsLimit(bool tls, string limit)
    {
        await using ServedNode served = await ServedNode.Start(Options(tls));
        using Stream publisher = await Connect(served, tls);
        Assert.Equal("+OK\r\n", await Ask(publisher, $"CONFIG SET client-output-buffer-limit \"{limit}\"\r\n", 5));
        using Stream deaf = await Connect(served, tls);
        await Ask(deaf, "SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n".Length);
        byte[] large = Message(100_000), small = Message(1);
        byte[] reply = new byte[4];

        // A kernel buffers some of it for each of the two; what the server holds is more each time, until it is beyond the limit, and stays
        // there until it is closed. Only a defect reaches the time limit.
        int published = 0;
        Stopwatch waited = Stopwatch.StartNew();
        do
        {
            Assert.True(waited.Elapsed < TimeSpan.FromMinutes(5), "the subscriber is still there");
            await publisher.WriteAsync(++published <= 200 ? large : small);
            await publisher.ReadExactlyAsync(reply);
        }
        while (reply[1] == '1');

        static byte[] Message(int bytes) => Encoding.Latin1.GetBytes($"*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n${bytes}\r\n{new string('m', bytes)}\r\n");

        Assert.Equal(1, served.Server.State.Clients.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AClientThatDoesNotReadCanBeKilled(bool tls)
    {
        await using ServedNode served = await ServedNode.Start(Options(tls));
        using Stream killer = await Connect(served, tls);
        Assert.Equal(":20000001\r\n", await Ask(killer, "SETRANGE large 20000000 x\r\n", 11));
        using Stream deaf = await Connect(served, tls);
        await deaf.WriteAsync("GET large\r\nGET large\r\n"u8.ToArray());
        await deaf.ReadExactlyAsync(new byte[10]);

        Assert.Equal(":1\r\n", await Ask(killer, "CLIENT KILL TYPE normal SKIPME yes\r\n", 4));

        Stopwatch waited = Stopwatch.StartNew();
        while (served.Server.State.Clients.Count != 1)
        {
            Assert.True(waited.Elapsed < TimeSpan.FromMinutes(5), "it is still there");
            Assert.Equal("+PONG\r\n", await Ask(killer, "PING\r\n", 7));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AnIdleClientIsClosed(bool tls)
    {
        await using ServedNode served = await ServedNode.Start(Options(tls));
        using Stream stream = await Connect(served, tls);
        Assert.Equal("+OK\r\n", await Ask(stream, "CONFIG SET timeout 1\r\n", 5));

        // Kestrel ends a connection that is given up by either: it depends on which of its loops comes first.
        try
        {
            Assert.Equal("", await ReadToEnd(stream));
        }
        catch (IOException exception) when (exception.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
        }
    }

    [Theory]
    [InlineData("192.0.2.1", false, null, "-DENIED")]
    [InlineData("::ffff:192.0.2.1", false, null, "-DENIED")]
    [InlineData("192.0.2.1", true, null, "+PONG")]
    [InlineData("192.0.2.1", false, "sesame", "-NOAUTH")]
    [InlineData("::ffff:127.0.0.1", false, null, "+PONG")]
    public async Task WithoutAPasswordClientsOfOtherHostsAreRefused(string address, bool showsCertificate, string? password, string expected)
    {
        await using ServedNode served = await ServedNode.Start(Options(tls: false) with { Password = password });
        using KestrelRespHandler handler = new(served.Server.State, showsCertificate);
        Pipe toServer = new();
        Pipe toClient = new();
        await using DefaultConnectionContext context = new("1", new Duplex(toServer.Reader, toClient.Writer), new Duplex(toClient.Reader, toServer.Writer))
        {
            RemoteEndPoint = new IPEndPoint(IPAddress.Parse(address), 1234),
        };
        await toServer.Writer.WriteAsync("PING\r\n"u8.ToArray());
        await toServer.Writer.CompleteAsync();

        await handler.OnConnectedAsync(context);

        await toClient.Writer.CompleteAsync();
        Assert.StartsWith(expected, await new StreamReader(toClient.Reader.AsStream()).ReadToEndAsync(), StringComparison.Ordinal);
    }

    private ServerOptions Options(bool tls) => tls
        ? _world.Options(clientsNeedCertificates: false)
        : new ServerOptions { Resp = [new(IPAddress.Loopback, 0)], KestrelOnly = true };

    private async Task<Stream> Connect(ServedNode served, bool tls)
    {
        if (tls)
            return await _world.Connect(served, certificate: null);
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(served.Server.Resp[0]);
        return new NetworkStream(socket, ownsSocket: true);
    }

    private static async Task<string> Ask(Stream stream, string request, int replyBytes)
    {
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request));
        byte[] reply = new byte[replyBytes];
        await stream.ReadExactlyAsync(reply);
        return Encoding.Latin1.GetString(reply);
    }

    private static async Task<string> ReadToEnd(Stream stream)
    {
        using MemoryStream all = new();
        await stream.CopyToAsync(all);
        return Encoding.Latin1.GetString(all.ToArray());
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
