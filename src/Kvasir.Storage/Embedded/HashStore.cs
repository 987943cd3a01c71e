using Kvasir.Storage.HashLog;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Embedded;

/// <summary>
/// A store without an order of keys: a log on disk and an index of it in memory. At most one read of the disk for a key, and every write is
/// written once; but each key takes about 28 bytes of memory (<see cref="StoreStatistics.IndexBytes"/>), and there are no iterators: a
/// <see cref="KeyValueStore.Scan"/> goes through all keys, in an order of their hashes.
/// <para>
/// A quarter of <see cref="StoreOptions.MemoryBytes"/> is for the index. When it is full, writes of new keys throw
/// <see cref="Files.IndexFullException"/>; reads, deletions and writes of keys that are there go on. Deleting an eighth of the keys gives room
/// for about as many others, in the background and whatever the durability: not for those of the same batch, and mostly within a second.
/// </para>
/// </summary>
public sealed class HashStore : KeyValueStore
{
    private HashStore(string folder, DurableStore store, ThreadScheduler scheduler, StoreOptions options)
        : base(folder, store, scheduler, options)
    {
    }

    /// <summary>
    /// Opens the store in the folder, or makes one; its index is read from small files beside the log. Throws a
    /// <see cref="Files.StorageException"/> that names the file and says what to do: when another process has it open, when something is
    /// damaged or missing, when another engine or a newer version wrote it. Any thread.
    /// </summary>
    /// <param name="folder">Of this store alone.</param>
    /// <param name="options">Null for the defaults; <see cref="StoreOptions.Engine"/> means nothing here.</param>
    public static HashStore Open(string folder, StoreOptions? options = null)
    {
        options ??= new StoreOptions();
        (DurableStore store, ThreadScheduler scheduler) = Open(folder, new HashLogEngineFactory(), options);
        return new HashStore(folder, store, scheduler, options);
    }
}
