using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

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

    LogPosition AppendedPosition { get; }

    /// <summary>The last position appended as awaited: once the log is durable up to here, no reply waits.</summary>
    LogPosition AwaitedPosition { get; }

    LogPosition DurablePosition { get; }

    /// <summary>
    /// Adds a record; it is durable once <see cref="DurablePosition"/> has reached the position returned.
    /// With <see cref="Durability.Sync"/> somebody's reply waits for that. Nothing happens before <see cref="INodeLog.Commit"/>.
    /// </summary>
    LogPosition Append(ReadOnlySpan<byte> payload, Durability durability);

    /// <summary>Which writes of other nodes' clients are in it; null where there are no other nodes. Inside the mailbox.</summary>
    SessionTable? Sessions => null;

    /// <summary>It wants to be told of damage.</summary>
    bool HeedsDamage => false;

    /// <summary>The replica's files are found to be damaged: where there are other copies, this one is served no more.</summary>
    void Damaged(CorruptionException cause)
    {
    }
}

/// <summary>Why writes are refused, in words for a client.</summary>
/// <param name="Code">The error's first word.</param>
/// <param name="Message">What happened and what to do.</param>
public sealed record WriteRefusal(string Code, string Message)
{
    /// <summary>The code of a refusal that ends by itself once there is room.</summary>
    public const string FullDisk = "MISCONF";
}
