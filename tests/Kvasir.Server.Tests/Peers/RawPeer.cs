using System.Net;
using System.Net.Sockets;
using Kvasir.Server.Peers;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Tests.Peers;

/// <summary>The other side of a connection by hand: says what a test wants it to, byte by byte.</summary>
internal sealed class RawPeer : IDisposable
{
    private readonly Socket _socket;

    public RawPeer(TcpTransport transport)
        : this(transport.EndPoint)
    {
    }

    public RawPeer(IPEndPoint endPoint)
    {
        _socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 300_000, SendTimeout = 300_000 };
        _socket.Connect(endPoint);
    }

    public RawPeer(Socket accepted)
    {
        _socket = accepted;
        _socket.ReceiveTimeout = 300_000;
    }

    public static PeerHello Hello(ulong node, ulong expected) => new()
    {
        Purpose = PeerPurpose.Link,
        OldestVersion = 2,
        NewestVersion = 2,
        Cluster = PeerNode.Cluster,
        Node = node,
        Expected = expected,
        Incarnation = 1_000_000 + node,
    };

    /// <summary>Connects as a node and is the peer's link afterwards. Its number must be the larger one.</summary>
    public static RawPeer Linked(PeerNode to, ulong node)
    {
        RawPeer peer = new(to.Transport);
        peer.Send(Greeting(Hello(node, to.Transport.Self.Value)));
        peer.ReadMagic();
        Assert.Equal(PeerFrameKind.Welcome, PeerFrame.Kind(peer.ReadFrame()));
        Assert.Equal(PeerFrameKind.Open, PeerFrame.Kind(peer.ReadFrame()));
        return peer;
    }

    public static byte[] Greeting(PeerHello hello)
    {
        byte[] frame = new byte[PeerHello.FrameBytes];
        hello.Write(frame);
        return [.. PeerProtocol.Magic, .. frame];
    }

    public static byte[] Frame(PeerFrameKind kind, params byte[] body)
    {
        byte[] frame = new byte[PeerFrame.HeaderBytes + body.Length];
        PeerFrame.WriteHeader(frame, kind, body);
        body.CopyTo(frame, PeerFrame.HeaderBytes);
        return frame;
    }

    public void Send(params byte[] bytes)
    {
        for (int sent = 0; sent < bytes.Length;)
            sent += _socket.Send(bytes.AsSpan(sent));
    }

    public void ReadMagic() => Assert.Equal(PeerProtocol.Magic.ToArray(), Read(PeerProtocol.Magic.Length));

    public byte[] ReadFrame()
    {
        byte[] envelope = Read(PeerFrame.EnvelopeBytes);
        byte[] frame = [.. envelope, .. Read(BitConverter.ToInt32(envelope))];
        Assert.Equal(PeerFrameStatus.Whole, PeerFrame.Read(frame, int.MaxValue, out _));
        return frame;
    }

    /// <summary>The next message's content; pings are passed over.</summary>
    public byte[] ReadMessage()
    {
        while (true)
        {
            byte[] frame = ReadFrame();
            if (PeerFrame.Kind(frame) == PeerFrameKind.Ping)
                continue;
            Assert.Equal(PeerFrameKind.Message, PeerFrame.Kind(frame));
            return PeerFrame.Body(frame).ToArray();
        }
    }

    public PeerRefusal ReadRefusal()
    {
        Assert.True(PeerRefusal.TryRead(ReadFrame(), out PeerRefusal refusal));
        return refusal;
    }

    /// <summary>The other side closes; a reset is an end, too.</summary>
    public void WaitEnd()
    {
        byte[] rest = new byte[1024];
        try
        {
            while (_socket.Receive(rest) > 0)
            {
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
        }
    }

    public void Dispose() => _socket.Dispose();

    private byte[] Read(int length)
    {
        byte[] bytes = new byte[length];
        for (int at = 0; at < length;)
        {
            int count = _socket.Receive(bytes.AsSpan(at));
            Assert.True(count > 0, "the connection ended early");
            at += count;
        }

        return bytes;
    }
}
