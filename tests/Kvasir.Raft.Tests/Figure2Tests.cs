using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests;

/// <summary>One test for each rule of figure 2 of the Raft paper, extended version, in its order and nearly in its words.</summary>
public sealed class Figure2Tests
{
    private static readonly RaftSettings s_settings = new() { QuiesceAfter = TimeSpan.MaxValue };

    // State

    [Fact]
    public void CurrentTermIsPersistedBeforeRespondingToRpcs()
    {
        var bench = new Bench { DiskWaits = true };
        Assert.Null(bench.Receive(MessageKind.Heartbeat, 2, 5));
        Assert.Equal(new Term(5), bench.Raft.Term);
        bench.Sync();
        Assert.Equal(new Term(5), bench.Member.Disk.HardState.Term);
        Assert.Equal(MessageKind.HeartbeatResponse, Assert.Single(bench.Sent).Kind);
    }

    [Fact]
    public void VotedForIsPersistedBeforeRespondingToRpcs()
    {
        var bench = new Bench { DiskWaits = true };
        Assert.Null(bench.Receive(MessageKind.Vote, 2, 1));
        bench.Sync();
        Assert.Equal(new MemberId(2), bench.Member.Disk.HardState.Vote);
        Assert.False(Assert.Single(bench.Sent).Rejects);
    }

    [Fact]
    public void TheLogIsPersistedBeforeRespondingToRpcs()
    {
        var bench = new Bench(term: 1) { DiskWaits = true };
        Assert.Null(bench.Append(2, 1, 0, 0, entries: 3));
        bench.Sync();
        Assert.Equal(new LogIndex(3), bench.Member.Disk.LastIndex);
        Assert.Equal(new LogIndex(3), Assert.Single(bench.Sent).Index);
    }

    [Fact]
    public void AcknowledgesOnlyAsFarAsTheDiskHasCome()
    {
        var bench = new Bench(term: 1) { DiskWaits = true };
        Assert.Null(bench.Append(2, 1, 0, 0, entries: 2));
        Assert.Null(bench.Append(2, 1, 2, 1, entries: 2));
        bench.Member.Sync(bench.Now, 1);
        bench.Drain();
        Assert.Equal(new LogIndex(2), Assert.Single(bench.Sent).Index);
        bench.Sync();
        Assert.Equal(new LogIndex(4), Assert.Single(bench.Sent).Index);
    }

    [Fact]
    public void ASyncReportedForWhatWasOverwrittenSinceIsNotTakenForTheNewEntries()
    {
        var bench = new Bench("1", term: 2) { DiskWaits = true };
        Assert.False(bench.Append(2, 2, 1, 1, entries: 2)?.Index > new LogIndex(1));
        // A new leader replaces both before the first write is reported.
        Assert.False(bench.Append(3, 3, 1, 1, entries: 2)?.Index > new LogIndex(1));
        bench.Member.Sync(bench.Now, 1);
        bench.Drain();
        Assert.Equal(new LogIndex(1), bench.Raft.SyncedIndex);
        Assert.DoesNotContain(bench.Sent, m => m.Index > new LogIndex(1));
        bench.Sync();
        Assert.Equal(new LogIndex(3), bench.Sent[^1].Index);
        Assert.Equal("1 3 3", string.Join(' ', bench.Member.Disk.Entries.Select(e => e.Term)));
    }

    [Fact]
    public void CommitIndexIncreasesMonotonically()
    {
        var bench = new Bench("1 1 1", term: 1);
        bench.Append(2, 1, 3, 1, commit: 3);
        bench.Append(2, 1, 3, 1, commit: 1);
        bench.Receive(MessageKind.Heartbeat, 2, 1, commit: 2);
        Assert.Equal(new LogIndex(3), bench.Raft.CommitIndex);
    }

    [Fact]
    public void LastAppliedIncreasesMonotonicallyAndNeverPassesCommitIndex()
    {
        var bench = new Bench("1 1 1", term: 1);
        bench.Append(2, 1, 3, 1, commit: 2);
        Assert.Equal(new LogIndex(2), bench.Raft.AppliedIndex);
        Assert.Throws<InvariantViolationException>(() => bench.Raft.Applied(bench.Now, new LogIndex(3)));
        Assert.Throws<InvariantViolationException>(() => bench.Raft.Applied(bench.Now, new LogIndex(1)));
    }

    [Fact]
    public void NextIndexIsInitializedToLeaderLastLogIndexPlusOne()
    {
        Bench bench = new Bench("1 1 1").Elected();
        Assert.True(bench.Raft.TryFollower(new MemberId(3), out FollowerStatus follower));
        Assert.Equal(new LogIndex(4), follower.NextIndex);
    }

    [Fact]
    public void MatchIndexIsInitializedToZeroAndIncreasesMonotonically()
    {
        Bench bench = new Bench("1 1 1").Elected();
        Assert.True(bench.Raft.TryFollower(new MemberId(2), out FollowerStatus follower));
        Assert.Equal(LogIndex.Zero, follower.MatchIndex);
        bench.Acknowledge(4);
        bench.Acknowledge(2);
        Assert.True(bench.Raft.TryFollower(new MemberId(2), out follower));
        Assert.Equal(new LogIndex(4), follower.MatchIndex);
    }

    // AppendEntries RPC

    [Fact]
    public void AppendEntriesRepliesFalseIfTermIsBelowCurrentTerm()
    {
        var bench = new Bench("1 3", term: 3);
        RaftMessage? answer = bench.Append(2, 2, 2, 3, entries: 1);
        Assert.True(answer!.Value.Rejects);
        Assert.Equal(new Term(3), answer.Value.Term);
        Assert.Equal("1 3", bench.Log);
        Assert.Equal(MemberId.None, bench.Raft.Leader);
    }

    [Theory]
    [InlineData("1 1", 3, 1)] // no entry there
    [InlineData("1 2", 2, 1)] // an entry of another term
    public void AppendEntriesRepliesFalseIfLogHasNoEntryAtPrevLogIndexWithPrevLogTerm(string log, ulong prevIndex, ulong prevTerm)
    {
        var bench = new Bench(log, term: 3);
        RaftMessage? answer = bench.Append(2, 3, prevIndex, prevTerm, entries: 1);
        Assert.True(answer!.Value.Rejects);
        Assert.Equal(log, bench.Log);
    }

    [Fact]
    public void AppendEntriesDeletesAConflictingEntryAndAllThatFollowIt()
    {
        var bench = new Bench("1 1 2 2 2", term: 3);
        Assert.False(bench.Append(2, 3, 2, 1, entries: 1, entryTerm: 3)!.Value.Rejects);
        Assert.Equal("1 1 3", bench.Log);
        Assert.Equal("1 1 3", string.Join(' ', bench.Member.Disk.Entries.Select(e => e.Term)));
    }

    [Fact]
    public void AppendEntriesKeepsEntriesThatFollowWithoutConflict()
    {
        // A message that was overtaken by a later one must not undo it.
        var bench = new Bench("1 1 1 1", term: 1);
        Assert.Equal(new LogIndex(3), bench.Append(2, 1, 1, 1, entries: 2)!.Value.Index);
        Assert.Equal("1 1 1 1", bench.Log);
    }

    [Fact]
    public void AppendEntriesAppendsAnyEntriesNotAlreadyInTheLog()
    {
        var bench = new Bench("1 1", term: 1);
        Assert.Equal(new LogIndex(4), bench.Append(2, 1, 1, 1, entries: 3)!.Value.Index);
        Assert.Equal("1 1 1 1", bench.Log);
    }

    [Theory]
    [InlineData(1, 1)] // as far as the leader has committed
    [InlineData(9, 3)] // no further than the last entry known to be the leader's
    public void AppendEntriesSetsCommitIndexToTheLesserOfLeaderCommitAndLastNewEntry(ulong leaderCommit, ulong expected)
    {
        var bench = new Bench("1 1 1 1 1", term: 1);
        bench.Append(2, 1, 2, 1, entries: 1, commit: leaderCommit);
        Assert.Equal(new LogIndex(expected), bench.Raft.CommitIndex);
    }

    // RequestVote RPC

    [Fact]
    public void RequestVoteRepliesFalseIfTermIsBelowCurrentTerm()
    {
        var bench = new Bench(term: 3);
        RaftMessage? answer = bench.Receive(MessageKind.Vote, 2, 2);
        Assert.True(answer!.Value.Rejects);
        Assert.Equal(new Term(3), answer.Value.Term);
    }

    [Fact]
    public void RequestVoteIsGrantedOnceATermAndAgainOnlyToTheSameCandidate()
    {
        var bench = new Bench();
        Assert.False(bench.Receive(MessageKind.Vote, 2, 1)!.Value.Rejects);
        Assert.True(bench.Receive(MessageKind.Vote, 3, 1)!.Value.Rejects);
        Assert.False(bench.Receive(MessageKind.Vote, 2, 1)!.Value.Rejects);
        Assert.False(bench.Receive(MessageKind.Vote, 3, 2)!.Value.Rejects);
    }

    [Fact]
    public void AVoteIsRememberedOverARestart()
    {
        Bench bench = new Bench(term: 4, vote: 2).Rested();
        Assert.True(bench.Receive(MessageKind.Vote, 3, 4)!.Value.Rejects);
        Assert.False(bench.Receive(MessageKind.Vote, 2, 4)!.Value.Rejects);
    }

    [Theory]
    [InlineData("1 1", 2, 1, true)]  // equal
    [InlineData("1 1", 3, 1, true)]  // same term, longer
    [InlineData("1 1", 1, 2, true)]  // later term, shorter
    [InlineData("1 1", 1, 1, false)] // same term, shorter
    [InlineData("2", 5, 1, false)]   // earlier term, longer
    [InlineData("", 0, 0, true)]
    public void RequestVoteIsGrantedOnlyIfTheCandidatesLogIsAtLeastAsUpToDate(string log, ulong lastIndex, ulong lastTerm, bool granted)
    {
        Bench bench = new Bench(log).Rested();
        Assert.Equal(!granted, bench.Receive(MessageKind.Vote, 2, 9, lastIndex, lastTerm)!.Value.Rejects);
        Assert.Equal(!granted, new Bench(log).Rested().Receive(MessageKind.PreVote, 2, 9, lastIndex, lastTerm)!.Value.Rejects);
    }

    // Rules for servers: all

    [Fact]
    public void WhatIsCommittedIsAppliedInOrder()
    {
        var bench = new Bench("1 1 1", term: 1);
        bench.Append(2, 1, 3, 1, commit: 3);
        Assert.Equal(["1:x", "1:x", "1:x"], bench.Member.State);
    }

    [Theory]
    [InlineData(MessageKind.Append)]
    [InlineData(MessageKind.AppendResponse)]
    [InlineData(MessageKind.Heartbeat)]
    [InlineData(MessageKind.HeartbeatResponse)]
    [InlineData(MessageKind.VoteResponse)]
    [InlineData(MessageKind.Vote)]
    [InlineData(MessageKind.SnapshotOffer)]
    public void AHigherTermInAnyMessageIsAdoptedAndMakesAFollower(MessageKind kind)
    {
        var bench = new Bench();
        bench.AdvanceTo(bench.Raft.WakeAt);
        bench.Receive(MessageKind.PreVoteResponse, 2, 1);
        Assert.Equal(RaftRole.Candidate, bench.Raft.Role);
        bench.Receive(kind, 3, 7);
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
        Assert.Equal(new Term(7), bench.Raft.Term);
    }

    [Fact]
    public void ALeaderStepsDownForAHigherTerm()
    {
        Bench bench = new Bench().Elected();
        bench.Receive(MessageKind.AppendResponse, 3, 5, flags: MessageFlags.Reject);
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
        Assert.Equal(new Term(5), bench.Raft.Term);
    }

    // Rules for servers: followers

    [Fact]
    public void AFollowerRespondsToLeadersAndCandidates()
    {
        var bench = new Bench();
        Assert.Equal(MessageKind.VoteResponse, bench.Receive(MessageKind.Vote, 2, 1)!.Value.Kind);
        Assert.Equal(MessageKind.HeartbeatResponse, bench.Receive(MessageKind.Heartbeat, 2, 1)!.Value.Kind);
        Assert.Equal(MessageKind.AppendResponse, bench.Append(2, 1, 0, 0, entries: 1)!.Value.Kind);
    }

    [Fact]
    public void AFollowerThatHearsNothingForAnElectionTimeoutBecomesACandidate()
    {
        var bench = new Bench(term: 1);
        bench.Receive(MessageKind.Heartbeat, 2, 1);
        TimeSpan deadline = bench.Raft.WakeAt;
        Assert.InRange(deadline - bench.Now, s_settings.ElectionTimeout, 2 * s_settings.ElectionTimeout);
        bench.AdvanceTo(deadline - TimeSpan.FromTicks(1));
        Assert.Equal(RaftRole.Follower, bench.Raft.Role);
        bench.AdvanceTo(deadline);
        Assert.Equal(RaftRole.PreCandidate, bench.Raft.Role);
    }

    [Theory]
    [InlineData(MessageKind.Heartbeat, 1)]
    [InlineData(MessageKind.Append, 1)]
    [InlineData(MessageKind.SnapshotOffer, 1)]
    [InlineData(MessageKind.Vote, 2)] // granted
    public void HearingFromTheLeaderOrGrantingAVoteRestartsTheElectionTimeout(MessageKind kind, ulong term)
    {
        Bench bench = new Bench(term: 1).Rested();
        bench.Receive(kind, 2, term);
        Assert.True(bench.Raft.WakeAt >= bench.Now + s_settings.ElectionTimeout);
    }

    [Fact]
    public void AVoteRefusedDoesNotRestartTheElectionTimeout()
    {
        Bench bench = new Bench("1 1", term: 1).Rested();
        TimeSpan before = bench.Raft.WakeAt;
        Assert.True(bench.Receive(MessageKind.Vote, 2, 1, 1, 1)!.Value.Rejects);
        Assert.Equal(before, bench.Raft.WakeAt);
    }

    // Rules for servers: candidates

    [Fact]
    public void ACandidateIncrementsItsTermVotesForItselfAndRequestsVotes()
    {
        Bench bench = new Bench("1 2") { DiskWaits = true };
        bench.AdvanceTo(bench.Raft.WakeAt);
        _ = bench.Sent;
        bench.Receive(MessageKind.PreVoteResponse, 2, 3);
        Assert.Empty(bench.Sent);
        bench.Sync();
        Assert.Equal((new Term(3), new MemberId(1)), (bench.Raft.HardState.Term, bench.Raft.HardState.Vote));
        List<RaftMessage> sent = bench.Sent;
        Assert.Equal([new MemberId(2), new MemberId(3)], sent.Select(m => m.To));
        Assert.All(sent, m => Assert.Equal((MessageKind.Vote, new Term(3), new LogIndex(2), new Term(2)), (m.Kind, m.Term, m.Index, m.LogTerm)));
    }

    [Fact]
    public void ACandidatesOwnVoteCountsOnlyWhenItIsDurable()
    {
        var bench = new Bench(configuration: new(World.Ids(1))) { DiskWaits = true };
        bench.AdvanceTo(bench.Raft.WakeAt);
        Assert.Equal(RaftRole.Candidate, bench.Raft.Role);
        bench.Member.Sync(bench.Now);
        Assert.Equal(RaftRole.Leader, bench.Raft.Role);
    }

    [Fact]
    public void ElectionTimeoutsAreRandom()
    {
        var bench = new Bench(term: 1);
        var waits = new HashSet<TimeSpan>();
        for (int i = 0; i < 50; i++)
        {
            bench.Receive(MessageKind.Heartbeat, 2, 1);
            waits.Add(bench.Raft.WakeAt - bench.Now);
        }

        Assert.True(waits.Count > 40);
        Assert.True(waits.Max() - waits.Min() > s_settings.ElectionTimeout / 2);
    }

    [Theory]
    [InlineData(3, 1, 1)]
    [InlineData(5, 2, 2)]
    [InlineData(4, 2, 1)]
    public void ACandidateWithVotesOfAMajorityBecomesLeaderAndOneWithRefusalsOfOneDoesNot(int voters, int votes, int refusals)
    {
        var configuration = new Configuration([.. Enumerable.Range(1, voters).Select(i => new MemberId((ulong)i))]);
        foreach (bool granted in new[] { true, false })
        {
            var bench = new Bench(configuration: configuration);
            bench.AdvanceTo(bench.Raft.WakeAt);
            for (ulong i = 2; bench.Raft.Role == RaftRole.PreCandidate; i++)
                bench.Receive(MessageKind.PreVoteResponse, i, 1);
            MessageFlags flags = granted ? MessageFlags.None : MessageFlags.Reject;
            int needed = granted ? votes : voters - (voters / 2);
            for (int i = 1; i <= needed; i++)
            {
                Assert.Equal(RaftRole.Candidate, bench.Raft.Role);
                bench.Receive(MessageKind.VoteResponse, (ulong)i + 1, 1, flags: flags);
                bench.Receive(MessageKind.VoteResponse, (ulong)i + 1, 1, flags: flags); // twice is once
            }

            Assert.Equal(granted ? RaftRole.Leader : RaftRole.Follower, bench.Raft.Role);
        }

        Assert.True(refusals < voters);
    }

    [Fact]
    public void ACandidateThatHearsTheNewLeaderBecomesAFollower()
    {
        var bench = new Bench();
        bench.AdvanceTo(bench.Raft.WakeAt);
        bench.Receive(MessageKind.PreVoteResponse, 2, 1);
        bench.Append(3, 1, 0, 0, entries: 1);
        Assert.Equal((RaftRole.Follower, new MemberId(3)), (bench.Raft.Role, bench.Raft.Leader));
    }

    [Fact]
    public void ACandidateWhoseElectionTimesOutStartsANewOne()
    {
        var bench = new Bench();
        bench.AdvanceTo(bench.Raft.WakeAt);
        bench.Receive(MessageKind.PreVoteResponse, 2, 1);
        Assert.Equal(RaftRole.Candidate, bench.Raft.Role);
        _ = bench.Sent;
        bench.AdvanceTo(bench.Raft.WakeAt);
        Assert.All(bench.Sent, m => Assert.Equal((MessageKind.PreVote, new Term(2)), (m.Kind, m.Term)));
    }

    // Rules for servers: leaders

    [Fact]
    public void ANewLeaderSendsHeartbeatsAtOnceAndRepeatsThemWhileIdle()
    {
        Bench bench = new Bench().Elected();
        Assert.Equal(2, bench.Sent.Count(m => m.Kind == MessageKind.Heartbeat));
        for (int i = 0; i < 4; i++)
        {
            bench.Receive(MessageKind.HeartbeatResponse, 2, 1);
            _ = bench.Sent;
            bench.AdvanceTo(bench.Raft.WakeAt);
            Assert.Equal(2, bench.Sent.Count(m => m.Kind == MessageKind.Heartbeat));
        }

        Assert.True(4 * s_settings.HeartbeatInterval < s_settings.ElectionTimeout);
    }

    [Fact]
    public void ALeaderAppendsACommandToItsLogAndAnswersWhenItIsCommitted()
    {
        Bench bench = new Bench().Elected();
        ProposeOutcome outcome = bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        Assert.Equal((new LogIndex(2), new Term(1)), (outcome.First, outcome.Term));
        Assert.Equal("1 1", bench.Log);
        Assert.Empty(bench.Member.State);
        bench.Acknowledge(2);
        Assert.Equal(["1:no-op", "1:a"], bench.Member.State);
    }

    [Fact]
    public void ALeaderSendsEntriesFromNextIndexOn()
    {
        Bench bench = new Bench("1 1").Elected();
        bench.Acknowledge(3);
        _ = bench.Sent;
        bench.Member.Propose(bench.Now, "a", "b");
        bench.Drain();
        RaftMessage append = Assert.Single(bench.Sent, m => m.Kind == MessageKind.Append && m.To.Value == 2);
        Assert.Equal((new LogIndex(3), new LogIndex(5), new Term(2)), (append.Index, append.LastIndex, append.EntryTerm));
    }

    [Fact]
    public void ASuccessfulAppendUpdatesNextIndexAndMatchIndex()
    {
        Bench bench = new Bench("1 1").Elected();
        bench.Acknowledge(3);
        Assert.True(bench.Raft.TryFollower(new MemberId(2), out FollowerStatus follower));
        Assert.Equal((new LogIndex(3), new LogIndex(4)), (follower.MatchIndex, follower.NextIndex));
    }

    [Fact]
    public void AFailedAppendDecrementsNextIndexAndIsRetried()
    {
        Bench bench = new Bench("1 1 1").Elected();
        _ = bench.Sent;
        RaftMessage? retry = Refuse(bench, refused: 3, hint: 1, hintTerm: 1);
        Assert.Equal((new LogIndex(1), new LogIndex(3)), (retry!.Value.Index, retry.Value.LastIndex));
    }

    [Fact]
    public void AnEntryIsCommittedWhenAMajorityMatchesIt()
    {
        Bench bench = new Bench(configuration: new(World.Ids(1, 2, 3, 4, 5)));
        bench.AdvanceTo(bench.Raft.WakeAt);
        foreach (ulong i in new ulong[] { 2, 3 })
            bench.Receive(MessageKind.PreVoteResponse, i, 1);
        foreach (ulong i in new ulong[] { 2, 3 })
            bench.Receive(MessageKind.VoteResponse, i, 1);
        bench.Acknowledge(1, from: 2);
        Assert.Equal(LogIndex.Zero, bench.Raft.CommitIndex);
        bench.Acknowledge(1, from: 3);
        Assert.Equal(new LogIndex(1), bench.Raft.CommitIndex);
    }

    [Fact]
    public void TheLeadersOwnEntryCountsOnlyWhenItIsDurable()
    {
        Bench bench = new Bench().Elected();
        bench.Acknowledge(1);
        bench.DiskWaits = true;
        bench.Member.Propose(bench.Now, "a");
        bench.Drain();
        Assert.Contains(bench.Sent, m => m.Kind == MessageKind.Append && m.LastIndex == new LogIndex(2));
        bench.Acknowledge(2);
        Assert.Equal(new LogIndex(1), bench.Raft.CommitIndex);
        bench.Acknowledge(2, from: 3);
        Assert.Equal(new LogIndex(2), bench.Raft.CommitIndex);
    }

    [Fact]
    public void AnEntryOfAnEarlierTermIsNeverCommittedByCountingIt()
    {
        // Figure 8: index 2 is of term 2; a majority has it, and it is not safe before an entry of this term is, too.
        Bench bench = new Bench("1 2", term: 3).Elected();
        bench.Acknowledge(2);
        Assert.Equal(LogIndex.Zero, bench.Raft.CommitIndex);
        bench.Acknowledge(3);
        Assert.Equal(new LogIndex(3), bench.Raft.CommitIndex);
    }

    private static RaftMessage? Refuse(Bench bench, ulong refused, ulong hint, ulong hintTerm)
    {
        bench.Receive(new RaftMessage
        {
            Kind = MessageKind.AppendResponse,
            Flags = MessageFlags.Reject,
            From = new MemberId(2),
            To = new MemberId(1),
            Term = bench.Raft.Term,
            Index = new LogIndex(refused),
            LastIndex = new LogIndex(hint),
            LogTerm = new Term(hintTerm),
        });
        return bench.Sent.FindLast(m => m.To.Value == 2 && m.Kind == MessageKind.Append);
    }
}
