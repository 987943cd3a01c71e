using Kvasir.Cluster.Transport;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Tests.Peers;

/// <summary>Peers that are slow, dead, or lie.</summary>
public sealed class PeerTroubleTests
{
    [Fact]
    public void APeerThatDoesNotReadFillsItsQueueAndDelaysNobody()
    {
        using PeerNode a = new(1, PeerNode.Options() with { QueueBytesMax = 1 << 20 }), c = new(3);
        using RawPeer slow = RawPeer.Linked(a, 2);
        a.Transport.SetPeers([new PeerAddress(new NodeId(2), "127.0.0.1", 1), c.Address]);
        a.WaitConnected(new NodeId(3));
        byte[] message = new byte[50_000];
        int sent = 0, before, others = 0;
        do
        {
            // The system may take a little more off a full queue, until it holds what it can.
            before = sent;
            while (a.Send(2, message) is SendOutcome.Queued)
            {
                message[0] = (byte)++sent;
                Assert.True(sent < 10_000);
            }

            SendToOther();
        }
        while (sent != before);

        int told = TimesWritable();
        Assert.Equal(SendOutcome.Full, a.Send(2, message));
        Assert.InRange(a.Transport.Peers[0].Statistics.QueuedBytes, (1 << 20) - 60_000, 1 << 20);
        SendToOther();
        Assert.Equal(told, TimesWritable());

        for (int i = 0; i < sent; i++)
            Assert.Equal((byte)i, slow.ReadMessage()[0]);
        a.Heard.WaitToldTimes("w2", told + 1);
        Assert.Equal(SendOutcome.Queued, a.Send(2, "more"));
        Assert.Equal("more"u8.ToArray(), slow.ReadMessage());
        Assert.Equal(told + 1, TimesWritable());

        int TimesWritable() => a.Heard.Told.Split(' ').Count(t => t == "w2");

        void SendToOther()
        {
            for (int i = 0; i < 100; i++)
                a.SendAll(3, message);
            c.Heard.WaitMessages(others += 100);
        }
    }

    [Fact]
    public void OneMessageAlwaysFitsHoweverLarge()
    {
        using PeerNode a = new(1, PeerNode.Options() with { QueueBytesMax = 1000 }), b = new(2);
        PeerNode.Introduce(a, b);
        for (int i = 0; i < 20; i++)
            a.SendAll(2, new byte[300_000]);
        b.Heard.WaitMessages(20);
    }

    [Fact]
    public void APeerThatFallsSilentIsTakenForDead()
    {
        using PeerNode a = new(1, PeerNode.Options() with { HeartbeatInterval = TimeSpan.FromMilliseconds(20), SilenceMax = TimeSpan.FromMilliseconds(100) });
        using RawPeer dead = RawPeer.Linked(a, 2);
        a.Heard.WaitTold("+2 -2");
        a.Log.Wait("it was not heard for too long");
        dead.WaitEnd();
    }

    [Fact]
    public void SignsOfLifeKeepAQuietPeerAlive()
    {
        using PeerNode a = new(1, PeerNode.Options() with { HeartbeatInterval = TimeSpan.FromMilliseconds(10) });
        using RawPeer quiet = RawPeer.Linked(a, 2);
        for (int i = 0; i < 5; i++)
            Assert.Equal(PeerFrameKind.Ping, PeerFrame.Kind(quiet.ReadFrame()));
    }

    [Fact]
    public void AFrameThatNeverEndsIsNotWaitedForThoughThePeerLives()
    {
        using PeerNode a = new(1, PeerNode.Options() with { FrameMax = TimeSpan.FromMilliseconds(100) });
        using RawPeer peer = RawPeer.Linked(a, 2);
        peer.Send(BitConverter.GetBytes(1_000_000));
        a.Heard.WaitTold("+2 -2");
        a.Log.Wait("it has not finished what it began to send");
    }

    public static TheoryData<byte[], string> Lies => new()
    {
        { BitConverter.GetBytes(0), "a frame without content" },
        { BitConverter.GetBytes(int.MaxValue), "a frame that is longer than may be" },
        { BitConverter.GetBytes(-1), "a frame that is longer than may be" },
        { [1, 0, 0, 0, 0, 0, 0, 0, 6], "a frame whose checksum does not fit" },
        { RawPeer.Frame((PeerFrameKind)200, 1), "a frame of kind 200" },
        { RawPeer.Frame(PeerFrameKind.Hello, 1), "a frame of kind 1" },
        { RawPeer.Frame(PeerFrameKind.Open, 1), "a frame of kind 4" },
        { RawPeer.Frame(PeerFrameKind.Call, 1), "a frame of kind 7" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void WhatIsNoFrameEndsTheConnectionAndNothingElse(byte[] lie, string logged)
    {
        using PeerNode a = new(1), c = new(3);
        c.Transport.SetPeers([a.Address]);
        a.Heard.WaitTold("+3");
        using RawPeer liar = RawPeer.Linked(a, 2);
        liar.Send(RawPeer.Frame(PeerFrameKind.Message, 1));
        liar.Send(lie);
        a.Heard.WaitTold("+3 +2 -2");
        a.Log.Wait(logged);
        liar.WaitEnd();
        a.Heard.WaitMessages(1);
        a.Send(3, "still there");
        c.Heard.WaitMessage("still there");
    }

    [Fact]
    public void EveryFlippedBitEndsTheConnectionAndNoMessageIsMadeOfIt()
    {
        using PeerNode a = new(1, PeerNode.Options() with { MessageBytesMax = 1000, FrameMax = TimeSpan.FromMilliseconds(50) });
        byte[] frame = RawPeer.Frame(PeerFrameKind.Message, 1, 2, 3);
        string told = "";
        for (int bit = 0; bit < frame.Length * 8; bit++)
        {
            using RawPeer peer = RawPeer.Linked(a, 2);
            byte[] flipped = [.. frame];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            peer.Send(flipped);
            peer.WaitEnd();
            told += told.Length == 0 ? "+2 -2" : " +2 -2";
            a.Heard.WaitTold(told);
        }

        Assert.Empty(a.Heard.Messages);
    }

    [Fact]
    public void AListenerThatCannotReadAMessageEndsTheConnection()
    {
        using PeerNode a = new(1);
        a.Heard.OnMessage = static (_, bytes) =>
        {
            if (bytes.Length == 1)
                throw new MalformedMessageException("a batch that is none");
        };
        using RawPeer peer = RawPeer.Linked(a, 2);
        peer.Send([.. RawPeer.Frame(PeerFrameKind.Message, 1, 2), .. RawPeer.Frame(PeerFrameKind.Message, 3), .. RawPeer.Frame(PeerFrameKind.Message, 4, 5)]);
        a.Heard.WaitTold("+2 -2");
        a.Log.Wait("it sent a batch that is none");
        Assert.Equal(["0102"], a.Heard.From(2).Select(Convert.ToHexString));
    }

    [Fact]
    public void AListenerThatTakesItsTimeDoesNotMakeThePeerLookDead()
    {
        SkewedTime time = new();
        using PeerNode a = new(1, time: time), b = new(2);
        b.Transport.SetPeers([a.Address]);
        a.Heard.WaitTold("+2");
        b.Heard.WaitTold("+1");
        using ManualResetEventSlim taken = new(), cameMeanwhile = new();
        a.Heard.OnMessage = (_, bytes) =>
        {
            if (bytes[0] != 1)
                return;
            taken.Set();
            Assert.True(cameMeanwhile.Wait(TimeSpan.FromMinutes(5)));
            time.Advance(PeerNode.Options().SilenceMax * 2);
        };
        b.Send(1, [1]);
        Assert.True(taken.Wait(TimeSpan.FromMinutes(5)));
        b.Send(1, [2]);
        cameMeanwhile.Set();
        a.Heard.WaitMessages(2);
        b.Send(1, [3]);
        a.Heard.WaitMessages(3);
        Assert.Equal("+2", a.Heard.Told);

        // And yet it is judged by that clock: without a word it is dead.
        using RawPeer dead = RawPeer.Linked(a, 5);
        a.WaitConnected(new NodeId(5));
        time.Advance(PeerNode.Options().SilenceMax * 2);
        b.Send(1, [4]);
        a.Heard.WaitToldAmongOthers("-5");
    }
}
