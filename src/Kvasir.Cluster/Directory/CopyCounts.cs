using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>How many of something each node has, in all and of each keyspace. Never enumerated.</summary>
internal sealed class CopyCounts
{
    private readonly Dictionary<NodeId, int> _all = [];
    private readonly Dictionary<(NodeId Node, KeyspaceId Keyspace), int> _ofKeyspace = [];

    public int Of(NodeId node) => _all.GetValueOrDefault(node);

    public int Of(NodeId node, KeyspaceId keyspace) => _ofKeyspace.GetValueOrDefault((node, keyspace));

    public void Add(NodeId node, KeyspaceId keyspace, int by)
    {
        _all[node] = Of(node) + by;
        _ofKeyspace[(node, keyspace)] = Of(node, keyspace) + by;
    }
}
