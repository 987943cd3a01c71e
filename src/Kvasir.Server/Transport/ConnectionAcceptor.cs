using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

internal enum AcceptResult
{
    Accepted,

    /// <summary>It was told why, and closed.</summary>
    Refused,
    NoneLeft,

    /// <summary>The process has no file descriptor left.</summary>
    NoFiles,
}

internal readonly record struct AcceptedSocket(int FileDescriptor, string RemoteAddress, string LocalAddress);

/// <summary>Takes connections in, within limits, and spreads them over the loops. Thread-safe.</summary>
internal sealed unsafe class ConnectionAcceptor(ServerState server, string localAddress, string? unixPath)
{
    private EpollLoop[] _loops = [];
    private int _next;

    /// <summary>Where clients over TCP connect to, as CLIENT LIST shows it.</summary>
    public string LocalAddress { get; set; } = localAddress;

    public void SetLoops(EpollLoop[] loops) => _loops = loops;

    /// <summary>True when another loop than <paramref name="accepting"/> has taken the socket.</summary>
    public bool Distribute(EpollLoop accepting, in AcceptedSocket socket)
    {
        if (_loops.Length <= 1)
            return false;
        EpollLoop loop = _loops[(int)((uint)Interlocked.Increment(ref _next) % (uint)_loops.Length)];
        if (ReferenceEquals(loop, accepting))
            return false;
        loop.Adopt(socket);
        return true;
    }

    public void Released() => server.Connections.Leave();

    public AcceptResult Accept(int listener, out AcceptedSocket socket)
    {
        byte* address = stackalloc byte[128];
        int length = 128;
        socket = default;
        int fd = LinuxCalls.Accept(listener, address, &length);
        if (fd < 0)
        {
            return Marshal.GetLastPInvokeError() switch
            {
                LinuxCalls.TryAgain => AcceptResult.NoneLeft,
                LinuxCalls.TooManyFiles or LinuxCalls.TooManyFilesInSystem => AcceptResult.NoFiles,
                _ => AcceptResult.Refused,
            };
        }

        (string? remote, bool loopback) = Describe(new ReadOnlySpan<byte>(address, Math.Min(length, 128)));
        if (!server.Connections.TryEnter())
            return Refuse(fd, ConnectionRefusal.TooMany);
        if (!loopback && !server.RequiresPassword && server.Settings.Flag("protected-mode"))
        {
            AcceptResult refused = Refuse(fd, ConnectionRefusal.Protected);
            Released();
            return refused;
        }

        if (remote is null)
        {
            string path = unixPath + ":0";
            socket = new AcceptedSocket(fd, path, path);
            return AcceptResult.Accepted;
        }

        LinuxCalls.SetNoDelay(fd);
        int keepAlive = (int)server.Settings.Number("tcp-keepalive");
        if (keepAlive > 0)
            LinuxCalls.SetKeepAlive(fd, keepAlive);
        socket = new AcceptedSocket(fd, remote, LocalAddress);
        return AcceptResult.Accepted;
    }

    private AcceptResult Refuse(int fd, byte[] reason)
    {
        _ = LinuxCalls.Send(fd, reason);
        LinuxCalls.Close(fd);
        server.Statistics.ConnectionRejected();
        return AcceptResult.Refused;
    }

    /// <summary>No text: it came over the socket in the file system.</summary>
    private static (string? Text, bool IsLoopback) Describe(ReadOnlySpan<byte> address)
    {
        const ushort Inet = 2;
        const ushort Inet6 = 10;
        ushort family = address.Length < 2 ? (ushort)0 : MemoryMarshal.Read<ushort>(address);
        if (family is not (Inet or Inet6))
            return (null, true);
        int port = BinaryPrimitives.ReadUInt16BigEndian(address[2..]);
        IPAddress ip = family == Inet ? new IPAddress(address.Slice(4, 4)) : new IPAddress(address.Slice(8, 16));
        if (ip.IsIPv4MappedToIPv6)
            ip = ip.MapToIPv4();
        string host = ip.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{ip}]" : ip.ToString();
        return (host + ":" + port.ToString(CultureInfo.InvariantCulture), IPAddress.IsLoopback(ip));
    }
}
