using System.Text;
using Kvasir.Cluster.Partitioning;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>Clients that know Redis Cluster, and what they read where CLUSTER SLOTS says that a copy is.</summary>
public sealed class RedirectTests
{
    private readonly ClusterInMemory _cluster = new(nodes: 3);
    private readonly ClusterClient _client;
    private readonly string _far;
    private readonly string _moved;

    public RedirectTests()
    {
        _client = new ClusterClient(_cluster, 1);
        _far = _cluster.KeyLedBy(2);
        _moved = Moved(2);
        _client.Send($"SET {_far} 1");
        _cluster[1].Server.Router!.Redirects = true;
    }

    [Fact]
    public void WhatACopyCannotAnswerIsPassedOnAfterReadonly()
    {
        _client.Send("READONLY");
        Assert.Equal("$1\r\n1\r\n:0\r\n:1\r\n", _client.Send($"GET {_far}", "READAGE", $"EXISTS {_far}"));
        Assert.Equal(_moved + "+OK\r\n" + _moved, _client.Send($"SET {_far} 2", "READWRITE", $"GET {_far}"));
    }

    [Fact]
    public void NodeThatHasNoCopyOrReachesNobodySaysWhoLeads()
    {
        _client.Send("READONLY");
        _cluster[1].HasCopies = false;
        Assert.Equal(_moved, _client.Send($"GET {_far}"));
        Assert.Equal(_moved, _client.Send($"GET {_far}"));
        _cluster[1].HasCopies = true;
        Assert.Equal("$1\r\n1\r\n", _client.Send($"GET {_far}"));
        _cluster.Cut(1, 2);
        Assert.Equal(_moved, _client.Send($"GET {_far}"));
    }

    [Fact]
    public void ClientThatWasToldTheLeaderAndReadsHereAllTheSameIsAnswered()
    {
        Assert.Equal(_moved, _client.Send($"GET {_far}"));
        Assert.Equal("$1\r\n1\r\n", _client.Send($"GET {_far}"));
        Assert.Equal(":1\r\n", _client.Send($"EXISTS {_far}"));

        // Told of another leader it may go there, as those do that follow what they are told.
        _cluster.Lead(_cluster.GroupOf(_far), 3);
        Assert.Equal(Moved(3), _client.Send($"GET {_far}"));
        Assert.Equal("$1\r\n1\r\n", _client.Send($"GET {_far}"));

        Assert.Equal("+RESET\r\n" + Moved(3), _client.Send("RESET", $"GET {_far}"));
    }

    [Fact]
    public void WhatWasSentBeforeTheClientKnewIsNotPassedOn() =>
        Assert.Equal(_moved + _moved, Encoding.Latin1.GetString(_client.Peer.Send(Encoding.ASCII.GetBytes($"GET {_far}\r\nGET {_far}\r\n"))));

    [Fact]
    public void ReadDoesNotOvertakeTheWriteThatWasTurnedAway()
    {
        _client.Send($"GET {_far}");
        Assert.Equal("$1\r\n1\r\n" + _moved + _moved, _client.Send($"GET {_far}", $"SET {_far} 2", $"GET {_far}"));
    }

    [Fact]
    public void BlocksAndWhatIsWatchedAreNotPassedOn()
    {
        _client.Send("READONLY");
        Assert.Equal("+OK\r\n" + _moved + "+OK\r\n", _client.Send("MULTI", $"GET {_far}", "DISCARD"));
        Assert.Equal(_moved, _client.Send($"WATCH {_far}"));
    }

    private string Moved(int leader) => $"-MOVED {Slot.OfKey(Encoding.ASCII.GetBytes(_far)).Value} 127.0.0.1:{7000 + leader}\r\n";
}
