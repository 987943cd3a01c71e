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
        foreach (string line in new[] { "MULTI", "SET foo bar", "EXEC", "AUTH secret", "AUTH user secret", "HELLO 2 AUTH user secret", "CONFIG SET masterauth secret", "PING" })
            client.Execute(line);
        string[] shown = [.. Encoding.Latin1.GetString(monitor.Receive()).Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Select(l => Prefix().Replace(l, ""))];
        Assert.Equal(
            [
                "\"MULTI\"", "\"SET\" \"foo\" \"bar\"", "\"EXEC\"", "\"AUTH\" \"(redacted)\"", "\"AUTH\" \"(redacted)\" \"(redacted)\"",
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

    public void Dispose() => _world.Dispose();

    [GeneratedRegex(@"^\+\d+\.\d{6} \[[^\]]*\] ", RegexOptions.None, 1000)]
    private static partial Regex Prefix();
}
