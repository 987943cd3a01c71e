using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog.Manifest;

/// <summary>Everything that the manifest says: which files must be there, and how far they hold the log. Immutable.</summary>
internal sealed record LogState
{
    /// <summary>Seed of the checks, and in every file of the engine.</summary>
    public required ulong Identity { get; init; }

    public EngineOwner Owner { get; init; }

    public LogPosition FlushedPosition { get; init; }

    /// <summary>The last sequence number that the files hold.</summary>
    public ulong FlushedSequence { get; init; }

    public StateDigest Digest { get; init; }

    public ulong NextFileNumber { get; init; } = 1;

    /// <summary>By rank, then by number: later ones have the newer versions.</summary>
    public IReadOnlyList<SegmentFacts> Segments { get; init; } = [];

    public RangeDeletions Ranges { get; init; } = RangeDeletions.None;

    /// <summary>With other segments, and without deletions of ranges that nothing is left of.</summary>
    public LogState With(IEnumerable<SegmentFacts> added, IReadOnlyCollection<ulong> removed, RangeDeletions ranges)
    {
        List<SegmentFacts> segments = [.. Segments.Where(s => !removed.Contains(s.Number)), .. added];
        segments.Sort(static (x, y) => x.Rank != y.Rank ? x.Rank.CompareTo(y.Rank) : x.Number.CompareTo(y.Number));

        // One that covers all that another covers, and came later, is enough: no snapshot outlives the process, and those of this one
        // know the deletions by memory.
        return this with
        {
            Segments = segments,
            Ranges = ranges.Where(r => segments.Exists(s => s.CleanedTo < r.Sequence && s.SmallestSequence < r.Sequence)
                && !ranges.All.Any(o => o.Sequence > r.Sequence && o.Covers(r))),
        };
    }
}
