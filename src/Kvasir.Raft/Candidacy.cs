using Kvasir.Raft.Elections;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft;

/// <summary>
/// Asking for votes and giving them. A pre-vote (thesis, 9.6) asks who would vote, and changes no term; the vote itself
/// is asked for, and the member's own one counted, only when term and vote are durable.
/// </summary>
internal static class Candidacy
{
    public static void PreCampaign(MemberCore core)
    {
        core.BecomePreCandidate();
        core.Tally!.Record(core.Id, granted: true);
        Ask(core, MessageKind.PreVote, core.Term.Next, MessageFlags.None, 0);
        Decide(core);
    }

    /// <summary>Asks for votes; on behalf of a leader that hands over when <paramref name="flags"/> say so.</summary>
    public static void Campaign(MemberCore core, MessageFlags flags, ulong round)
    {
        core.BecomeCandidate();
        Ask(core, MessageKind.Vote, core.Term, flags, round);
    }

    /// <summary>The candidate's own vote is durable, and counts from now on.</summary>
    public static void OnHardStateSynced(MemberCore core)
    {
        if (core.Role != RaftRole.Candidate)
            return;
        core.Tally!.Record(core.Id, granted: true);
        Decide(core);
    }

    public static void OnPreVote(MemberCore core, in RaftMessage message)
    {
        bool grant = message.Term > core.Term && MaySupport(core, message);
        core.Send(new RaftMessage
        {
            Kind = MessageKind.PreVoteResponse,
            To = message.From,
            Term = grant ? message.Term : core.Term,
            Flags = grant ? MessageFlags.None : MessageFlags.Reject,
        });
    }

    public static void OnVote(MemberCore core, in RaftMessage message)
    {
        bool isFree = core.Vote == message.From || (core.Vote.IsNone && core.Leader.IsNone);
        bool grant = isFree && MaySupport(core, message);
        if (grant)
        {
            core.GrantVote(message.From);
            core.Clock.Restart(core.Now, core.Random);
        }

        core.Send(new RaftMessage
        {
            Kind = MessageKind.VoteResponse,
            To = message.From,
            Flags = grant ? MessageFlags.None : MessageFlags.Reject,
        });
    }

    public static void OnResponse(MemberCore core, in RaftMessage message)
    {
        RaftRole asks = message.Kind == MessageKind.PreVoteResponse ? RaftRole.PreCandidate : RaftRole.Candidate;
        if (core.Role != asks)
            return;
        core.Tally!.Record(message.From, !message.Rejects);
        Decide(core);
    }

    private static void Decide(MemberCore core)
    {
        switch (core.Tally!.Outcome(core.Configuration))
        {
            case VoteOutcome.Won when core.Role == RaftRole.PreCandidate:
                Campaign(core, MessageFlags.None, 0);
                break;
            case VoteOutcome.Won when core.Writes.IsHardStateSynced:
                core.BecomeLeader();
                break;
            case VoteOutcome.Lost:
                core.BecomeFollower(core.Term, MemberId.None);
                core.AwaitVotes();
                break;
        }
    }

    /// <summary>
    /// Who knows no configuration has no log, and perhaps had one before it was removed: an old voter may still count on what it
    /// acknowledged then. No vote of it is ever needed, since voters were learners that had caught up.
    /// </summary>
    private static bool MaySupport(MemberCore core, in RaftMessage message) =>
        core.Configuration.Voters.Length > 0 && IsUpToDate(core, message);

    /// <summary>The candidate's log ends in a later term, or in the same and not before this one's (paper, 5.4.1).</summary>
    private static bool IsUpToDate(MemberCore core, in RaftMessage message) =>
        message.LogTerm > core.Log.LastTerm
        || (message.LogTerm == core.Log.LastTerm && message.Index >= core.Log.LastIndex);

    private static void Ask(MemberCore core, MessageKind kind, Term term, MessageFlags flags, ulong round)
    {
        foreach (MemberId member in core.Configuration.Members)
        {
            if (member == core.Id || !core.Configuration.IsVoter(member))
                continue;
            core.Send(new RaftMessage
            {
                Kind = kind,
                To = member,
                Term = term,
                Index = core.Log.LastIndex,
                LogTerm = core.Log.LastTerm,
                Flags = flags,
                Round = round,
            });
        }
    }
}
