using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Server.Hosting;

namespace Kvasir.Server.Tests.Hosting;

public sealed class ManyClientsTests
{
    [Theory]
    [InlineData(1, Durability.Sync)]
    [InlineData(3, Durability.Sync)]
    [InlineData(3, Durability.None)]
    public async Task ClientsOfSeveralLoopsCountTogether(int loops, Durability durability)
    {
        if (!OperatingSystem.IsLinux())
            return;
        const int Clients = 24;
        const int Rounds = 40;
        await using ServedNode served = await ServedNode.Start(
            new ServerOptions { Resp = [new(IPAddress.Loopback, 0)], IoThreads = loops }, durability);
        IPEndPoint endPoint = served.Server.Resp[0];
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(async c =>
        {
            using TcpClient client = new();
            await client.ConnectAsync(endPoint);
            NetworkStream stream = client.GetStream();
            for (int i = 0; i < Rounds; i++)
            {
                // The last of a pipeline reads what the ones before it wrote.
                await stream.WriteAsync(Encoding.ASCII.GetBytes($"SET own:{c} {i}\r\nINCR shared\r\nGET own:{c}\r\n"));
                string reply = await Lines(stream, 4);
                Assert.StartsWith("+OK\r\n:", reply, StringComparison.Ordinal);
                Assert.EndsWith($"\r\n{i}\r\n", reply, StringComparison.Ordinal);
            }
        }));

        using TcpClient last = new();
        await last.ConnectAsync(endPoint);
        await last.GetStream().WriteAsync("GET shared\r\nCONFIG GET io-threads\r\n"u8.ToArray());
        Assert.Equal(
            $"$3\r\n{Clients * Rounds}\r\n*2\r\n$10\r\nio-threads\r\n$1\r\n{loops}\r\n", await Lines(last.GetStream(), 7));
    }

    [Fact]
    public async Task IdleConnectionsHoldNoBuffersAndStillAnswer()
    {
        if (!OperatingSystem.IsLinux())
            return;
        const int Connections = 400;
        await using ServedNode served = await ServedNode.Start(new ServerOptions { Resp = [new(IPAddress.Loopback, 0)] });
        List<TcpClient> clients = [];
        try
        {
            for (int i = 0; i < Connections; i++)
            {
                TcpClient client = new();
                clients.Add(client);
                await client.ConnectAsync(served.Server.Resp[0]);
                await client.GetStream().WriteAsync("PING\r\n"u8.ToArray());
                Assert.Equal("+PONG\r\n", await Lines(client.GetStream(), 1));
            }

            Assert.Equal(Connections, served.Server.State.Clients.All.Count());

            // What arrives goes into a buffer that is lent; what leaves fits the smallest. The last reply may be here before its own is given back.
            SpinWait.SpinUntil(
                () => served.Server.State.Clients.All.All(static s => s.Input.Array is null && s.Output.Buffer.Capacity <= 64), TimeSpan.FromMinutes(1));
            Assert.All(served.Server.State.Clients.All, static s =>
            {
                Assert.Null(s.Input.Array);
                Assert.True(s.Output.Buffer.Capacity <= 64, $"{s.Output.Buffer.Capacity} bytes");
            });
            foreach (TcpClient client in clients)
                await client.GetStream().WriteAsync("PING\r\n"u8.ToArray());
            foreach (TcpClient client in clients)
                Assert.Equal("+PONG\r\n", await Lines(client.GetStream(), 1));
        }
        finally
        {
            foreach (TcpClient client in clients)
                client.Dispose();
        }
    }

    private static async Task<string> Lines(NetworkStream stream, int lines)
    {
        StringBuilder text = new();
        byte[] one = new byte[1];
        while (lines > 0)
        {
            await stream.ReadExactlyAsync(one);
            text.Append((char)one[0]);
            lines -= one[0] == '\n' ? 1 : 0;
        }

        return text.ToString();
    }
}
