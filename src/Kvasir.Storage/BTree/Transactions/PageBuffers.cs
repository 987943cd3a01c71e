using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>Native memory for the pages of a write transaction, taken one by one and given back all at once.</summary>
internal sealed unsafe class PageBuffers(int pageBytes) : IDisposable
{
    private const int SlabPages = 64;

    // What one transaction needed is kept for the next, up to this.
    private const long KeptBytesMax = 16 << 20;

    private readonly List<nint> _slabs = [];
    private readonly Stack<nint> _spare = new();
    private readonly List<(nint Memory, long Bytes)> _runs = [];
    private int _next;

    public byte* Take()
    {
        if (_spare.TryPop(out nint spare))
            return (byte*)spare;
        int slab = _next / SlabPages;
        if (slab == _slabs.Count)
            _slabs.Add((nint)BulkMemory.Allocate((long)SlabPages * pageBytes));
        return (byte*)_slabs[slab] + ((long)(_next++ % SlabPages) * pageBytes);
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
        _next = 0;
        int kept = (int)(KeptBytesMax / SlabPages / pageBytes);
        for (int i = _slabs.Count - 1; i >= kept; i--)
        {
            BulkMemory.Free((void*)_slabs[i], (long)SlabPages * pageBytes);
            _slabs.RemoveAt(i);
        }
    }

    public void Dispose()
    {
        Reset();
        foreach (nint slab in _slabs)
            BulkMemory.Free((void*)slab, (long)SlabPages * pageBytes);
        _slabs.Clear();
    }
}
