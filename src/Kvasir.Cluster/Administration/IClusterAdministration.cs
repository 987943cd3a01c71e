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

    /// <summary>Done when it is written down that all copies shall have the engine; they convert in the background.</summary>
    void ConvertKeyspace(string name, string engine, Action<string?> done);

    /// <summary>Done when it is written down that copies which have the new engine shall go back.</summary>
    void AbortConversion(string name, Action<string?> done);

    /// <summary>How the last conversion of a keyspace goes or went, with what is known of each copy while it is under way; null for none.</summary>
    void ConversionOf(string name, Action<MoveOverview?> done);

    void Drain(NodeId node, Action<string?> done);

    void Decommission(NodeId node, Action<string?> done);

    /// <summary>Done once the other leads.</summary>
    void TransferLeader(string keyspace, int shard, NodeId to, Action<string?> done);
}
