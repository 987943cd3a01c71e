using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// What a node says of itself at every start: to be let in, or, when it is a member already, that it is back and where it is
/// reached now. Asking again changes nothing but the addresses: a reply that was lost is asked for again.
/// </summary>
public sealed record JoinRequest
{
    /// <summary>What its folder drew when it was made.</summary>
    public required ulong Identity { get; init; }

    /// <summary>Its number, when it was given one.</summary>
    public NodeId Node { get; init; }

    /// <summary>The cluster that it belongs to; 0 when it belongs to none yet.</summary>
    public ulong ClusterId { get; init; }

    public required string PeerAddress { get; init; }

    public required string RespAddress { get; init; }

    public string HttpAddress { get; init; } = "";

    public Locality Locality { get; init; } = Locality.None;
}
