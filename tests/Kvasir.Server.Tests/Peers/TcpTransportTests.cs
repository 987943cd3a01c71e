using System.Net;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Peers;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Tests.Peers;

/// <summary>Real transports on loopback that talk with each other.</summary>
public sealed class TcpTransportTests
{
    [Fact]
    public void MessagesArriveOnceAndInOrderBothWays()
    {
        using PeerNode a = new(1), b = new(2);
        PeerNode.Introduce(a, b);
        const int Count = 20_000;
        Thread other = new(() => SendNumbers(b, 1, Count));
        other.Start();
        SendNumbers(a, 2, Count);
        other.Join();
        a.Heard.WaitMessages(Count);
        b.Heard.WaitMessages(Count);
        Assert.Equal(Enumerable.Range(0, Count), a.Heard.From(2).Select(m => BitConverter.ToInt32(m)));
        Assert.Equal(Enumerable.Range(0, Count), b.Heard.From(1).Select(m => BitConverter.ToInt32(m)));
        PeerStatistics statistics = a.Transport.Statistics;
        Assert.Equal((Count, 4L * Count, Count, 4L * Count, 1), (statistics.MessagesSent, statistics.BytesSent, statistics.MessagesReceived, statistics.BytesReceived, statistics.Links));
    }

    [Fact]
    public void ThreeNodesFindEachOtherAndEveryChangeIsToldOnce()
    {
        for (int round = 0; round < 20; round++)
        {
            using PeerNode a = new(1), b = new(2), c = new(3);
            PeerNode.Introduce(a, b, c);
            PeerNode[] all = [a, b, c];
            foreach (PeerNode from in all)
            {
                foreach (PeerNode to in all.Where(n => n != from))
                    Assert.Equal(SendOutcome.Queued, from.Send(to.Transport.Self.Value, $"from {from.Transport.Self}"));
            }

            foreach (PeerNode node in all)
            {
                node.Heard.WaitMessages(2);
                Assert.Equal(2, node.Heard.Told.Split(' ').Length);
                Assert.All(node.Heard.Messages, m => Assert.Equal($"from {m.From}", System.Text.Encoding.UTF8.GetString(m.Bytes)));
                Assert.Equal(2, node.Transport.Statistics.Links);
            }
        }
    }

    [Fact]
    public void MessagesOfAnySizeComeWhole()
    {
        using PeerNode a = new(1), b = new(2);
        PeerNode.Introduce(a, b);
        int[] sizes = [0, 1, 2, 65_526, 65_527, 65_528, 131_054, 131_063, 200_000, 5 << 20, 1, 40 << 20, 3];
        SeededRandom random = new(11);
        List<byte[]> sent = [];
        foreach (int size in sizes)
        {
            byte[] message = new byte[size];
            random.NextBytes(message);
            sent.Add(message);
            a.SendAll(2, message);
        }

        b.Heard.WaitMessages(sizes.Length);
        Assert.Equal(sent.Select(m => Crc32C.Compute(m)), b.Heard.From(1).Select(m => Crc32C.Compute(m)));
        Assert.Equal(sizes, b.Heard.From(1).Select(m => m.Length));
    }

    [Fact]
    public void EachOfManySendersIsHeardInItsOwnOrder()
    {
        using PeerNode a = new(1), b = new(2);
        PeerNode.Introduce(a, b);
        const int Senders = 4, Count = 5_000;
        Thread[] threads = [.. Enumerable.Range(0, Senders).Select(sender => new Thread(() =>
        {
            for (int i = 0; i < Count; i++)
                a.SendAll(2, [(byte)sender, .. BitConverter.GetBytes(i)]);
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        b.Heard.WaitMessages(Senders * Count);
        foreach (int sender in Enumerable.Range(0, Senders))
        {
            Assert.Equal(
                Enumerable.Range(0, Count),
                b.Heard.From(1).Where(m => m[0] == sender).Select(m => BitConverter.ToInt32(m, 1)));
        }
    }

    [Fact]
    public void WhatIsHeldBackLeavesWithTheNextOrWhenToldTo()
    {
        using PeerNode a = new(1, PeerNode.Options() with { HeartbeatInterval = TimeSpan.FromHours(1) }), b = new(2);
        PeerNode.Introduce(a, b);
        NodeId to = new(2);
        Assert.Equal(SendOutcome.Queued, a.Transport.Send(to, "1"u8, more: true));
        Assert.Equal(SendOutcome.Queued, a.Transport.Send(to, "2"u8, more: true));
        Assert.Equal(20, a.Transport.Statistics.QueuedBytes);
        a.Transport.Flush();
        b.Heard.WaitMessages(2);
        a.Transport.Send(to, "3"u8, more: true);
        a.Transport.Send(to, "4"u8);
        b.Heard.WaitMessages(4);
        Assert.Equal("1234"u8.ToArray(), b.Heard.From(1).Select(m => m[0]));
    }

    [Fact]
    public void WhatCameTogetherIsToldBeforeItIsSettled()
    {
        using PeerNode a = new(1);
        List<string> told = [];
        using SemaphoreSlim settled = new(0);
        a.Heard.OnMessage = (_, bytes) => told.Add(Convert.ToHexString(bytes));
        a.Heard.OnSettled = () =>
        {
            told.Add("settled");
            settled.Release();
        };
        using RawPeer peer = RawPeer.Linked(a, 2);
        peer.Send([.. RawPeer.Frame(PeerFrameKind.Message, 1), .. RawPeer.Frame(PeerFrameKind.Message, 2), .. RawPeer.Frame(PeerFrameKind.Ping)]);
        Assert.True(settled.Wait(TimeSpan.FromMinutes(5)));
        peer.Send(RawPeer.Frame(PeerFrameKind.Message, 3));
        Assert.True(settled.Wait(TimeSpan.FromMinutes(5)));
        Assert.Equal(["01", "02", "settled", "03", "settled"], told);
    }

    [Fact]
    public void WhatNobodyLetsGoLeavesWithTheNextSignOfLife()
    {
        using PeerNode a = new(1), b = new(2);
        PeerNode.Introduce(a, b);
        a.Transport.Send(new NodeId(2), "1"u8, more: true);
        b.Heard.WaitMessages(1);
    }

    [Fact]
    public void APeerThatIsRestartedIsConnectedAgain()
    {
        using PeerNode a = new(1);
        PeerNode b = new(2);
        int port = b.Transport.EndPoint.Port;
        try
        {
            // Only one of them greets: a greeting that is read when the link has ended makes one more.
            a.Transport.SetPeers([b.Address]);
            a.Heard.WaitTold("+2");
            a.Send(2, "before");
            b.Heard.WaitMessage("before");
            b.Dispose();
            a.Heard.WaitTold("+2 -2");
            Assert.Equal(SendOutcome.Unreachable, a.Send(2, "lost"));
            b = new PeerNode(2, PeerNode.Options(port));
            b.Transport.SetPeers([a.Address]);
            a.Heard.WaitTold("+2 -2 +2");
            b.Heard.WaitTold("+1");
            a.Send(2, "after");
            b.Heard.WaitMessage("after");
            b.Send(1, "back");
            a.Heard.WaitMessage("back");
            Assert.Equal((2, 1), (a.Transport.Statistics.Links, a.Transport.Statistics.Dropped));
        }
        finally
        {
            b.Dispose();
        }
    }

    [Fact]
    public void ItIsEnoughThatOneOfThemKnowsWhereTheOtherIs()
    {
        foreach ((ulong knows, ulong isKnown) in new[] { (1ul, 2ul), (2ul, 1ul) })
        {
            using PeerNode a = new(knows), b = new(isKnown);
            a.Transport.SetPeers([b.Address]);
            a.Heard.WaitTold($"+{isKnown}");
            b.Heard.WaitTold($"+{knows}");
            Assert.Equal(SendOutcome.Queued, b.Send(knows, "hello"));
            a.Heard.WaitMessage("hello");
        }
    }

    [Fact]
    public void WhoIsNoLongerANodeIsHeardNoMore()
    {
        using PeerNode a = new(1), b = new(2), c = new(3);
        PeerNode.Introduce(a, b, c);
        a.Send(2, "1");
        a.Send(3, "2");
        a.Transport.SetPeers([a.Address, b.Address]);
        a.Heard.WaitToldLast("-3");
        c.Heard.WaitToldLast("-1");
        c.Log.Wait("node 3 is not known here as one of the cluster");
        Assert.Equal(SendOutcome.Unreachable, a.Send(3, "x"));

        // What was counted of it stays: counters do not fall.
        Assert.Equal((2, 2, 1), (a.Transport.Statistics.Links, a.Transport.Statistics.MessagesSent, a.Transport.Statistics.Dropped));
        a.Transport.SetPeers([a.Address, b.Address, c.Address]);
        a.Heard.WaitToldLast("+3");
        Assert.Equal(SendOutcome.Queued, a.Send(3, "again"));
        c.Heard.WaitMessage("again");
    }

    [Fact]
    public void APeerThatMovedIsFoundWhereItIsNow()
    {
        using PeerNode a = new(1), moved = new(2);
        PeerNode b = new(2);

        // It does not know where the other is, and greets nobody: a greeting that is read when the link has ended makes one more.
        a.Transport.SetPeers([b.Address]);
        a.Heard.WaitTold("+2");
        b.Dispose();
        a.Heard.WaitTold("+2 -2");
        a.Transport.SetPeers([moved.Address]);
        a.Heard.WaitTold("+2 -2 +2");
        moved.Heard.WaitTold("+1");
    }

    [Fact]
    public void NamesAreLookedUp()
    {
        using PeerNode a = new(1), b = new(2);
        a.Transport.SetPeers([b.Address with { Host = "localhost" }]);
        a.Heard.WaitTold("+2");
    }

    [Fact]
    public void NobodyIsReachedThatIsNotThere()
    {
        using PeerNode a = new(1);
        int nowhere;
        using (PeerNode gone = new(2))
            nowhere = gone.Transport.EndPoint.Port;
        a.Transport.SetPeers([new PeerAddress(new NodeId(2), "127.0.0.1", nowhere)]);
        a.Log.Wait("node 2 cannot be reached");
        Assert.Equal(SendOutcome.Unreachable, a.Send(2, "x"));
        Assert.Equal(SendOutcome.Unreachable, a.Send(9, "x"));
        Assert.Equal("", a.Heard.Told);
        Assert.Equal(2, a.Transport.Statistics.Dropped);
    }

    [Fact]
    public void SendersAreSafeFromADisposal()
    {
        for (int round = 0; round < 10; round++)
        {
            using PeerNode a = new(1), b = new(2);
            PeerNode.Introduce(a, b);
            using Barrier barrier = new(3);
            byte[] message = new byte[10_000];
            Thread[] threads = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
            {
                barrier.SignalAndWait();
                while (a.Transport.Send(new NodeId(2), message) != SendOutcome.Unreachable)
                {
                }
            }))];
            foreach (Thread thread in threads)
                thread.Start();
            barrier.SignalAndWait();
            b.Heard.WaitMessages(10);
            a.Dispose();
            foreach (Thread thread in threads)
                thread.Join();
        }
    }

    [Fact]
    public void InSteadyStateSendingAllocatesNothing()
    {
        using PeerNode a = new(1, PeerNode.Options() with { QueueBytesMax = 60_000 }), b = new(2);
        PeerNode.Introduce(a, b);
        const int Count = 10_000;
        byte[] message = new byte[300];
        SendMany(100);
        long before = GC.GetAllocatedBytesForCurrentThread();
        SendMany(Count);

        // Two chunks for the queue, whenever it first needs them, and not the smallest object for each message.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 24 * Count);

        void SendMany(int count)
        {
            for (int i = 0; i < count; i++)
            {
                SpinWait spin = default;
                while (a.Transport.Send(new NodeId(2), message) == SendOutcome.Full)
                    spin.SpinOnce();
            }
        }
    }

    [Fact]
    public void AnAddressThatIsTakenIsToldAtOnce()
    {
        using PeerNode a = new(1);
        Assert.Throws<System.Net.Sockets.SocketException>(() => new PeerNode(2, PeerNode.Options(a.Transport.EndPoint.Port)));
    }

    private static void SendNumbers(PeerNode from, ulong to, int count)
    {
        for (int i = 0; i < count; i++)
            from.SendAll(to, BitConverter.GetBytes(i));
    }
}
