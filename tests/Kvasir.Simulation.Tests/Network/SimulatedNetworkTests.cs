using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;

namespace Kvasir.Simulation.Tests.Network;

public sealed class SimulatedNetworkTests
{
    private static readonly NodeId s_a = new(1), s_b = new(2), s_c = new(3);

    private readonly EventQueue _events = new(new SimulatedClock(DateTimeOffset.UnixEpoch));
    private readonly TraceHash _trace = new();
    private readonly SimulatedNetwork _network;
    private readonly Listener _a = new(), _b = new(), _c = new();
    private readonly SimulatedTransport _fromA, _fromB, _fromC;

    public SimulatedNetworkTests()
    {
        _network = new SimulatedNetwork(_events, new SeededRandom(7), _trace);
        _fromA = _network.Join(s_a, _a);
        _fromB = _network.Join(s_b, _b);
        _fromC = _network.Join(s_c, _c);
    }

    [Fact]
    public void MessagesTakeTheirTimeAndArriveInOrderAsCopies()
    {
        for (byte i = 0; i < 100; i++)
        {
            MessageBuffer message = MessageBuffer.Copy([i]);
            Assert.Equal(SendOutcome.Queued, _fromA.Send(s_b, message));
        }

        _events.RunUntil(_network.Behaviour.LatencyMin - TimeSpan.FromTicks(1));
        Assert.Empty(_b.Heard);
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"1:{i}"), _b.Heard);
        Assert.Empty(_c.Heard);
        Assert.Equal((100, 100, 0), (_network.Sent, _network.Delivered, _network.Lost));
    }

    [Fact]
    public void AMessageThatWasGivenAwayIsNoLongerTheSenders()
    {
        MessageBuffer message = MessageBuffer.Copy([1]);
        _fromA.Send(s_b, message);
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.Throws<InvariantViolationException>(() => message.Bytes.Length);
    }

    [Fact]
    public void ConditionsLoseDoubleAndReorder()
    {
        _network.Behaviour = new NetworkConditions { Loss = 0.2, Duplication = 0.3, Reorders = true, LatencyMean = TimeSpan.FromMilliseconds(50) };
        Send(_fromA, s_b, 200);
        _events.RunUntil(TimeSpan.FromSeconds(5));
        Assert.InRange(_network.Lost, 20, 60);
        Assert.InRange(_network.Duplicated, 20, 80);
        Assert.Equal(_network.Sent - _network.Lost + _network.Duplicated, _network.Delivered);
        Assert.NotEqual(_b.Heard.Order(StringComparer.Ordinal), _b.Heard);
    }

    [Fact]
    public void WhatIsSentToANodeDoesNotReachAnotherThatTookItsPlace()
    {
        _fromB.Crash();
        Send(_fromA, s_b, 1);
        _fromB.Rename(new NodeId(9));
        _fromB.Restart();
        Send(_fromA, new NodeId(9), 1);
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.Single(_b.Heard, "1:0");
        Assert.Equal(1, _network.Lost);
    }

    [Fact]
    public void ACutLinkLetsNothingThroughNotEvenWhatIsOnItsWay()
    {
        Send(_fromA, s_b, 1);
        _network.Cut(s_a, s_b);
        Send(_fromA, s_b, 1);
        Send(_fromB, s_a, 1);
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.DoesNotContain("1:0", _b.Heard);

        // The other direction is another link; both ends notice.
        Assert.Equal(["2:0", "lost 2"], _a.Heard);
        Assert.Equal(["lost 1"], _b.Heard);
        _network.Mend(s_a, s_b);
        _events.RunUntil(TimeSpan.FromSeconds(2));
        Send(_fromA, s_b, 1);
        _events.RunUntil(TimeSpan.FromSeconds(3));
        Assert.Equal(["lost 1", "found 1", "1:0"], _b.Heard);
    }

    [Fact]
    public void ACutThatNobodyHadTimeToNoticeIsNotNoticed()
    {
        _network.Cut(s_a, s_b);
        _network.Mend(s_a, s_b);
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.Empty(_a.Heard);
    }

    [Fact]
    public void AFullLinkRefusesAndSaysWhenThereIsRoom()
    {
        _network.Behaviour = new NetworkConditions { LinkBytesMax = 10 };
        Assert.Equal(SendOutcome.Queued, _fromA.Send(s_b, MessageBuffer.Rent(100)));
        Assert.Equal(SendOutcome.Full, _fromA.Send(s_b, MessageBuffer.Rent(1)));

        // Nobody else waits for it.
        Assert.Equal(SendOutcome.Queued, _fromA.Send(s_c, MessageBuffer.Rent(1)));
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.Equal(["writable 2"], _a.Heard);
        Assert.Equal(SendOutcome.Queued, _fromA.Send(s_b, MessageBuffer.Rent(1)));
        Assert.Equal(SendOutcome.Unreachable, _fromA.Send(new NodeId(9), MessageBuffer.Rent(1)));
    }

    [Fact]
    public void APausedProcessHearsLaterAndADeadOneNever()
    {
        _network.Behaviour = new NetworkConditions { LatencyMean = TimeSpan.FromMilliseconds(1) };
        SimulatedTransport b = _fromB;
        b.Pause();
        Send(_fromA, s_b, 2);
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.Empty(_b.Heard);
        b.Resume();
        Assert.Equal(["1:0", "1:1"], _b.Heard);

        Send(_fromA, s_b, 1);
        b.Crash();
        b.Restart();
        _events.RunUntil(TimeSpan.FromSeconds(2));
        Assert.Equal(2, _b.Heard.Count);
        Assert.Equal(1, _network.Lost);
    }

    [Fact]
    public void ASlowLinkIsSlowInOneDirection()
    {
        _network.Slow(s_a, s_b, 1000);
        Send(_fromA, s_b, 1);
        Send(_fromB, s_a, 1);
        _events.RunUntil(TimeSpan.FromMilliseconds(100));
        Assert.Empty(_b.Heard);
        Assert.Single(_a.Heard);
        _events.RunUntil(TimeSpan.FromSeconds(60));
        Assert.Single(_b.Heard);
    }

    [Fact]
    public void WhoKnowsWhomThereIsTalksWithNobodyElse()
    {
        _fromA.SetPeers([_fromA.Address, _fromB.Address]);
        _fromB.SetPeers([_fromA.Address]);
        _events.RunUntil(TimeSpan.FromSeconds(1));
        Assert.Equal(["found 2"], _a.Heard);
        Assert.Equal(["found 1"], _b.Heard);
        Assert.Equal(SendOutcome.Unreachable, _fromA.Send(s_c, [1]));
        Send(_fromC, s_a, 1);
        Send(_fromB, s_a, 1);
        _network.Cut(s_a, s_b);
        _events.RunUntil(TimeSpan.FromSeconds(2));
        _network.Mend(s_a, s_b);
        _events.RunUntil(TimeSpan.FromSeconds(3));
        _fromA.SetPeers([_fromC.Address]);
        _events.RunUntil(TimeSpan.FromSeconds(4));
        Assert.Equal(["found 2", "2:0", "lost 2", "found 2", "lost 2", "found 3"], _a.Heard);
        Assert.Equal(["found 1", "lost 1", "found 1", "lost 1"], _b.Heard);
        Assert.Equal(["found 1"], _c.Heard);
    }

    [Fact]
    public void AQuestionIsAnsweredOrItsEndIsTold()
    {
        List<string> replies = [];
        void Ask(PeerAddress to, byte question) => _fromA.Call(to, [question], TimeSpan.FromSeconds(1), r => replies.Add(
            $"{r.Outcome} {(r.Bytes.IsEmpty ? r.Reason : r.Bytes.Span[0])}"));
        _b.OnCall = (ticket, question) =>
        {
            if (question != 0)
                _fromB.Answer(ticket, [(byte)(question + 1)]);
        };
        Ask(_fromB.Address, 7);
        Ask(new PeerAddress(NodeId.None, "nowhere", 1), 7);
        Ask(_fromB.Address with { Node = s_c }, 7);
        _events.RunUntil(TimeSpan.FromMilliseconds(500));
        Assert.Equal(["Failed nobody is at nowhere:1", "Failed nobody is at node-2:1", "Answered 8"], replies);
        Ask(_fromB.Address, 0);
        _network.Cut(s_a, s_c);
        Ask(_fromC.Address, 7);
        _events.RunUntil(TimeSpan.FromSeconds(2));
        Assert.Equal(["Lost no answer came in time", "Failed no answer came in time"], replies[3..]);
    }

    private static void Send(SimulatedTransport from, NodeId to, int count)
    {
        for (int i = 0; i < count; i++)
            from.Send(to, MessageBuffer.Copy([(byte)i]));
    }

    private sealed class Listener : ITransportListener
    {
        public List<string> Heard { get; } = [];

        public Action<CallTicket, byte>? OnCall { get; set; }

        public void Called(CallTicket call, ReadOnlySpan<byte> request) => OnCall?.Invoke(call, request[0]);

        public void Received(NodeId from, ReadOnlySpan<byte> message) => Heard.Add($"{from}:{message[0]}");

        public void Connected(NodeId peer) => Heard.Add($"found {peer}");

        public void Disconnected(NodeId peer) => Heard.Add($"lost {peer}");

        public void Writable(NodeId peer) => Heard.Add($"writable {peer}");
    }
}
