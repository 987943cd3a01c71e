using Kvasir.Primitives;

namespace Kvasir.Storage.Journal;

public sealed record JournalOptions
{
    /// <summary>Bytes of one segment file, preallocated and zeroed (or recycled) so that a sync moves no metadata.</summary>
    public long SegmentBytes { get; init; } = 32L << 20;

    /// <summary>
    /// Bytes of the first segment. Each next one is four times as long, up to <see cref="SegmentBytes"/>, so that a
    /// store that hardly writes stays small.
    /// </summary>
    public long FirstSegmentBytes { get; init; } = 256L << 10;

    /// <summary>Segments kept for reuse after everything in them was flushed.</summary>
    public int SpareSegmentsMax { get; init; } = 4;

    /// <summary>Appended bytes that wait for a write before appenders are made to wait.</summary>
    public int PendingBytesMax { get; init; } = 64 << 20;

    /// <summary>Largest payload of one record.</summary>
    public int RecordBytesMax { get; init; } = 1 << 30;

    /// <summary>
    /// The owner knows that the journal was made before: an empty folder is then an error, not a new journal.
    /// </summary>
    public bool MustExist { get; init; }

    /// <summary>
    /// The owner knows which journal is its own: another one, copied here, stops the start. 0 where it does not know.
    /// </summary>
    public ulong JournalId { get; init; }

    /// <summary>
    /// The owner knows that the journal was durable up to here: one that ends before, an older copy, stops the start.
    /// </summary>
    public LogPosition MustReach { get; init; }

    /// <summary>
    /// The owner can do without writes for a while: where a full disk has no room for the segment that a journal needs to go on, it opens
    /// all the same, with <see cref="JournalFailure.DiskFull"/>, and takes appends after <see cref="JournalWriter.TryResume"/>.
    /// </summary>
    public bool OpensOnFullDisk { get; init; }

    /// <summary>
    /// Positions given out lie behind this one, even if the journal ends before it: engines whose writes nobody waited for
    /// may have flushed what the journal lost, and a new journal may stand above engines that came with a checkpoint.
    /// </summary>
    public LogPosition BeginAfter { get; init; }
}
