using Kvasir.Storage.Store;

namespace Kvasir.Storage.Embedded;

/// <summary>
/// How a <see cref="KeyValueStore"/> is opened. The defaults are those of the benchmarks, with less memory. Immutable; any thread.
/// </summary>
public sealed record StoreOptions
{
    /// <summary>More background threads than that would only wait for each other.</summary>
    public const int BackgroundThreadsMax = 256;

    /// <summary>The longest <see cref="SyncInterval"/>: a day.</summary>
    public static readonly TimeSpan SyncIntervalMax = TimeSpan.FromDays(1);

    /// <summary>How an <see cref="OrderedStore"/> lies on disk. A folder keeps the one that it was made with, and is opened with no other.</summary>
    public OrderedStoreEngine Engine { get; init; }

    /// <summary>What memtables and caches of this store may take together; at least 16 MiB. The journal and code come on top.</summary>
    public long MemoryBytes { get; init; } = 64L << 20;

    /// <summary>How a write is answered that does not say how: by default when it is on stable storage.</summary>
    public WriteDurability Durability { get; init; } = WriteDurability.Sync;

    /// <summary>
    /// The longest time that <see cref="WriteDurability.Interval"/> leaves a write unsynced; more than nothing, at most
    /// <see cref="SyncIntervalMax"/>.
    /// </summary>
    public TimeSpan SyncInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// A journal that holds more is made shorter, by flushing what it guards: the next start replays no more than this. Its files may take some
    /// segments more: the one that is written to, and one for the next. At least 1.
    /// </summary>
    public long JournalBytesMax { get; init; } = 256L << 20;

    /// <summary>Threads for flushes and compactions: 1 to <see cref="BackgroundThreadsMax"/>.</summary>
    public int BackgroundThreads { get; init; } = 2;

    /// <summary>The clock that decides what has expired, and when to sync.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
