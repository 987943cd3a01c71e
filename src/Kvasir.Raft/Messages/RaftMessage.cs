using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Messages;

/// <summary>What a message says. Numbers are part of the wire format: never renumbered.</summary>
public enum MessageKind : byte
{
    None = 0,
    PreVote = 1,
    PreVoteResponse = 2,
    Vote = 3,
    VoteResponse = 4,
    Append = 5,
    AppendResponse = 6,
    Heartbeat = 7,
    HeartbeatResponse = 8,
    SnapshotOffer = 9,
    TimeoutNow = 10,
    Wake = 11,
}

/// <summary>Numbers are part of the wire format.</summary>
[Flags]
public enum MessageFlags : byte
{
    None = 0,

    /// <summary>A response that says no.</summary>
    Reject = 1,

    /// <summary>A vote asked for on behalf of the leader that hands over: it overrides stickiness.</summary>
    Force = 2,

    /// <summary>Heartbeat: stop the clock if you have everything. Response: stopped.</summary>
    Quiesce = 4,

    /// <summary>Heartbeat of a leader that is handing over.</summary>
    Transferring = 8,

    /// <summary>Response to a heartbeat: this member will not lead: its node is about to stop, its disk takes nothing, or it has too much to apply first.</summary>
    Declines = 16,
}

/// <summary>
/// One message between two members of a group. Payloads are not in it: an <see cref="MessageKind.Append"/> names the range
/// of its entries, and whoever carries the message puts their bytes beside it. One flat struct, so that nothing is
/// allocated; which field means what is said below, by kind, and what is not named is zero.
/// <list type="bullet">
/// <item>PreVote, Vote: <see cref="Index"/>, <see cref="LogTerm"/> of the last entry; <see cref="Term"/> the term asked for;
/// with <see cref="MessageFlags.Force"/>, <see cref="Round"/> of the hand-over.</item>
/// <item>Append: <see cref="Index"/>, <see cref="LogTerm"/> of the entry before; entries up to <see cref="LastIndex"/>, all
/// of the term <see cref="EntryTerm"/>; <see cref="Commit"/>. An entry that holds a configuration travels alone, with
/// <see cref="Configuration"/> set.</item>
/// <item>AppendResponse: <see cref="Index"/> is durable and equal to the leader's; or, rejecting: <see cref="Index"/> was
/// refused, try <see cref="LastIndex"/>, where the term is at most <see cref="LogTerm"/>.</item>
/// <item>Heartbeat: <see cref="Commit"/>; <see cref="Round"/>, <see cref="SentAt"/> on the leader's clock; <see cref="Echo"/>
/// of an answer of the receiver that the leader had; <see cref="LastIndex"/>, everything that is committed in the group (zero
/// when not known).</item>
/// <item>HeartbeatResponse: <see cref="Round"/>, <see cref="SentAt"/> of the heartbeat; <see cref="Echo"/>, a number that no
/// other answer has.</item>
/// <item>SnapshotOffer: <see cref="Index"/>, <see cref="LogTerm"/> of the last entry in it, sent by the driver at the head of
/// the stream.</item>
/// <item>TimeoutNow: <see cref="Round"/>. Wake: nothing.</item>
/// </list>
/// </summary>
public struct RaftMessage
{
    public MessageKind Kind;
    public MessageFlags Flags;
    public MemberId From;
    public MemberId To;
    public Term Term;
    public LogIndex Index;
    public Term LogTerm;
    public LogIndex LastIndex;
    public Term EntryTerm;
    public LogIndex Commit;
    public ulong Round;
    public ulong Echo;
    public TimeSpan SentAt;
    public Configuration? Configuration;

    public readonly bool Rejects => (Flags & MessageFlags.Reject) != 0;

    /// <summary>True when entries travel with it.</summary>
    public readonly bool HasEntries => Kind == MessageKind.Append && LastIndex > Index;

    /// <summary>A pre-vote promises nothing, so it need not wait for the disk.</summary>
    internal readonly bool PromisesNothing => Kind is MessageKind.PreVote or MessageKind.PreVoteResponse;

    /// <summary>True for what only the leader of its term sends.</summary>
    internal readonly bool IsFromLeader =>
        Kind is MessageKind.Append or MessageKind.Heartbeat or MessageKind.SnapshotOffer or MessageKind.TimeoutNow;
}
