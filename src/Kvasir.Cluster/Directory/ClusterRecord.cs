using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>Who the cluster is.</summary>
/// <param name="Id">Drawn when it was founded; nodes of another cluster are turned away by it.</param>
/// <param name="Name">For people.</param>
public sealed record ClusterRecord(ulong Id, string Name);

/// <summary>The next numbers to give. A number below them was given, whether or not its record still exists.</summary>
public sealed record IdCounters(NodeId NextNode, KeyspaceId NextKeyspace, GroupId NextGroup)
{
    public static readonly IdCounters First = new(new NodeId(1), new KeyspaceId(1), new GroupId(1));
}
