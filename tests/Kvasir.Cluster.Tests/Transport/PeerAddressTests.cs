using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Tests.Transport;

public sealed class PeerAddressTests
{
    [Theory]
    [InlineData("127.0.0.1:7000", "127.0.0.1", 7000)]
    [InlineData("node-1.example:1", "node-1.example", 1)]
    [InlineData("[::1]:65535", "::1", 65535)]
    public void IsReadAndWrittenAlike(string text, string host, int port)
    {
        Assert.True(PeerAddress.TryParse(text, new NodeId(3), out PeerAddress address));
        Assert.Equal(new PeerAddress(new NodeId(3), host, port), address);
        Assert.Equal(text, address.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData(":7000")]
    [InlineData("host")]
    [InlineData("host:")]
    [InlineData("host:0")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData("host:+1")]
    [InlineData("::1:7000")]
    [InlineData("[host]:7000")]
    [InlineData("[::1]")]
    public void WhatIsNoAddressIsNotRead(string text) =>
        Assert.False(PeerAddress.TryParse(text, NodeId.None, out _));
}
