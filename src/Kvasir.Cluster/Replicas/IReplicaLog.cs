using Kvasir.Primitives;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// The log that replicas write through: the node's journal when a node is alone, a Raft group's log when it is not. It
/// decides what is durable; the engine below follows.
/// </summary>
public interface IReplicaLog
{
    /// <summary>Why writes are refused now, or null. Asked before anything is staged.</summary>
    WriteRefusal? Refusal { get; }

    /// <summary>Adds a record; it is durable once <see cref="DurablePosition"/> has reached the position returned.</summary>
    LogPosition Append(ReadOnlySpan<byte> payload);

    LogPosition AppendedPosition { get; }

    LogPosition DurablePosition { get; }

    /// <summary>Bytes of log kept for replay.</summary>
    long RetainedBytes { get; }
}

/// <summary>Why writes are refused, in words for a client.</summary>
/// <param name="Code">The error's first word.</param>
/// <param name="Message">What happened and what to do.</param>
public sealed record WriteRefusal(string Code, string Message);
