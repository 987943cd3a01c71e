using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Store;

/// <summary>A store over the model engine on a simulated disk.</summary>
internal sealed class StoreWorld
{
    public const string Folder = "/data";

    public StoreWorld(ulong seed, SimulatedFileSystem? files = null)
    {
        Random = new SeededRandom(seed);
        Files = files ?? new SimulatedFileSystem(Random.Fork());
        Scheduler = new SimulatedScheduler(Random.Fork());
    }

    public static DurableStoreOptions SmallOptions { get; } = new()
    {
        MemoryBytes = MemoryBudget.MinimumBytes,
        JournalBytesMax = 24 << 10,
        Journal = new JournalOptions { SegmentBytes = 16 << 10, FirstSegmentBytes = 8 << 10, SpareSegmentsMax = 1 },
    };

    public SeededRandom Random { get; }

    public SimulatedFileSystem Files { get; set; }

    public SimulatedScheduler Scheduler { get; private set; }

    public DurableStore Open(string folder = Folder) =>
        DurableStore.Open(Files, Scheduler, folder, new ModelEngineFactory(), SmallOptions);

    public void Crash(CrashKind kind)
    {
        Files = Files.AfterCrash(Random.Fork(), kind);
        Scheduler = new SimulatedScheduler(Random.Fork());
    }

    public static void Put(DurableStore store, string key, string value, WriteDurability durability = WriteDurability.Sync)
    {
        var batch = new WriteBatch();
        batch.Put(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value));
        store.Write(batch, durability);
    }

    public static void Delete(DurableStore store, string key, WriteDurability durability = WriteDurability.Sync)
    {
        var batch = new WriteBatch();
        batch.Delete(Encoding.UTF8.GetBytes(key));
        store.Write(batch, durability);
    }

    public static string? Get(DurableStore store, string key)
    {
        var value = new BytesBuffer();
        return store.Get(Encoding.UTF8.GetBytes(key), value).Found ? Encoding.UTF8.GetString(value.WrittenSpan) : null;
    }

    public static SortedDictionary<string, string> ReadAll(DurableStore store)
    {
        var content = new SortedDictionary<string, string>(StringComparer.Ordinal);
        using EngineIterator iterator = store.CreateIterator(default);
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            content.Add(Encoding.UTF8.GetString(iterator.Key), Encoding.UTF8.GetString(iterator.Value));
        return content;
    }
}
