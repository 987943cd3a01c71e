namespace Kvasir.Storage.Embedded;

/// <summary>Numbers for people and metrics; a moment's reading, not a consistent cut. Sizes in bytes. Immutable; any thread.</summary>
public sealed record StoreStatistics
{
    /// <summary>Keys, about: those that were written over or deleted count until they are compacted.</summary>
    public long EstimatedKeys { get; init; }

    /// <summary>Of the engine's files.</summary>
    public long DiskBytes { get; init; }

    /// <summary>Of the journal's files.</summary>
    public long JournalBytes { get; init; }

    /// <summary>Of memtables and caches.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>Reads that found what they needed in the store's own caches. The system's page cache is not among them.</summary>
    public long CacheHits { get; init; }

    /// <summary>Reads that asked the system for it.</summary>
    public long CacheMisses { get; init; }

    /// <summary>What compaction owes; writers are slowed down in proportion to it.</summary>
    public long CompactionDebtBytes { get; init; }

    /// <summary>What was written by callers since the store was opened.</summary>
    public long UserBytesWritten { get; init; }

    /// <summary>What was written to the engine's files for it, by flushes and compactions.</summary>
    public long EngineBytesWritten { get; init; }

    /// <summary>Of a store that has every key in memory, as <see cref="HashStore"/>: what they take there; else 0.</summary>
    public long IndexBytes { get; init; }

    /// <summary>What they may take: at the end of it new keys are refused.</summary>
    public long IndexLimitBytes { get; init; }
}
