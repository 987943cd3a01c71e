using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Administration;

/// <summary>
/// Changes to the cluster. Called inside the mailbox; each answers by <c>done</c>, inside the mailbox or out of it, at once or
/// later, and always: null when it is done, or an error as clients see it, which begins with its code.
/// </summary>
public interface IClusterAdministration
{
    void CreateKeyspace(KeyspaceRequest request, Action<string?> done);

    void DropKeyspace(string name, Action<string?> done);

    void Drain(NodeId node, Action<string?> done);

    void Decommission(NodeId node, Action<string?> done);

    /// <summary>Done once the other leads.</summary>
    void TransferLeader(string keyspace, int shard, NodeId to, Action<string?> done);
}

/// <summary>KEYSPACE CREATE. What is null or 0 was not asked for, and gets its default.</summary>
public sealed record KeyspaceRequest
{
    public required string Name { get; init; }

    public string? Engine { get; init; }

    public string? Partitioning { get; init; }

    public int Shards { get; init; }

    public string? Replication { get; init; }

    public int Replicas { get; init; }

    public string? Durability { get; init; }
}
