namespace Kvasir.Storage.Buffered;

/// <summary>Settings of what an engine keeps in memory before its files, and of how it slows writers that these do not keep up with.</summary>
public record BufferOptions
{
    /// <summary>A memtable that has grown to this many bytes is frozen and flushed.</summary>
    public long MemTableBytes { get; init; } = 64L << 20;

    /// <summary>Frozen memtables waiting for their flush before writers are made to wait.</summary>
    public int FrozenMemTablesMax { get; init; } = 4;

    /// <summary>Rows that were read stay in memory one by one. Not where what lies below is read from memory as fast.</summary>
    public bool CachesRows { get; init; } = true;

    /// <summary>
    /// A flush puts its keys into the row cache as far as there is room, so that what was just written is still read from
    /// memory. Costs the flush a copy; nothing goes for it that reads put there.
    /// </summary>
    public bool KeepsFlushedRows { get; init; }

    /// <summary>Of files that a flush writes; range deletions that free a good part of one are worth a flush.</summary>
    public long TableBytes { get; init; } = 64L << 20;

    /// <summary>Half of the tables in level zero that make a compaction due however small they are.</summary>
    public int LevelZeroCompactionTrigger { get; init; } = 4;

    /// <summary>
    /// Tables in level zero at which writers wait longest; more than twice <see cref="LevelZeroCompactionTrigger"/> and 2,
    /// where they begin to wait.
    /// </summary>
    public int LevelZeroStopTrigger { get; init; } = 24;

    /// <summary>What compaction may owe is measured against this.</summary>
    public long LevelBaseBytes { get; init; } = 256L << 20;

    /// <summary>Flushes and compactions of this engine that may run at once, at least 2.</summary>
    public int BackgroundJobsMax { get; init; } = 2;
}
