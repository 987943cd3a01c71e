namespace Kvasir.Server.Tests.Forwarding;

/// <summary>SELECT of a keyspace that the node has not heard of: it is not there, or not yet known.</summary>
public sealed class SelectByNameTests
{
    private readonly ClusterInMemory _cluster = new();
    private readonly ClusterClient _client;

    public SelectByNameTests() => _client = new ClusterClient(_cluster, 1);

    [Fact]
    public void WhatIsNotThereIsSaidAtOnceByTheDirectorysLeader()
    {
        Assert.Equal("+OK\r\n", _client.Send("SELECT db1"));
        Assert.StartsWith("-ERR there is no such keyspace", _client.Send("SELECT news"), StringComparison.Ordinal);
    }

    [Fact]
    public void OthersWaitUntilTheyKnowWhatWasThereWhenTheCommandCame()
    {
        _cluster[1].KeyspacesAge = TimeSpan.FromMilliseconds(50);
        Assert.Equal("+OK\r\n+OK\r\n", _client.Send("SELECT db1", "SELECT 0"));
        Assert.Equal("", _client.Send("SELECT news") + _client.Wait(45));
        Assert.StartsWith("-ERR there is no such keyspace", _client.Wait(15), StringComparison.Ordinal);

        Assert.Equal("", _client.Send("SELECT news", $"SET {_cluster.KeyLedBy(1)} 1") + _client.Wait(45));
        _cluster[1].HasHeard = true;
        Assert.Equal("+OK\r\n+OK\r\n", _client.Wait(10));
    }

    [Fact]
    public void NodeThatHearsNothingDoesNotKnow()
    {
        _cluster[1].KeyspacesAge = TimeSpan.MaxValue;
        Assert.Equal("", _client.Send("SELECT news") + _client.Wait(990));
        Assert.StartsWith("-CLUSTERDOWN", _client.Wait(20), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n", _client.Send("SELECT 1"));
    }
}
