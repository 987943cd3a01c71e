using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Elections;

internal enum VoteOutcome
{
    Pending,
    Won,
    Lost,
}

/// <summary>The answers to one campaign. The first answer of a member counts; those of learners and strangers do not.</summary>
internal sealed class VoteTally
{
    private readonly List<(MemberId Voter, bool Granted)> _answers = [];

    public void Record(MemberId voter, bool granted)
    {
        foreach ((MemberId known, _) in _answers)
        {
            if (known == voter)
                return;
        }

        _answers.Add((voter, granted));
    }

    public VoteOutcome Outcome(Configuration configuration)
    {
        VoteOutcome incoming = Outcome(configuration.Voters);
        if (!configuration.IsJoint)
            return incoming;
        VoteOutcome outgoing = Outcome(configuration.Outgoing);
        if (incoming == VoteOutcome.Lost || outgoing == VoteOutcome.Lost)
            return VoteOutcome.Lost;
        return incoming == VoteOutcome.Won && outgoing == VoteOutcome.Won ? VoteOutcome.Won : VoteOutcome.Pending;
    }

    private VoteOutcome Outcome(ReadOnlySpan<MemberId> voters)
    {
        int granted = 0, refused = 0;
        foreach ((MemberId voter, bool yes) in _answers)
        {
            if (!voters.Contains(voter))
                continue;
            if (yes)
                granted++;
            else
                refused++;
        }

        int majority = (voters.Length / 2) + 1;
        if (voters.Length > 0 && granted >= majority)
            return VoteOutcome.Won;
        return voters.Length - refused < majority ? VoteOutcome.Lost : VoteOutcome.Pending;
    }
}
