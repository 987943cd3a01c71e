using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Tests;

/// <summary>A RESP server in the test's own process whose every reply the test makes up.</summary>
internal sealed class ScriptedServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly List<Socket> _sockets = [];
    private readonly Func<string[], string?> _answer;
    private bool _isDisposed;

    /// <param name="answer">The reply to a command, in RESP; null: the connection is closed instead.</param>
    public ScriptedServer(Func<string[], string?> answer)
    {
        _answer = answer;
        _listener.Start();
        Address = new HostPort("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port);
        new Thread(Accept) { IsBackground = true }.Start();
    }

    public HostPort Address { get; }

    public string Port => Address.Port.ToString(CultureInfo.InvariantCulture);

    public static string Text(string text) => $"${Encoding.UTF8.GetByteCount(text)}\r\n{text}\r\n";

    /// <summary>A flat array of names and values; values as RESP.</summary>
    public static string Map(params (string Name, string Value)[] fields) =>
        $"*{2 * fields.Length}\r\n" + string.Concat(fields.Select(f => Text(f.Name) + f.Value));

    public static string List(params IEnumerable<string> items)
    {
        string[] all = [.. items];
        return $"*{all.Length}\r\n" + string.Concat(all);
    }

    public static string Number(long number) => $":{number}\r\n";

    public void Dispose()
    {
        _listener.Dispose();
        lock (_sockets)
        {
            _isDisposed = true;
            foreach (Socket socket in _sockets)
                socket.Dispose();
        }
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                Socket socket = _listener.AcceptSocket();
                lock (_sockets)
                {
                    if (_isDisposed)
                    {
                        socket.Dispose();
                        return;
                    }

                    _sockets.Add(socket);
                }

                new Thread(() => Serve(socket)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // Disposed.
        }
    }

    private void Serve(Socket socket)
    {
        byte[] input = new byte[64 << 10];
        int length = 0;
        try
        {
            while (true)
            {
                int read = socket.Receive(input.AsSpan(length));
                if (read == 0)
                    return;
                length += read;
                int used;
                while ((used = RespReplyReader.Measure(input.AsSpan(0, length), out _)) > 0)
                {
                    string[] words = [.. RespReply.Parse(input.AsSpan(0, used)).Items.Select(i => i.Text)];
                    input.AsSpan(used, length - used).CopyTo(input);
                    length -= used;
                    if (_answer(words) is not { } answer)
                    {
                        socket.Dispose();
                        return;
                    }

                    socket.Send(Encoding.UTF8.GetBytes(answer));
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The client or the test is done.
        }
    }
}
