using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>How far a snapshot is that another node's copy needs.</summary>
public enum SnapshotStage
{
    /// <summary>For its turn, or for the engine to say what it holds.</summary>
    Waiting,

    /// <summary>Its files are being made.</summary>
    Preparing,

    /// <summary>It is on its way.</summary>
    Sending,

    /// <summary>The last one came to nothing where it arrived: another is begun in a moment.</summary>
    Refused,
}

/// <param name="Stage">How far it is.</param>
/// <param name="Bytes">What has left of it.</param>
/// <param name="Total">All of it, where that is known: of rows it is not.</param>
public readonly record struct SnapshotDispatch(SnapshotStage Stage, long Bytes, long? Total);

/// <param name="From">Who sends it.</param>
/// <param name="Bytes">What has come of it.</param>
/// <param name="Total">All of it, where that is known: of rows it is not.</param>
public readonly record struct SnapshotArrival(NodeId From, long Bytes, long? Total);

/// <summary>Snapshots of a node, those under way and those since its start.</summary>
public readonly record struct SnapshotTotals
{
    /// <summary>Copies on other nodes that need one, which has not begun.</summary>
    public int Waiting { get; init; }

    /// <summary>Being made here for other nodes, or on their way there.</summary>
    public int Sending { get; init; }

    /// <summary>On their way to this node.</summary>
    public int Receiving { get; init; }

    /// <summary>With what was sent again.</summary>
    public long SentBytes { get; init; }

    /// <summary>With what came again.</summary>
    public long ReceivedBytes { get; init; }

    /// <summary>Those from here that have taken the place of what was there, or were not needed any more.</summary>
    public long Delivered { get; init; }

    /// <summary>Those from here that came to nothing.</summary>
    public long Undelivered { get; init; }

    /// <summary>Those that have taken the place of a copy here.</summary>
    public long Installed { get; init; }

    /// <summary>Those that were begun here and came to nothing.</summary>
    public long Failed { get; init; }

    /// <summary>Those that could not be begun here: there is no room for them, or the disk fails.</summary>
    public long Refused { get; init; }
}
