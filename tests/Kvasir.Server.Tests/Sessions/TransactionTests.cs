using Kvasir.Server.Tests.Commands;

namespace Kvasir.Server.Tests.Sessions;

public sealed class TransactionTests
{
    [Fact]
    public void ExecRunsWhatWasQueued()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        Assert.Equal("+OK\r\n", client.Execute("MULTI"));
        Assert.Equal("+QUEUED\r\n", client.Execute("SET a 1"));
        Assert.Equal("+QUEUED\r\n", client.Execute("SELECT 3"));
        Assert.Equal("+QUEUED\r\n", client.Execute("INCR a"));
        Assert.Equal("$-1\r\n", world.Connect().Execute("GET a"));
        Assert.Equal("*3\r\n+OK\r\n+OK\r\n:1\r\n", client.Execute("EXEC"));
        Assert.Equal("$1\r\n1\r\n", client.Execute("GET a"));
    }

    [Fact]
    public void ErrorsWhileQueuingAbort()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        client.Execute("MULTI");
        Assert.StartsWith("-ERR unknown command", client.Execute("NOSUCH"), StringComparison.Ordinal);
        Assert.Equal("+QUEUED\r\n", client.Execute("SET a 1"));
        Assert.Equal("-EXECABORT Transaction discarded because of previous errors.\r\n", client.Execute("EXEC"));
        Assert.Equal("$-1\r\n", client.Execute("GET a"));
        Assert.Equal("-ERR EXEC without MULTI\r\n", client.Execute("EXEC"));
        Assert.Equal("-ERR DISCARD without MULTI\r\n", client.Execute("DISCARD"));
    }

    [Fact]
    public void ExecThatMayNotRunEndsItsBlock()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        client.Execute("MULTI");
        client.Execute("SET a 1");
        Assert.Equal("-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n", client.Execute("EXEC x"));
        Assert.Equal("-ERR EXEC without MULTI\r\n", client.Execute("EXEC"));
        client.Execute("SUBSCRIBE c");
        Assert.StartsWith("-EXECABORT Transaction discarded because of: Can't execute 'exec': only ", client.Execute("EXEC"), StringComparison.Ordinal);
    }

    [Fact]
    public void RepliesTurnedOffInsideABlockLeaveWhatCameBefore()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        client.Execute("MULTI");
        client.Execute("SET a 1");
        client.Execute("CLIENT REPLY OFF");
        client.Execute("GET a");
        Assert.Equal("*3\r\n+OK\r\n", client.Execute("EXEC"));
        Assert.Equal("", client.Execute("GET a"));
        Assert.Equal("+OK\r\n", client.Execute("CLIENT REPLY ON"));
        client.Execute("MULTI");
        client.Execute("CLIENT REPLY SKIP");
        client.Execute("GET a");
        Assert.Equal("*2\r\n$1\r\n1\r\n", client.Execute("EXEC"));
        Assert.Equal("", client.Execute("GET a"));
        Assert.Equal("$1\r\n1\r\n", client.Execute("GET a"));
    }

    [Theory]
    [InlineData("SET w 2", true)]
    [InlineData("SET other 2", false)]
    [InlineData("DEL w", true)]
    [InlineData("DEL absent", false)]
    [InlineData("EXPIRE w 100", true)]
    [InlineData("FLUSHALL", true)]
    [InlineData("SWAPDB 0 1", true)]
    [InlineData("SWAPDB 1 2", false)]
    [InlineData("GET w", false)]
    public void WatchBreaksOnChangesOnly(string change, bool breaks)
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        SessionPeer other = world.Connect();
        client.Execute("SET w 1");
        client.Execute("WATCH w");
        other.Execute(change);
        client.Execute("MULTI");
        client.Execute("PING");
        Assert.Equal(breaks ? "*-1\r\n" : "*1\r\n+PONG\r\n", client.Execute("EXEC"));
        client.Execute("MULTI");
        Assert.Equal("*0\r\n", client.Execute("EXEC"));
    }

    [Fact]
    public void FlushDoesNotTouchAbsentKeys()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        client.Execute("WATCH absent");
        world.Connect().Execute("FLUSHALL");
        client.Execute("MULTI");
        Assert.Equal("*0\r\n", client.Execute("EXEC"));
    }

    [Fact]
    public void AWatchedKeyThatExpiresBreaksTheWatch()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        client.Execute("SET w 1 PX 50");
        client.Execute("WATCH w");
        world.Advance(TimeSpan.FromMilliseconds(100));
        client.Execute("MULTI");
        Assert.Equal("*-1\r\n", client.Execute("EXEC"));
    }

    [Fact]
    public void UnwatchAndClosingForget()
    {
        using CommandWorld world = new();
        SessionPeer client = world.Connect();
        client.Execute("WATCH w");
        world.Connect().Execute("SET w 1");
        client.Execute("UNWATCH");
        client.Execute("MULTI");
        Assert.Equal("*0\r\n", client.Execute("EXEC"));
        client.Execute("WATCH a b c");
        Assert.Equal(3, world.Server.Watches.Count);
        client.Close();
        Assert.Equal(0, world.Server.Watches.Count);
    }
}
