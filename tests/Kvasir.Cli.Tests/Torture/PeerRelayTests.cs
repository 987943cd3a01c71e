using System.Net;
using System.Net.Sockets;
using Kvasir.Cli.Tests.Processes;
using Kvasir.Cli.Torture.Clusters;

namespace Kvasir.Cli.Tests.Torture;

/// <summary>Two nodes, of which this process is the first one.</summary>
public sealed class PeerRelayTests : IDisposable
{
    private const int Self = 0;
    private const int Other = 1;

    private readonly TcpListener _other = new(IPAddress.Loopback, 0);
    private readonly PeerRelay _relay = new(2, node => node == Self ? Environment.ProcessId : 0);

    public PeerRelayTests()
    {
        _other.Start();
        _relay.Start([0, ((IPEndPoint)_other.LocalEndpoint).Port]);
    }

    public void Dispose()
    {
        _relay.Dispose();
        _other.Dispose();
    }

    [Fact]
    public async Task WhatIsSentArrivesBothWays()
    {
        (Socket here, Socket there) = await Connect();
        using (here)
        using (there)
        {
            byte[] sent = new byte[1 << 20];
            new Random(1).NextBytes(sent);
            Task sending = here.SendAsync(sent);
            Assert.Equal(sent, await Read(there, sent.Length));
            await sending;
            await there.SendAsync(new byte[] { 1, 2, 3 });
            Assert.Equal([1, 2, 3], await Read(here, 3));
        }
    }

    [Fact]
    public async Task ACutIsSilentInItsDirectionOnlyAndWhatWaitedArrivesAfterwards()
    {
        (Socket here, Socket there) = await Connect();
        using (here)
        using (there)
        {
            _relay.Cut(Self, Other);
            await here.SendAsync(new byte[] { 1 });
            await there.SendAsync(new byte[] { 2 });
            Assert.Equal([2], await Read(here, 1));

            // What was sent first would have arrived first: the other way has been there and back.
            Assert.Equal(0, there.Available);
            _relay.HealAll();
            Assert.Equal([1], await Read(there, 1));
        }
    }

    [Fact]
    public async Task WhatALossyLinkSwallowsEndsTheConnectionWhenItIsHealed()
    {
        (Socket here, Socket there) = await Connect();
        using (here)
        using (there)
        {
            _relay.Cut(Self, Other, LinkCut.Lossy);
            await here.SendAsync(new byte[] { 1 });
            await there.SendAsync(new byte[] { 2 });
            Assert.Equal([2], await Read(here, 1));
            Tools.Until(() => _relay.Lost == 1, "it is swallowed");
            Assert.Equal(0, there.Available);
            _relay.HealAll();
            Assert.Equal(0, await ReadEnd(there));
        }
    }

    [Fact]
    public async Task AResetEndsConnectionsAndLetsNobodyThrough()
    {
        (Socket here, Socket there) = await Connect();
        using (here)
        using (there)
        {
            _relay.Cut(Self, Other, LinkCut.Reset);
            Assert.Equal(0, await ReadEnd(here));
            Assert.Equal(0, await ReadEnd(there));
            using Socket again = new(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await again.ConnectAsync(IPAddress.Loopback, _relay.Ports[Other]);
                Assert.Equal(0, await ReadEnd(again));
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
            {
                // It may come before the connection was told to be there.
            }
        }

        _relay.HealAll();
        (Socket third, Socket itsOther) = await Connect();
        using (third)
        using (itsOther)
        {
            await third.SendAsync(new byte[] { 3 });
            Assert.Equal([3], await Read(itsOther, 1));
        }
    }

    [Fact]
    public async Task NobodyConnectsOverACutLinkBeforeItIsHealed()
    {
        _relay.Cut(Self, Other);
        using Socket here = new(SocketType.Stream, ProtocolType.Tcp);
        await here.ConnectAsync(IPAddress.Loopback, _relay.Ports[Other]);
        await here.SendAsync(new byte[] { 7 });
        Task<Socket> accepting = _other.AcceptSocketAsync();
        Assert.False(accepting.IsCompleted);
        _relay.HealAll();
        using Socket there = await accepting.WaitAsync(Tools.Patience);
        Assert.Equal([7], await Read(there, 1));
    }

    [Fact]
    public async Task WhenOneEndsTheOtherLearnsOfIt()
    {
        (Socket here, Socket there) = await Connect();
        using (there)
        {
            here.Dispose();
            Assert.Equal(0, await ReadEnd(there));
        }
    }

    private async Task<(Socket Here, Socket There)> Connect()
    {
        // As the transport may: a socket of version 6 that speaks to an address of version 4.
        Socket here = new(SocketType.Stream, ProtocolType.Tcp);
        Task<Socket> accepting = _other.AcceptSocketAsync();
        await here.ConnectAsync(IPAddress.Loopback, _relay.Ports[Other]);
        return (here, await accepting.WaitAsync(Tools.Patience));
    }

    /// <summary>0 when the other end has gone, in whatever way.</summary>
    private static async Task<int> ReadEnd(Socket socket)
    {
        try
        {
            return await socket.ReceiveAsync(new byte[1]).WaitAsync(Tools.Patience);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted)
        {
            return 0;
        }
    }

    private static async Task<byte[]> Read(Socket socket, int count)
    {
        using CancellationTokenSource patience = new(Tools.Patience);
        byte[] bytes = new byte[count];
        for (int at = 0; at < count;)
        {
            int read = await socket.ReceiveAsync(bytes.AsMemory(at), patience.Token);
            Assert.NotEqual(0, read);
            at += read;
        }

        return bytes;
    }
}
