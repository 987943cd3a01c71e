using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Log;

/// <summary>What a member must find again after a crash, beside its log.</summary>
public readonly record struct HardState(Term Term, MemberId Vote);

/// <summary>
/// What the disk is asked to make durable, in this order: start the log anew behind a snapshot, drop a tail, append. It is
/// one atomic record. Requests become durable in the order of <see cref="Write"/>, and the driver reports the last one that is.
/// </summary>
public readonly record struct PersistRequest
{
    /// <summary><see cref="WriteNumber.None"/> when there is nothing to do.</summary>
    public WriteNumber Write { get; init; }

    public HardState HardState { get; init; }

    /// <summary>True when <see cref="HardState"/> differs from that of the request before.</summary>
    public bool HardStateChanged { get; init; }

    /// <summary>The log is replaced by the snapshot at (<see cref="SnapshotIndex"/>, <see cref="SnapshotTerm"/>).</summary>
    public bool ResetsLog { get; init; }

    public LogIndex SnapshotIndex { get; init; }

    public Term SnapshotTerm { get; init; }

    /// <summary>Entries from here on that were handed out before are dropped; zero when none are.</summary>
    public LogIndex TruncateFrom { get; init; }

    /// <summary>The entries to append, both inclusive; <see cref="Last"/> is below <see cref="First"/> when there are none.</summary>
    public LogIndex First { get; init; }

    public LogIndex Last { get; init; }

    public bool IsNone => Write == WriteNumber.None;

    public bool HasEntries => Last >= First && First > LogIndex.Zero;
}
