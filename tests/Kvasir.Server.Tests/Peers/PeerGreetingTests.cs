using System.Net;
using System.Net.Sockets;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Peers;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Tests.Peers;

/// <summary>Who is let in, who is not, and what they are told.</summary>
public sealed class PeerGreetingTests
{
    [Fact]
    public void EveryByteMayComeAlone()
    {
        using PeerNode a = new(1);
        using RawPeer peer = new(a.Transport);
        foreach (byte part in RawPeer.Greeting(RawPeer.Hello(2, 1)))
            peer.Send(part);
        peer.ReadMagic();
        Assert.True(PeerWelcome.TryRead(peer.ReadFrame(), out PeerWelcome welcome));
        Assert.Equal((2, PeerNode.Cluster, 1ul), (welcome.Version, welcome.Cluster, welcome.Node));
        Assert.Equal(PeerFrameKind.Open, PeerFrame.Kind(peer.ReadFrame()));
        foreach (byte part in RawPeer.Frame(PeerFrameKind.Message, 1, 2, 3))
            peer.Send(part);
        peer.Send([.. RawPeer.Frame(PeerFrameKind.Ping), .. RawPeer.Frame(PeerFrameKind.Message, 4), .. RawPeer.Frame(PeerFrameKind.Message)]);
        a.Heard.WaitMessages(3);
        Assert.Equal(["010203", "04", ""], a.Heard.From(2).Select(Convert.ToHexString));
    }

    public static TheoryData<string, PeerRefusalReason> Refused => new()
    {
        { "cluster", PeerRefusalReason.WrongCluster },
        { "no cluster", PeerRefusalReason.WrongCluster },
        { "too new", PeerRefusalReason.NoCommonVersion },
        { "expected", PeerRefusalReason.WrongNode },
        { "nobody expected", PeerRefusalReason.Malformed },
        { "no number", PeerRefusalReason.Malformed },
        { "purpose", PeerRefusalReason.Malformed },
        { "same", PeerRefusalReason.SameNode },
        { "unknown", PeerRefusalReason.UnknownNode },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void WhoDoesNotBelongHereIsToldWhy(string what, PeerRefusalReason expected)
    {
        using PeerNode a = new(1);
        using PeerNode b = new(2);
        PeerNode.Introduce(a, b);
        PeerHello hello = RawPeer.Hello(what == "unknown" ? 3ul : 2ul, 1);
        hello = what switch
        {
            "cluster" => hello with { Cluster = 77 },
            "no cluster" => hello with { Cluster = 0 },
            "too new" => hello with { OldestVersion = 3, NewestVersion = 9 },
            "expected" => hello with { Expected = 5 },
            "nobody expected" => hello with { Expected = 0 },
            "no number" => hello with { Node = 0 },
            "purpose" => hello with { Purpose = (PeerPurpose)9 },
            "same" => hello with { Node = 1 },
            _ => hello,
        };
        using RawPeer peer = new(a.Transport);
        peer.Send(RawPeer.Greeting(hello));
        peer.ReadMagic();
        PeerRefusal refusal = peer.ReadRefusal();
        Assert.Equal((expected, 1ul, (ushort)2, (ushort)2), (refusal.Reason, refusal.Node, refusal.OldestVersion, refusal.NewestVersion));
        peer.WaitEnd();

        // Whoever was connected before has noticed nothing.
        Assert.Equal("+2", a.Heard.Told);
        Assert.Equal(SendOutcome.Queued, a.Send(2, "still"));
        b.Heard.WaitMessage("still");
    }

    [Fact]
    public void ANodeWithoutANumberLetsNobodyIn()
    {
        using PeerNode a = new(0);
        using RawPeer peer = new(a.Transport);
        peer.Send(RawPeer.Greeting(RawPeer.Hello(2, 1)));
        peer.ReadMagic();
        Assert.Equal(PeerRefusalReason.NoMember, peer.ReadRefusal().Reason);
        peer.WaitEnd();
        a.Transport.Identify(PeerNode.Cluster, new NodeId(1));
        using RawPeer again = RawPeer.Linked(a, 2);
        a.Heard.WaitTold("+2");
    }

    [Fact]
    public void WhoIsNotKnownThereYetIsWorthAWarningOnlyWhenItLasts()
    {
        using PeerNode a = new(1, PeerNode.Options() with { AcquaintanceMax = TimeSpan.FromMinutes(10) }), b = new(0);
        a.Transport.SetPeers([b.Address with { Node = new NodeId(2) }]);
        a.Log.Wait("it refuses: this node belongs to no cluster yet");
        b.Transport.Identify(PeerNode.Cluster, new NodeId(2));
        b.Transport.SetPeers([a.Address]);
        a.WaitConnected(new NodeId(2));
        Assert.DoesNotContain("Warning", a.Log.ToString(), StringComparison.Ordinal);

        using PeerNode c = new(1, PeerNode.Options() with { AcquaintanceMax = TimeSpan.Zero }), d = new(0);
        c.Transport.SetPeers([d.Address with { Node = new NodeId(2) }]);
        c.Log.Wait("Warning: node 2 cannot be reached");
    }

    [Fact]
    public void NodesOfTwoClustersDoNotTalkAndSaySo()
    {
        using PeerNode a = new(1), b = new(2, cluster: 0xBAD);
        a.Transport.SetPeers([b.Address]);
        b.Transport.SetPeers([a.Address]);
        a.Log.Wait("Warning: node 2 cannot be reached");
        b.Log.Wait("it belongs to cluster 0000000000c0ffee, this node to 0000000000000bad");
        Assert.Equal(("", ""), (a.Heard.Told, b.Heard.Told));
    }

    [Fact]
    public void ANodeDoesNotConnectToItself()
    {
        using PeerNode a = new(1);
        a.Transport.SetPeers([a.Address with { Node = new NodeId(2) }]);
        a.Log.Wait("node 2 cannot be reached");
        Assert.Contains("it is this node itself", Assert.Single(a.Log.ToString().Split('\n'), static l => l.StartsWith("Warning", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Equal("", a.Heard.Told);
    }

    [Fact]
    public void AnotherNodeBehindAnAddressIsNotTakenForTheRightOne()
    {
        using PeerNode a = new(1), b = new(3);
        a.Transport.SetPeers([b.Address with { Node = new NodeId(2) }]);
        a.Log.Wait("it expects node 2, this is node 3");
        Assert.Equal(("", ""), (a.Heard.Told, b.Heard.Told));
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\n\r\n", "it does not speak the protocol of nodes")]
    [InlineData("*1\r\n$4\r\nPING\r\n", "it does not speak the protocol of nodes")]
    [InlineData("\u0016\u0003\u0001", "it speaks TLS, and this node has no certificates")]
    public void WhoSpeaksSomethingElseIsTurnedAway(string says, string logged)
    {
        using PeerNode a = new(1);
        using RawPeer peer = new(a.Transport);
        peer.Send(System.Text.Encoding.ASCII.GetBytes(says));
        peer.WaitEnd();
        a.Log.Wait(logged);
    }

    [Fact]
    public void WhoSaysNothingIsNotWaitedForLongAndNotManyAreWaitedFor()
    {
        using PeerNode a = new(1, PeerNode.Options() with { GreetingMax = TimeSpan.FromMilliseconds(50), StrangersMax = 2 });
        using RawPeer first = new(a.Transport), second = new(a.Transport), third = new(a.Transport);
        first.WaitEnd();
        second.WaitEnd();
        third.WaitEnd();
    }

    [Fact]
    public void AFrameThatIsTooLargeForAStrangerIsNotWaitedFor()
    {
        using PeerNode a = new(1);
        using RawPeer peer = new(a.Transport);
        peer.Send([.. PeerProtocol.Magic, .. BitConverter.GetBytes(PeerProtocol.GreetingBytesMax + 1)]);
        peer.ReadMagic();
        Assert.Equal(PeerRefusalReason.Malformed, peer.ReadRefusal().Reason);
        peer.WaitEnd();
    }

    [Fact]
    public void AConnectionMadeWithoutKnowingOfTheLinkIsRefusedAndOneThatReplacesItIsNot()
    {
        using PeerNode a = new(1);
        using RawPeer first = new(a.Transport);
        first.Send(RawPeer.Greeting(RawPeer.Hello(2, 1)));
        first.ReadMagic();
        first.ReadFrame();
        Assert.True(PeerOpen.TryRead(first.ReadFrame(), out PeerOpen open));

        using RawPeer crossing = new(a.Transport);
        crossing.Send(RawPeer.Greeting(RawPeer.Hello(2, 1)));
        crossing.ReadMagic();
        Assert.Equal(PeerRefusalReason.Duplicate, crossing.ReadRefusal().Reason);
        crossing.WaitEnd();
        Assert.Equal("+2", a.Heard.Told);

        // It has lost the link that it was told of, and this node does not know yet.
        using RawPeer second = new(a.Transport);
        second.Send(RawPeer.Greeting(RawPeer.Hello(2, 1) with { LastLink = open.Link }));
        first.WaitEnd();
        a.Heard.WaitTold("+2 -2 +2");

        // Another process, which cannot know of any.
        using RawPeer third = new(a.Transport);
        third.Send(RawPeer.Greeting(RawPeer.Hello(2, 1) with { Incarnation = 99 }));
        second.WaitEnd();
        a.Heard.WaitTold("+2 -2 +2 -2 +2");
    }

    /// <summary>Whoever sent it may have let go of that connection since. Nobody can tell until its end is heard; it might be the only one that is left.</summary>
    [Fact]
    public void AGreetingThatIsReadWhenTheLinkHasEndedMakesOneMoreThatEndsToo()
    {
        using PeerNode a = new(1);
        using RawPeer crossing = new(a.Transport);
        RawPeer.Linked(a, 2).Dispose();
        a.Heard.WaitTold("+2 -2");
        crossing.Send(RawPeer.Greeting(RawPeer.Hello(2, 1)));
        crossing.Dispose();
        a.Heard.WaitTold("+2 -2 +2 -2");
    }

    [Fact]
    public void TheNodeWithTheLowerNumberChooses()
    {
        // Node 2 is connected to by 1, which chooses twice; what was chosen first is heard of last.
        using PeerNode b = new(2);
        using RawPeer first = new(b.Transport), second = new(b.Transport);
        foreach (RawPeer peer in new[] { first, second })
        {
            peer.Send(RawPeer.Greeting(RawPeer.Hello(1, 2)));
            peer.ReadMagic();
            Assert.Equal(PeerFrameKind.Welcome, PeerFrame.Kind(peer.ReadFrame()));
        }

        Assert.Equal("", b.Heard.Told);
        second.Send(Open(8));
        b.Heard.WaitTold("+1");
        first.Send(Open(7));
        first.WaitEnd();
        second.Send(RawPeer.Frame(PeerFrameKind.Message, 1));
        b.Heard.WaitMessages(1);
        Assert.Equal("+1", b.Heard.Told);
    }

    private static byte[] Open(ulong link)
    {
        byte[] frame = new byte[PeerOpen.FrameBytes];
        new PeerOpen(link).Write(frame);
        return frame;
    }
}
