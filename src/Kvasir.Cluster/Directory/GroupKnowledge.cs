using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>What the leader of a group knows of it.</summary>
public sealed record GroupKnowledge
{
    /// <summary>The leader.</summary>
    public required MemberId Self { get; init; }

    /// <summary>The configuration in force.</summary>
    public required Configuration Configuration { get; init; }

    /// <summary>It is joint, or not committed yet: nothing else can be asked for.</summary>
    public required bool IsChangeInProgress { get; init; }

    /// <summary>
    /// Members, beside the leader, that were heard of within an election timeout and whose durable log ends near the leader's
    /// (<see cref="FollowerStatus.HasCaughtUp"/>).
    /// </summary>
    public required IReadOnlyList<MemberId> CaughtUp { get; init; }

    /// <summary>What a leader's member knows at this moment.</summary>
    public static GroupKnowledge Of(RaftMember leader, RaftSettings settings, TimeSpan now)
    {
        List<MemberId> caughtUp = [];
        foreach (MemberId id in leader.Configuration.Members)
        {
            if (leader.TryFollower(id, out FollowerStatus follower) && !follower.IsSuspected && !follower.Declines
                && now - follower.HeardAt <= settings.ElectionTimeout && follower.HasCaughtUp)
                caughtUp.Add(id);
        }

        return new GroupKnowledge
        {
            Self = leader.Id,
            Configuration = leader.Configuration,
            IsChangeInProgress = leader.Configuration.IsJoint || leader.ConfigurationAt(leader.LastIndex).Index > leader.CommitIndex,
            CaughtUp = caughtUp,
        };
    }

    public bool IsCaughtUp(MemberId id) => id == Self || CaughtUp.Contains(id);
}
