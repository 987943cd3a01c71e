using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Server.Hosting;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>Every connection is a file of the process: whoever may come in counts from its accept on, whatever it says.</summary>
public sealed class ConnectionCountTests : IDisposable
{
    private readonly TlsWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ClientsOverTlsCountBeforeTheirHandshakeAndWithAllOthers(bool kestrelOnly)
    {
        ServerOptions options = _world.Options(clientsNeedCertificates: false) with
        {
            Resp = [new IPEndPoint(IPAddress.Loopback, 0)], ClientsMax = 3, KestrelOnly = kestrelOnly,
        };
        await using ServedNode served = await ServedNode.Start(options);
        using TcpClient plain = await Connect(served.Server.Resp[0]);
        await plain.GetStream().WriteAsync("PING\r\n"u8.ToArray());
        Assert.Equal("+PONG\r\n", await Read(plain, 7));
        using TcpClient silent = await Connect(served.Server.RespTls[0]);
        using TcpClient begun = await Connect(served.Server.RespTls[0]);
        await begun.GetStream().WriteAsync(new byte[] { 0x16, 3, 1 });
        await Until(() => served.Server.State.Connections.Count == 3);

        using TcpClient overTls = await Connect(served.Server.RespTls[0]);
        Assert.Equal("", await Read(overTls, 1));
        using TcpClient another = await Connect(served.Server.Resp[0]);
        Assert.Equal("-ERR max number of clients reached\r\n", await Read(another, 36));
        await Until(() => served.Server.State.Statistics.RejectedConnections == 2);

        silent.Dispose();
        await Until(() => served.Server.State.Connections.Count <= 2);
        using TcpClient next = await Connect(served.Server.Resp[0]);
        await next.GetStream().WriteAsync("PING\r\n"u8.ToArray());
        Assert.Equal("+PONG\r\n", await Read(next, 7));
    }

    [Fact]
    public async Task HttpHasItsOwnNumberOfConnections()
    {
        ServerOptions options = new()
        {
            Resp = [new IPEndPoint(IPAddress.Loopback, 0)], Http = new IPEndPoint(IPAddress.Loopback, 0), HttpConnectionsMax = 2, ClientsMax = 1,
        };
        await using ServedNode served = await ServedNode.Start(options);
        using TcpClient client = await Connect(served.Server.Resp[0]);
        await client.GetStream().WriteAsync("PING\r\n"u8.ToArray());
        Assert.Equal("+PONG\r\n", await Read(client, 7));
        using TcpClient first = await Connect(served.Server.Http!);
        await first.GetStream().WriteAsync("GET /metrics HTTP/1.1\r\nHo"u8.ToArray());
        using TcpClient second = await Connect(served.Server.Http!);
        using TcpClient third = await Connect(served.Server.Http!);
        Assert.Equal("HTTP/1.1 503 ", await Read(third, 13));

        await second.GetStream().WriteAsync("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        Assert.Equal("HTTP/1.1 200 ", await Read(second, 13));
        first.Dispose();
        string? status = null;
        while (status != "HTTP/1.1 200 ")
        {
            using TcpClient fourth = await Connect(served.Server.Http!);
            status = await Ask(fourth, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 13);
        }
    }

    private static async Task<string> Ask(TcpClient client, string request, int bytes)
    {
        try
        {
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request));
        }
        catch (IOException)
        {
            return "";
        }

        return await Read(client, bytes);
    }

    private static async Task<TcpClient> Connect(IPEndPoint endPoint)
    {
        TcpClient client = new();
        await client.ConnectAsync(endPoint);
        return client;
    }

    /// <summary>So many bytes, or what there is before the end.</summary>
    private static async Task<string> Read(TcpClient client, int bytes)
    {
        byte[] read = new byte[bytes];
        try
        {
            return Encoding.ASCII.GetString(read, 0, await client.GetStream().ReadAtLeastAsync(read, bytes, throwOnEndOfStream: false));
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static async Task Until(Func<bool> done)
    {
        while (!done())
            await Task.Yield();
    }
}
