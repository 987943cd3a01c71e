using Kvasir.Primitives;

namespace Kvasir.Cluster.Replicas;

/// <summary>What must be durable, and in which log, before a reply may leave.</summary>
/// <param name="Log">Null for no gate: the reply may leave at once.</param>
/// <param name="Position">Where in the log.</param>
public readonly record struct Gate(IReplicaLog? Log, LogPosition Position)
{
    public bool IsOpen => Log is null;
}
