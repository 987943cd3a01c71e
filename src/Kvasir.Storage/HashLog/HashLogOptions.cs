using Kvasir.Primitives;

namespace Kvasir.Storage.HashLog;

/// <summary>Settings of one hash log.</summary>
public sealed record HashLogOptions
{
    /// <summary>Settings for a process that gives its engines <paramref name="memoryBytes"/> in all.</summary>
    public static HashLogOptions ForMemory(long memoryBytes) => new()
    {
        FlushBytes = Math.Clamp(memoryBytes / 5, 1L << 20, 256L << 20),
        SegmentBytes = Math.Clamp(memoryBytes / 16, 4L << 20, 64L << 20),
        IndexBytes = Math.Max(memoryBytes / 4, 4L << 20),
        TailBytes = long.MaxValue,
    };

    /// <summary>So small that a few hundred writes flush and merge: for simulations and tests.</summary>
    public static HashLogOptions Tiny { get; } = new()
    {
        FlushBytes = 8 << 10,
        SegmentBytes = 4 << 10,
        IndexBytes = 4 << 20,
        TailBytes = 16 << 10,
        TailChunkBytes = 4 << 10,
        MergeStepBytes = 2 << 10,
        MergeBytesMax = 64 << 10,
        OpenFilesMax = 4,
    };

    /// <summary>As small as <see cref="Tiny"/>, each setting drawn: what holds for one must hold for all.</summary>
    public static HashLogOptions DrawTiny(SeededRandom random)
    {
        HashLogOptions drawn = Draw(random);
        return drawn.SmallSegmentsMax % 2 == 0 ? drawn with { RoomWantedAt = 0 } : drawn;
    }

    /// <summary>So many bytes in memory that no file has are flushed.</summary>
    public long FlushBytes { get; init; } = 64L << 20;

    /// <summary>A segment that has grown to this many bytes is sealed.</summary>
    public long SegmentBytes { get; init; } = 64L << 20;

    /// <summary>What keys may take in memory: about 28 bytes each.</summary>
    public long IndexBytes { get; init; } = 256L << 20;

    /// <summary>Percent of what keys may take: from here on the room of those that were deleted is made free before it would be by itself.</summary>
    internal int RoomWantedAt { get; init; } = 80;

    /// <summary>What is in the files stays in memory, too, up to this and to what the memory budget leaves for caches.</summary>
    public long TailBytes { get; init; } = long.MaxValue;

    /// <summary>Memory is taken, and given back, in pieces of this size at most.</summary>
    public long TailChunkBytes { get; init; } = 2L << 20;

    /// <summary>Segments are merged, those with the most garbage first, when this part of all of them is garbage.</summary>
    public double GarbageRatio { get; init; } = 0.5;

    /// <summary>So many segments of less than a quarter of their size are merged into one.</summary>
    public int SmallSegmentsMax { get; init; } = 8;

    /// <summary>Segments that are merged together, in bytes, at most; one is always taken.</summary>
    public long MergeBytesMax { get; init; } = 256L << 20;

    /// <summary>So many segments are open at most; others are opened when they are read.</summary>
    public int OpenFilesMax { get; init; } = 1000;

    /// <summary>A merge lets others have its thread after so many bytes.</summary>
    public long MergeStepBytes { get; init; } = 4L << 20;

    private static HashLogOptions Draw(SeededRandom random) => new()
    {
        FlushBytes = 2L << 10 << random.Next(6),
        SegmentBytes = 1L << 10 << random.Next(6),
        IndexBytes = 4 << 20,
        TailBytes = random.OneIn(3) ? 0 : 4L << 10 << random.Next(8),
        TailChunkBytes = 1L << 10 << random.Next(6),
        MergeStepBytes = 512L << random.Next(8),
        MergeBytesMax = 4L << 10 << random.Next(6),
        GarbageRatio = 0.1 * random.Next(1, 9),
        SmallSegmentsMax = random.Next(2, 10),
        OpenFilesMax = 3,
    };
}
