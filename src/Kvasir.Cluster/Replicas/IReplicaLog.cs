using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// The log that replicas write through: the node's journal when a node is alone, a Raft group's log when it is not. It
/// decides what is durable; the engine below follows.
/// </summary>
public interface IReplicaLog
{
    /// <summary>Why writes are refused now, or null. Asked before anything is staged.</summary>
    WriteRefusal? Refusal { get; }

    /// <summary>Nothing appended becomes durable: it has failed, and has not resumed.</summary>
    bool IsStopped { get; }

    /// <summary>
    /// Adds a record; it is durable once <see cref="DurablePosition"/> has reached the position returned.
    /// With <see cref="Durability.Sync"/> somebody's reply waits for that. Nothing happens before <see cref="Commit"/>.
    /// </summary>
    LogPosition Append(ReadOnlySpan<byte> payload, Durability durability);

    /// <summary>
    /// Starts making what was appended durable, as far as anybody waits for it; once for all that came together, such as
    /// one turn of an event loop. What has <see cref="Durability.Interval"/> is handed to the system, unless a sync is
    /// under way. Returns at once. Any thread.
    /// </summary>
    void Commit();

    /// <summary>
    /// As <see cref="Commit"/>, on the calling thread, and back only when it is done: cheaper when there is nothing else
    /// to do meanwhile. A failure is told to the listeners, not thrown.
    /// </summary>
    void CommitInline();

    LogPosition AppendedPosition { get; }

    /// <summary>The last position appended as awaited: once the log is durable up to here, no reply waits.</summary>
    LogPosition AwaitedPosition { get; }

    LogPosition DurablePosition { get; }

    /// <summary>Bytes of log kept for replay.</summary>
    long RetainedBytes { get; }

    /// <summary>What the journal below did since it was opened.</summary>
    JournalStatistics Statistics { get; }
}

/// <summary>Why writes are refused, in words for a client.</summary>
/// <param name="Code">The error's first word.</param>
/// <param name="Message">What happened and what to do.</param>
public sealed record WriteRefusal(string Code, string Message)
{
    /// <summary>The code of a refusal that ends by itself once there is room.</summary>
    public const string FullDisk = "MISCONF";
}
