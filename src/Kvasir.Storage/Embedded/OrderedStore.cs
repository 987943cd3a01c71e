using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Embedded;

/// <summary>
/// A store whose keys are in the order of their unsigned bytes, in the engine that <see cref="StoreOptions.Engine"/> says.
/// </summary>
public sealed class OrderedStore : KeyValueStore
{
    private OrderedStore(string folder, DurableStore store, ThreadScheduler scheduler, StoreOptions options)
        : base(folder, store, scheduler, options)
    {
    }

    /// <summary>
    /// Opens the store in the folder, or makes one. Replays what the journal has and the engine's files have not: at most
    /// <see cref="StoreOptions.JournalBytesMax"/>. Throws a <see cref="Files.StorageException"/> that names the file and says what to do: when another process
    /// has it open, when something is damaged or missing, when a newer version wrote it. Any thread.
    /// </summary>
    public static OrderedStore Open(string folder, StoreOptions? options = null)
    {
        options ??= new StoreOptions();
        IEngineFactory engine = options.Engine switch
        {
            OrderedStoreEngine.Lsm => new LsmEngineFactory(),
            OrderedStoreEngine.BTree => new BTreeEngineFactory(),
            _ => throw new ArgumentOutOfRangeException(nameof(options), options.Engine, "no such engine"),
        };
        (DurableStore store, ThreadScheduler scheduler) = Open(folder, engine, options);
        return new OrderedStore(folder, store, scheduler, options);
    }

    /// <summary>
    /// Walks keys both ways, over this moment or that of a snapshot (<see cref="IteratorOptions.View"/>). Any thread; the walk belongs to one at a
    /// time; dispose of it. Allocates when it is made, and not when it moves. As durable as what <see cref="KeyValueStore.Get"/> shows.
    /// </summary>
    public EngineIterator CreateIterator(in IteratorOptions options = default) => Store.CreateIterator(options);

    /// <summary>
    /// The keys that begin with a prefix, and their values, in order, as of the moment of the first step. For convenience: allocates for each.
    /// Cancelled, the next step throws <see cref="OperationCanceledException"/>. Any thread; each walk belongs to one at a time.
    /// As durable as what <see cref="KeyValueStore.Get"/> shows.
    /// </summary>
    public IEnumerable<KeyValuePair<byte[], byte[]>> Scan(ReadOnlyMemory<byte> prefix, CancellationToken cancellation = default)
    {
        byte[] end = EndOf(prefix.Span);
        using EngineIterator iterator = CreateIterator(new IteratorOptions { LowerBound = prefix.Span, UpperBound = end });
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
        {
            cancellation.ThrowIfCancellationRequested();
            yield return KeyValuePair.Create(iterator.Key.ToArray(), iterator.Value.ToArray());
        }
    }

    /// <summary>
    /// As <see cref="KeyValueStore.Compact"/>, of what lies from <paramref name="start"/> to before <paramref name="end"/> (empty: from the first,
    /// to the last) and, where that is all one, of more. Any thread; nothing that was durable is less so at any moment.
    /// </summary>
    public void CompactRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, CancellationToken cancellation = default)
    {
        Store.Flush();
        ((IOrderedEngine)Store.Engine).CompactRange(start, end, cancellation);
    }

    /// <summary>Bytes on disk of the keys from <paramref name="start"/> to before <paramref name="end"/>, roughly; an empty end means to the last. Any thread.</summary>
    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end) => Store.Engine.EstimateSize(start, end);

    /// <summary>The first key behind all that begin with the prefix; empty when there is none.</summary>
    private static byte[] EndOf(ReadOnlySpan<byte> prefix)
    {
        int length = prefix.Length;
        while (length > 0 && prefix[length - 1] == 0xFF)
            length--;
        byte[] end = prefix[..length].ToArray();
        if (length > 0)
            end[length - 1]++;
        return end;
    }
}
