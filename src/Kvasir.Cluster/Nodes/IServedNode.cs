using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// What a server needs of the node that it serves: one that is alone, or one of a cluster. Thread-safe, where a member
/// does not say that it belongs to the mailbox.
/// </summary>
public interface IServedNode
{
    ReplicaMailbox Mailbox { get; }

    /// <summary>What the logs of all its replicas lie on.</summary>
    INodeLog Log { get; }

    MemoryBudget Memory { get; }

    /// <summary>What was done for keyspaces that move to another engine.</summary>
    ConversionMeter Conversions { get; }

    TimeProvider Time { get; }

    /// <summary>Of databases that have none of their own.</summary>
    Durability Durability { get; }

    /// <summary>Databases that SELECT knows, by index. Never fewer than before.</summary>
    int DatabaseCount { get; }

    /// <summary>What only a node that is alone can do; null in a cluster.</summary>
    ILoneNode? Alone { get; }

    /// <summary>What only a node of a cluster has; null for one that is alone.</summary>
    IClusteredNode? Clustered { get; }

    /// <summary>
    /// Looks whether the data folder lies where it lay at the start; null when it does, else what to say of it. Then nothing may be
    /// written or removed by its path any more. After a stop what was seen until then. Any thread.
    /// </summary>
    string? LookForFolder();

    /// <summary>
    /// The replica that a database index stands for now. Only of a node that is alone: in a cluster a database has many, and
    /// the key says which. Belongs to the mailbox.
    /// </summary>
    Replica Database(int index);

    /// <summary>This node's replicas of a database, whatever their roles: for statistics, and for upkeep of what it leads.</summary>
    ReadOnlySpan<Replica> ReplicasOf(int database);

    /// <summary>Who is told when replies may leave. One listener, set before the first write.</summary>
    void SetLogListener(ILogListener listener);
}
