using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Nodes;

/// <summary>The way to the other nodes, as the one sees it who sets it up.</summary>
public interface IPeerLink
{
    ITransport Transport { get; }

    /// <summary>From now on the listener is told. Before <see cref="Identify"/> there are only questions and answers.</summary>
    void Start(ITransportListener listener);

    /// <summary>Which node of which cluster this is. Called once.</summary>
    void Identify(ulong cluster, NodeId self);
}
