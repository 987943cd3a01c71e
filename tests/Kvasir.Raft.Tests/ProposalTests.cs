using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests;

public sealed class ProposalTests
{
    [Fact]
    public void ALeaderTakesOnlySoManyEntriesBeyondWhatIsCommitted()
    {
        Bench bench = new Bench(settings: new RaftSettings { UncommittedEntriesMax = 3 }).Elected();
        bench.Acknowledge(1);
        Assert.True(bench.Member.Propose(bench.Now, "a", "b").IsAccepted);
        Assert.Equal(ProposeStatus.Busy, bench.Member.Propose(bench.Now, "c", "d").Status);
        Assert.True(bench.Member.Propose(bench.Now, "c").IsAccepted);
        Assert.Equal(ProposeStatus.Busy, bench.Member.Propose(bench.Now, "d").Status);
        bench.Drain();
        bench.Acknowledge(4);
        // One that is larger than the bound is taken when nothing waits, or it never would be.
        Assert.True(bench.Member.Propose(bench.Now, "1", "2", "3", "4", "5").IsAccepted);
    }

    [Fact]
    public void AMemberThatIsNoLeaderNamesTheOneThatIs()
    {
        var bench = new Bench(term: 1);
        Assert.Equal(new ProposeOutcome(ProposeStatus.NotLeader, LogIndex.Zero, new Term(1), MemberId.None), bench.Member.Propose(bench.Now, "a"));
        bench.Receive(MessageKind.Heartbeat, 3, 1);
        Assert.Equal(new MemberId(3), bench.Member.Propose(bench.Now, "a").Leader);
    }

    [Fact]
    public void AllProposalsOfATurnTravelInOneAppend()
    {
        Bench bench = new Bench().Elected();
        bench.Acknowledge(1);
        _ = bench.Sent;
        for (int i = 0; i < 50; i++)
            bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        Assert.Equal((new LogIndex(1), new LogIndex(51)), Assert.Single(bench.Sent, m => m.To.Value == 2) is var m ? (m.Index, m.LastIndex) : default);
    }

    [Fact]
    public void WhatATruncationTookAwayIsNamedBeforeItsSuccessors()
    {
        var bench = new Bench("1 1 1", term: 1);
        var message = new RaftMessage
        {
            Kind = MessageKind.Append,
            From = new MemberId(2),
            To = new MemberId(1),
            Term = new Term(2),
            Index = new LogIndex(1),
            LogTerm = new Term(1),
            LastIndex = new LogIndex(2),
            EntryTerm = new Term(2),
        };
        StepOutcome outcome = bench.Raft.Step(bench.Now, message);
        Assert.Equal(new StepOutcome(new LogIndex(2), new LogIndex(2), new LogIndex(2)), outcome);
    }
}
