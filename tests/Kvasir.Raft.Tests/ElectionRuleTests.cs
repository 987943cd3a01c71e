using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests;

/// <summary>Pre-vote, check-quorum and stickiness (thesis, 4.2.3, 6.2, 9.6), and what a restart and a bad disk do to them.</summary>
public sealed class ElectionRuleTests
{
    private static readonly RaftSettings s_settings = new() { QuiesceAfter = TimeSpan.MaxValue };

    [Fact]
    public void APreVoteChangesNoTermAndNoVoteAndWaitsForNoDisk()
    {
        var bench = new Bench { DiskWaits = true };
        bench.AdvanceTo(bench.Raft.WakeAt);
        Assert.Equal(default, bench.Raft.HardState);
        Assert.All(bench.Sent, m => Assert.Equal((MessageKind.PreVote, new Term(1)), (m.Kind, m.Term)));

        RaftMessage? granted = bench.Receive(MessageKind.PreVote, 2, 9);
        Assert.Equal((false, new Term(9)), (granted!.Value.Rejects, granted.Value.Term));
        Assert.Equal(default, bench.Raft.HardState);
    }

    [Theory]
    [InlineData(MessageKind.PreVote)]
    [InlineData(MessageKind.Vote)]
    public void WhoKnowsNoConfigurationHelpsNobody(MessageKind kind)
    {
        Bench knows = new Bench().Rested();
        Assert.False(knows.Receive(kind, 3, 9)!.Value.Rejects);

        Bench joins = new Bench(configuration: Configuration.Empty).Rested();
        Assert.True(joins.Receive(kind, 3, 9)!.Value.Rejects);
        Assert.Equal(MemberId.None, joins.Raft.HardState.Vote);
    }

    [Theory]
    [InlineData(3, 0)]
    [InlineData(4, 1)]
    [InlineData(5, 1)]
    public void WhenALeaderWasSeenToDieItsMembersAskOneAfterAnotherAndNoneBeforeFaithEnds(ulong term, int rank)
    {
        // In these terms the first to ask is 1, 2 and 3; 2 is dead, and its turn is nobody's.
        var bench = new Bench(term: term);
        bench.Receive(MessageKind.Heartbeat, 2, term, round: 1);
        TimeSpan faithful = bench.Now + s_settings.ElectionTimeout;
        bench.Raft.PeerSuspected(bench.Now, new MemberId(3));
        Assert.True(bench.Raft.WakeAt > faithful);
        bench.Raft.PeerSuspected(bench.Now, new MemberId(2));
        TimeSpan turn = faithful + (rank * s_settings.HeartbeatInterval);
        Assert.InRange(bench.Raft.WakeAt, turn, turn + (s_settings.HeartbeatInterval / 2));

        // Who gets no answer asks again soon; who hears the leader after all waits for as long as ever.
        bench.AdvanceTo(bench.Raft.WakeAt);
        Assert.Equal(RaftRole.PreCandidate, bench.Raft.Role);
        Assert.InRange(bench.Raft.WakeAt, bench.Now, bench.Now + (2 * s_settings.HeartbeatInterval));
        bench.Receive(MessageKind.Heartbeat, 2, term, round: 2);
        Assert.True(bench.Raft.WakeAt >= bench.Now + s_settings.ElectionTimeout);
    }

    [Fact]
    public void AMemberWithMuchToApplyDoesNotLeadBeforeThatIsDone()
    {
        var bench = new Bench(term: 1, settings: s_settings with { ApplyLagMax = 3 });
        bench.Member.HoldsApply = true;
        bench.Append(2, 1, 0, 0, entries: 6, commit: 3);
        Assert.Equal(MessageFlags.None, bench.Receive(MessageKind.Heartbeat, 2, 1, commit: 3, round: 1)!.Value.Flags);
        Assert.Equal(MessageFlags.Declines, bench.Receive(MessageKind.Heartbeat, 2, 1, commit: 4, round: 2)!.Value.Flags);
        bench.Receive(MessageKind.TimeoutNow, 2, 1, round: 2);
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);

        // Nobody is heard any more; it keeps looking, and goes on as soon as it may.
        for (int i = 0; i < 3; i++)
        {
            bench.AdvanceTo(bench.Raft.WakeAt);
            Assert.Equal(RaftRole.Follower, bench.Raft.Role);
            Assert.InRange(bench.Raft.WakeAt, bench.Now + s_settings.ElectionTimeout, bench.Now + (2 * s_settings.ElectionTimeout));
        }

        bench.Raft.Campaign(bench.Now);
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
        bench.Raft.Applied(bench.Now, new LogIndex(1));
        bench.AdvanceTo(bench.Raft.WakeAt);
        Assert.Equal(RaftRole.PreCandidate, bench.Raft.Role);
    }

    [Fact]
    public void OnlyAMajorityOfPreVotesLetsAMemberIncrementItsTerm()
    {
        var bench = new Bench(configuration: new(World.Ids(1, 2, 3, 4, 5)));
        bench.AdvanceTo(bench.Raft.WakeAt);
        bench.Receive(MessageKind.PreVoteResponse, 2, 1);
        Assert.Equal(RaftRole.PreCandidate, bench.Raft.Role);
        bench.Receive(MessageKind.PreVoteResponse, 3, 1);
        Assert.Equal((RaftRole.Candidate, new Term(1)), (bench.Raft.Role, bench.Raft.Term));
    }

    [Fact]
    public void APreCandidateThatIsRefusedByAMajorityBecomesAFollowerOfTheSameTerm()
    {
        var bench = new Bench("1 1");
        bench.AdvanceTo(bench.Raft.WakeAt);
        bench.Receive(MessageKind.PreVoteResponse, 2, 1, flags: MessageFlags.Reject);
        bench.Receive(MessageKind.PreVoteResponse, 3, 1, flags: MessageFlags.Reject);
        Assert.Equal((RaftRole.Follower, new Term(1)), (bench.Raft.Role, bench.Raft.Term));
    }

    [Theory]
    [InlineData(MessageKind.PreVote)]
    [InlineData(MessageKind.Vote)]
    public void WhileALeaderIsHeardNobodyIsHelpedToReplaceIt(MessageKind kind)
    {
        Bench bench = new Bench(term: 1).Rested();
        bench.Receive(MessageKind.Heartbeat, 2, 1);
        bench.Advance(s_settings.ElectionTimeout.TotalMilliseconds - 1);
        Assert.NotEqual(false, bench.Receive(kind, 3, 9)?.Rejects);
        Assert.Equal(new Term(1), bench.Raft.Term);
        bench.PassUnseen(1);
        Assert.False(bench.Receive(kind, 3, 9)!.Value.Rejects);
    }

    [Fact]
    public void ATermHeardOfElsewhereDoesNotFreeAVoterFromItsFaith()
    {
        // A late refusal carries term 2 to a voter whose leader of term 1 may hold a lease; then somebody asks for a vote in term 2.
        Bench bench = new Bench(term: 1).Rested();
        bench.Receive(MessageKind.Heartbeat, 2, 1);
        bench.Receive(MessageKind.PreVoteResponse, 3, 2, flags: MessageFlags.Reject);
        Assert.Equal(new Term(2), bench.Raft.Term);
        Assert.True(bench.Receive(MessageKind.Vote, 3, 2)!.Value.Rejects);
        bench.PassUnseen(s_settings.ElectionTimeout.TotalMilliseconds);
        Assert.False(bench.Receive(MessageKind.Vote, 3, 2)!.Value.Rejects);
    }

    [Fact]
    public void AfterARestartAMemberKeepsFaithForAnElectionTimeout()
    {
        var bench = new Bench(term: 1);
        Assert.Null(bench.Receive(MessageKind.Vote, 2, 2));
        Assert.True(bench.Raft.WakeAt >= bench.Now + s_settings.ElectionTimeout);
        bench.Rested();
        Assert.False(bench.Receive(MessageKind.Vote, 2, 2)!.Value.Rejects);
    }

    [Fact]
    public void AMemberThatWasInNoTermOwesNoFaith() =>
        Assert.False(new Bench().Receive(MessageKind.Vote, 2, 1)!.Value.Rejects);

    [Theory]
    [InlineData(1, true)]  // voted for itself in a term behind its configuration's: nobody else can lead
    [InlineData(2, false)] // voted for another
    [InlineData(0, false)]
    public void ASoleVoterLeadsAtOnceAfterARestartIfNobodyElseCanHaveLed(ulong vote, bool atOnce)
    {
        var bench = new Bench("1 1", term: 2, vote: vote, configuration: new(World.Ids(1)));
        Assert.Equal(atOnce, bench.Raft.WakeAt == bench.Now);
        Assert.Equal(!atOnce, bench.Raft.WakeAt >= bench.Now + s_settings.ElectionTimeout);
    }

    [Fact]
    public void ALeaderThatAsksForItselfAgainIsNotRefusedForItsOwnSake()
    {
        Bench bench = new Bench(term: 1).Rested();
        bench.Receive(MessageKind.Heartbeat, 2, 1);
        Assert.False(bench.Receive(MessageKind.PreVote, 2, 2)!.Value.Rejects);
        Assert.False(bench.Receive(MessageKind.Vote, 2, 2)!.Value.Rejects);
    }

    [Fact]
    public void ALeaderThatHearsNoMajorityForAnElectionTimeoutStepsDown()
    {
        Bench bench = new Bench(configuration: new(World.Ids(1, 2, 3, 4, 5))).ElectedBy(2, 3);
        for (int i = 0; i < 20; i++)
        {
            bench.Advance(s_settings.HeartbeatInterval.TotalMilliseconds);
            bench.Receive(MessageKind.HeartbeatResponse, 2, 1);
            if (i < 10)
                bench.Receive(MessageKind.HeartbeatResponse, 3, 1);
            Assert.Equal(i < 15, bench.Raft.Role == RaftRole.Leader);
            if (bench.Raft.Role != RaftRole.Leader)
                return;
        }

        Assert.Fail("one follower of four is no majority");
    }

    [Fact]
    public void ALeaderWithAMajorityIgnoresVotesForOthers()
    {
        Bench bench = new Bench().Elected();
        _ = bench.Sent;
        Assert.Null(bench.Receive(MessageKind.Vote, 3, 5));
        Assert.Equal(RaftRole.Leader, bench.Raft.Role);
    }

    [Fact]
    public void APartitionedMemberWithAHigherTermMakesTheLeaderStepDownAndCanJoinAgain()
    {
        Bench bench = new Bench(term: 3);
        Assert.Equal(new Term(3), bench.Receive(MessageKind.Heartbeat, 2, 2)!.Value.Term);
        Bench leader = new Bench().Elected();
        leader.Receive(MessageKind.AppendResponse, 3, 3, flags: MessageFlags.Reject);
        Assert.Equal((RaftRole.Follower, new Term(3)), (leader.Raft.Role, leader.Raft.Term));
    }

    [Fact]
    public void AMemberThatIsNoVoterDoesNotCampaignAndDoesVote()
    {
        var bench = new Bench(configuration: new(World.Ids(2, 3), World.Ids(1)));
        Assert.Equal(TimeSpan.MaxValue, bench.Raft.WakeAt);
        bench.Raft.Campaign(bench.Now);
        bench.Receive(MessageKind.TimeoutNow, 2, 0);
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
        Assert.False(bench.Receive(MessageKind.Vote, 2, 1)!.Value.Rejects);
    }

    [Fact]
    public void VotesOfLearnersAndStrangersDoNotCount()
    {
        var bench = new Bench(configuration: new(World.Ids(1, 2, 3), World.Ids(4)));
        bench.AdvanceTo(bench.Raft.WakeAt);
        bench.Receive(MessageKind.PreVoteResponse, 4, 1);
        bench.Receive(MessageKind.PreVoteResponse, 9, 1);
        Assert.Equal(RaftRole.PreCandidate, bench.Raft.Role);
        bench.Receive(MessageKind.PreVoteResponse, 3, 1);
        bench.Receive(MessageKind.VoteResponse, 4, 1);
        bench.Receive(MessageKind.VoteResponse, 9, 1);
        Assert.Equal(RaftRole.Candidate, bench.Raft.Role);
    }

    [Fact]
    public void ALeaderWhoseDiskHangsHandsOverAndDoesNotCampaignBeforeItAnswers()
    {
        Bench bench = new Bench().Elected();
        bench.Acknowledge(1);
        bench.DiskWaits = true;
        bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        for (TimeSpan t = TimeSpan.Zero; t <= s_settings.DiskStallMax; t += s_settings.HeartbeatInterval)
        {
            Assert.Equal(RaftRole.Leader, bench.Raft.Role);
            bench.Advance(s_settings.HeartbeatInterval.TotalMilliseconds);
            bench.Receive(new RaftMessage { Kind = MessageKind.HeartbeatResponse, From = new MemberId(2), To = new MemberId(1), Term = new Term(1) });
        }

        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
        Assert.Contains(bench.Sent, m => m.Kind == MessageKind.TimeoutNow && m.To.Value == 2);
        bench.AdvanceTo(bench.Raft.WakeAt);
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
        bench.Sync();
        bench.AdvanceTo(bench.Raft.WakeAt);
        Assert.Equal(RaftRole.PreCandidate, bench.Raft.Role);
    }

    [Fact]
    public void ReadsThatBringHeartbeatsForwardDoNotHideAHangingDisk()
    {
        Bench bench = new Bench().Elected();
        bench.Acknowledge(1);
        bench.DiskWaits = true;
        bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        for (int i = 0; i < 300 && bench.Raft.Role == RaftRole.Leader; i++)
        {
            bench.Raft.RequestRead(bench.Now);
            bench.Drain();
            RaftMessage heartbeat = bench.Sent.Find(m => m.Kind == MessageKind.Heartbeat && m.To.Value == 2);
            bench.Receive(heartbeat with { Kind = MessageKind.HeartbeatResponse, From = heartbeat.To, To = heartbeat.From });
            bench.Advance(10);
        }

        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
    }

    [Fact]
    public void WhatIsHeldBackForTheDiskIsDroppedWhenTheTermMovesOn()
    {
        var bench = new Bench { DiskWaits = true };
        bench.Receive(MessageKind.Vote, 2, 1);
        bench.Receive(MessageKind.Vote, 3, 2);
        bench.Sync();
        RaftMessage answer = Assert.Single(bench.Sent);
        Assert.Equal((new MemberId(3), new Term(2)), (answer.To, answer.Term));
    }
}
