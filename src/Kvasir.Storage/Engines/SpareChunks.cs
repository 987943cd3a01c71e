using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// Memory chunks of one size that were freed and will soon be wanted again: a memtable that is flushed leaves what the
/// next one needs, and the system need not clear the pages once more. Where caches may use what memtables leave, a few are
/// kept, and count as cache while they wait; where write memory is set apart, all that it has room for. Under a large budget
/// of the first kind a few are made ready in the background while there are none yet, so that writers do not wait for the
/// system to find and clear pages. Thread-safe.
/// </summary>
public sealed unsafe class SpareChunks : IDisposable
{
    /// <summary>The one size: a huge page.</summary>
    public const int ChunkBytes = BulkMemory.HugePageBytes;

    // Enough for some ten milliseconds of the fastest writers, while the background wakes up and makes more.
    private const int LowChunks = 3;
    private const int ReadyChunks = 8;

    private readonly MemoryBudget _budget;
    private readonly bool _prepares;
    private readonly Stack<nint> _chunks = new();
    private readonly Lock _lock = new();
    private bool _runsLow;

    internal SpareChunks(MemoryBudget budget)
    {
        _budget = budget;
        // A small budget has better uses for so much memory.
        _prepares = budget.LendsWriteMemory && BytesMax >= 4 * ReadyChunks * ChunkBytes;
    }

    ~SpareChunks() => Release();

    /// <summary>Somebody should <see cref="Prepare"/> in the background.</summary>
    public bool RunsLow => Volatile.Read(ref _runsLow);

    /// <summary>Makes a few chunks ready.</summary>
    public void Prepare()
    {
        while (true)
        {
            lock (_lock)
            {
                if (_chunks.Count >= ReadyChunks)
                {
                    Volatile.Write(ref _runsLow, false);
                    return;
                }
            }

            var chunk = (byte*)BulkMemory.Allocate(ChunkBytes);
            BulkMemory.Populate(chunk, ChunkBytes);
            Return(chunk);
        }
    }

    /// <summary>A chunk, not zeroed, of the caller's from now on.</summary>
    public byte* Take()
    {
        lock (_lock)
        {
            if (_prepares && _chunks.Count <= LowChunks)
                Volatile.Write(ref _runsLow, true);
            if (_chunks.TryPop(out nint chunk))
            {
                Count(-ChunkBytes);
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
            if ((_chunks.Count + 1L) * ChunkBytes <= BytesMax)
            {
                _chunks.Push((nint)chunk);
                Count(ChunkBytes);
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

    private long BytesMax => _budget.LendsWriteMemory
        ? _budget.WriteLimitBytes / 8
        : (_budget.WriteLimitBytes / 5 * 4) - _budget.WriteBytes;

    private void Count(long bytes)
    {
        if (_budget.LendsWriteMemory)
            _budget.AddCache(bytes);
    }

    private void Release()
    {
        lock (_lock)
        {
            while (_chunks.TryPop(out nint chunk))
            {
                Count(-ChunkBytes);
                BulkMemory.Free((void*)chunk, ChunkBytes);
            }
        }
    }
}
