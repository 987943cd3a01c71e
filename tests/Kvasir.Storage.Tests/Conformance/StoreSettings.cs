using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Embedded stores whose journals are so short that the suite reaches every part of their lives.</summary>
internal static class StoreSettings
{
    public static DurableStoreOptions Small { get; } = new()
    {
        MemoryBytes = MemoryBudget.MinimumBytes,
        SyncInterval = TimeSpan.FromMilliseconds(200),
        JournalBytesMax = 24 << 10,
        Journal = new JournalOptions { SegmentBytes = 16 << 10, FirstSegmentBytes = 8 << 10, SpareSegmentsMax = 1 },
    };

    public static DurableStore Open(IEngineFactory factory, TestDisk disk, IScheduler scheduler, string folder) =>
        DurableStore.Open(disk.Files, scheduler, folder, factory, Small);
}
