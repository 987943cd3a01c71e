using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Routing;

/// <summary>Where the commands on a shard are run, as far as this node knows at the moment.</summary>
/// <param name="Kind">Whether it knows, and who.</param>
/// <param name="Group">The shard.</param>
/// <param name="Database">The index of the database that the shard is of.</param>
/// <param name="Replica">This node's, when it leads and may answer: <see cref="RouteKind.Local"/>.</param>
/// <param name="Term">With <see cref="RouteKind.Local"/>: the term in which this node leads. A lead that was lost and won again has another.</param>
/// <param name="Leader">The other node that leads: <see cref="RouteKind.Remote"/>.</param>
public readonly record struct Route(RouteKind Kind, GroupId Group, int Database, Replica? Replica, ulong Term, NodeId Leader);

public enum RouteKind : byte
{
    /// <summary>This node leads the shard, and may answer reads, too: it holds a lease, and has applied an entry of its term.</summary>
    Local = 0,

    /// <summary>Another node leads it.</summary>
    Remote = 1,

    /// <summary>Nobody leads it that this node knows of: an election is under way, or a majority is not there.</summary>
    NoLeader = 2,

    /// <summary>This node leads it, and may not answer reads yet, or not for the moment.</summary>
    NotReady = 3,

    /// <summary>There is no such shard any more: its keyspace was dropped.</summary>
    Gone = 4,
}
