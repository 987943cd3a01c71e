using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Store;

/// <summary>What has happened to a write when it is answered.</summary>
public enum WriteDurability
{
    /// <summary>It is on stable storage.</summary>
    Sync,

    /// <summary>The system has it; it is synced within <see cref="DurableStoreOptions.SyncInterval"/>.</summary>
    Interval,

    /// <summary>The system has it, and syncs it when it likes: it survives the process, not the machine.</summary>
    None,
}

public sealed record DurableStoreOptions
{
    /// <summary>What memtables and caches may take together.</summary>
    public long MemoryBytes { get; init; } = 256L << 20;

    /// <summary>
    /// How much of <see cref="MemoryBytes"/> is for memtables alone; 0 for half, which caches may use as long as
    /// memtables do not.
    /// </summary>
    public long WriteMemoryBytes { get; init; }

    /// <summary>The longest time that <see cref="WriteDurability.Interval"/> leaves a write unsynced.</summary>
    public TimeSpan SyncInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A journal that holds more makes the engine flush, so that the next start replays no more.</summary>
    public long JournalBytesMax { get; init; } = 256L << 20;

    public JournalOptions Journal { get; init; } = new();
}
