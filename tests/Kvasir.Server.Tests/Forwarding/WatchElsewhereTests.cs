namespace Kvasir.Server.Tests.Forwarding;

/// <summary>WATCH of keys that another node leads: by a stream of the client's own.</summary>
public sealed class WatchElsewhereTests
{
    private const string Queued = "+OK\r\n+QUEUED\r\n";

    private readonly ClusterInMemory _cluster = new(nodes: 3);
    private readonly ClusterClient _client;
    private readonly ClusterClient _other;
    private readonly string _key;

    public WatchElsewhereTests()
    {
        _client = new ClusterClient(_cluster, 1);
        _other = new ClusterClient(_cluster, 3);
        _key = _cluster.KeyLedBy(2);
    }

    [Fact]
    public void ABlockRunsWhenNothingChanged()
    {
        _other.Send($"SET {_key} 1");
        Assert.Equal("+OK\r\n$1\r\n1\r\n", _client.Send($"WATCH {_key}", $"GET {_key}"));
        Assert.Equal(Queued + "*1\r\n:2\r\n", _client.Send("MULTI", $"INCR {_key}", "EXEC"));

        // The watch is over.
        Assert.Equal("+OK\r\n", _other.Send($"SET {_key} 5"));
        Assert.Equal(Queued + "*1\r\n:6\r\n", _client.Send("MULTI", $"INCR {_key}", "EXEC"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void ABlockDoesNothingWhenAnyoneChangedAWatchedKey(int node)
    {
        ClusterClient writer = new(_cluster, node);
        Assert.Equal("+OK\r\n+OK\r\n", _client.Send($"WATCH {{{_key}}}a", $"WATCH {{{_key}}}b {{{_key}}}c"));
        Assert.Equal("+OK\r\n", writer.Send($"SET {{{_key}}}c 1"));
        Assert.Equal(Queued + "*-1\r\n", _client.Send("MULTI", $"SET {{{_key}}}a 1", "EXEC"));
        Assert.Equal("$-1\r\n", _client.Send($"GET {{{_key}}}a"));
    }

    [Fact]
    public void EveryClientHasAWatchOfItsOwn()
    {
        ClusterClient neighbour = new(_cluster, 1);
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        Assert.Equal("+OK\r\n", neighbour.Send($"WATCH {_key}"));
        Assert.Equal(Queued + "*1\r\n:1\r\n", neighbour.Send("MULTI", $"INCR {_key}", "EXEC"));
        Assert.Equal(Queued + "*-1\r\n", _client.Send("MULTI", $"INCR {_key}", "EXEC"));
        Assert.Equal(Queued + "*1\r\n:2\r\n", _client.Send("MULTI", $"INCR {_key}", "EXEC"));
    }

    [Fact]
    public void OneOwnChangeCountsAsInRedis()
    {
        Assert.Equal("+OK\r\n+OK\r\n" + Queued + "*-1\r\n", _client.Send($"WATCH {_key}", $"SET {_key} 1", "MULTI", $"INCR {_key}", "EXEC"));

        // What was sent before is no change.
        Assert.Equal(
            "+OK\r\n+OK\r\n" + Queued + "*1\r\n:3\r\n$1\r\n3\r\n",
            _client.Send($"SET {_key} 2", $"WATCH {_key}", "MULTI", $"INCR {_key}", "EXEC", $"GET {_key}") + _client.Wait(50));
    }

    [Theory]
    [InlineData("UNWATCH", "+OK\r\n")]
    [InlineData("DISCARD", "-ERR DISCARD without MULTI\r\n")]
    [InlineData("RESET", "+RESET\r\n")]
    public void AWatchCanBeLaidDown(string by, string reply)
    {
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        Assert.Equal(reply, _client.Send(by));
        if (by == "DISCARD")
            Assert.Equal("+OK\r\n+OK\r\n", _client.Send("MULTI", "DISCARD"));
        _other.Send($"SET {_key} 1");
        Assert.Equal(Queued + "*1\r\n:2\r\n", _client.Send("MULTI", $"INCR {_key}", "EXEC") + _client.Wait(20));
    }

    [Fact]
    public void KeysOfTwoShardsAreNotWatchedTogether()
    {
        string near = _cluster.KeyLedBy(1);
        Assert.StartsWith("+OK\r\n-CROSSSLOT", _client.Send($"WATCH {_key}", $"WATCH {near}"), StringComparison.Ordinal);
        Assert.Contains("CROSSSLOT", _client.Send("MULTI", $"SET {near} 1", "EXEC"), StringComparison.Ordinal);
    }

    [Fact]
    public void AnotherLeaderKnowsNothingOfTheWatch()
    {
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        _cluster.Lead(_cluster.GroupOf(_key), 3);
        Assert.Equal(Queued + "*-1\r\n", _client.Send("MULTI", $"SET {_key} 1", "EXEC") + _client.Wait(20));

        // Also when it is this very node, or the same again.
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        _cluster.Lead(_cluster.GroupOf(_key), 1);
        Assert.Equal(Queued + "*-1\r\n", _client.Send("MULTI", $"SET {_key} 1", "EXEC"));
        _cluster.Lead(_cluster.GroupOf(_key), 2);
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        _cluster.Lead(_cluster.GroupOf(_key), 3);
        _cluster.Lead(_cluster.GroupOf(_key), 2);
        Assert.Equal(Queued + "*-1\r\n", _client.Send("MULTI", $"SET {_key} 1", "EXEC"));
        Assert.Equal("+OK\r\n" + Queued + "*1\r\n+OK\r\n", _client.Send($"WATCH {_key}", "MULTI", $"SET {_key} 1", "EXEC"));
    }

    [Fact]
    public void AWatchDoesNotOutliveItsLink()
    {
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        _cluster.Cut(1, 2);
        _cluster.Join(1, 2);
        Assert.Equal(Queued + "*-1\r\n", _client.Send("MULTI", $"SET {_key} 1", "EXEC"));
        Assert.Equal("$-1\r\n", _client.Send($"GET {_key}"));

        // A block that was sent may have run.
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        _client.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"MULTI\r\nSET {_key} 1\r\nEXEC\r\n"));
        _cluster.Flush();
        _cluster.Cut(1, 2);
        _cluster.Join(1, 2);
        Assert.EndsWith("-TIMEOUT outcome unknown: the link to the leader of the shard was lost\r\n", _client.Receive(), StringComparison.Ordinal);
    }

    [Fact]
    public void NothingIsLeftBehindWhenAClientGoes()
    {
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        Assert.Equal(1, _cluster[2].Server.Watches.Count);
        _client.Send("UNWATCH");
        _cluster.Pump();
        Assert.Equal(0, _cluster[2].Server.Watches.Count);
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_key}"));
        _cluster[1].Server.Closed(_client.Peer.Session);
        _cluster.Pump();
        Assert.Equal(0, _cluster[2].Server.Watches.Count);
    }
}
