using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Forwarding;

namespace Kvasir.Server.Tests.Forwarding;

public sealed class PublishEverywhereTests
{
    [Fact]
    public void SubscribersOfEveryNodeHearWhatAnyPublishes()
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient[] listeners = [.. Enumerable.Range(1, 3).Select(i => new ClusterClient(cluster, i))];
        foreach (ClusterClient listener in listeners)
            listener.Send("SUBSCRIBE news");
        ClusterClient pattern = new(cluster, 3), publisher = new(cluster, 1);
        pattern.Send("PSUBSCRIBE n*");

        // As in Redis Cluster, those are counted that hear it here.
        Assert.Equal(":1\r\n", publisher.Send("PUBLISH news hello"));
        Assert.All(listeners, l => Assert.Equal("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n", l.Receive()));
        Assert.Equal("*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$5\r\nhello\r\n", pattern.Receive());
        Assert.Equal(":0\r\n", publisher.Send("PUBLISH other hello"));
        Assert.Equal("", listeners[1].Receive() + pattern.Receive());
    }

    [Theory]
    [InlineData("b")]
    [InlineData("c")]
    [InlineData("d")]
    [InlineData("e")]
    public void ShardChannelsAreHeardWhoeverLeadsTheirShard(string channel)
    {
        ClusterInMemory cluster = new(nodes: 3);
        ClusterClient listener = new(cluster, 2), publisher = new(cluster, 3);
        Assert.Equal($"*3\r\n$10\r\nssubscribe\r\n$1\r\n{channel}\r\n:1\r\n", listener.Send($"SSUBSCRIBE {channel}"));
        Assert.Equal(":0\r\n", publisher.Send($"SPUBLISH {channel} hello"));
        Assert.Equal($"*3\r\n$8\r\nsmessage\r\n$1\r\n{channel}\r\n$5\r\nhello\r\n", listener.Receive());
        Assert.Equal(":0\r\n", publisher.Send($"PUBLISH {channel} hello"));
        Assert.Equal("", listener.Receive());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void BlocksPublish(int leader)
    {
        ClusterInMemory cluster = new();
        ClusterClient listener = new(cluster, 1), publisher = new(cluster, 1);
        listener.Send("SUBSCRIBE news");
        string key = cluster.KeyLedBy(leader);
        Assert.StartsWith("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:", publisher.Send("MULTI", $"SET {key} 1", "PUBLISH news hello", "EXEC"), StringComparison.Ordinal);
        Assert.Equal("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n", listener.Receive());
    }

    [Fact]
    public void WhoCannotBeReachedMissesIt()
    {
        ClusterInMemory cluster = new();
        ClusterClient listener = new(cluster, 2), publisher = new(cluster, 1);
        listener.Send("SUBSCRIBE news");
        cluster.Cut(1, 2);
        Assert.Equal(":0\r\n", publisher.Send("PUBLISH news lost"));
        cluster.Join(1, 2);
        Assert.Equal(":0\r\n", publisher.Send("PUBLISH news heard"));
        Assert.Equal("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nheard\r\n", listener.Receive());
    }

    [Fact]
    public void AMessageIsWhatTheFormatsPageSays()
    {
        BytesBuffer bytes = new();
        PublishedMessage.Write(bytes, "news"u8, "hello"u8, ofShard: true);
        Assert.Equal("0701046E65777368656C6C6F", Convert.ToHexString(bytes.WrittenSpan));
        Assert.True(PublishedMessage.TryRead(bytes.WrittenSpan, out ReadOnlySpan<byte> channel, out ReadOnlySpan<byte> message, out bool ofShard));
        Assert.Equal(("news", "hello", true), (Encoding.ASCII.GetString(channel), Encoding.ASCII.GetString(message), ofShard));
        PublishedMessage.Write(bytes, "news"u8, [], ofShard: false);
        Assert.True(PublishedMessage.TryRead(bytes.WrittenSpan, out _, out message, out ofShard));
        Assert.True(message.IsEmpty && !ofShard);
        Assert.False(PublishedMessage.TryRead([7, 0, 5, 1, 2], out _, out _, out _));
        Assert.False(PublishedMessage.TryRead([7, 2, 0], out _, out _, out _));
        Assert.False(PublishedMessage.TryRead([7, 0], out _, out _, out _));
    }
}
