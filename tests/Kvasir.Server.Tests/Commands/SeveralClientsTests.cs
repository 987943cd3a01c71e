using System.Text;
using System.Text.RegularExpressions;

namespace Kvasir.Server.Tests.Commands;

/// <summary>What one client sees of what others do.</summary>
public sealed partial class SeveralClientsTests : IDisposable
{
    private readonly CommandWorld _world = new();

    [Fact]
    public void MonitorShowsExecAfterItsBlockAndHidesSecrets()
    {
        SessionPeer monitor = _world.Connect();
        SessionPeer client = _world.Connect();
        monitor.Execute("MONITOR");
        foreach (string line in new[] { "MULTI", "SET foo bar", "exec", "AUTH secret", "AUTH user secret", "HELLO 2 AUTH user secret", "CONFIG SET masterauth secret", "PING" })
            client.Execute(line);
        string[] shown = [.. Encoding.Latin1.GetString(monitor.Receive()).Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Select(l => Prefix().Replace(l, ""))];
        Assert.Equal(
            [
                "\"MULTI\"", "\"SET\" \"foo\" \"bar\"", "\"exec\"", "\"AUTH\" \"(redacted)\"", "\"AUTH\" \"(redacted)\" \"(redacted)\"",
                "\"HELLO\" \"2\" \"AUTH\" \"(redacted)\" \"(redacted)\"", "\"PING\"",
            ],
            shown);
    }

    [Fact]
    public void SlowLogHidesSecrets()
    {
        _world.Execute("CONFIG", "SET", "slowlog-log-slower-than", "0");
        _world.Execute("CONFIG", "SET", "masterauth", "secret");
        _world.Execute("AUTH", "secret");
        string log = Encoding.Latin1.GetString(_world.Execute("SLOWLOG", "GET"));
        Assert.DoesNotContain("secret", log, StringComparison.Ordinal);
        Assert.Contains("(redacted)", log, StringComparison.Ordinal);
    }

    [Fact]
    public void PausedClientsCountAsBlocked()
    {
        SessionPeer paused = _world.Connect();
        _world.Execute("CLIENT", "PAUSE", "100000", "WRITE");
        Assert.Equal("", paused.Execute("SET foo bar"));
        Assert.Contains("blocked_clients:1\r\n", Encoding.Latin1.GetString(_world.Execute("INFO", "clients")), StringComparison.Ordinal);
        Assert.Contains("flags=b", Encoding.Latin1.GetString(_world.Execute("CLIENT", "LIST")), StringComparison.Ordinal);
        _world.Execute("CLIENT", "UNPAUSE");
        Assert.Equal("+OK\r\n", Encoding.Latin1.GetString(paused.Send([])));
        Assert.Contains("blocked_clients:0\r\n", Encoding.Latin1.GetString(_world.Execute("INFO", "clients")), StringComparison.Ordinal);
    }

    [Fact]
    public void ClientListNamesTheCommandThatRuns()
    {
        Assert.Contains(" cmd=client|list ", Encoding.Latin1.GetString(_world.Execute("CLIENT", "LIST")), StringComparison.Ordinal);
        Assert.Contains(" cmd=client|info ", Encoding.Latin1.GetString(_world.Execute("CLIENT", "INFO")), StringComparison.Ordinal);
    }

    [Fact]
    public void ReadersThatTrackHearOfChanges()
    {
        const string Invalidated = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
        SessionPeer reader = _world.Connect();
        reader.Execute("HELLO 3");
        reader.Execute("CLIENT TRACKING on");
        reader.Execute("GET k");
        _world.Execute("SET", "k", "1");
        Assert.Equal(Invalidated, Encoding.Latin1.GetString(reader.Receive()));
        _world.Execute("SET", "k", "2");
        Assert.Empty(reader.Receive());
        reader.Execute("MGET a k");
        _world.Execute("FLUSHALL");
        Assert.Equal(">2\r\n$10\r\ninvalidate\r\n_\r\n", Encoding.Latin1.GetString(reader.Receive()));
        reader.Execute("CLIENT TRACKING off");
        reader.Execute("CLIENT TRACKING on OPTIN");
        reader.Execute("GET k");
        _world.Execute("SET", "k", "3");
        Assert.Empty(reader.Receive());
        reader.Execute("CLIENT CACHING yes");
        reader.Execute("GET k");
        reader.Execute("GET other");
        _world.Execute("SET", "other", "3");
        _world.Execute("SET", "k", "4");
        Assert.Equal(Invalidated, Encoding.Latin1.GetString(reader.Receive()));
    }

    [Fact]
    public void ChangesBelowOnePrefixAreToldInOneMessage()
    {
        SessionPeer reader = _world.Connect();
        reader.Execute("HELLO 3");
        reader.Execute("CLIENT TRACKING on BCAST PREFIX a PREFIX b NOLOOP");
        _world.Execute("MSET", "b1", "1", "a2", "1", "c", "1", "a1", "1");
        Assert.Equal(
            ">2\r\n$10\r\ninvalidate\r\n*2\r\n$2\r\na1\r\n$2\r\na2\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\nb1\r\n",
            Encoding.Latin1.GetString(reader.Receive()));
        Assert.Equal("+OK\r\n", reader.Execute("SET a1 2"));
    }

    [Fact]
    public void ChangesOfEveryKeyAreToldBesidePrefixesNamedBefore()
    {
        SessionPeer reader = _world.Connect();
        reader.Execute("HELLO 3");
        reader.Execute("CLIENT TRACKING on BCAST PREFIX a");
        reader.Execute("CLIENT TRACKING on BCAST");
        _world.Execute("SET", "zz", "1");
        Assert.Equal(">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\nzz\r\n", Encoding.Latin1.GetString(reader.Receive()));
        const string Below = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\na1\r\n";
        _world.Execute("SET", "a1", "1");
        Assert.Equal(Below + Below, Encoding.Latin1.GetString(reader.Receive()));
    }

    [Fact]
    public void ChangesAreToldThatCameBeforeMorePrefixesWereAsked()
    {
        const string Invalidated = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\na1\r\n";
        SessionPeer reader = _world.Connect();
        reader.Execute("HELLO 3");
        reader.Execute("CLIENT TRACKING on BCAST PREFIX a");
        Assert.Equal(
            "+OK\r\n+OK\r\n" + Invalidated,
            Encoding.Latin1.GetString(reader.Send("SET a1 1\r\nCLIENT TRACKING on BCAST PREFIX b\r\n"u8)));
    }

    [Fact]
    public void WhatAClientItselfMadeInvalidComesRightBehindTheReply()
    {
        const string Invalidated = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
        SessionPeer reader = _world.Connect();
        reader.Execute("HELLO 3");
        reader.Execute("CLIENT TRACKING on");
        Assert.Equal(
            "_\r\n+OK\r\n" + Invalidated + "+PONG\r\n$1\r\n1\r\n+OK\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n+PONG\r\n",
            Encoding.Latin1.GetString(reader.Send("GET k\r\nSET k 1\r\nPING\r\nGET k\r\nFLUSHALL\r\nPING\r\n"u8)));
        Assert.Equal(
            "_\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+PONG\r\n" + Invalidated + "+PONG\r\n",
            Encoding.Latin1.GetString(reader.Send("GET k\r\nMULTI\r\nSET k 1\r\nPING\r\nEXEC\r\nPING\r\n"u8)));
    }

    [Theory]
    [InlineData("GET k")]
    [InlineData("GETDEL k")]
    [InlineData("GETEX k")]
    [InlineData("GETSET k v")]
    public void OnesOwnMissIsToldBeforeTheReply(string line)
    {
        SessionPeer client = _world.Connect();
        client.Execute("HELLO 3");
        client.Execute("CONFIG SET notify-keyspace-events Em");
        client.Execute("SUBSCRIBE __keyevent@0__:keymiss");
        Assert.Equal(">3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:keymiss\r\n$1\r\nk\r\n_\r\n", client.Execute(line));
    }

    [Fact]
    public void AResetWhoseReplyIsSkippedIsNotAnswered()
    {
        SessionPeer client = _world.Connect();
        Assert.Equal("", client.Execute("CLIENT REPLY SKIP"));
        Assert.Equal("", client.Execute("RESET"));
        Assert.Equal("+PONG\r\n", client.Execute("PING"));
        Assert.Equal("", client.Execute("CLIENT REPLY OFF"));
        Assert.Equal("+RESET\r\n", client.Execute("RESET"));
    }

    [Fact]
    public void InvalidationsAreRedirectedToAnyWhoListens()
    {
        SessionPeer listener = _world.Connect();
        string id = listener.Execute("CLIENT ID").Trim(':', '\r', '\n');
        listener.Execute("SUBSCRIBE other");
        SessionPeer reader = _world.Connect();
        Assert.Equal("+OK\r\n", reader.Execute("CLIENT TRACKING on REDIRECT " + id));
        reader.Execute("GET k");
        _world.Execute("SET", "k", "1");
        Assert.Equal(
            "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n",
            Encoding.Latin1.GetString(listener.Receive()));
    }

    [Fact]
    public void SaveInsideATransactionBeginsAfterIt()
    {
        SessionPeer client = _world.Connect();
        client.Execute("MULTI");
        client.Execute("SET foo bar");
        client.Execute("BGSAVE");
        Assert.Equal("*2\r\n+OK\r\n+Background saving scheduled\r\n", client.Execute("EXEC"));
        Assert.False(_world.Server.SaveIsScheduled);
        Assert.Contains("rdb_changes_since_last_save:0\r\n", Encoding.Latin1.GetString(_world.Execute("INFO", "persistence")), StringComparison.Ordinal);
    }

    [Fact]
    public void TooManyTrackedKeysAreForgottenAloud()
    {
        SessionPeer reader = _world.Connect();
        reader.Execute("HELLO 3");
        reader.Execute("CLIENT TRACKING on");
        reader.Execute("MGET x y z");
        _world.Execute("CONFIG", "SET", "tracking-table-max-keys", "1");
        Assert.Equal(2, Encoding.Latin1.GetString(reader.Receive()).Split("invalidate").Length - 1);
        Assert.Contains("tracking_total_keys:1\r\n", Encoding.Latin1.GetString(_world.Execute("INFO", "stats")), StringComparison.Ordinal);
    }

    [Fact]
    public void SubscriptionsAreConfirmedToClientsThatWantNoReplies()
    {
        SessionPeer listener = _world.Connect();
        Assert.Equal("", listener.Execute("CLIENT REPLY OFF"));
        Assert.Equal("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", listener.Execute("SUBSCRIBE c"));
        _world.Execute("PUBLISH", "c", "m");
        Assert.Equal("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", Encoding.Latin1.GetString(listener.Receive()));
        Assert.Equal("", listener.Execute("PING"));
        Assert.Equal("*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n", listener.Execute("UNSUBSCRIBE"));
    }

    [Fact]
    public void ClientListTellsTheRoomOfRecentRequests()
    {
        SessionPeer client = _world.Connect();
        client.Execute("CLIENT SETNAME other");
        client.Execute("SET k " + new string('x', 100_000));
        Assert.InRange(RoomOf("other"), 100_000, 200_000);
        client.Session.Buffers.Tend(nowMs: 1000, quietMs: 0, peakMs: 5000);
        client.Session.Buffers.Tend(nowMs: 1100, quietMs: 0, peakMs: 5000);
        Assert.Equal(16 << 10, RoomOf("other"));
        client.Session.Buffers.Tend(nowMs: 4000, quietMs: 2900, peakMs: 5000);
        Assert.Equal(0, RoomOf("other"));
    }

    public void Dispose() => _world.Dispose();

    private int RoomOf(string name)
    {
        string line = Encoding.Latin1.GetString(_world.Execute("CLIENT", "LIST")).Split('\n').Single(l => l.Contains($" name={name} ", StringComparison.Ordinal));
        return int.Parse(FreeRoom().Match(line).Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@" qbuf-free=(\d+) ", RegexOptions.None, 1000)]
    private static partial Regex FreeRoom();

    [GeneratedRegex(@"^\+\d+\.\d{6} \[[^\]]*\] ", RegexOptions.None, 1000)]
    private static partial Regex Prefix();
}
