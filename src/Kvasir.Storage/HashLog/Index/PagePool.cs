using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.HashLog.Index;

/// <summary>
/// Pages of one size for the index, cut from blocks outside the garbage-collected heap. Counts as cache in the memory budget, though
/// nobody can evict it. Thread-safe.
/// </summary>
internal sealed unsafe class PagePool
{
    public const int PageBytes = 2048;

    // An engine that holds little takes little: blocks grow with what there is.
    private const int FirstBlockBytes = 64 << 10;

    private readonly MemoryBudget _budget;
    private readonly Lock _lock = new();
    private readonly List<(nint Memory, int Bytes)> _blocks = [];
    private nint _free;
    private byte* _next;
    private byte* _end;
    private int _blockBytes = FirstBlockBytes;
    private long _allocated;
    private long _used;

    public PagePool(MemoryBudget budget) => _budget = budget;

    /// <summary>In pages that are in use.</summary>
    public long UsedBytes => Interlocked.Read(ref _used);

    public long AllocatedBytes => Interlocked.Read(ref _allocated);

    /// <summary>Zeroed.</summary>
    public byte* Take()
    {
        byte* page;
        lock (_lock)
        {
            Interlocked.Add(ref _used, PageBytes);
            _budget.AddIndex(PageBytes);
            page = (byte*)_free;
            if (page != null)
            {
                _free = *(nint*)page;
            }
            else
            {
                if (_next == _end)
                    AddBlock();
                page = _next;
                _next += PageBytes;
            }
        }

        new Span<byte>(page, PageBytes).Clear();
        return page;
    }

    public void Return(byte* page)
    {
        lock (_lock)
        {
            *(nint*)page = _free;
            _free = (nint)page;
            Interlocked.Add(ref _used, -PageBytes);
            _budget.AddIndex(-PageBytes);
        }
    }

    public void Free()
    {
        lock (_lock)
        {
            foreach ((nint memory, int bytes) in _blocks)
                BulkMemory.Free((void*)memory, bytes);
            _blocks.Clear();
            _budget.AddCache(-_allocated);
            _budget.AddIndex(-_used);
            _allocated = _used = 0;
            _free = 0;
            _next = _end = null;
        }
    }

    private void AddBlock()
    {
        _next = (byte*)BulkMemory.Allocate(_blockBytes);
        _end = _next + _blockBytes;
        _blocks.Add(((nint)_next, _blockBytes));
        Interlocked.Add(ref _allocated, _blockBytes);
        _budget.AddCache(_blockBytes);
        _blockBytes = Math.Min(_blockBytes * 2, BulkMemory.HugePageBytes);
    }
}
