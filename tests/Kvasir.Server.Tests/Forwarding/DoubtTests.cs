namespace Kvasir.Server.Tests.Forwarding;

/// <summary>What clients of a leader hear that leads no more: what the shard's log says of their writes.</summary>
public sealed class DoubtTests
{
    [Theory]
    [InlineData("SET {0} new", "+OK\r\n")]
    [InlineData("APPEND {0} er", ":5\r\n")]
    [InlineData("MULTI,APPEND {0} er,EXEC", "+OK\r\n+QUEUED\r\n*1\r\n:5\r\n")]
    public void WriteInDoubtThatTheGroupCommitsIsAnsweredAsDone(string commands, string answer)
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1), reader = new(cluster, 1);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        client.Send($"SET {key} old");
        group.CommitsAtOnce = false;
        string early = client.Send(commands.Replace("{0}", key, StringComparison.Ordinal).Split(','));
        Assert.Equal("", reader.Send($"STRLEN {key}"));
        cluster.Doubt(group);
        Assert.Equal(early, early + client.Wait(20) + reader.Wait(20));
        cluster.Confirm(group, 1);
        cluster.Pump();
        Assert.Equal(answer, early + client.Receive());
        Assert.Matches(":[35]\r\n", reader.Receive());
    }

    [Fact]
    public void WriteInDoubtThatTheGroupOverrulesHasNotHappened()
    {
        ClusterInMemory cluster = new();
        ClusterClient client = new(cluster, 1), reader = new(cluster, 1);
        string key = cluster.KeyLedBy(1);
        GroupInMemory group = cluster.GroupOf(key);
        client.Send($"SET {key} old");
        group.CommitsAtOnce = false;
        Assert.Equal("", client.Send($"SET {key} new") + reader.Send($"GET {key}"));
        cluster.Doubt(group);
        Assert.Equal("", client.Wait(20) + reader.Wait(20));
        cluster.Overrule(group, 1);
        cluster.Pump();
        Assert.Equal("-TRYAGAIN leadership of the shard was lost: the write has not happened, and will not; try again\r\n", client.Receive());
        Assert.Equal("-TRYAGAIN what was read has not happened: leadership of its shard was lost before a majority had it\r\n", reader.Receive());
        group.CommitsAtOnce = true;
        cluster.Lead(group, 1);
        Assert.Equal("$3\r\nold\r\n", client.Send($"GET {key}") + client.Wait(20));
    }
}
