using System.Net;
using Kvasir.Cluster.Directory;
using Kvasir.Server.Hosting;
using Kvasir.Server.Peers;

namespace Kvasir.Server.Tests.Hosting;

public sealed class PeerOptionsTests
{
    [Fact]
    public void WithoutPeerTheServerStandsAlone() => Assert.Null(Read("data=x").Peer);

    [Fact]
    public void AllThatANodeIsToldIsRead()
    {
        PeerOptions peer = Read(
            "peer=127.0.0.1:7001", "join= b.example:7001, [::1]:7002,127.0.0.1:7001", "locality=region=eu,zone=a", "resp-routing=redirect", "leader-wait-ms=500",
            "dead-after-seconds=60", "snapshot-mib-per-second=8",
            "peer-advertise=a.example:17001", "resp-advertise=a.example:16379",
            "peer-tls-cert-file=c.pem", "peer-tls-key-file=k.pem", "peer-tls-ca-cert-file=ca.pem").Peer!;
        Assert.Equal(IPEndPoint.Parse("127.0.0.1:7001"), peer.Listen);
        Assert.Equal(new DnsEndPoint("a.example", 17001), peer.Advertised);
        Assert.Equal(new DnsEndPoint("a.example", 16379), peer.RespAdvertised);
        Assert.Equal([new DnsEndPoint("b.example", 7001), new DnsEndPoint("::1", 7002), new DnsEndPoint("127.0.0.1", 7001)], peer.Seeds);
        Assert.Equal("region=eu,zone=a", peer.Locality.ToString());
        Assert.Equal(new PeerCertificateFiles("c.pem", "k.pem", "ca.pem"), peer.Tls);
        Assert.True(peer.Redirects);
        Assert.Equal(TimeSpan.FromMilliseconds(500), peer.Patience);
        Assert.Equal(TimeSpan.FromMinutes(1), peer.DeadAfter);
        Assert.Equal(8 << 20, peer.SnapshotBytesPerSecond);
    }

    [Fact]
    public void WhatIsNotSaidIsTheSafeChoice()
    {
        PeerOptions peer = Read("peer=127.0.0.1:7001").Peer!;
        Assert.Null(peer.Advertised);
        Assert.Empty(peer.Seeds);
        Assert.Equal(Locality.None, peer.Locality);
        Assert.Null(peer.Tls);
        Assert.False(peer.Redirects);
        Assert.Equal(TimeSpan.FromSeconds(3), peer.Patience);
        Assert.Equal(TimeSpan.FromMinutes(5), peer.DeadAfter);
        Assert.Equal(128 << 20, peer.SnapshotBytesPerSecond);
    }

    [Fact]
    public void ANodeThatIsSilentMayNeverBeReplaced() => Assert.Equal(TimeSpan.MaxValue, Read("peer=127.0.0.1:7001", "dead-after-seconds=0").Peer!.DeadAfter);

    [Fact]
    public void TheSameListOfNodesServesAllOfThem() =>
        Assert.Equal([new DnsEndPoint("127.0.0.1", 7002)], Read("peer=127.0.0.1:7001", "join=127.0.0.1:7001,127.0.0.1:7002").Peer!.Seeds);

    [Theory]
    [InlineData("join is for a node of a cluster", "join=127.0.0.1:7001")]
    [InlineData("locality is for a node of a cluster", "locality=zone=a")]
    [InlineData("peer-tls-ca-cert-file is for a node of a cluster", "peer-tls-ca-cert-file=ca.pem")]
    [InlineData("peer is one HOST:PORT", "peer=127.0.0.1:1,127.0.0.1:2")]
    [InlineData("peer is HOST:PORT", "peer=7001")]
    [InlineData("every address of this machine", "peer=*:7001")]
    [InlineData("every address of this machine", "peer=[::]:7001")]
    [InlineData("peer-advertise is HOST:PORT", "peer=*:7001", "peer-advertise=*:7001")]
    [InlineData("peer-advertise is HOST:PORT", "peer=*:7001", "peer-advertise=here:0")]
    [InlineData("join is HOST:PORT, not nowhere", "peer=127.0.0.1:7001", "join=127.0.0.1:7002,nowhere")]
    [InlineData("join names only this node itself", "peer=127.0.0.1:7001", "join=127.0.0.1:7001")]
    [InlineData("locality is a list", "peer=127.0.0.1:7001", "locality=eu")]
    [InlineData("locality is a list", "peer=127.0.0.1:7001", "locality=zone=a b")]
    [InlineData("locality is a list", "peer=127.0.0.1:7001", "locality=zone=a,zone=b")]
    [InlineData("locality is a list", "peer=127.0.0.1:7001", "locality=a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1")]
    [InlineData("resp-routing is one of proxy, redirect", "peer=127.0.0.1:7001", "resp-routing=both")]
    [InlineData("dead-after-seconds is for a node of a cluster", "dead-after-seconds=60")]
    [InlineData("dead-after-seconds is 0 for never, or at least 10", "peer=127.0.0.1:7001", "dead-after-seconds=9")]
    [InlineData("snapshot-mib-per-second is a number from 1", "peer=127.0.0.1:7001", "snapshot-mib-per-second=0")]
    [InlineData("go together", "peer=127.0.0.1:7001", "peer-tls-cert-file=c.pem", "peer-tls-key-file=k.pem")]
    public void WhatCannotBeMeantIsRefused(string says, params string[] settings) =>
        Assert.Contains(says, Assert.Throws<StartupException>(() => Read(settings)).Message, StringComparison.Ordinal);

    private static ServerOptions Read(params string[] settings) => ServerOptionsReader.Read(
        null, settings.ToDictionary(s => s[..s.IndexOf('=', StringComparison.Ordinal)], s => (string?)s[(s.IndexOf('=', StringComparison.Ordinal) + 1)..], StringComparer.Ordinal));
}
