using Kvasir.Cluster.Directory;
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
