using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cli.CommandLine;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Shell;

/// <summary>One blocking connection to a server: sends commands, reads replies in order. Not thread-safe.</summary>
internal sealed class RespConnection : IDisposable
{
    private readonly Socket _socket;
    private readonly BytesBuffer _output = new();
    private byte[] _input = new byte[16 << 10];
    private int _start;
    private int _end;

    private RespConnection(Socket socket) => _socket = socket;

    public static RespConnection Open(HostPort address)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.Connect(address.Resolve(), address.Port);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new UsageException($"no server answers at {address}: {new SocketException(e.ErrorCode).Message}", e);
        }

        return new RespConnection(socket);
    }

    public Socket Socket => _socket;

    /// <summary>
    /// Says hello in protocol 3 where the server knows it, in protocol 2 where it does not, with the password if given.
    /// </summary>
    public void Greet(string? password)
    {
        string[] hello = password is null ? ["HELLO", "3"] : ["HELLO", "3", "AUTH", "default", password];
        RespReply reply = Call(hello);
        if (reply.Kind == RespReplyKind.Error && password is not null
            && (reply.Text.StartsWith("ERR unknown command", StringComparison.Ordinal)
                || reply.Text.StartsWith("NOPROTO", StringComparison.Ordinal)))
            reply = Call("AUTH", password);
        if (reply.Kind == RespReplyKind.Error && password is not null)
            throw new UsageException($"the server refused the password: {reply.Text}");
    }

    public RespReply Call(params string[] words)
    {
        Send(words);
        return Receive();
    }

    public void Send(params string[] words)
    {
        byte[][] bytes = new byte[words.Length][];
        for (int i = 0; i < words.Length; i++)
            bytes[i] = Encoding.UTF8.GetBytes(words[i]);
        Send(bytes);
    }

    public void Send(byte[][] words)
    {
        _output.Clear();
        Encode(_output, words);
        ReadOnlySpan<byte> rest = _output.WrittenSpan;
        while (!rest.IsEmpty)
            rest = rest[_socket.Send(rest)..];
    }

    /// <summary>The next reply. Out-of-band pushes come like replies; their kind tells.</summary>
    public RespReply Receive()
    {
        while (true)
        {
            int length = RespReplyReader.Measure(_input.AsSpan(_start, _end - _start), out _);
            if (length > 0)
            {
                RespReply reply = RespReply.Parse(_input.AsSpan(_start, length));
                _start += length;
                return reply;
            }

            if (_start > 0)
            {
                _input.AsSpan(_start, _end - _start).CopyTo(_input);
                _end -= _start;
                _start = 0;
            }

            if (_end == _input.Length)
                Array.Resize(ref _input, _input.Length * 2);
            int read = _socket.Receive(_input.AsSpan(_end));
            if (read == 0)
                throw new IOException("the server closed the connection");
            _end += read;
        }
    }

    public static void Encode(BytesBuffer output, byte[][] words)
    {
        Header(output, (byte)'*', words.Length);
        foreach (byte[] word in words)
        {
            Header(output, (byte)'$', word.Length);
            output.Append(word);
            output.Append("\r\n"u8);
        }
    }

    public void Dispose() => _socket.Dispose();

    private static void Header(BytesBuffer output, byte kind, int number)
    {
        Span<byte> span = output.GetSpan(16);
        span[0] = kind;
        number.TryFormat(span[1..], out int digits, default, CultureInfo.InvariantCulture);
        "\r\n"u8.CopyTo(span[(1 + digits)..]);
        output.Advance(digits + 3);
    }
}
