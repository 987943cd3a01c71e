namespace Kvasir.Server.Tests.Commands;

public sealed class WatchTests
{
    [Theory]
    [InlineData("SET k 2")]
    [InlineData("DEL k")]
    [InlineData("EXPIRE k 100")]
    [InlineData("APPEND k x")]
    [InlineData("FLUSHALL")]
    public void ChangeByAnotherClientBreaksTheTransaction(string change)
    {
        using CommandWorld world = new();
        SessionPeer watcher = world.Connect(), other = world.Connect();
        other.Execute("SET k 1");
        Assert.Equal("+OK\r\n", watcher.Execute("WATCH k"));
        other.Execute(change);
        watcher.Execute("MULTI");
        watcher.Execute("SET seen yes");
        Assert.Equal("*-1\r\n", watcher.Execute("EXEC"));
        Assert.Equal("$-1\r\n", watcher.Execute("GET seen"));
    }

    [Theory]
    [InlineData("SET l 1")]
    [InlineData("SWAPDB 0 0")]
    public void WhatLeavesTheKeyAsItIsDoesNot(string change)
    {
        using CommandWorld world = new();
        SessionPeer watcher = world.Connect(), other = world.Connect();
        other.Execute("SET k 1");
        watcher.Execute("WATCH k");
        other.Execute(change);
        watcher.Execute("MULTI");
        watcher.Execute("SET seen yes");
        Assert.Equal("*1\r\n+OK\r\n", watcher.Execute("EXEC"));
    }
}
