using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>What the cluster holds of a node. Persisted: numbers are never changed or reused.</summary>
public enum NodeState : byte
{
    /// <summary>It has its number, and was not seen to have the directory yet. It is given nothing.</summary>
    Joining = 1,

    Active = 2,

    /// <summary>
    /// An operator is about to stop it: it leads nothing and is given nothing more, and keeps what it has. Active again when it starts.
    /// </summary>
    Draining = 3,

    /// <summary>For good: what it has moves away, and it does not come back under this number.</summary>
    Decommissioned = 4,

    /// <summary>Silent for too long, or said to be lost: its copies are made anew on others. It may come back.</summary>
    Dead = 5,
}

/// <summary>A node, as the directory knows it.</summary>
public sealed record NodeRecord
{
    public required NodeId Id { get; init; }

    /// <summary>What its folder drew when it was made: the same folder is the same node, another one never is.</summary>
    public required ulong Identity { get; init; }

    /// <summary>Where other nodes reach it, <c>host:port</c>.</summary>
    public required string PeerAddress { get; init; }

    public required string RespAddress { get; init; }

    /// <summary>Empty when it serves no HTTP.</summary>
    public string HttpAddress { get; init; } = "";

    public Locality Locality { get; init; } = Locality.None;

    public required NodeState State { get; init; }

    /// <summary>How many times it has started, or asked to join.</summary>
    public ulong Incarnation { get; init; }

    /// <summary>May hold copies now, whether it is given more or not.</summary>
    public bool IsServing => State is NodeState.Active or NodeState.Draining;
}
