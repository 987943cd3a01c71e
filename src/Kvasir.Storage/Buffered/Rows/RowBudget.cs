using System.Runtime.CompilerServices;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.Rows;

/// <summary>
/// What all row caches under one memory budget may take together: a third of what caches may take. The block cache gives
/// way, since it trims itself to the budget as a whole.
/// </summary>
internal sealed class RowBudget
{
    private static readonly ConditionalWeakTable<MemoryBudget, RowBudget> s_budgets = new();

    private readonly MemoryBudget _memory;
    private long _bytes;

    private RowBudget(MemoryBudget memory) => _memory = memory;

    public bool IsExceeded => Interlocked.Read(ref _bytes) > LimitBytes;

    private long LimitBytes => _memory.CacheLimitBytes / 3;

    public static RowBudget Of(MemoryBudget memory) => s_budgets.GetValue(memory, static m => new RowBudget(m));

    /// <summary>A chunk of <see cref="MemoryBudget.ChunkBytes"/> if the share has room for it, else null.</summary>
    public unsafe byte* TryTakeChunk() =>
        Interlocked.Read(ref _bytes) + MemoryBudget.ChunkBytes > LimitBytes ? null : TakeChunk();

    /// <summary>A chunk, room or not.</summary>
    public unsafe byte* TakeChunk()
    {
        Interlocked.Add(ref _bytes, MemoryBudget.ChunkBytes);
        return _memory.TakeCacheChunk();
    }

    public unsafe void ReturnChunk(byte* chunk)
    {
        Interlocked.Add(ref _bytes, -MemoryBudget.ChunkBytes);
        _memory.ReturnCacheChunk(chunk);
    }

    public void Add(long bytes)
    {
        Interlocked.Add(ref _bytes, bytes);
        _memory.AddCache(bytes);
    }
}
