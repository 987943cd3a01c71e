using System.Globalization;
using System.Text;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Tests.Commands;

/// <summary>A client without a socket: bytes go straight into a session, replies and messages come back.</summary>
internal sealed class SessionPeer : ISessionOwner
{
    private readonly ServerState _server;

    public SessionPeer(ServerState server)
    {
        _server = server;
        Session = new RespSession(server, this, "127.0.0.1:1", "127.0.0.1:6379");
        server.Opened(Session);
    }

    public RespSession Session { get; }

    public int Wakes { get; private set; }

    public bool IsClosed => Session.ClosesNow || Session.ClosesAfterReplies;

    public void Wake(RespSession session) => Wakes++;

    public byte[] Execute(params byte[][] arguments)
    {
        MemoryStream request = new();
        request.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"*{arguments.Length}\r\n")));
        foreach (byte[] argument in arguments)
        {
            request.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"${argument.Length}\r\n")));
            request.Write(argument);
            request.Write("\r\n"u8);
        }

        return Send(request.ToArray());
    }

    public string Execute(string line) => Encoding.Latin1.GetString(Execute([.. ScenarioText.SplitArguments(line)]));

    public byte[] Send(ReadOnlySpan<byte> bytes, bool receives = true)
    {
        SessionInput input = Session.Input;
        if (input.Array is null)
            input.Lend(new byte[1024]);
        while (!bytes.IsEmpty)
        {
            Memory<byte> room = input.Room(Math.Max(Session.Parser.BytesWanted, input.Length + 1));
            int count = Math.Min(room.Length, bytes.Length);
            bytes[..count].CopyTo(room.Span);
            input.Received(count);
            bytes = bytes[count..];
        }

        Session.Execute();
        input.TakeBack();
        return receives ? Receive() : [];
    }

    /// <summary>What may leave now.</summary>
    public byte[] Receive()
    {
        byte[] bytes = Session.Sendable().ToArray();
        if (bytes.Length != 0)
            Session.Output.Sent(bytes.Length);
        return bytes;
    }

    public void Close() => _server.Node.Mailbox.Post(new SessionClosing(Session));
}
