using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Peers;

/// <summary>Another node of the cluster, as this one knows it. The loop's, but for what says otherwise.</summary>
internal sealed class KnownPeer(NodeId id)
{
    private PeerConnection? _link;

    // Boxed: it is read while it changes.
    private object? _address;

    public NodeId Id { get; } = id;

    /// <summary>Null: unknown, it must connect to us. Read by any thread.</summary>
    public PeerAddress? Address
    {
        get => (PeerAddress?)Volatile.Read(ref _address);
        set => Volatile.Write(ref _address, value);
    }

    /// <summary>The one connection that messages take; null while there is none. Read by any thread.</summary>
    public PeerConnection? Link
    {
        get => Volatile.Read(ref _link);
        set => Volatile.Write(ref _link, value);
    }

    /// <summary>A connection that this node has begun and that is no link yet.</summary>
    public PeerConnection? Attempt { get; set; }

    public bool IsResolving { get; set; }

    /// <summary>Attempts since the last link that held.</summary>
    public int Failures { get; set; }

    public long NextAttemptMs { get; set; }

    public long LinkedMs { get; set; }

    /// <summary>The last link's number, and the process at the other end that it was with.</summary>
    public ulong LastLink { get; set; }

    public ulong LastIncarnation { get; set; }

    /// <summary>Since when it says that it does not know this node, or belongs to no cluster; 0: it says nothing like that.</summary>
    public long StrangeSinceMs { get; set; }

    /// <summary>What was logged last about attempts that fail: the same is not logged again and again.</summary>
    public string? LastTrouble { get; set; }

    public PeerCounters Counters { get; } = new();
}
