using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Kvasir.Server.Tests.Commands;

/// <summary>The installed redis-server, on a free loopback port, without persistence: what we are compared with.</summary>
internal sealed class RedisPeer : IDisposable
{
    public const string Version = "7.0.15";
    private static readonly string[] s_programs = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"];

    private readonly Process? _process;
    private readonly string? _folder;
    private readonly int _port;
    private readonly TcpClient _client;
    private readonly NetworkStream _stream;
    private readonly byte[] _buffer = new byte[1 << 16];
    private int _start;
    private int _end;

    private RedisPeer(Process? process, int port, string? folder = null)
    {
        _folder = folder;
        _process = process;
        _port = port;
        _client = new TcpClient { NoDelay = true };
        _client.Connect(IPAddress.Loopback, port);
        _stream = _client.GetStream();
    }

    /// <summary>Null when no redis-server of the version is installed.</summary>
    public static RedisPeer? TryStart()
    {
        string? program = Array.Find(s_programs, File.Exists);
        if (program is null)
            return null;
        // Somebody may take the free port before redis-server does.
        for (int attempt = 0; attempt < 10; attempt++)
        {
            if (TryStart(program, FreePort()) is { } peer)
                return peer.HasVersion() ? peer : null;
        }

        throw new InvalidOperationException("redis-server does not start");
    }

    private static RedisPeer? TryStart(string program, int port)
    {
        // Its own, since it loads at the start what another saved there.
        string folder = Directory.CreateTempSubdirectory("kvasir-redis").FullName;
        var info = new ProcessStartInfo(program) { RedirectStandardOutput = true, UseShellExecute = false };
        foreach (string argument in new[] { "--port", port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder, "--enable-debug-command", "local", "--proto-max-bulk-len", "64mb" })
            info.ArgumentList.Add(argument);
        Process process = Process.Start(info)!;
        // It says little after this, so that the pipe does not fill up.
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (line.Contains("Ready to accept", StringComparison.Ordinal))
                return new RedisPeer(process, port, folder);
        }

        process.WaitForExit();
        process.Dispose();
        Directory.Delete(folder, recursive: true);
        return null;
    }

    private bool HasVersion()
    {
        if (Encoding.Latin1.GetString(Execute("INFO", "server")).Contains("redis_version:" + Version, StringComparison.Ordinal))
            return true;
        Dispose();
        return false;
    }

    public IPEndPoint EndPoint => new(IPAddress.Loopback, _port);

    public byte[] Execute(params string[] arguments) => Execute([.. arguments.Select(Encoding.Latin1.GetBytes)]);

    public byte[] Execute(params byte[][] arguments)
    {
        var request = new MemoryStream();
        request.Write(Encoding.Latin1.GetBytes(string.Create(CultureInfo.InvariantCulture, $"*{arguments.Length}\r\n")));
        foreach (byte[] argument in arguments)
        {
            request.Write(Encoding.Latin1.GetBytes(string.Create(CultureInfo.InvariantCulture, $"${argument.Length}\r\n")));
            request.Write(argument);
            request.Write("\r\n"u8);
        }

        _stream.Write(request.ToArray());
        return Receive();
    }

    public bool HasExited => _process is { HasExited: true };

    /// <summary>Another connection to the same server.</summary>
    public RedisPeer Connect() => new(process: null, _port);

    /// <summary>A connection for which the caller does all reading.</summary>
    public Socket OpenSocket()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(IPAddress.Loopback, _port);
        return socket;
    }

    /// <summary>The next reply or message.</summary>
    public byte[] Receive()
    {
        var reply = new MemoryStream();
        ReadReply(reply);
        return reply.ToArray();
    }

    public void Dispose()
    {
        _client.Dispose();
        if (_process is null)
            return;
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_folder!, recursive: true);
    }

    private void ReadReply(MemoryStream reply)
    {
        string line = ReadLine(reply);
        long count = line[0] is '$' or '*' ? long.Parse(line.AsSpan(1), CultureInfo.InvariantCulture) : 0;
        if (line[0] == '*')
        {
            for (long i = 0; i < count; i++)
                ReadReply(reply);
        }
        else if (line[0] == '$' && count >= 0)
        {
            for (long i = 0; i < count + 2; i++)
                reply.WriteByte(ReadByte());
        }
    }

    private string ReadLine(MemoryStream reply)
    {
        var line = new StringBuilder();
        while (true)
        {
            byte b = ReadByte();
            reply.WriteByte(b);
            if (b == '\n')
                return line.ToString();
            if (b != '\r')
                line.Append((char)b);
        }
    }

    private byte ReadByte()
    {
        if (_start == _end)
        {
            _start = 0;
            _end = _stream.Read(_buffer);
            if (_end == 0)
                throw new EndOfStreamException("redis-server closed the connection");
        }

        return _buffer[_start++];
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
