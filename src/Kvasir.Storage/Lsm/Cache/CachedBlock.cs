using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Lsm.Cache;

/// <summary>
/// One block in memory outside the garbage-collected heap. Whoever holds a reference may read it; the memory goes with
/// the last one. The object itself is left to the collector, which is what lets readers walk the cache's chains
/// without a lock.
/// </summary>
internal sealed unsafe class CachedBlock
{
    /// <summary>What the budget is charged for this object and its place in the cache's tables, beside the memory.</summary>
    public const int ObjectBytes = 128;

    private readonly MemoryBudget _budget;
    private ReferenceCount _references = new(1);

    public CachedBlock(ulong fileId, long offset, int capacity, MemoryBudget budget)
    {
        FileId = fileId;
        Offset = offset;
        Capacity = SpareBlocks.SizeOf(capacity);
        Pointer = budget.SpareBlocks.Take(Capacity);
        _budget = budget;
        budget.AddCache(ChargedBytes);
    }

    public ulong FileId { get; }

    public long Offset { get; }

    public byte* Pointer { get; }

    public int Capacity { get; }

    /// <summary>What the budget is charged for all of it.</summary>
    public int ChargedBytes => Capacity + SpareBlocks.GapsOf(Capacity) + ObjectBytes;

    /// <summary>Bytes of content, at most <see cref="Capacity"/>.</summary>
    public int Length { get; set; }

    public Span<byte> Span => new(Pointer, Length);

    /// <summary>The next block of the same hash bucket. Kept when the block leaves it, for readers that stand here.</summary>
    internal CachedBlock? NextInBucket;

    /// <summary>The next block of the same queue, towards younger ones. Under the shard's lock.</summary>
    internal CachedBlock? NextInQueue;

    /// <summary>Uses since insertion or last chance, capped. Races lose counts, which harms nothing.</summary>
    internal byte Frequency;

    /// <summary>Takes a reference unless the memory is already gone.</summary>
    public bool TryAddReference() => _references.TryAdd();

    public void Release()
    {
        if (!_references.Release())
            return;
        _budget.SpareBlocks.Return(Pointer, Capacity);
        _budget.AddCache(-ChargedBytes);
    }
}
