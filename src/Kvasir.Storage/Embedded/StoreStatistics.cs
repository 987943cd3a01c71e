namespace Kvasir.Storage.Embedded;

/// <summary>Numbers for people and metrics; a moment's reading, not a consistent cut. Sizes in bytes.</summary>
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

    public long CacheHits { get; init; }

    public long CacheMisses { get; init; }

    /// <summary>What compaction owes; writers are slowed down in proportion to it.</summary>
    public long CompactionDebtBytes { get; init; }

    /// <summary>What was written by callers, and what was written to the engine's files for it.</summary>
    public long UserBytesWritten { get; init; }

    public long EngineBytesWritten { get; init; }
}
