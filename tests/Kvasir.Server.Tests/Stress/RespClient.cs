using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Tests.Stress;

/// <summary>
/// A blocking client over TCP. Replies come as text: <c>OK</c>, <c>:1</c>, <c>"value"</c>, <c>nil</c>, <c>-ERR ...</c>,
/// <c>[OK :1 "value"]</c>. Only a hang of the server reaches its time limit.
/// </summary>
internal sealed class RespClient : IDisposable
{
    private readonly Socket _socket;
    private readonly BytesBuffer _output = new();
    private byte[] _input = new byte[4096];
    private int _start;
    private int _end;

    public RespClient(IPEndPoint endPoint)
    {
        _socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true, ReceiveTimeout = 300_000, SendTimeout = 300_000,
        };
        _socket.Connect(endPoint);
    }

    public Socket Socket => _socket;

    public string Call(params string[] words)
    {
        Add(words);
        return Receive();
    }

    /// <summary>For the next <see cref="Send"/>.</summary>
    public void Add(params string[] words) => Encode(_output, words);

    public void Send()
    {
        SendRaw(_output.WrittenSpan);
        _output.Clear();
    }

    public void SendRaw(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
            bytes = bytes[_socket.Send(bytes)..];
    }

    /// <summary>The next reply; sends what was added first.</summary>
    public string Receive()
    {
        if (_output.Length != 0)
            Send();
        while (true)
        {
            int length = RespReplyReader.Measure(_input.AsSpan(_start, _end - _start), out _);
            if (length > 0)
            {
                var reader = new RespReplyReader(_input.AsSpan(_start, length));
                StringBuilder text = new();
                Show(ref reader, text);
                _start += length;
                return text.ToString();
            }

            if (!Fill())
                throw new IOException("the server closed the connection");
        }
    }

    /// <summary>Everything until the server closes.</summary>
    public string ReceiveToEnd()
    {
        try
        {
            while (Fill())
            {
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Closed with something unread.
        }

        return Encoding.Latin1.GetString(_input, _start, _end - _start);
    }

    public void Dispose() => _socket.Dispose();

    public static void Encode(BytesBuffer output, params string[] words)
    {
        output.Append(Encoding.Latin1.GetBytes($"*{words.Length}\r\n"));
        foreach (string word in words)
            output.Append(Encoding.Latin1.GetBytes($"${word.Length}\r\n{word}\r\n"));
    }

    private bool Fill()
    {
        _input.AsSpan(_start, _end - _start).CopyTo(_input);
        _end -= _start;
        _start = 0;
        if (_end == _input.Length)
            Array.Resize(ref _input, _input.Length * 2);
        int read = _socket.Receive(_input.AsSpan(_end));
        _end += read;
        return read != 0;
    }

    private static void Show(ref RespReplyReader reader, StringBuilder text)
    {
        Assert.True(reader.TryRead());
        string value = Encoding.Latin1.GetString(reader.Text);
        switch (reader.Kind)
        {
            case RespReplyKind.Null: text.Append("nil"); break;
            case RespReplyKind.Error: text.Append('-').Append(value); break;
            case RespReplyKind.Integer: text.Append(':').Append(value); break;
            case RespReplyKind.BulkString: text.Append('"').Append(value).Append('"'); break;
            case RespReplyKind.Array or RespReplyKind.Push or RespReplyKind.Set or RespReplyKind.Map:
                long count = reader.Count;
                text.Append('[');
                for (long i = 0; i < count; i++)
                {
                    if (i != 0)
                        text.Append(' ');
                    Show(ref reader, text);
                }

                text.Append(']');
                break;
            default: text.Append(value); break;
        }
    }
}
