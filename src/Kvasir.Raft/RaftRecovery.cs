using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft;

/// <summary>
/// What a member is made from: nothing but what is durable. A journal that was read after a crash of the process alone may show
/// bytes that the disk has not got; it is synced before a member is made from it.
/// </summary>
public sealed record RaftRecovery
{
    public required MemberId Id { get; init; }

    public HardState HardState { get; init; }

    /// <summary>The last index and its term that only a snapshot holds; zero when the log is whole.</summary>
    public LogIndex SnapshotIndex { get; init; }

    public Term SnapshotTerm { get; init; }

    /// <summary>The terms of the entries behind the snapshot; the first run begins right behind it.</summary>
    public IReadOnlyList<TermRun> Terms { get; init; } = [];

    public LogIndex LastIndex { get; init; }

    /// <summary>What the state machine holds: at least the snapshot, at most the log.</summary>
    public LogIndex AppliedIndex { get; init; }

    /// <summary>
    /// The configuration that was in force at the snapshot (index zero: the group was founded with it), then each one in
    /// the log, in order. Empty for a member that waits to be told.
    /// </summary>
    public IReadOnlyList<ConfigurationEntry> Configurations { get; init; } = [];

    /// <summary>One of the members that a group is founded with: all are given the same configuration and nothing else.</summary>
    public static RaftRecovery Founding(MemberId id, Configuration configuration) => new()
    {
        Id = id,
        Configurations = [new ConfigurationEntry(LogIndex.Zero, Term.Zero, configuration)],
    };

    /// <summary>A member that joins an existing group and knows nothing of it yet.</summary>
    public static RaftRecovery Joining(MemberId id) => new() { Id = id };
}
