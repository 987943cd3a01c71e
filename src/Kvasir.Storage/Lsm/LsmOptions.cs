using Kvasir.Primitives;
using Kvasir.Storage.Buffered;

namespace Kvasir.Storage.Lsm;

/// <summary>Settings of one LSM engine. The defaults are those the benchmarks are published with.</summary>
public sealed record LsmOptions : BufferOptions
{
    /// <summary>
    /// Settings for a process that gives its engines <paramref name="memoryBytes"/> in all: the more there is, the larger
    /// the memtables and the more of them may wait, so that bursts are absorbed and overwrites meet in memory; the less,
    /// the smaller the tables, since what a table in the making holds in memory grows with it.
    /// </summary>
    public static LsmOptions ForMemory(long memoryBytes) => new()
    {
        MemTableBytes = Math.Clamp(memoryBytes / 16, 1L << 20, 256L << 20),
        FrozenMemTablesMax = 8,
        TableBytes = Math.Clamp(memoryBytes / 16, 4L << 20, 64L << 20),
        KeepsFlushedRows = true,
    };

    /// <summary>So small that a few hundred writes fill memtables, levels and blocks: for simulations and tests.</summary>
    public static LsmOptions Tiny { get; } = new()
    {
        MemTableBytes = 8 << 10,
        BlockBytes = 256,
        RestartInterval = 4,
        TableBytes = 4 << 10,
        LevelBaseBytes = 16 << 10,
        LevelSizeMultiplier = 3,
        LevelZeroCompactionTrigger = 2,
        LevelZeroStopTrigger = 10,
        CompressFromLevel = 1,
        OpenFilesMax = 4,
        KeepsFlushedRows = true,
    };

    /// <summary>As small as <see cref="Tiny"/>, each setting drawn: what holds for one must hold for all.</summary>
    public static LsmOptions DrawTiny(SeededRandom random)
    {
        int trigger = random.Next(1, 5);
        return new LsmOptions
        {
            MemTableBytes = 2L << 10 << random.Next(6),
            FrozenMemTablesMax = random.Next(1, 5),
            KeepsFlushedRows = random.OneIn(2),
            BlockBytes = 32 << random.Next(6),
            RestartInterval = random.Next(1, 17),
            FilterBitsPerKey = random.Next(3) * 5,
            TableBytes = 1L << 10 << random.Next(6),
            LevelZeroCompactionTrigger = trigger,
            LevelZeroStopTrigger = (2 * trigger) + random.Next(3, 12),
            LevelBaseBytes = 4L << 10 << random.Next(5),
            LevelSizeMultiplier = random.Next(2, 6),
            CompressFromLevel = random.OneIn(3) ? 7 : random.Next(4),
            BackgroundJobsMax = random.Next(2, 5),
            OpenFilesMax = random.OneIn(2) ? 100 : random.Next(1, 6),
        };
    }

    /// <summary>Uncompressed bytes of a data block.</summary>
    public int BlockBytes { get; init; } = 4096;

    /// <summary>Keys between two restart points of a data block.</summary>
    public int RestartInterval { get; init; } = 16;

    /// <summary>Bits of filter a key; 0 switches filters off.</summary>
    public int FilterBitsPerKey { get; init; } = 10;

    public int LevelSizeMultiplier { get; init; } = 10;

    public int LevelCount { get; init; } = 7;

    /// <summary>
    /// First level whose blocks are compressed; <see cref="LevelCount"/> or more switches compression off. From level zero
    /// on, so that a table that overlaps nothing below never has to be written again.
    /// </summary>
    public int CompressFromLevel { get; init; }

    /// <summary>Open table files kept; beyond it the least recently used are closed.</summary>
    public int OpenFilesMax { get; init; } = 1000;

    /// <summary>Check the checksum of every block read from disk. Only benchmarks switch it off.</summary>
    public bool VerifyChecksums { get; init; } = true;
}
