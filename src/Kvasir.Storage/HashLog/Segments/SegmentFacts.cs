namespace Kvasir.Storage.HashLog.Segments;

/// <summary>What the manifest says of a segment, which never changes.</summary>
internal sealed record SegmentFacts
{
    public required ulong Number { get; init; }

    public required long Bytes { get; init; }

    /// <summary>Of two segments that hold the same key, the one of the higher rank, then of the higher number, has the newer version.</summary>
    public required ulong Rank { get; init; }

    public required ulong SmallestSequence { get; init; }

    public required ulong LargestSequence { get; init; }

    /// <summary>
    /// Nothing is in it that was superseded, or covered by the deletion of a range, at or before this sequence number, but what it says
    /// to be superseded.
    /// </summary>
    public required ulong CleanedTo { get; init; }

    public required long Entries { get; init; }

    public required long Tombstones { get; init; }

    /// <summary>In records that expire.</summary>
    public required long ExpiringBytes { get; init; }

    /// <summary>Of those, the last; 0 when there is none.</summary>
    public required long LastDeadlineMs { get; init; }
}
