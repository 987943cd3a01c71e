using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// What a node tells the directory's leader of a copy that it has of a keyspace that moves to another engine. Told again and again.
/// </summary>
public sealed record MoveReport
{
    public const int TextLengthMax = 1024;

    /// <summary>Of which it is a copy.</summary>
    public required GroupId Group { get; init; }

    /// <summary>Which of the node's copies it is.</summary>
    public required uint Generation { get; init; }

    /// <summary>Of the move that the node knows.</summary>
    public required ulong Number { get; init; }

    /// <summary>The engine that it has.</summary>
    public required string Engine { get; init; }

    /// <summary>How far it is, or how its last try ended; null where it waits for its turn, or has nothing to do.</summary>
    public ConversionStage? Stage { get; init; }

    /// <summary>No other try would end otherwise: it cannot be.</summary>
    public bool IsHopeless { get; init; }

    public long Rows { get; init; }

    public long Bytes { get; init; }

    public long RowsEstimated { get; init; }

    public long RowsCompared { get; init; }

    public long LogBytesBehind { get; init; }

    /// <summary>The checksum of both engines, or why the last try failed; or empty.</summary>
    public string Text { get; init; } = "";
}

/// <summary>One copy of a keyspace that moves, as the directory's leader knows it.</summary>
/// <param name="Shard">Of the keyspace.</param>
/// <param name="Node">Where it is.</param>
/// <param name="Report">What was told of it of late; null where nothing was.</param>
public sealed record CopyMove(int Shard, NodeId Node, MoveReport? Report);

/// <summary>A keyspace's move with what is known of all copies.</summary>
public sealed record MoveOverview(string Keyspace, KeyspaceMove Move, IReadOnlyList<CopyMove> Copies);
