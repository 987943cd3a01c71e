using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>What became of a <see cref="JoinRequest"/>. On the wire: numbers are never changed or reused.</summary>
public enum JoinOutcome : byte
{
    /// <summary>It is in the directory.</summary>
    Accepted = 1,

    /// <summary>Somebody else leads the directory: ask there.</summary>
    Redirect = 2,

    /// <summary>No, and asking again will not help.</summary>
    Refused = 3,

    /// <summary>Nobody knows: no leader, or it went while it worked. Ask again, anybody.</summary>
    Later = 4,
}

/// <summary>Where a node of the cluster is reached.</summary>
public readonly record struct NodeAddress(NodeId Node, string PeerAddress);

/// <summary>The answer to a <see cref="JoinRequest"/>.</summary>
public sealed record JoinReply
{
    public required JoinOutcome Outcome { get; init; }

    /// <summary>The asker's number, when accepted.</summary>
    public NodeId Node { get; init; }

    public ulong ClusterId { get; init; }

    /// <summary>Whom to ask, when redirected; why, when refused or put off.</summary>
    public string Text { get; init; } = "";

    /// <summary>All nodes that are not gone, ascending, when accepted: enough to be reached by the directory's leader.</summary>
    public IReadOnlyList<NodeAddress> Nodes { get; init; } = [];

    public static JoinReply Accept(DirectoryView view, NodeId node) => new()
    {
        Outcome = JoinOutcome.Accepted,
        Node = node,
        ClusterId = view.Cluster?.Id ?? 0,
        Nodes = [.. view.Nodes.Where(view.IsMember).Select(n => new NodeAddress(n.Id, n.PeerAddress))],
    };

    public static JoinReply Redirect(string peerAddress) => new() { Outcome = JoinOutcome.Redirect, Text = peerAddress };

    public static JoinReply Refuse(string reason) => new() { Outcome = JoinOutcome.Refused, Text = reason };

    public static JoinReply PutOff(string reason) => new() { Outcome = JoinOutcome.Later, Text = reason };
}
