namespace Kvasir.Server.Tests.Forwarding;

/// <summary>Any node serves: what another leads is run there, and answered here, in order.</summary>
public sealed class ForwardingTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void EitherNodeServesEveryKey(int node)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, node);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal("+OK\r\n", client.Send($"SET key{i} {i}"));
            Assert.Equal($":{i + 1}\r\n", client.Send($"INCR key{i}"));
        }

        ClusterClient other = new(cluster, 3 - node);
        for (int i = 0; i < 20; i++)
            Assert.Equal($"${(i + 1).ToString().Length}\r\n{i + 1}\r\n", other.Send($"GET key{i}"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void NodesMayNumberDatabasesDifferently(int backwards)
    {
        ClusterInMemory cluster = new();
        cluster[backwards].NumbersBackwards = true;
        ClusterClient one = new(cluster, 1), two = new(cluster, 2);
        string key = cluster.KeyLedBy(2);
        Assert.Equal("+OK\r\n", (backwards == 1 ? one.Send("SELECT 1") : "+OK\r\n"));
        Assert.Equal("+OK\r\n", one.Send($"SET {key} value") + one.Wait(50));
        Assert.Equal("+OK\r\n", (backwards == 2 ? two.Send("SELECT 1") : "+OK\r\n"));
        Assert.Equal("$5\r\nvalue\r\n", two.Send($"GET {key}") + two.Wait(50));
    }

    [Fact]
    public void RepliesKeepTheOrderOfThePipeline()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string near = cluster.KeyLedBy(1), far = cluster.KeyLedBy(2);
        Assert.Equal(
            "+OK\r\n+OK\r\n:2\r\n+PONG\r\n:2\r\n$1\r\n2\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n$1\r\n2\r\n",
            client.Send($"SET {near} 1", $"SET {far} 1", $"INCR {near}", "PING", $"INCR {far}", $"GET {far}", "NOSUCH", $"GET {near}"));
    }

    [Fact]
    public void NothingOvertakesAReplyThatIsUnderWay()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string far = cluster.KeyLedBy(2);
        client.Peer.Send(System.Text.Encoding.ASCII.GetBytes($"SET {far} 1\r\nPING\r\n"));
        Assert.Equal("", client.Receive());
        cluster.Pump();
        Assert.Equal("+OK\r\n+PONG\r\n", client.Receive());
    }

    [Theory]
    [InlineData("HELLO 3")]
    [InlineData("RESET")]
    public void WhatFollowsAChangeOfProtocolWaitsForWhatWentBefore(string change)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string far = cluster.KeyLedBy(2);
        if (change == "RESET")
            client.Send("HELLO 3");
        GroupInMemory shard = cluster.GroupOf(far);
        shard.CommitsAtOnce = false;
        client.Send($"INCR {far}", change, $"INCR {far}");
        Assert.Equal(1, shard.Records);
        shard.CommitsAtOnce = true;
        Assert.True(shard.TryCommit());
        cluster[2].Exchange.LogMoved();
        string replies = Pumped(cluster, client) + client.Wait(20);
        Assert.StartsWith(":1\r\n", replies);
        Assert.EndsWith(":2\r\n", replies);
    }

    [Fact]
    public void QuitWaitsForRepliesUnderWay()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        Assert.Equal("+OK\r\n+OK\r\n", client.Send($"SET {cluster.KeyLedBy(2)} 1", "QUIT"));
    }

    [Theory]
    [InlineData(100)]
    [InlineData(5_000_000)]
    public void RepliesOfAnySizeComeWhole(int length)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string far = cluster.KeyLedBy(2);
        string value = new('v', length);
        Assert.Equal("+OK\r\n", client.Send($"SET {far} 1", $"GET {far}")[..5]);
        Assert.Equal("+OK\r\n", System.Text.Encoding.ASCII.GetString(client.Peer.Execute("SET"u8.ToArray(), Bytes(far), Bytes(value))) + Pumped(cluster, client));
        Assert.Equal($"${length}\r\n{value}\r\n+PONG\r\n", client.Send($"GET {far}", "PING"));
    }

    [Fact]
    public void ReplyModeHoldsForForwardedCommands()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string far = cluster.KeyLedBy(2);
        Assert.Equal(":2\r\n", client.Send("CLIENT REPLY SKIP", $"INCR {far}", $"INCR {far}"));
        Assert.Equal("+OK\r\n:4\r\n", client.Send("CLIENT REPLY OFF", $"INCR {far}", "CLIENT REPLY ON", $"INCR {far}"));
    }

    [Fact]
    public void ProtocolThreeReachesTheLeader()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        client.Send("HELLO 3");
        Assert.Equal("_\r\n", client.Send($"GET {cluster.KeyLedBy(2)}"));
        Assert.Equal("$-1\r\n", new ClusterClient(cluster, 1).Send($"GET {cluster.KeyLedBy(2)}"));
    }

    [Fact]
    public void KeysOfTwoShardsAreRefused()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string near = cluster.KeyLedBy(1), far = cluster.KeyLedBy(2);
        Assert.StartsWith("-CROSSSLOT Keys in request don't hash to the same slot", client.Send($"MGET {near} {far}"), StringComparison.Ordinal);
        Assert.StartsWith("-CROSSSLOT", client.Send($"SORT {near} STORE {far}"), StringComparison.Ordinal);
        Assert.Equal("+OK\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n", client.Send($"MSET {{{far}}}a 1 {{{far}}}b 2", $"MGET {{{far}}}a {{{far}}}b"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void BlocksRunOnOneShardWhoeverLeadsIt(int leader)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string key = cluster.KeyLedBy(leader);
        Assert.Equal(
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:2\r\n+PONG\r\n",
            client.Send("MULTI", $"SET {key} 1", $"INCR {key}", "PING", "EXEC"));
        Assert.Equal("$1\r\n2\r\n", client.Send($"GET {key}"));
        Assert.Equal("+OK\r\n+QUEUED\r\n+OK\r\n$1\r\n2\r\n", client.Send("MULTI", $"SET {key} 9", "DISCARD", $"GET {key}"));
    }

    [Fact]
    public void BlocksOverTwoShardsAreRefused()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1);
        string near = cluster.KeyLedBy(1), far = cluster.KeyLedBy(2);
        string replies = client.Send("MULTI", $"SET {near} 1", $"SET {far} 1", "EXEC", $"EXISTS {near}");
        Assert.Equal(
            "+OK\r\n+QUEUED\r\n-CROSSSLOT Keys in request don't hash to the same slot\r\n-EXECABORT Transaction discarded because of previous errors.\r\n:0\r\n",
            replies);
        Assert.StartsWith("+OK\r\n-ERR DBSIZE inside MULTI", client.Send("MULTI", "DBSIZE"), StringComparison.Ordinal);
    }

    [Fact]
    public void WatchHoldsWhereThisNodeLeads()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1), other = new(cluster, 2);
        string near = cluster.KeyLedBy(1);
        Assert.Equal("+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", client.Send($"WATCH {near}", "MULTI", $"SET {near} 1", "EXEC"));
        Assert.Equal("+OK\r\n", client.Send($"WATCH {near}"));
        other.Send($"SET {near} 2");
        Assert.Equal("+OK\r\n+QUEUED\r\n*-1\r\n", client.Send("MULTI", $"SET {near} 3", "EXEC"));

        // The lead was elsewhere for a while: nobody here knows what was written there.
        Assert.Equal("+OK\r\n", client.Send($"WATCH {near}"));
        cluster.Lead(cluster.GroupOf(near), 2);
        cluster.Lead(cluster.GroupOf(near), 1);
        Assert.Equal("+OK\r\n+QUEUED\r\n*-1\r\n", client.Send("MULTI", $"SET {near} 3", "EXEC"));
        Assert.Equal("$1\r\n2\r\n", client.Send($"GET {near}"));
    }

    [Fact]
    public void EachReplyWaitsForTheLogOfItsOwnShard()
    {
        ClusterInMemory cluster = new(nodes: 1);
        ClusterClient client = new(cluster, 1), other = new(cluster, 1);
        string a = cluster.KeyLedBy(1);
        string b = Enumerable.Range(0, 100).Select(i => "key" + i).First(k => cluster.GroupOf(k) != cluster.GroupOf(a));
        GroupInMemory slow = cluster.GroupOf(a);
        slow.CommitsAtOnce = false;
        Assert.Equal("", client.Send($"SET {a} 1", $"SET {b} 1", $"INCR {b}", $"GET {a}"));
        Assert.Equal("+OK\r\n", other.Send($"SET {b} 5"));
        Assert.Equal("", other.Send($"GET {a}"));
        Assert.True(slow.TryCommit());
        Assert.Equal("+OK\r\n+OK\r\n:2\r\n$1\r\n1\r\n", client.Receive());
        Assert.Equal("$1\r\n1\r\n", other.Receive());

        // How far the one is says nothing of the other.
        Assert.Equal("+OK\r\n", client.Send($"SET {b} 6", $"SET {a} 7"));
        Assert.True(slow.TryCommit());
        Assert.Equal("+OK\r\n", client.Receive());

        // Neighbours on one shard share a record; a command on another shard is between them and does not.
        int records = slow.Records;
        client.Send($"SET {a} 1", $"INCR {a}", $"SET {b} 1", $"INCR {a}");
        Assert.Equal(records + 2, slow.Records);
    }

    private static string Pumped(ClusterInMemory cluster, ClusterClient client)
    {
        cluster.Pump();
        return client.Receive();
    }

    private static byte[] Bytes(string text) => System.Text.Encoding.ASCII.GetBytes(text);
}
