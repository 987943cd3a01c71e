using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests;

/// <summary>Read-index and leases (thesis, 6.4), and the age of what followers hold.</summary>
public sealed class ReadRuleTests
{
    private static readonly RaftSettings s_settings = new() { QuiesceAfter = TimeSpan.MaxValue, ClockDriftMax = 0.1 };

    private static readonly TimeSpan s_lease = LeaseRule.Duration(s_settings.ElectionTimeout, s_settings.ClockDriftMax);

    [Fact]
    public void AReadWaitsForARoundThatBeganAfterItCame()
    {
        Bench bench = Leader();
        ReadTicket ticket = bench.Raft.RequestRead(bench.Now);
        // The answer to a heartbeat from before proves nothing about now.
        Answer(bench, Round(bench, 2));
        Assert.Empty(bench.Member.Reads);
        Answer(bench, Round(bench, 2));
        ReadReady ready = Assert.Single(bench.Member.Reads);
        Assert.Equal((ticket.Term, ticket.Batch, new LogIndex(1)), (ready.Term, ready.Batch, ready.Index));
    }

    [Fact]
    public void ReadsOfATurnShareOneRound()
    {
        Bench bench = Leader();
        _ = bench.Sent;
        ReadTicket[] tickets = [.. Enumerable.Range(0, 100).Select(_ => bench.Raft.RequestRead(bench.Now))];
        bench.Drain();
        Assert.All(tickets, t => Assert.Equal(tickets[0], t));
        List<RaftMessage> sent = bench.Sent;
        Assert.Equal(2, sent.Count);
        Answer(bench, sent[0]);
        Assert.Equal(tickets[0].Batch, Assert.Single(bench.Member.Reads).Batch);
    }

    [Fact]
    public void ManyReadsBeforeTheFirstAnswerGatherInFewRounds()
    {
        Bench bench = Leader();
        _ = bench.Sent;
        var batches = new HashSet<ulong>();
        RaftMessage last = default;
        for (int i = 0; i < 100; i++)
        {
            batches.Add(bench.Raft.RequestRead(bench.Now).Batch);
            bench.Drain();
            last = bench.Sent.FindLast(m => m.To.Value == 2) is { Kind: MessageKind.Heartbeat } m ? m : last;
        }

        Assert.Equal(5, batches.Count);
        Answer(bench, last);
        Answer(bench, bench.Sent.FindLast(m => m.To.Value == 2));
        Assert.Equal(batches.Max(), bench.Member.Reads[^1].Batch);
    }

    [Fact]
    public void NoReadIsServedBeforeAnEntryOfTheLeadersTermIsCommitted()
    {
        Bench bench = new Bench("1 1", settings: s_settings).Elected();
        ReadTicket ticket = bench.Raft.RequestRead(bench.Now);
        bench.Drain();
        Answer(bench, Round(bench, 2));
        Answer(bench, Round(bench, 2));
        Assert.Empty(bench.Member.Reads);
        Assert.False(bench.Raft.TryLeaseRead(bench.Now, out _));
        bench.Acknowledge(3);
        Answer(bench, Round(bench, 2));
        ReadReady ready = Assert.Single(bench.Member.Reads);
        Assert.Equal((ticket.Batch, new LogIndex(3)), (ready.Batch, ready.Index));
    }

    [Fact]
    public void AReadIsServedAtTheCommitIndexOfItsRoundsBeginning()
    {
        Bench bench = Leader();
        _ = bench.Sent;
        bench.Raft.RequestRead(bench.Now);
        RaftMessage round = Round(bench, 2);
        bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        bench.Acknowledge(2);
        Answer(bench, round);
        Assert.Equal(new LogIndex(1), Assert.Single(bench.Member.Reads).Index);
    }

    [Fact]
    public void AnswersOfLearnersServeNoReadAndRenewNoLease()
    {
        Bench bench = new Bench(configuration: new(World.Ids(1, 2, 3), World.Ids(4)), settings: s_settings).Elected();
        bench.Acknowledge(1);
        bench.Raft.RequestRead(bench.Now);
        bench.Drain();
        RaftMessage round = bench.Sent.FindLast(m => m.Kind == MessageKind.Heartbeat && m.To.Value == 4);
        Answer(bench, round);
        Assert.Empty(bench.Member.Reads);
        Assert.False(bench.Raft.TryLeaseRead(bench.Now, out _));
    }

    [Fact]
    public void AFollowerTakesNoReads() => Assert.False(new Bench().Raft.RequestRead(TimeSpan.FromSeconds(200)).IsAccepted);

    [Fact]
    public void ALeaseIsCountedFromTheSendingOfTheRoundThatAMajorityAnswered()
    {
        Bench bench = Leader();
        bench.AdvanceTo(bench.Raft.WakeAt);
        TimeSpan sentAt = bench.Now;
        RaftMessage round = bench.Sent.FindLast(m => m.Kind == MessageKind.Heartbeat && m.To.Value == 2);
        bench.Advance(30);
        Answer(bench, round);
        Assert.Equal(sentAt + s_lease, bench.Raft.LeaseEnd);
        Assert.True(bench.Raft.TryLeaseRead(sentAt + s_lease - TimeSpan.FromTicks(1), out LogIndex index));
        Assert.Equal(new LogIndex(1), index);
        Assert.False(bench.Raft.TryLeaseRead(sentAt + s_lease, out _));
    }

    [Theory]
    [InlineData(0.0, 250.0)]
    [InlineData(0.1, 204.545)]
    [InlineData(0.02, 240.196)]
    public void ALeaseIsShorterThanTheElectionTimeoutByTheDriftBound(double drift, double milliseconds)
    {
        TimeSpan lease = LeaseRule.Duration(TimeSpan.FromMilliseconds(250), drift);
        Assert.Equal(milliseconds, lease.TotalMilliseconds, 0.001);
        // The leader's clock as slow as may be, the voter's as fast: in true time the lease still ends first.
        Assert.True(lease.TotalMilliseconds / (1 - drift) <= (250 / (1 + drift)) + 0.001);
    }

    [Fact]
    public void ALeaseNeedsARecentSyncOfTheDisk()
    {
        Bench bench = Leader();
        TimeSpan end = bench.Now + s_settings.LeaseDiskSilenceMax;
        while (bench.Now < end)
        {
            Answer(bench, Round(bench, 2));
            Assert.True(bench.Raft.LeaseEnd > bench.Now || bench.Now >= end);
        }

        Assert.False(bench.Raft.TryLeaseRead(bench.Now, out _));
        bench.Raft.DiskSynced(bench.Now, bench.Now - TimeSpan.FromMilliseconds(1));
        Assert.True(bench.Raft.TryLeaseRead(bench.Now, out _));
    }

    [Fact]
    public void ATransferEndsTheLeaseFirstAndItIsNotCountedFromHeartbeatsOfThatTime()
    {
        Bench bench = Leader();
        Answer(bench, Round(bench, 2));
        Assert.True(bench.Raft.TryLeaseRead(bench.Now, out _));
        Assert.True(bench.Raft.TryTransferLeadership(bench.Now, new MemberId(3)));
        Assert.False(bench.Raft.TryLeaseRead(bench.Now, out _));

        TimeSpan givenUp = bench.Now + s_settings.ElectionTimeout;
        RaftMessage during = default;
        while (bench.Now < givenUp)
        {
            during = Round(bench, 2);
            if (bench.Now < givenUp)
                Answer(bench, during);
            Assert.False(bench.Raft.TryLeaseRead(bench.Now, out _));
        }

        Answer(bench, during);
        Assert.False(bench.Raft.TryLeaseRead(bench.Now, out _));
        Answer(bench, Round(bench, 2));
        Assert.True(bench.Raft.TryLeaseRead(bench.Now, out _));
    }

    [Fact]
    public void LeadershipIsPassedOnWhenEverythingIsCommitted()
    {
        Bench bench = Leader();
        bench.DiskWaits = true;
        LogIndex last = bench.Member.Propose(bench.Now, "x").First;
        Assert.True(bench.Raft.TryTransferLeadership(bench.Now, new MemberId(3)));
        bench.Drain();
        Assert.DoesNotContain(bench.Sent, m => m.Kind == MessageKind.TimeoutNow);
        Assert.NotEqual(MessageKind.TimeoutNow, bench.Receive(MessageKind.AppendResponse, 3, bench.Raft.Term.Value, index: last.Value)?.Kind);
        bench.Sync();
        Assert.Equal(last, bench.Raft.CommitIndex);
        Assert.Contains(bench.Sent, m => m.Kind == MessageKind.TimeoutNow && m.To == new MemberId(3));
    }

    [Fact]
    public void AFollowerThatWillNotLeadIsNotWaitedFor()
    {
        Bench bench = Leader();
        Assert.True(bench.Raft.TryTransferLeadership(bench.Now, new MemberId(3)));
        Assert.True(bench.Raft.IsTransferring);
        RaftMessage round = Round(bench, 3);
        bench.Receive(MessageKind.HeartbeatResponse, 3, bench.Raft.Term.Value, flags: MessageFlags.Declines, round: round.Round);
        Assert.False(bench.Raft.IsTransferring);
        Assert.False(bench.Raft.TryTransferLeadership(bench.Now, new MemberId(3)));

        // Nor is one whose node is seen to die.
        Assert.True(bench.Raft.TryTransferLeadership(bench.Now, new MemberId(2)));
        bench.Raft.PeerSuspected(bench.Now, new MemberId(2));
        Assert.False(bench.Raft.IsTransferring);
    }

    [Fact]
    public void AMemberThatRetiresAsksForNoVotesAndSaysSo()
    {
        var bench = new Bench(term: 3);
        bench.Raft.Retire(bench.Now);
        Assert.Equal(TimeSpan.MaxValue, bench.Raft.WakeAt);
        Assert.Equal(MessageFlags.Declines, bench.Receive(MessageKind.Heartbeat, 2, 3, round: 1)!.Value.Flags);
        bench.Receive(MessageKind.TimeoutNow, 2, 3, round: 1);
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
    }

    [Fact]
    public void AVoterThatKnowsAHandoverToBeOverDoesNotVoteOnItsBehalf()
    {
        // The hand-over was sent after round 7: the vote is given although the leader was just heard.
        Assert.False(Heard(7).Receive(MessageKind.Vote, 3, 2, flags: MessageFlags.Force, round: 7)!.Value.Rejects);
        // The leader has gone on since, with round 8: it may have a lease again.
        Assert.Null(Heard(8).Receive(MessageKind.Vote, 3, 2, flags: MessageFlags.Force, round: 7));

        static Bench Heard(ulong round)
        {
            Bench voter = new Bench(term: 1).Rested();
            voter.Receive(MessageKind.Heartbeat, 2, 1, round: round);
            return voter;
        }
    }

    [Fact]
    public void AVoterJustStartedHonoursNoHandover()
    {
        var bench = new Bench(term: 1);
        Assert.Null(bench.Receive(MessageKind.Vote, 3, 2, flags: MessageFlags.Force, round: 7));
    }

    [Fact]
    public void AFollowersAgeIsCountedFromItsAnswerThatTheLeaderNamesUnderLease()
    {
        var bench = new Bench("1 1", term: 1, settings: s_settings);
        Assert.False(bench.Raft.TryAge(bench.Now, out _));
        TimeSpan answered = bench.Now;
        ulong echo = Heartbeat(bench, round: 1, echo: 0, committed: 0);
        bench.PassUnseen(10);
        // The leader had this answer, and 2 was all that was committed.
        Heartbeat(bench, round: 2, echo, committed: 2);
        bench.PassUnseen(5);
        Assert.False(bench.Raft.TryAge(bench.Now, out _));
        bench.Append(2, 1, 2, 1, commit: 2);
        Assert.True(bench.Raft.TryAge(bench.Now, out TimeSpan age));
        Assert.Equal(bench.Now - answered, age);
    }

    [Fact]
    public void AFollowerLearnsNothingOfItsAgeFromAnAnswerThatItDoesNotRemember()
    {
        // An answer of an earlier life to the same round: then the heartbeat comes once more, and it is answered anew.
        ulong earlier = Heartbeat(new Bench("1 1", term: 1, settings: s_settings, seed: 8), round: 4, echo: 0, committed: 0);
        var bench = new Bench("1 1", term: 1, settings: s_settings);
        Heartbeat(bench, round: 4, echo: 0, committed: 0);
        Heartbeat(bench, round: 5, echo: earlier, committed: 2);
        bench.Append(2, 1, 2, 1, commit: 2);
        Assert.False(bench.Raft.TryAge(bench.Now, out _));
    }

    [Fact]
    public void ALeaderWithoutALeaseTellsFollowersNothingOfWhatIsCommitted()
    {
        Bench bench = Leader();
        Assert.Equal(LogIndex.Zero, Round(bench, 3).LastIndex);
        Answer(bench, Round(bench, 2) with { Echo = 77 });
        RaftMessage next = Round(bench, 2);
        Assert.Equal((new LogIndex(1), 77UL), (next.LastIndex, next.Echo));
        bench.PassUnseen(s_lease.TotalMilliseconds);
        bench.Receive(MessageKind.Wake, 2, 1);
        bench.Raft.RequestRead(bench.Now);
        bench.Drain();
        Assert.Equal(LogIndex.Zero, bench.Sent.FindLast(m => m.Kind == MessageKind.Heartbeat).LastIndex);
    }

    private static Bench Leader()
    {
        Bench bench = new Bench(settings: s_settings).Elected();
        bench.Acknowledge(1);
        return bench;
    }

    /// <summary>The next heartbeat to this follower, when its time comes or a read asks for it.</summary>
    private static RaftMessage Round(Bench bench, ulong to)
    {
        bench.Drain();
        List<RaftMessage> sent = bench.Sent;
        if (!sent.Exists(m => m.Kind == MessageKind.Heartbeat))
        {
            bench.AdvanceTo(bench.Raft.WakeAt);
            sent = bench.Sent;
        }

        return sent.Find(m => m.Kind == MessageKind.Heartbeat && m.To.Value == to);
    }

    private static void Answer(Bench bench, RaftMessage heartbeat) =>
        bench.Receive(new RaftMessage
        {
            Kind = MessageKind.HeartbeatResponse,
            From = heartbeat.To,
            To = heartbeat.From,
            Term = heartbeat.Term,
            Round = heartbeat.Round,
            SentAt = heartbeat.SentAt,
            Echo = heartbeat.Echo,
        });

    /// <summary>Gives the number of the answer.</summary>
    private static ulong Heartbeat(Bench bench, ulong round, ulong echo, ulong committed)
    {
        bench.Receive(new RaftMessage
        {
            Kind = MessageKind.Heartbeat,
            From = new MemberId(2),
            To = new MemberId(1),
            Term = new Term(1),
            Round = round,
            Echo = echo,
            LastIndex = new LogIndex(committed),
        });
        return bench.Sent[^1].Echo;
    }
}
