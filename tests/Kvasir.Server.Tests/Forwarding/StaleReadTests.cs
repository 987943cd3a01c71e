namespace Kvasir.Server.Tests.Forwarding;

/// <summary>READONLY and READSTALE: reads of a replica that is near, no older than a bound, and READAGE, which says how old they were.</summary>
public sealed class StaleReadTests
{
    private readonly ClusterInMemory _cluster = new();
    private readonly ClusterClient _client;
    private readonly string _far;

    public StaleReadTests()
    {
        _client = new ClusterClient(_cluster, 1);
        _far = _cluster.KeyLedBy(2);
        _client.Send($"SET {_far} 1");
    }

    [Fact]
    public void ReadsAreAnsweredHereWhileTheReplicaIsYoungEnough()
    {
        Assert.Equal("$1\r\n1\r\n:0\r\n", _client.Send($"GET {_far}", "READAGE"));
        Assert.Equal("+OK\r\n", _client.Send("READSTALE 200"));
        _cluster[1].Age = TimeSpan.FromMilliseconds(200);
        Assert.Equal("$1\r\n1\r\n", Unsent($"GET {_far}"));
        Assert.Equal(":200\r\n:0\r\n", _client.Send("READAGE", "READAGE"));

        // The oldest counts, and part of a millisecond is one.
        _cluster[1].Age = TimeSpan.FromMicroseconds(30_200);
        Unsent($"GET {_far}");
        _cluster[1].Age = TimeSpan.FromMilliseconds(3);
        Unsent($"EXISTS {_far}");
        Assert.Equal(":31\r\n", _client.Send("READAGE"));

        // Too old: the leader is asked, whose answer is current.
        _cluster[1].Age = TimeSpan.FromMicroseconds(200_100);
        Assert.Equal("", Unsent($"GET {_far}"));
        Assert.Equal("$1\r\n1\r\n:0\r\n", _client.Wait(10) + _client.Send("READAGE"));
    }

    [Fact]
    public void ABoundOfASecondIsMeantByNone()
    {
        _client.Send("READONLY");
        _cluster[1].Age = TimeSpan.FromSeconds(1);
        Assert.Equal("$1\r\n1\r\n", Unsent($"GET {_far}"));
        _cluster[1].Age = TimeSpan.FromMilliseconds(1001);
        Assert.Equal("", Unsent($"GET {_far}"));
    }

    [Theory]
    [InlineData("READWRITE", "+OK\r\n")]
    [InlineData("RESET", "+RESET\r\n")]
    public void ItEndsWhenItIsToEnd(string by, string reply)
    {
        _client.Send("READONLY");
        _cluster[1].Age = TimeSpan.Zero;
        Assert.Equal(reply, _client.Send(by));
        Assert.Equal("", Unsent($"GET {_far}"));
    }

    [Fact]
    public void WritesBlocksAndWhatIsWatchedGoToTheLeader()
    {
        _client.Send("READONLY");
        _cluster[1].Age = TimeSpan.Zero;
        Assert.Equal("", Unsent($"INCR {_far}"));
        Assert.Equal(":2\r\n", _client.Wait(10));
        Assert.Equal("+OK\r\n+QUEUED\r\n*1\r\n$1\r\n2\r\n", _client.Send("MULTI", $"GET {_far}", "EXEC"));
        Assert.Equal("+OK\r\n", _client.Send($"WATCH {_far}"));
        Assert.Equal("", Unsent($"GET {_far}"));
        Assert.Equal("$1\r\n2\r\n", _client.Wait(10));
    }

    [Fact]
    public void AReplicaAnswersWhileNobodyLeads()
    {
        _client.Send("READONLY");
        _cluster[1].Age = TimeSpan.FromMilliseconds(500);
        _cluster.Depose(_cluster.GroupOf(_far));
        Assert.Equal("$1\r\n1\r\n:500\r\n", _client.Send($"GET {_far}", "READAGE"));
    }

    [Fact]
    public void ClientsThatAreToldTheLeaderReadHereAllTheSame()
    {
        _cluster[1].Server.Router!.Redirects = true;
        _cluster[1].Age = TimeSpan.Zero;
        Assert.StartsWith("-MOVED", _client.Send($"GET {_far}"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n$1\r\n1\r\n", _client.Send("READONLY", $"GET {_far}"));
        Assert.StartsWith("-MOVED", _client.Send($"SET {_far} 2"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("READSTALE 0")]
    [InlineData("READSTALE -1")]
    [InlineData("READSTALE 3600001")]
    [InlineData("READSTALE soon")]
    [InlineData("READONLY 1")]
    public void BoundsThatMakeNoSenseAreRefused(string line)
    {
        Assert.StartsWith("-ERR", _client.Send(line), StringComparison.Ordinal);
        _cluster[1].Age = TimeSpan.Zero;
        Assert.Equal("", Unsent($"GET {_far}"));
    }

    /// <summary>What comes back although no message travels.</summary>
    private string Unsent(string line) => System.Text.Encoding.Latin1.GetString(_client.Peer.Send(System.Text.Encoding.ASCII.GetBytes(line + "\r\n")));
}
