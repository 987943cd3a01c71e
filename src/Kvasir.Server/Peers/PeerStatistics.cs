using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Peers;

/// <summary>What was counted of the talk with one peer, or with all of them, since the start.</summary>
public readonly record struct PeerStatistics
{
    /// <summary>Messages taken over for sending, and their bytes.</summary>
    public long MessagesSent { get; init; }

    public long BytesSent { get; init; }

    public long MessagesReceived { get; init; }

    public long BytesReceived { get; init; }

    /// <summary>Messages that were not taken over: there was no room, or no link.</summary>
    public long Dropped { get; init; }

    /// <summary>Bytes that waited when a link was lost.</summary>
    public long BytesLost { get; init; }

    /// <summary>Links that came to be; all but the first are reconnects.</summary>
    public long Links { get; init; }

    /// <summary>What waits now.</summary>
    public long QueuedBytes { get; init; }

    public static PeerStatistics operator +(in PeerStatistics a, in PeerStatistics b) => new()
    {
        MessagesSent = a.MessagesSent + b.MessagesSent,
        BytesSent = a.BytesSent + b.BytesSent,
        MessagesReceived = a.MessagesReceived + b.MessagesReceived,
        BytesReceived = a.BytesReceived + b.BytesReceived,
        Dropped = a.Dropped + b.Dropped,
        BytesLost = a.BytesLost + b.BytesLost,
        Links = a.Links + b.Links,
        QueuedBytes = a.QueuedBytes + b.QueuedBytes,
    };
}

/// <param name="Address">Null: not known, it connects to us.</param>
public readonly record struct PeerState(NodeId Node, PeerAddress? Address, bool IsConnected, PeerStatistics Statistics);
