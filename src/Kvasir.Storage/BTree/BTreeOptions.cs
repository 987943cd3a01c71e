namespace Kvasir.Storage.BTree;

/// <summary>How to open a <see cref="BTreeStore"/>.</summary>
public sealed record BTreeOptions
{
    /// <summary>4096, 8192, 16384 or 32768; counts when the file is made, and stays with it.</summary>
    public int PageBytes { get; init; } = 4096;

    /// <summary>A number of the file's own, so that no page of another file is taken for one of this; counts when it is made.</summary>
    public ulong Identity { get; init; }

    /// <summary>
    /// True: reads go through a map of the file, without a copy; a page that is lost under it is an exception, and later
    /// transactions read through a page cache. False, or where a map cannot be guarded so (anywhere but Linux on x64): through the page cache.
    /// </summary>
    public bool UseMap { get; init; } = true;

    /// <summary>Addresses that the first map takes; it is made anew, twice as long, when the file outgrows it.</summary>
    public long MapBytesMin { get; init; } = 1L << 30;

    /// <summary>Pages that are kept in memory where there is no map.</summary>
    public int CachedPages { get; init; } = 4096;

    /// <summary>Read transactions that are older end when a writer needs to know; null: never.</summary>
    public TimeSpan? ReaderAgeLimit { get; init; }

    /// <summary>Of read transactions that are older <see cref="ReaderIsOld"/> is told; null: of none.</summary>
    public TimeSpan? ReaderAgeWarning { get; init; }

    /// <summary>
    /// Called once for each reader that has grown older than <see cref="ReaderAgeWarning"/>, by a thread that begins to write: it should return
    /// at once, and use no transaction of the store.
    /// </summary>
    public Action<BTreeReader>? ReaderIsOld { get; init; }

    /// <summary>Pages of what was deleted are freed, and a file with many free pages is made smaller, by jobs of the scheduler.</summary>
    public bool BackgroundUpkeep { get; init; } = true;

    /// <summary>Small transactions that one commit takes at most.</summary>
    public int BatchMax { get; init; } = 1024;
}
