using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Server.Tests.Commands;
using Kvasir.Server.Tests.Forwarding;
using Kvasir.Server.Transport;
using Kvasir.Storage.Lsm;

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
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, TimeSpan.FromMicroseconds(busyPollMicroseconds));
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
    public void RepliesThatAreThereLeaveThoughTheRestOfTheirPipelineHangs()
    {
        if (!OperatingSystem.IsLinux())
            return;
        ClusterInMemory cluster = new(nodes: 1);
        GroupInMemory hanging = cluster.GroupOf("k");
        hanging.CommitsAtOnce = false;
        using EpollListener listener = new(cluster.Nodes[0].Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        listener.Start();
        using TcpClient client = new();
        client.Connect(listener.EndPoints[0]);
        NetworkStream stream = client.GetStream();
        stream.Write("PING\r\nSET k v\r\nPING\r\n"u8);
        Assert.Equal("+PONG\r\n", Read(stream, 7));
        Assert.True(hanging.TryCommit());
        listener.LogMoved();
        Assert.Equal("+OK\r\n+PONG\r\n", Read(stream, 12));
    }

    [Fact]
    public async Task WhoStopsAnswersWhatHadComeBeforeItCloses()
    {
        if (!OperatingSystem.IsLinux())
            return;
        ClusterInMemory cluster = new(nodes: 1);
        GroupInMemory slow = cluster.GroupOf("k");
        slow.CommitsAtOnce = false;
        using EpollListener listener = new(cluster.Nodes[0].Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        listener.Start();
        using TcpClient owed = new();
        owed.Connect(listener.EndPoints[0]);
        owed.GetStream().Write("PING\r\nINCR k\r\n"u8);
        Assert.Equal("+PONG\r\n", Read(owed.GetStream(), 7));
        using TcpClient idle = new();
        idle.Connect(listener.EndPoints[0]);
        idle.GetStream().Write("PING\r\n"u8);
        Assert.Equal("+PONG\r\n", Read(idle.GetStream(), 7));

        IPEndPoint address = listener.EndPoints[0];
        Task finished = listener.Finish();
        using TcpClient late = new();
        Assert.Throws<SocketException>(() => late.Connect(address));
        Assert.Equal(0, idle.GetStream().Read(new byte[1]));

        // It comes too late, lies unread, and must not reset the connection under the reply that is owed.
        owed.GetStream().Write("INCR k\r\n"u8);
        Assert.False(finished.IsCompleted);
        Assert.True(slow.TryCommit());
        listener.LogMoved();
        Assert.Equal(":1\r\n", Read(owed.GetStream(), 4));
        Assert.Equal(0, owed.GetStream().Read(new byte[1]));
        await finished;
        Assert.Equal(1, slow.Records);
    }

    /// <summary>The clock of the server stands still, so nobody's pause is ever over.</summary>
    [Fact]
    public void WhoWaitsForMemoryGoesOnWhenThereIsSome()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new(engine: new LsmEngineFactory());
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        world.Node.Memory.RoomMade = listener.RoomMade;
        listener.Start();
        using TcpClient client = new() { ReceiveTimeout = 300_000 };
        client.Connect(listener.EndPoints[0]);
        world.Node.Memory.AddWrite(world.Node.Memory.WriteLimitBytes);
        client.GetStream().Write("PING\r\nSET k v\r\n"u8);
        Assert.Equal("+PONG\r\n", Read(client.GetStream(), 7));
        world.Node.Memory.AddWrite(-world.Node.Memory.WriteLimitBytes);
        Assert.Equal("+OK\r\n", Read(client.GetStream(), 5));
    }

    [Fact]
    public void WhoHasWaitedLongestGoesOnFirst()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new();
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        listener.Start();
        TcpClient[] clients = [.. Enumerable.Range(0, 8).Select(_ => new TcpClient())];
        foreach (TcpClient client in clients)
            client.Connect(listener.EndPoints[0]);
        clients[0].GetStream().Write("CLIENT PAUSE 1000 WRITE\r\n"u8);
        Assert.Equal("+OK\r\n", Read(clients[0].GetStream(), 5));

        // The reply leaves when what came with it waits.
        foreach (TcpClient client in clients[1..])
        {
            client.GetStream().Write("PING\r\nAPPEND k x\r\n"u8);
            Assert.Equal("+PONG\r\n", Read(client.GetStream(), 7));
        }

        world.Advance(TimeSpan.FromSeconds(2));
        clients[0].GetStream().Write("PING\r\n"u8);
        for (int i = 1; i < clients.Length; i++)
            Assert.Equal($":{i}\r\n", Read(clients[i].GetStream(), 4));
        foreach (TcpClient client in clients)
            client.Dispose();
    }

    [Fact]
    public void WhatABrowserSendsIsNotTakenForCommands()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new();
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        listener.Start();
        foreach (string first in new[] { "POST / HTTP/1.1", "Host: 127.0.0.1" })
        {
            using TcpClient client = new();
            client.Connect(listener.EndPoints[0]);
            client.GetStream().Write(Encoding.ASCII.GetBytes(first + "\r\nSET stolen 1\r\n"));
            Assert.Equal(0, ReadAtEnd(client));
        }

        Assert.Equal(":0\r\n"u8.ToArray(), world.Execute("EXISTS", "stolen"));

        // Closed with something unread the socket may be reset instead: both are an end without a reply.
        static int ReadAtEnd(TcpClient client)
        {
            try
            {
                return client.GetStream().ReadAtLeast(new byte[16], 1, throwOnEndOfStream: false);
            }
            catch (IOException)
            {
                return 0;
            }
        }
    }

    [Fact]
    public void RefusesOneClientTooMany()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new();
        world.Execute("CONFIG", "SET", "maxclients", "1");
        world.Server.Limits.ClientsMax = 1;
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        listener.Start();
        using TcpClient first = new();
        first.Connect(listener.EndPoints[0]);
        first.GetStream().Write("PING\r\n"u8);
        Assert.Equal("+PONG\r\n", Read(first.GetStream(), 7));
        using TcpClient second = new();
        second.Connect(listener.EndPoints[0]);
        Assert.Equal("-ERR max number of clients reached\r\n", Read(second.GetStream(), 36));
    }

    [Fact]
    public void ListensElsewhereWhenToldAndStaysWhereItIsWhenItCannot()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new();
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        using EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
        listener.Start();
        IPEndPoint first = listener.EndPoints[0];
        using TcpClient client = new();
        client.Connect(first);
        Assert.False(listener.Rebind([new IPEndPoint(IPAddress.Parse("127.0.0.2"), 0), (IPEndPoint)taken.LocalEndpoint]));
        Assert.Equal([first], listener.EndPoints);
        using TcpClient second = new();
        second.Connect(first);
        Assert.True(listener.Rebind([new IPEndPoint(IPAddress.Parse("127.0.0.2"), first.Port)]));
        using TcpClient third = new();
        third.Connect("127.0.0.2", first.Port);
        foreach (TcpClient connected in new[] { client, second, third })
        {
            connected.GetStream().Write("PING\r\n"u8);
            Assert.Equal("+PONG\r\n", Read(connected.GetStream(), 7));
        }

        using TcpClient late = new();
        Assert.Throws<SocketException>(() => late.Connect(first));
        Assert.True(listener.Rebind([]));
        Assert.Empty(listener.EndPoints);
    }

    [Fact]
    public void ServesASocketInTheFileSystemAndTakesOverADeadOne()
    {
        if (!OperatingSystem.IsLinux())
            return;
        string path = Path.Combine(Path.GetTempPath(), $"kvasir-{Guid.NewGuid():N}.sock");
        using (Socket dead = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            // A file that is left behind, as by a server that was killed.
            dead.Bind(new UnixDomainSocketEndPoint(path + "x"));
            File.Move(path + "x", path);
        }

        using CommandWorld world = new();
        using (EpollListener listener = new(world.Server, [], new UnixSocketOptions(path, UnixFileMode.UserRead | UnixFileMode.UserWrite), 1, 16, commitInline: true, busyPoll: TimeSpan.Zero))
        {
            listener.Start();
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
            using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            client.Connect(new UnixDomainSocketEndPoint(path));
            client.Send("PING\r\n"u8);
            byte[] reply = new byte[7];
            client.Receive(reply);
            Assert.Equal("+PONG\r\n", Encoding.ASCII.GetString(reply));
            Assert.Throws<SocketException>(() => new EpollListener(world.Server, [], new UnixSocketOptions(path, null), 1, 16, commitInline: true, busyPoll: TimeSpan.Zero));
        }

        Assert.False(File.Exists(path));
    }

    [Fact]
    public void ALogThatMovesAfterTheLoopsAreGoneWritesToNobodysFile()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using CommandWorld world = new();
        DirectoryInfo folder = Directory.CreateTempSubdirectory("kvasir-listener");
        try
        {
            for (int round = 0; round < 20; round++)
            {
                EpollListener listener = new(world.Server, [new IPEndPoint(IPAddress.Loopback, 0)], unixSocket: null, 1, 16, commitInline: true, busyPoll: TimeSpan.Zero);
                listener.Start();
                listener.Dispose();

                // The system gives the lowest free numbers, those that were closed just now.
                FileStream[] files = [.. Enumerable.Range(0, 16).Select(i => File.Create(Path.Combine(folder.FullName, $"{round}-{i}")))];
                listener.LogMoved();
                long written = files.Sum(f => RandomAccess.GetLength(f.SafeFileHandle));
                foreach (FileStream file in files)
                    file.Dispose();
                Assert.Equal(0, written);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Read(NetworkStream stream, int bytes)
    {
        byte[] buffer = new byte[bytes];
        stream.ReadExactly(buffer);
        return Encoding.ASCII.GetString(buffer);
    }
}
