using System.Text;
using Kvasir.Server.Tests.Commands;

namespace Kvasir.Server.Tests.Sessions;

public sealed class PubSubTests
{
    [Fact]
    public void MessagesReachSubscribersOfChannelsAndPatterns()
    {
        using CommandWorld world = new();
        SessionPeer listener = world.Connect();
        SessionPeer sender = world.Connect();
        Assert.Equal("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nd\r\n:2\r\n", listener.Execute("SUBSCRIBE c d"));
        Assert.Equal("*3\r\n$10\r\npsubscribe\r\n$2\r\nc*\r\n:3\r\n", listener.Execute("PSUBSCRIBE c*"));
        Assert.Equal(":2\r\n", sender.Execute("PUBLISH c hi"));
        Assert.Equal("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n*4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$1\r\nc\r\n$2\r\nhi\r\n", Received(listener));
        Assert.Equal("-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n", listener.Execute("GET a"));
        Assert.Equal("*2\r\n$4\r\npong\r\n$0\r\n\r\n", listener.Execute("PING"));
        Assert.Equal("*2\r\n$1\r\nc\r\n:1\r\n", sender.Execute("PUBSUB NUMSUB c"));
        Assert.Equal(":1\r\n", sender.Execute("PUBSUB NUMPAT"));
        listener.Close();
        Assert.Equal(":0\r\n", sender.Execute("PUBLISH c hi"));
    }

    [Fact]
    public void UnsubscribingFromNothingAnswersNull()
    {
        using CommandWorld world = new();
        Assert.Equal("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", world.Connect().Execute("UNSUBSCRIBE"));
        Assert.Equal("*3\r\n$12\r\npunsubscribe\r\n$1\r\nx\r\n:0\r\n", world.Connect().Execute("PUNSUBSCRIBE x"));
    }

    [Fact]
    public void OnesOwnMessageComesBeforeTheReply()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        client.Execute("HELLO 3");
        Assert.Equal(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", client.Execute("SUBSCRIBE c"));
        Assert.Equal(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n:1\r\n", client.Execute("PUBLISH c m"));
    }

    [Fact]
    public void KeyspaceEventsAreMessages()
    {
        using CommandWorld world = new();
        SessionPeer listener = world.Connect();
        SessionPeer writer = world.Connect();
        Assert.Equal("+OK\r\n", writer.Execute("CONFIG SET notify-keyspace-events KEA"));
        Assert.Equal("*2\r\n$22\r\nnotify-keyspace-events\r\n$3\r\nAKE\r\n", writer.Execute("CONFIG GET notify-keyspace-events"));
        listener.Execute("PSUBSCRIBE *");
        writer.Execute("SET k 1");
        Assert.Equal(
            "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$16\r\n__keyspace@0__:k\r\n$3\r\nset\r\n"
            + "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$18\r\n__keyevent@0__:set\r\n$1\r\nk\r\n",
            Received(listener));
    }

    [Fact]
    public void ShardChannelsAreApart()
    {
        using CommandWorld world = new();
        SessionPeer listener = world.Connect();
        listener.Execute("SSUBSCRIBE s");
        Assert.Equal(":0\r\n", world.Connect().Execute("PUBLISH s m"));
        Assert.Equal(":1\r\n", world.Connect().Execute("SPUBLISH s m"));
        Assert.Equal("*3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\nm\r\n", Received(listener));
    }

    [Fact]
    public void MonitorShowsCommands()
    {
        using CommandWorld world = new();
        SessionPeer monitor = world.Connect();
        Assert.Equal("+OK\r\n", monitor.Execute("MONITOR"));
        world.Connect().Execute("SET \"a b\" \"\\x01\"");
        Assert.EndsWith("[0 127.0.0.1:1] \"SET\" \"a b\" \"\\x01\"\r\n", Received(monitor), StringComparison.Ordinal);
    }

    private static string Received(SessionPeer peer) => Encoding.Latin1.GetString(peer.Receive());
}
