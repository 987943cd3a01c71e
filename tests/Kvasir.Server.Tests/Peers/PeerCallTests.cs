using System.Text;
using Kvasir.Cluster.Transport;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Tests.Peers;

/// <summary>Questions to whoever listens somewhere.</summary>
public sealed class PeerCallTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    [InlineData(1, 2)]
    public void AQuestionIsAnsweredWhetherOrNotTheyAreMembers(ulong asks, ulong isAsked)
    {
        using PeerNode a = new(asks), b = new(isAsked);
        b.Heard.OnCall = (ticket, request) => b.Transport.Answer(ticket, [.. request, .. "!"u8]);
        CallReply reply = Ask(a, b.Address, "who");
        Assert.Equal((CallOutcome.Answered, "who!", ""), (reply.Outcome, Encoding.UTF8.GetString(reply.Bytes.Span), reply.Reason));
        Assert.Equal(("", ""), (a.Heard.Told, b.Heard.Told));
    }

    [Fact]
    public void TheAnswerMayComeLaterFromAnotherThread()
    {
        using PeerNode a = new(0), b = new(1);
        Task<CallReply> asked = Begin(a, b.Address with { Node = NodeId.None, Host = "localhost" }, new byte[500_000], s_patience);
        (CallTicket ticket, byte[] request) = b.Heard.WaitCall();
        Assert.Equal(500_000, request.Length);
        Thread later = new(() => b.Transport.Answer(ticket, new byte[600_000]));
        later.Start();
        Assert.Equal(600_000, Result(asked).Bytes.Length);
        b.Transport.Answer(ticket, "again"u8);
    }

    [Fact]
    public void ManyQuestionsAtOnceGetTheirOwnAnswers()
    {
        using PeerNode a = new(0), b = new(1);
        b.Heard.OnCall = (ticket, request) => b.Transport.Answer(ticket, request);
        Task<CallReply>[] all = [.. Enumerable.Range(0, 50).Select(i => Begin(a, b.Address, BitConverter.GetBytes(i), s_patience))];
        Assert.Equal(Enumerable.Range(0, 50), all.Select(t => BitConverter.ToInt32(Result(t).Bytes.Span)));
    }

    [Fact]
    public void ItSaysWhetherTheQuestionCanHaveBeenHeard()
    {
        using PeerNode a = new(0), b = new(1, cluster: 2), member = new(5);
        int nowhere;
        using (PeerNode gone = new(2))
            nowhere = gone.Transport.EndPoint.Port;
        Assert.Equal(CallOutcome.Failed, Ask(a, new PeerAddress(NodeId.None, "127.0.0.1", nowhere), "x").Outcome);
        Assert.Equal(CallOutcome.Failed, Ask(a, new PeerAddress(NodeId.None, new string('x', 300), 1), "x").Outcome);
        Assert.Equal(CallOutcome.Failed, Ask(a, b.Address with { Node = new NodeId(7) }, "x").Outcome);
        CallReply refused = Ask(member, b.Address, "x");
        Assert.Equal(CallOutcome.Foreign, refused.Outcome);
        Assert.Contains("it belongs to cluster", refused.Reason, StringComparison.Ordinal);
        Assert.Equal(CallOutcome.Failed, Ask(b, b.Address, "x").Outcome);

        // It was heard, and nobody answers.
        SkewedTime time = new();
        using PeerNode waits = new(0, time: time);
        Task<CallReply> asked = Begin(waits, b.Address, [1], s_patience);
        b.Heard.WaitCall();
        time.Advance(2 * s_patience);
        waits.Transport.SetPeers([]);
        CallReply lost = Result(asked);
        Assert.Equal((CallOutcome.Lost, "no answer came in time"), (lost.Outcome, lost.Reason));
    }

    [Fact]
    public void AQuestionThatCannotBeReadIsRefused()
    {
        using PeerNode a = new(0), b = new(1);
        b.Heard.OnCall = static (_, _) => throw new MalformedMessageException("no question");
        CallReply reply = Ask(a, b.Address, "x");
        Assert.Equal((CallOutcome.Failed, "it refuses: no question"), (reply.Outcome, reply.Reason));
    }

    [Fact]
    public void WhoAsksAndGoesIsForgotten()
    {
        using PeerNode b = new(1);
        CallTicket ticket;
        using (RawPeer peer = new(b.Transport))
        {
            peer.Send(RawPeer.Greeting(RawPeer.Hello(0, 0) with { Purpose = PeerPurpose.Call, Cluster = 0 }));
            peer.ReadMagic();
            peer.ReadFrame();
            peer.Send(RawPeer.Frame(PeerFrameKind.Call, 1, 2));
            ticket = b.Heard.WaitCall().Ticket;
        }

        b.Log.Wait("came to nothing");
        b.Transport.Answer(ticket, [1]);
        using PeerNode a = new(2);
        PeerNode.Introduce(a, b);
    }

    private static CallReply Ask(PeerNode from, PeerAddress to, string question) =>
        Result(Begin(from, to, Encoding.UTF8.GetBytes(question), s_patience));

    private static Task<CallReply> Begin(PeerNode from, PeerAddress to, byte[] question, TimeSpan patience)
    {
        TaskCompletionSource<CallReply> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        from.Transport.Call(to, question, patience, done.SetResult);
        return done.Task;
    }

    private static CallReply Result(Task<CallReply> task)
    {
        Assert.True(task.Wait(s_patience * 2), "a call was never ended");
        return task.Result;
    }
}
