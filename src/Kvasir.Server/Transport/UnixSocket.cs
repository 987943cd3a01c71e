using System.Net.Sockets;

namespace Kvasir.Server.Transport;

/// <param name="Path">The file.</param>
/// <param name="Mode">Its permissions; null for what the process's mask makes of them.</param>
public sealed record UnixSocketOptions(string Path, UnixFileMode? Mode);

/// <summary>A listening socket in the file system, for clients on the same machine.</summary>
internal sealed class UnixSocket : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    public UnixSocket(UnixSocketOptions options, int backlog)
    {
        UnixDomainSocketEndPoint endPoint = new(options.Path);
        try
        {
            // A server that was killed leaves the file behind; one that lives answers there, and keeps it.
            if (File.Exists(options.Path))
            {
                if (IsServed(endPoint))
                    throw new SocketException((int)SocketError.AddressAlreadyInUse);
                if (!IsSocket(options.Path))
                    throw new IOException($"{options.Path} is a file and no socket; it is left as it is");
            }

            File.Delete(options.Path);
            _socket.Bind(endPoint);
            if (options.Mode is { } mode && !OperatingSystem.IsWindows())
                File.SetUnixFileMode(options.Path, mode);
            _socket.Listen(backlog);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    public int FileDescriptor => (int)_socket.Handle;

    /// <summary>The platform deletes the file with the socket that bound it.</summary>
    public void Dispose() => _socket.Dispose();

    /// <summary>No call of the platform tells a socket from a file; but a file can be opened, and a socket cannot.</summary>
    private static bool IsSocket(string path)
    {
        try
        {
            using FileStream file = File.Open(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    private static bool IsServed(UnixDomainSocketEndPoint endPoint)
    {
        using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(endPoint);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
