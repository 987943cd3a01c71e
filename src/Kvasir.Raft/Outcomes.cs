using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft;

public enum RaftRole : byte
{
    Follower = 0,
    PreCandidate = 1,
    Candidate = 2,
    Leader = 3,
}

public enum ProposeStatus : byte
{
    Accepted = 0,

    /// <summary>Refused, like all below: it will never be in the log.</summary>
    NotLeader = 1,

    /// <summary>Leadership is being handed over.</summary>
    Transferring = 2,

    /// <summary>As many entries as may be are waiting for a majority.</summary>
    Busy = 3,

    /// <summary>Another change of configuration is not finished, or this leader has not committed an entry of its term yet.</summary>
    ChangeInProgress = 4,

    /// <summary>A new voter is not a learner, or one that has not caught up.</summary>
    LearnerBehind = 5,
}

/// <summary>
/// What became of a proposal: accepted entries lie at <see cref="First"/> and behind it, with <see cref="Term"/>. They are
/// committed when the commit index passes them and they still have this term there; definitely lost when it passes
/// and the term is another. A truncation alone decides nothing: another member may still have the entry and become leader.
/// </summary>
public readonly record struct ProposeOutcome(ProposeStatus Status, LogIndex First, Term Term, MemberId Leader)
{
    public bool IsAccepted => Status == ProposeStatus.Accepted;
}

/// <summary>
/// What a message did to the log: the entries from <see cref="TruncatedFrom"/> on are gone (zero: none), and those of the message
/// from <see cref="First"/> to <see cref="Last"/> are in it, so their bytes must be kept before the next event.
/// </summary>
public readonly record struct StepOutcome(LogIndex TruncatedFrom, LogIndex First, LogIndex Last)
{
    public bool HasEntries => First > LogIndex.Zero;

    /// <summary>
    /// The snapshot that was offered is one that this member can use: take its stream, stage it, and then ask
    /// <see cref="RaftMember.TryInstallSnapshot"/>.
    /// </summary>
    public bool TakesSnapshot { get; init; }
}

public enum EntryKind : byte
{
    /// <summary>Proposed by the driver.</summary>
    Normal = 0,

    /// <summary>The first entry of a leader's term; it has no bytes.</summary>
    NoOp = 1,

    /// <summary>Holds a configuration.</summary>
    Configuration = 2,
}

/// <summary>An entry that the member itself appended as leader, and that the driver therefore does not have yet.</summary>
public readonly record struct OwnEntry(LogIndex Index, Term Term, EntryKind Kind, Configuration? Configuration);

/// <summary>
/// A follower needs a snapshot that ends at or behind <see cref="AtLeast"/>. Asked once; the driver streams, with
/// <see cref="Messages.MessageKind.SnapshotOffer"/> at the head, and reports the end.
/// </summary>
public readonly record struct SnapshotWanted(MemberId To, Term Term, LogIndex AtLeast);

/// <summary>
/// A follower as its leader sees it. One that has caught up has the newest configuration and all entries but the last
/// <see cref="RaftSettings.PromotionLagMax"/>.
/// </summary>
public readonly record struct FollowerStatus(
    MemberId Id, Replication.ReplicationState State, LogIndex MatchIndex, LogIndex NextIndex, int InflightMessages, long InflightBytes,
    TimeSpan HeardAt, bool IsSuspected, bool Declines, bool HasCaughtUp);
