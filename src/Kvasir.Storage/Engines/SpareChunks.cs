using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// Memory chunks of one size that were freed and will soon be wanted again: a memtable that is flushed leaves what the
/// next one needs, and the system need not find and clear the pages once more. All that memtables have had at one time is kept,
/// since caches do not get it; where write memory is set apart, all that it has room for. What nobody has needed for a while goes
/// back. Under a large budget of the first kind a few are made ready in the background while there are none yet, so that writers do
/// not wait for the system. Thread-safe.
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
    private int _unused;

    internal SpareChunks(MemoryBudget budget)
    {
        _budget = budget;
        // A small budget has better uses for so much memory.
        _prepares = budget.LendsWriteMemory && KeptBytesMin >= 4 * ReadyChunks * ChunkBytes;
    }

    ~SpareChunks() => Trim();

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
            bool isSpare = _chunks.TryPop(out nint chunk);
            _unused = Math.Min(_unused, _chunks.Count);
            if (isSpare)
            {
                _budget.AddSpare(-ChunkBytes);
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
                _budget.AddSpare(ChunkBytes);
                return;
            }
        }

        BulkMemory.Free(chunk, ChunkBytes);
    }

    /// <summary>Gives back what was not needed since the last time, but for a few. To be called now and then.</summary>
    public void Rest()
    {
        var surplus = new List<nint>();
        lock (_lock)
        {
            int unused = Math.Min(_unused, _chunks.Count - (int)(KeptBytesMin / ChunkBytes));
            for (int i = 0; i < unused; i++)
                surplus.Add(_chunks.Pop());
            _budget.AddSpare(-(long)surplus.Count * ChunkBytes);
            _unused = _chunks.Count;
        }

        foreach (nint chunk in surplus)
            BulkMemory.Free((void*)chunk, ChunkBytes);
    }

    public void Dispose()
    {
        Trim();
        GC.SuppressFinalize(this);
    }

    private long KeptBytesMin => _budget.WriteLimitBytes / 8;

    private long BytesMax => _budget.LendsWriteMemory
        ? Math.Max(KeptBytesMin, _budget.WriteBytesPeak - _budget.WriteBytes)
        : (_budget.WriteLimitBytes / 5 * 4) - _budget.WriteBytes;

    /// <summary>Gives all of them back.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            while (_chunks.TryPop(out nint chunk))
            {
                _budget.AddSpare(-ChunkBytes);
                BulkMemory.Free((void*)chunk, ChunkBytes);
            }
        }
    }
}
