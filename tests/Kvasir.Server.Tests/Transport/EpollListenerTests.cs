using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Server.Tests.Commands;
using Kvasir.Server.Transport;

namespace Kvasir.Server.Tests.Transport;

public sealed class EpollListenerTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    public void AnswersOverTcpInPiecesAndPipelines(int busyPollMicroseconds)
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new();
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], 1, 16, commitInline: true, TimeSpan.FromMicroseconds(busyPollMicroseconds));
        listener.Start();
        using TcpClient client = new();
        client.Connect(listener.EndPoints[0]);
        NetworkStream stream = client.GetStream();
        byte[] request = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n"u8.ToArray();
        for (int i = 0; i < request.Length; i++)
            stream.Write(request, i, 1);
        Assert.Equal("+OK\r\n$3\r\nabc\r\n+PONG\r\n", Read(stream, 21));

        byte[] many = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("PING\r\n", 20_000)));
        stream.Write(many);
        Assert.Equal(string.Concat(Enumerable.Repeat("+PONG\r\n", 20_000)), Read(stream, 140_000));
    }

    [Fact]
    public void RefusesOneClientTooMany()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new();
        world.Execute("CONFIG", "SET", "maxclients", "1");
        world.Server.Limits.ClientsMax = 1;
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        listener.Start();
        using TcpClient first = new();
        first.Connect(listener.EndPoints[0]);
        first.GetStream().Write("PING\r\n"u8);
        Assert.Equal("+PONG\r\n", Read(first.GetStream(), 7));
        using TcpClient second = new();
        second.Connect(listener.EndPoints[0]);
        Assert.Equal("-ERR max number of clients reached\r\n", Read(second.GetStream(), 36));
    }

    private static string Read(NetworkStream stream, int bytes)
    {
        byte[] buffer = new byte[bytes];
        stream.ReadExactly(buffer);
        return Encoding.ASCII.GetString(buffer);
    }
}
