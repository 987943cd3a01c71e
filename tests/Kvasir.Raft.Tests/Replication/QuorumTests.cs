using Kvasir.Primitives;
using Kvasir.Raft.Elections;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft.Tests.Replication;

public sealed class QuorumTests
{
    [Fact]
    public void WhatAMajorityReachedIsWhatCountingOneByOneSays()
    {
        for (ulong seed = 1; seed <= 2000; seed++)
        {
            var random = new SeededRandom(seed);
            Configuration configuration = Draw(random);
            var table = new ProgressTable(new MemberId(1));
            table.Adopt(configuration, new LogIndex(1), TimeSpan.Zero);
            var matches = new Dictionary<MemberId, long> { [new MemberId(1)] = random.Next(6) };
            foreach (Progress peer in table.Others)
            {
                matches[peer.Id] = random.Next(6);
                peer.Acknowledged(new LogIndex((ulong)matches[peer.Id]));
            }

            long reached = table.Reached(configuration, QuorumMeasure.MatchIndex, matches[new MemberId(1)]);
            Assert.True(HasMajority(configuration, m => matches[m] >= reached), $"seed {seed}: {configuration}");
            Assert.False(HasMajority(configuration, m => matches[m] >= reached + 1), $"seed {seed}: {configuration}");
        }
    }

    [Fact]
    public void VotesAreWonAndLostAsCountingOneByOneSays()
    {
        for (ulong seed = 1; seed <= 2000; seed++)
        {
            var random = new SeededRandom(seed);
            Configuration configuration = Draw(random);
            var tally = new VoteTally();
            var granted = new HashSet<MemberId>();
            var refused = new HashSet<MemberId>();
            for (ulong id = 1; id <= 8; id++)
            {
                if (random.OneIn(3))
                    continue;
                bool grants = random.OneIn(2);
                (grants ? granted : refused).Add(new MemberId(id));
                tally.Record(new MemberId(id), grants);
                tally.Record(new MemberId(id), !grants);
            }

            VoteOutcome expected = HasMajority(configuration, granted.Contains) ? VoteOutcome.Won
                : !HasMajority(configuration, m => !refused.Contains(m)) ? VoteOutcome.Lost : VoteOutcome.Pending;
            Assert.True(expected == tally.Outcome(configuration), $"seed {seed}: {configuration}");
        }
    }

    [Fact]
    public void NobodyWinsWhereNobodyVotes() => Assert.NotEqual(VoteOutcome.Won, new VoteTally().Outcome(Configuration.Empty));

    private static Configuration Draw(SeededRandom random)
    {
        MemberId[] voters = Some(random, 1 + random.Next(5));
        MemberId[] outgoing = random.OneIn(2) ? [] : Some(random, 1 + random.Next(5));
        MemberId[] learners = [.. Some(random, 2).Except(voters)];
        return new Configuration(voters, learners, outgoing);
    }

    private static MemberId[] Some(SeededRandom random, int count)
    {
        var ids = new HashSet<MemberId>();
        while (ids.Count < count)
            ids.Add(new MemberId(1 + (ulong)random.Next(7)));
        return [.. ids];
    }

    private static bool HasMajority(Configuration configuration, Func<MemberId, bool> has)
    {
        MemberId[] voters = configuration.Voters.ToArray(), outgoing = configuration.Outgoing.ToArray();
        return voters.Count(has) * 2 > voters.Length && (outgoing.Length == 0 || outgoing.Count(has) * 2 > outgoing.Length);
    }
}
