using System.Text;
using Kvasir.Server.Tests.Commands;

namespace Kvasir.Server.Tests.Sessions;

public sealed class SessionTests
{
    public static TheoryData<string, string> Replies => new()
    {
        { "NOSUCH a b", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n" },
        { "GET", "-ERR wrong number of arguments for 'get' command\r\n" },
        { "CLIENT KILL", "-ERR wrong number of arguments for 'client|kill' command\r\n" },
        { "CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n" },
        { "CLIENT", "-ERR wrong number of arguments for 'client' command\r\n" },
        { "CLIENT SETINFO a b", "-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.\r\n" },
        { "PING hello", "$5\r\nhello\r\n" },
        { "ECHO hi", "$2\r\nhi\r\n" },
        { "SELECT 16", "-ERR DB index is out of range\r\n" },
        { "SELECT 1x", "-ERR value is not an integer or out of range\r\n" },
        { "HELLO 4", "-NOPROTO unsupported protocol version\r\n" },
        { "HELLO x", "-ERR Protocol version is not an integer or out of range\r\n" },
        { "AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n" },
        { "CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n" },
        { "CONFIG SET maxmemory abc", "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value\r\n" },
        { "CONFIG SET maxclients 0", "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and 4294967295 inclusive\r\n" },
        { "CONFIG SET appendfsync foo", "-ERR CONFIG SET failed (possibly related to argument 'appendfsync') - argument(s) must be one of the following: everysec, always, no\r\n" },
        { "CONFIG SET databases 4", "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config\r\n" },
        { "CONFIG SET maxmemory 1mb", "+OK\r\n" },
        { "CLIENT GETNAME", "$-1\r\n" },
        { "CLIENT SETNAME \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n" },
        { "CLIENT KILL 1.2.3.4:5", "-ERR No such client\r\n" },
        { "CLIENT KILL ID 0", "-ERR client-id should be greater than 0\r\n" },
        { "CLIENT PAUSE x", "-ERR timeout is not an integer or out of range\r\n" },
        { "CLIENT REPLY MAYBE", "-ERR syntax error\r\n" },
        { "WAIT 0 0", ":0\r\n" },
        { "COMMAND GETKEYS MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n" },
        { "COMMAND GETKEYS ECHO x", "-ERR The command has no key arguments\r\n" },
        { "COMMAND INFO nosuch", "*1\r\n$-1\r\n" },
        { "LATENCY RESET", ":0\r\n" },
        { "LATENCY HISTORY x", "*0\r\n" },
        { "SLOWLOG LEN", ":0\r\n" },
        { "SLOWLOG GET x", "-ERR count should be greater than or equal to -1\r\n" },
        { "MEMORY USAGE nosuch", "$-1\r\n" },
        { "SCRIPT EXISTS a b", "*2\r\n:0\r\n:0\r\n" },
        { "FUNCTION LIST", "*0\r\n" },
        { "ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n" },
        { "RESET", "+RESET\r\n" },
    };

    [Theory]
    [MemberData(nameof(Replies))]
    public void AnswersAsRedisDoes(string command, string reply)
    {
        using CommandWorld world = new();
        Assert.Equal(reply, world.Connect().Execute(command));
    }

    [Fact]
    public void RedisAnswersTheSame()
    {
        using RedisPeer? peer = RedisPeer.TryStart();
        if (peer is null)
            return;
        foreach (object[] row in Replies)
            Assert.Equal((string)row[1], Encoding.Latin1.GetString(peer.Execute([.. ScenarioText.SplitArguments((string)row[0])])));
    }

    [Fact]
    public void EveryParameterIsKnownAndGivenBack()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        foreach ((string name, _) in world.Server.Settings.Names)
            Assert.StartsWith($"*2\r\n${name.Length}\r\n{name}\r\n", client.Execute("CONFIG GET " + name), StringComparison.Ordinal);
    }

    [Fact]
    public void ClientReplySilences()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        Assert.Equal("", client.Execute("CLIENT REPLY SKIP"));
        Assert.Equal("", client.Execute("PING"));
        Assert.Equal("+PONG\r\n", client.Execute("PING"));
        Assert.Equal("", client.Execute("CLIENT REPLY OFF"));
        Assert.Equal("", client.Execute("PING"));
        Assert.Equal("+OK\r\n", client.Execute("CLIENT REPLY ON"));
    }

    [Fact]
    public void PasswordGuardsEverything()
    {
        using CommandWorld world = new();
        world.Connect().Execute("CONFIG SET requirepass secret");
        SessionPeer client = world.Connect();
        Assert.Equal("-NOAUTH Authentication required.\r\n", client.Execute("GET a"));
        Assert.Equal("-WRONGPASS invalid username-password pair or user is disabled.\r\n", client.Execute("AUTH wrong"));
        Assert.StartsWith("-NOAUTH HELLO must be called", client.Execute("HELLO 3"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", client.Execute("AUTH default secret"));
        Assert.Equal("$-1\r\n", client.Execute("GET a"));
        SessionPeer stranger = world.Connect();
        Assert.Equal("-ERR Protocol error: unauthenticated bulk length\r\n", Encoding.Latin1.GetString(stranger.Send("*2\r\n$20000\r\n"u8)));
        Assert.True(stranger.IsClosed);
    }

    [Fact]
    public void WhoHasNotGivenThePasswordIsOwedNoReplies()
    {
        using CommandWorld world = new();
        world.Connect().Execute("CONFIG SET requirepass secret");
        SessionPeer stranger = world.Connect();
        stranger.Send(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("GET a\r\n", 2000))));
        Assert.True(stranger.IsClosed);
        SessionPeer client = world.Connect();
        Assert.EndsWith("+PONG\r\n", Encoding.ASCII.GetString(client.Send(Encoding.ASCII.GetBytes(
            "AUTH secret\r\n" + string.Concat(Enumerable.Repeat("ECHO 1234567890123456789012345678901234567890\r\n", 2000)) + "PING\r\n"))), StringComparison.Ordinal);
    }

    [Fact]
    public void PausedClientsWaitAndGoOn()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        SessionPeer other = world.Connect();
        Assert.Equal("+OK\r\n", other.Execute("CLIENT PAUSE 100 WRITE"));
        Assert.Equal("", client.Execute("SET a 1"));
        Assert.Equal("$-1\r\n", other.Execute("GET a"));
        world.Advance(TimeSpan.FromMilliseconds(150));
        client.Session.Execute();
        Assert.Equal("+OK\r\n", Encoding.Latin1.GetString(client.Receive()));
    }

    [Fact]
    public void WaitAnswersAfterItsTime()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        Assert.Equal("", client.Execute("WAIT 1 100"));
        Assert.Equal("", client.Execute("PING"));
        world.Advance(TimeSpan.FromMilliseconds(150));
        client.Session.Execute();
        Assert.Equal(":0\r\n+PONG\r\n", Encoding.Latin1.GetString(client.Receive()));
        client.Execute("WAIT 1 0");
        Assert.Equal(":1\r\n", world.Connect().Execute($"CLIENT UNBLOCK {client.Session.Client.Id} ERROR"));
        client.Session.Execute();
        Assert.Equal("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n", Encoding.Latin1.GetString(client.Receive()));
    }

    [Fact]
    public void KilledClientsAreToldToEnd()
    {
        using CommandWorld world = new();
        SessionPeer victim = world.Connect();
        Assert.Equal(":1\r\n", world.Connect().Execute($"CLIENT KILL ID {victim.Session.Client.Id}"));
        Assert.True(victim.Session.ClosesNow);
        Assert.Equal(1, victim.Wakes);
    }

    [Fact]
    public void LongKeysAreRefused()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        byte[] key = new byte[(64 << 10) + 1];
        Assert.Equal("-ERR key is longer than 65536 bytes\r\n", Encoding.Latin1.GetString(client.Execute("SET"u8.ToArray(), key, "v"u8.ToArray())));
        Assert.Equal("+OK\r\n", Encoding.Latin1.GetString(client.Execute("SET"u8.ToArray(), key[1..], "v"u8.ToArray())));
    }
}
