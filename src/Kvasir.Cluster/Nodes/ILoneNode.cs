using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;

namespace Kvasir.Cluster.Nodes;

/// <summary>What a node does that has all of its data to itself, and no node of a cluster can.</summary>
public interface ILoneNode
{
    /// <inheritdoc cref="KvasirNode.SwapDatabases"/>
    void SwapDatabases(Execution execution, int first, int second);

    /// <inheritdoc cref="KvasirNode.SetDurability"/>
    void SetDurability(Durability durability);

    /// <inheritdoc cref="KvasirNode.Checkpoint"/>
    void Checkpoint(string folder);

    /// <inheritdoc cref="KvasirNode.Reload"/>
    void Reload();

    /// <inheritdoc cref="KvasirNode.MakeRoomForDeletion"/>
    bool MakeRoomForDeletion();
}
