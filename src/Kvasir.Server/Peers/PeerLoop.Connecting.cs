using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Transport;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Peers;

/// <content>How connections come to be: made by this node, or by another.</content>
internal sealed unsafe partial class PeerLoop
{
    private const int AcceptsPerTurn = 64;

    private void Attempt(KnownPeer peer)
    {
        PeerAddress address = peer.Address!.Value;
        if (IPAddress.TryParse(address.Host, out IPAddress? ip))
        {
            Attempt(peer, new IPEndPoint(ip, address.Port));
            return;
        }

        peer.IsResolving = true;
        Resolve(address, (endPoint, trouble) =>
        {
            peer.IsResolving = false;
            SweepBy(_nowMs);
            if (peer.Link is not null || Find(peer.Id) != peer || peer.Address != address)
                return;
            if (endPoint is null)
                AttemptFailed(peer, trouble);
            else
                Attempt(peer, endPoint);
        });
    }

    private void Attempt(KnownPeer peer, IPEndPoint endPoint)
    {
        PeerConnection? connection = Connect(endPoint, out string trouble);
        if (connection is null)
        {
            AttemptFailed(peer, trouble);
            return;
        }

        connection.Peer = peer;
        connection.DeadlineMs = _nowMs + (long)_options.GreetingMax.TotalMilliseconds;
        peer.Attempt = connection;
        SweepBy(connection.DeadlineMs);
    }

    private void AttemptFailed(KnownPeer peer, string reason)
    {
        BackOff(peer);
        if (peer.LastTrouble == reason)
            return;
        peer.LastTrouble = reason;
        PeerLog.Unreachable(_logger, peer.Id.Value, peer.Address?.ToString() ?? "", reason);
    }

    private void BackOff(KnownPeer peer)
    {
        double pause = _options.BackoffMin.TotalMilliseconds * Math.Pow(2, Math.Min(peer.Failures, 30));
        pause = Math.Min(pause, _options.BackoffMax.TotalMilliseconds);
        peer.NextAttemptMs = _nowMs + (long)(pause * (0.5 + (0.5 * _random.NextDouble())));
        peer.Failures++;
        SweepBy(peer.NextAttemptMs);
    }

    private PeerConnection? Connect(IPEndPoint endPoint, out string trouble)
    {
        trouble = "";
        int fd = LinuxCalls.BeginConnect(endPoint);
        if (fd < 0)
        {
            trouble = Describe(Marshal.GetLastPInvokeError());
            return null;
        }

        ulong token = ++_tokens;
        SendQueue output = new(_pool, _epoll, token, fd, _options.QueueBytesMax);
        if (!output.TryWatch(untilConnected: true))
        {
            trouble = Describe(Marshal.GetLastPInvokeError());
            output.Close();
            return null;
        }

        PeerConnection connection = new(token, output, PeerStage.Connecting) { FileDescriptor = fd, Remote = endPoint.ToString(), HeardMs = _nowMs };
        _connections.Add(token, connection);
        return connection;
    }

    /// <summary>The system has connected, or has not.</summary>
    private void Connected(PeerConnection connection)
    {
        int error = LinuxCalls.ConnectResult(connection.FileDescriptor);
        if (error != 0)
        {
            Close(connection, Describe(error));
            return;
        }

        if (_tls is not null)
        {
            if (!TrySecure(connection, asServer: false))
                return;
        }
        else
        {
            connection.Output.RoomCame();
        }

        connection.Stage = PeerStage.AwaitsWelcome;
        Span<byte> greeting = stackalloc byte[PeerProtocol.Magic.Length + PeerHello.FrameBytes];
        PeerProtocol.Magic.CopyTo(greeting);
        new PeerHello
        {
            Purpose = connection.Call is null ? PeerPurpose.Link : PeerPurpose.Call,
            OldestVersion = PeerProtocol.OldestVersion,
            NewestVersion = PeerProtocol.NewestVersion,
            Cluster = _cluster,
            Node = _self,
            Expected = connection.Peer?.Id.Value ?? connection.Call!.To.Node.Value,
            Incarnation = _incarnation,
            LastLink = connection.Peer?.LastLink ?? 0,
        }.Write(greeting[PeerProtocol.Magic.Length..]);
        connection.Output.AddRaw(greeting);
    }

    private bool TrySecure(PeerConnection connection, bool asServer)
    {
        if (!LinuxCalls.TrySocketPair(out int ours, out int theirs))
        {
            Close(connection, Describe(Marshal.GetLastPInvokeError()));
            return false;
        }

        // From here on the socket is the relay's, and this end of the pair is ours.
        int outside = connection.FileDescriptor;
        bool watched = connection.Output.TryReplaceSocket(ours);
        connection.FileDescriptor = ours;
        connection.Relay = new TlsRelay(_tls!, outside, theirs, asServer, _options.GreetingMax);
        connection.Relay.Start();
        if (!watched)
            Close(connection, Describe(Marshal.GetLastPInvokeError()));
        return watched;
    }

    private void Accept(int listener)
    {
        byte* address = stackalloc byte[128];
        for (int i = 0; i < AcceptsPerTurn; i++)
        {
            int length = 128;
            int fd = LinuxCalls.Accept(listener, address, &length);
            if (fd < 0)
            {
                if (Marshal.GetLastPInvokeError() is LinuxCalls.TooManyFiles or LinuxCalls.TooManyFilesInSystem)
                {
                    // Nothing can be accepted until something closes: look away for a moment instead of spinning.
                    PeerLog.NoFiles(_logger);
                    _listeners.Pause();
                    SweepBy(_nowMs + 100);
                }

                return;
            }

            LinuxCalls.SetNoDelay(fd);
            Accepted(fd, Remote(new ReadOnlySpan<byte>(address, Math.Min(length, 128))));
        }
    }

    private void Accepted(int fd, string remote)
    {
        ulong token = ++_tokens;
        SendQueue output = new(_pool, _epoll, token, fd, _options.QueueBytesMax);
        PeerConnection connection = new(token, output, PeerStage.AwaitsHello)
        {
            FileDescriptor = fd,
            Remote = remote,
            HeardMs = _nowMs,
            DeadlineMs = _nowMs + (long)_options.GreetingMax.TotalMilliseconds,
        };
        _connections.Add(token, connection);
        _strangers++;
        SweepBy(connection.DeadlineMs);
        if (!output.TryWatch(untilConnected: false))
            Close(connection, Describe(Marshal.GetLastPInvokeError()));
        else if (_strangers > _options.StrangersMax)
            Refuse(connection, PeerRefusalReason.Busy, $"more than {_options.StrangersMax} connections have not shown yet who they are");
        else if (_tls is not null)
            TrySecure(connection, asServer: true);
    }

    private static string Remote(ReadOnlySpan<byte> address)
    {
        if (address.Length < 16)
            return "unknown";
        SocketAddress socket = new(MemoryMarshal.Read<ushort>(address) == 2 ? AddressFamily.InterNetwork : AddressFamily.InterNetworkV6, address.Length);
        address.CopyTo(socket.Buffer.Span);
        IPEndPoint endPoint = (IPEndPoint)new IPEndPoint(socket.Family == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0).Create(socket);
        if (endPoint.Address.IsIPv4MappedToIPv6)
            endPoint.Address = endPoint.Address.MapToIPv4();
        return endPoint.ToString();
    }
}
