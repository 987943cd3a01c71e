using System.Collections.Immutable;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

public enum ReconciliationAction
{
    /// <summary>The group is as the directory wants it.</summary>
    None,

    /// <summary>Something must happen first: a learner catches up, a change is committed, a majority is heard of.</summary>
    Wait,

    /// <summary>Ask Raft for another configuration.</summary>
    Configure,

    /// <summary>Hand leadership over.</summary>
    Transfer,
}

/// <summary>The next step of a group towards what the directory wants.</summary>
public readonly record struct ReconciliationStep
{
    public required ReconciliationAction Action { get; init; }

    /// <summary>For <see cref="ReconciliationAction.Configure"/>.</summary>
    public ImmutableArray<MemberId> Voters { get; init; }

    public ImmutableArray<MemberId> Learners { get; init; }

    /// <summary>For <see cref="ReconciliationAction.Transfer"/>.</summary>
    public MemberId To { get; init; }

    /// <summary>
    /// The committed configuration is the one that this epoch asks for: to be told to the directory (<see cref="GroupReport"/>) while its
    /// record does not say so.
    /// </summary>
    public bool IsSettled { get; init; }

    /// <summary>For people.</summary>
    public string Reason { get; init; }
}

/// <summary>
/// How a group's leader brings its configuration to what the directory wants, one step at a time, judged anew each time: any step
/// may be lost, leaders may change, the target may change under way, and the leader's copy of the directory may be old. First those who
/// are to vote learn; who has caught up votes, in the place of one who is to go (one that is silent first); then who is left
/// over goes, then leadership. No step asks for a configuration in which the caught-up voters are no majority.
/// </summary>
public static class Reconciliation
{
    public static ReconciliationStep Next(GroupTarget target, GroupKnowledge group)
    {
        if (group.IsChangeInProgress || group.Configuration.IsJoint)
            return Wait("a change of members is under way");
        if (IsOlder(target.Record, group.Configuration))
            return Wait("the directory here is older than the group");
        if (group.Configuration.Equals(target.Configuration))
            return Lead(target, group);
        if (Learn(target, group) is { } learn)
            return learn;
        ReconciliationStep vote = Vote(target, group);
        // A leader that is about to be stopped does not wait for others to catch up.
        if (vote.Action == ReconciliationAction.Wait && IsToHandOver(target, group.Self) && Successor(target, group) is { IsNone: false } successor)
            return Transfer(successor, "the leader's node is being drained");
        return vote;
    }

    /// <summary>It does not know of the epoch that some member was added in.</summary>
    private static bool IsOlder(GroupRecord record, Configuration configuration)
    {
        foreach (MemberId member in configuration.Members)
        {
            if (member.Generation >= record.Epoch)
                return true;
        }

        return false;
    }

    /// <summary>Learners that are wanted, or are to vote, are added; others go. Voters stay as they are.</summary>
    private static ReconciliationStep? Learn(GroupTarget target, GroupKnowledge group)
    {
        MemberId[] learners = LearnersBeside(target, group.Configuration.Voters);
        return learners.AsSpan().SequenceEqual(group.Configuration.Learners)
            ? null
            : Configure(group.Configuration.Voters, learners, "members that learn are added or let go");
    }

    private static ReconciliationStep Vote(GroupTarget target, GroupKnowledge group)
    {
        ReadOnlySpan<MemberId> wanted = target.Configuration.Voters;
        List<MemberId> voters = [.. group.Configuration.Voters];
        List<MemberId> leaving = [];
        foreach (MemberId voter in group.Configuration.Voters)
        {
            if (!wanted.Contains(voter))
                leaving.Add(voter);
        }

        int behind = 0;
        foreach (MemberId voter in wanted)
        {
            if (group.Configuration.IsVoter(voter))
                continue;
            if (group.IsCaughtUp(voter))
                voters.Add(voter);
            else
                behind++;
        }

        // As many stay on as are needed in the place of those who have not caught up: who is heard of rather than who is not, and the
        // leader rather than others.
        MemberId[] last = [.. leaving.OrderBy(group.IsCaughtUp).ThenBy(id => id == group.Self).ThenBy(id => id)];
        foreach (MemberId voter in last.Take(Math.Max(0, last.Length - behind)))
            voters.Remove(voter);
        if (voters.Count == group.Configuration.Voters.Length && voters.TrueForAll(group.Configuration.IsVoter))
            return Wait("members that are to vote are catching up");
        if (!HasMajority(group, group.Configuration.Voters) || !HasMajority(group, [.. voters]))
            return Wait("too few voters are heard of to change them");
        if (!voters.Contains(group.Self) && Successor(target, group) is { IsNone: false } successor)
            return Transfer(successor, "the leader is to go");
        voters.Sort();
        return Configure([.. voters], LearnersBeside(target, [.. voters]), "voters are changed");
    }

    /// <summary>All is in place; is the right one leading?</summary>
    private static ReconciliationStep Lead(GroupTarget target, GroupKnowledge group)
    {
        MemberId preferred = target.PreferredLeader;
        if (preferred != group.Self && target.IsAbleToLead(preferred) && group.IsCaughtUp(preferred))
            return Transfer(preferred, "another is to lead") with { IsSettled = true };
        if (IsToHandOver(target, group.Self) && Successor(target, group) is { IsNone: false } successor)
            return Transfer(successor, "the leader's node is being drained") with { IsSettled = true };
        return new ReconciliationStep { Action = ReconciliationAction.None, IsSettled = true, Reason = "as it shall be" };
    }

    /// <summary>It stays a voter, but should not lead.</summary>
    private static bool IsToHandOver(GroupTarget target, MemberId leader) =>
        target.Configuration.IsVoter(leader) && !target.IsAbleToLead(leader);

    /// <summary>
    /// A voter that stays, is there and may lead: the preferred one, or else by the group's number, so that the groups of a node
    /// that is drained do not all go to the same.
    /// </summary>
    private static MemberId Successor(GroupTarget target, GroupKnowledge group)
    {
        List<MemberId> able = [];
        foreach (MemberId id in target.AbleToLead)
        {
            if (id != group.Self && group.Configuration.IsVoter(id) && group.IsCaughtUp(id))
                able.Add(id);
        }

        if (able.Count == 0)
            return MemberId.None;
        return able.Contains(target.PreferredLeader) ? target.PreferredLeader : able[(int)(target.Record.Id.Value % (uint)able.Count)];
    }

    /// <summary>Who learns while these vote: who is wanted as a learner, and who is to vote and does not yet.</summary>
    private static MemberId[] LearnersBeside(GroupTarget target, ReadOnlySpan<MemberId> voters)
    {
        List<MemberId> learners = [];
        foreach (MemberId id in target.Configuration.Members)
        {
            if (!voters.Contains(id))
                learners.Add(id);
        }

        return [.. learners];
    }

    private static bool HasMajority(GroupKnowledge group, ReadOnlySpan<MemberId> voters)
    {
        int caughtUp = 0;
        foreach (MemberId voter in voters)
            caughtUp += group.IsCaughtUp(voter) ? 1 : 0;
        return caughtUp > voters.Length / 2;
    }

    private static ReconciliationStep Configure(ReadOnlySpan<MemberId> voters, ReadOnlySpan<MemberId> learners, string reason) =>
        new() { Action = ReconciliationAction.Configure, Voters = [.. voters], Learners = [.. learners], Reason = reason };

    private static ReconciliationStep Transfer(MemberId to, string reason) =>
        new() { Action = ReconciliationAction.Transfer, To = to, Reason = reason };

    private static ReconciliationStep Wait(string reason) => new() { Action = ReconciliationAction.Wait, Reason = reason };
}
