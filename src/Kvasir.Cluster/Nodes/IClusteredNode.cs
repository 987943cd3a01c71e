using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Nodes;

/// <summary>What a server needs of a node beyond <see cref="IServedNode"/> when it is one of a cluster. Thread-safe.</summary>
public interface IClusteredNode
{
    /// <summary>Nobody until it has joined.</summary>
    NodeId Self { get; }

    /// <summary>Belongs to the mailbox.</summary>
    IRouter Router { get; }

    /// <summary>The way to the other nodes; never asked to send to <see cref="Self"/>.</summary>
    ITransport Transport { get; }

    IClusterTopology Topology { get; }

    IClusterAdministration Administration { get; }

    /// <summary>
    /// The node is about to stop: leadership of all that is led here goes to other nodes, and none comes back. Done, inside the
    /// mailbox, when all of it is, or patience is over; with how many groups this node leads still though others could.
    /// </summary>
    void HandOver(TimeSpan patience, Action<int> done);

    /// <summary>
    /// Who is given the messages of the forwarding channels (<see cref="Channel"/>), whole, and told of every peer that
    /// comes, goes or has room again. One listener; it hears of what came before it, too.
    /// </summary>
    void SetForwarding(ITransportListener listener);
}
