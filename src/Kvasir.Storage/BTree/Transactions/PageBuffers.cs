using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>Native memory for the pages of a write transaction, taken one by one and given back all at once.</summary>
internal sealed unsafe class PageBuffers(int pageBytes) : IDisposable
{
    // The first slabs are small, for transactions that are. After those come slabs that the system clears and maps with one fault each.
    private const int SmallSlabPages = 64;
    private const long SmallSlabsBytes = BulkMemory.HugePageBytes;

    // What one transaction needed is kept for the next, up to this.
    private const long KeptBytesMax = 16 << 20;

    private readonly List<Slab> _slabs = [];
    private readonly Stack<nint> _spare = new();
    private readonly List<(nint Memory, long Bytes)> _runs = [];
    private long _slabBytes;
    private int _slab;
    private int _next;

    public byte* Take()
    {
        if (_spare.TryPop(out nint spare))
            return (byte*)spare;
        if (_slab < _slabs.Count && _next == _slabs[_slab].Pages)
            (_slab, _next) = (_slab + 1, 0);
        if (_slab == _slabs.Count)
            AddSlab();
        return (byte*)_slabs[_slab].Memory + ((long)_next++ * pageBytes);
    }

    public void Return(byte* page) => _spare.Push((nint)page);

    public byte* TakeRun(uint pages)
    {
        long bytes = (long)pages * pageBytes;
        byte* run = (byte*)BulkMemory.Allocate(bytes);
        _runs.Add(((nint)run, bytes));
        return run;
    }

    public void ReturnRun(byte* run)
    {
        int index = _runs.FindLastIndex(r => r.Memory == (nint)run);
        BulkMemory.Free(run, _runs[index].Bytes);
        _runs.RemoveAt(index);
    }

    public void Reset()
    {
        foreach ((nint memory, long bytes) in _runs)
            BulkMemory.Free((void*)memory, bytes);
        _runs.Clear();
        _spare.Clear();
        (_slab, _next) = (0, 0);
        while (_slabBytes > KeptBytesMax)
            RemoveSlab();
    }

    public void Dispose()
    {
        Reset();
        while (_slabs.Count != 0)
            RemoveSlab();
    }

    private void AddSlab()
    {
        int pages = _slabBytes < SmallSlabsBytes ? SmallSlabPages : Math.Max(BulkMemory.HugePageBytes / pageBytes, SmallSlabPages);
        long bytes = (long)pages * pageBytes;
        _slabs.Add(new Slab((nint)BulkMemory.Allocate(bytes), pages));
        _slabBytes += bytes;
    }

    private void RemoveSlab()
    {
        Slab last = _slabs[^1];
        long bytes = (long)last.Pages * pageBytes;
        BulkMemory.Free((void*)last.Memory, bytes);
        _slabBytes -= bytes;
        _slabs.RemoveAt(_slabs.Count - 1);
    }

    private readonly record struct Slab(nint Memory, int Pages);
}
