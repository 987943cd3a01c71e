using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// Memory chunks of one size that were freed and will soon be wanted again: a memtable that is flushed leaves what the
/// next one needs, and the system need not clear the pages once more. Counts as cache in the budget while it waits.
/// Thread-safe.
/// </summary>
public sealed unsafe class SpareChunks : IDisposable
{
    /// <summary>The one size: a huge page.</summary>
    public const int ChunkBytes = BulkMemory.HugePageBytes;

    private readonly MemoryBudget _budget;
    private readonly long _bytesMax;
    private readonly Stack<nint> _chunks = new();
    private readonly Lock _lock = new();

    internal SpareChunks(MemoryBudget budget, long bytesMax)
    {
        _budget = budget;
        _bytesMax = bytesMax;
    }

    ~SpareChunks() => Release();

    /// <summary>A chunk, not zeroed, of the caller's from now on.</summary>
    public byte* Take()
    {
        lock (_lock)
        {
            if (_chunks.TryPop(out nint chunk))
            {
                _budget.AddCache(-ChunkBytes);
                return (byte*)chunk;
            }
        }

        return (byte*)BulkMemory.Allocate(ChunkBytes);
    }

    /// <summary>Keeps or frees a chunk that <see cref="Take"/> gave.</summary>
    public void Return(byte* chunk)
    {
        lock (_lock)
        {
            if ((_chunks.Count + 1L) * ChunkBytes <= _bytesMax)
            {
                _chunks.Push((nint)chunk);
                _budget.AddCache(ChunkBytes);
                return;
            }
        }

        BulkMemory.Free(chunk, ChunkBytes);
    }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        lock (_lock)
        {
            while (_chunks.TryPop(out nint chunk))
            {
                _budget.AddCache(-ChunkBytes);
                BulkMemory.Free((void*)chunk, ChunkBytes);
            }
        }
    }
}
