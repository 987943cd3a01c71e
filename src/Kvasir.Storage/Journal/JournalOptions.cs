namespace Kvasir.Storage.Journal;

public sealed record JournalOptions
{
    /// <summary>Bytes of one segment file, preallocated and zeroed (or recycled) so that a sync moves no metadata.</summary>
    public long SegmentBytes { get; init; } = 64L << 20;

    /// <summary>Segments kept for reuse after everything in them was flushed.</summary>
    public int SpareSegmentsMax { get; init; } = 2;

    /// <summary>Appended bytes that wait for a write before appenders are made to wait.</summary>
    public int PendingBytesMax { get; init; } = 64 << 20;

    /// <summary>Largest payload of one record.</summary>
    public int RecordBytesMax { get; init; } = 1 << 30;
}
