using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;

namespace Kvasir.Storage.BTree.Space;

/// <summary>
/// Which pages are free, and which of them may be given out. A transaction takes pages that lie together where it can (<see cref="AreaSweep"/>),
/// or from the front, so that the end of the file runs empty; what it frees becomes free in the file with its commit, and available
/// when no reader and no earlier commit needs it any more. Where too little is free for pages to lie together, the file grows, up to a share of it:
/// the disk is asked for each place, and hardly more for many pages there. Bitmaps are read when they are first needed. One writer at a time.
/// </summary>
internal sealed class FreeSpace
{
    // The file grows while less than one page in so many is free,
    private const uint GrowthShare = 6;

    // and where it is so small, only when none is.
    private const uint GrowthPagesMin = 4 * ChunkBitmap.AreaPages;

    private readonly PageLayout _layout;
    private readonly Func<uint, ulong[]> _load;
    private readonly List<ChunkBitmap?> _chunks = [];
    private readonly Queue<(ulong Transaction, PageRun[] Runs)> _held = new();
    private readonly AreaSweep _sweep;
    private readonly List<PageRun> _taken = [];
    private readonly List<PageRun> _freed = [];
    private readonly List<PageRun> _trimmed = [];
    private uint _committedCount;
    private uint _committedFree;
    private int _freedApplied;
    private int _low;

    /// <param name="layout">Of the file.</param>
    /// <param name="load">Reads the bitmap of a chunk that the file has.</param>
    /// <param name="pageCount">Pages of the file.</param>
    /// <param name="freePages">How many of them are free.</param>
    public FreeSpace(PageLayout layout, Func<uint, ulong[]> load, uint pageCount, uint freePages)
    {
        _layout = layout;
        _load = load;
        _sweep = new AreaSweep(layout, ChunkAt, GrowArea);
        PageCount = _committedCount = pageCount;
        FreePages = _committedFree = freePages;
        for (uint chunk = 0; chunk < ChunksOf(pageCount); chunk++)
            _chunks.Add(null);
    }

    public uint PageCount { get; private set; }

    /// <summary>Free in the file's bitmaps.</summary>
    public uint FreePages { get; private set; }

    /// <summary>Free in the file, but held back for readers.</summary>
    public long HeldPages { get; private set; }

    /// <summary>Pages are taken from the front, whatever that costs.</summary>
    public bool TakesLowest { get; set; }

    /// <summary>Lets go of what transactions up to <paramref name="oldest"/> freed: nobody sees a state before it any more.</summary>
    public void Release(ulong oldest)
    {
        while (_held.TryPeek(out (ulong Transaction, PageRun[] Runs) next) && next.Transaction <= oldest)
        {
            foreach (PageRun run in next.Runs)
            {
                for (uint page = run.Start; page < run.End; page++)
                    Chunk(page).MakeAvailable(Within(page));
                _low = Math.Min(_low, (int)ChunkOf(run.Start));
                HeldPages -= run.Count;
            }

            _held.Dequeue();
        }
    }

    /// <param name="count">Pages side by side.</param>
    /// <param name="isBranch">For a node with children.</param>
    public uint Allocate(uint count, bool isBranch = false)
    {
        Check.That(count > 0 && count <= _layout.RunPagesMax);
        long found = count == 1 ? TakeOne(isBranch) : TakeRun(count);
        uint start = found >= 0 ? (uint)found : Grow(count);
        _taken.Add(new PageRun(start, count));
        return start;
    }

    /// <summary>As <see cref="Allocate"/>, but only where it lies wholly before <paramref name="limit"/>; 0 where it cannot.</summary>
    public uint AllocateBefore(uint count, uint limit)
    {
        long found = count == 1 ? TakeOne(isBranch: false) : TakeRun(count);
        if (found < 0)
            return 0;
        _taken.Add(new PageRun((uint)found, count));
        if (found + count <= limit)
            return (uint)found;
        FreeOwn((uint)found, count);
        return 0;
    }

    /// <summary>Pages that this transaction itself took: they may be taken again at once.</summary>
    public void FreeOwn(uint start, uint count)
    {
        for (uint page = start; page < start + count; page++)
        {
            ChunkBitmap chunk = Chunk(page);
            chunk.MarkFree(Within(page));
            chunk.MakeAvailable(Within(page));
        }

        FreePages += count;
        _low = Math.Min(_low, (int)ChunkOf(start));
    }

    /// <summary>Pages of the committed state.</summary>
    public void FreeCommitted(uint start, uint count) => _freed.Add(new PageRun(start, count));

    /// <summary>Marks in the bitmaps what the transaction has freed. Nothing may be allocated or freed after it.</summary>
    public void ApplyFreed()
    {
        while (_freedApplied < _freed.Count)
        {
            PageRun run = _freed[_freedApplied];
            ChunkBitmap chunk = Chunk(run.Start);
            for (uint page = run.Start; page < run.End; page++)
                chunk.MarkFree(Within(page));
            FreePages += run.Count;
            _freedApplied++;
        }
    }

    /// <summary>The last page of the file is free, and nobody needs it.</summary>
    public bool CanTrim => PageCount > PageLayout.FirstRunPage && Chunk(PageCount - 1).IsAvailable(Within(PageCount - 1));

    /// <summary>Drops free pages from the end of the file that nobody needs; follows <see cref="ApplyFreed"/>.</summary>
    public bool TrimEnd()
    {
        uint before = PageCount;
        while (PageCount > PageLayout.FirstRunPage)
        {
            uint chunkStart = ChunkOf(PageCount - 1) * _layout.ChunkPages;
            if (PageCount - chunkStart == PageLayout.FirstRunPage)
            {
                // Nothing but the bitmaps is left of the chunk, and the two pages before them.
                ChunkBitmap chunk = Chunk(chunkStart);
                if (!chunk.IsAvailable(0) || !chunk.IsAvailable(1))
                    break;
                Trim(chunkStart, 2);
                PageCount = chunkStart;
                continue;
            }

            if (!Chunk(PageCount - 1).IsAvailable(Within(PageCount - 1)))
                break;
            Trim(PageCount - 1, 1);
            PageCount--;
        }

        return PageCount != before;
    }

    /// <summary>Chunks whose bitmaps the transaction has changed, those beyond the end left out.</summary>
    public IEnumerable<(uint Chunk, ChunkBitmap Bitmap)> Dirty()
    {
        for (int i = 0; i < ChunksOf(PageCount); i++)
        {
            if (_chunks[i] is { IsDirty: true } chunk)
                yield return ((uint)i, chunk);
        }
    }

    public void Commit(ulong transaction)
    {
        foreach (ChunkBitmap? chunk in _chunks)
        {
            if (chunk is not null)
                chunk.IsDirty = false;
        }

        _chunks.RemoveRange(ChunksOf(PageCount), _chunks.Count - ChunksOf(PageCount));
        if (_freed.Count != 0)
            _held.Enqueue((transaction, _freed.ToArray()));
        foreach (PageRun run in _freed)
            HeldPages += run.Count;
        _committedCount = PageCount;
        _committedFree = FreePages;
        Forget();
    }

    public void Rollback()
    {
        foreach (PageRun run in _freed.Take(_freedApplied))
        {
            for (uint page = run.Start; page < run.End; page++)
                Chunk(page).Clear(Within(page));
        }

        foreach (PageRun run in _taken.Concat(_trimmed))
        {
            for (uint page = run.Start; page < Math.Min(run.End, _committedCount); page++)
            {
                ChunkBitmap chunk = Chunk(page);
                if (!chunk.IsFree(Within(page)))
                    chunk.MarkFree(Within(page));
                if (!chunk.IsAvailable(Within(page)))
                    chunk.MakeAvailable(Within(page));
            }

            _low = Math.Min(_low, (int)ChunkOf(run.Start));
        }

        _chunks.RemoveRange(ChunksOf(_committedCount), _chunks.Count - ChunksOf(_committedCount));
        if (PageCount > _committedCount && _committedCount % _layout.ChunkPages != 0 && _chunks[^1] is { } last)
        {
            for (uint at = Within(_committedCount); at < _layout.ChunkPages; at++)
                last.Clear(at);
        }

        foreach (ChunkBitmap? chunk in _chunks)
        {
            if (chunk is not null)
                chunk.IsDirty = false;
        }

        PageCount = _committedCount;
        FreePages = _committedFree;
        _low = Math.Min(_low, _chunks.Count);
        Forget();
    }

    public int ChunksOf(uint pageCount) => (int)((pageCount + _layout.ChunkPages - 1) / _layout.ChunkPages);

    private uint ChunkOf(uint page) => page / _layout.ChunkPages;

    private uint Within(uint page) => page % _layout.ChunkPages;

    private ChunkBitmap Chunk(uint page) => ChunkAt((int)ChunkOf(page));

    private ChunkBitmap ChunkAt(int index) => _chunks[index] ??= new ChunkBitmap(_load((uint)index));

    private void Forget()
    {
        _taken.Clear();
        _freed.Clear();
        _trimmed.Clear();
        _freedApplied = 0;
    }

    private void Trim(uint start, uint count)
    {
        for (uint page = start; page < start + count; page++)
            Chunk(page).Clear(Within(page));
        FreePages -= count;
        _trimmed.Add(new PageRun(start, count));
    }

    private long TakeOne(bool isBranch)
    {
        long available = FreePages - HeldPages;
        bool mayGrow = MayGrow;
        if (available == 0 && !mayGrow)
            return -1;
        if (!TakesLowest)
        {
            long found = _sweep.Take(available, PageCount, isBranch, mayGrow);
            if (found >= 0)
                FreePages--;
            if (found >= 0 || mayGrow)
                return found;
        }

        for (; _low < _chunks.Count; _low++)
        {
            ChunkBitmap chunk = ChunkAt(_low);
            if (chunk.AvailableCount == 0)
                continue;
            FreePages--;
            return (_low * (long)_layout.ChunkPages) + chunk.TakeLowest();
        }

        return -1;
    }

    private long TakeRun(uint count)
    {
        for (int i = _low; i < _chunks.Count; i++)
        {
            long found = ChunkAt(i).TakeRun(count, PageLayout.FirstRunPage);
            if (found < 0)
                continue;
            FreePages -= count;
            return (i * (long)_layout.ChunkPages) + found;
        }

        return -1;
    }

    /// <summary>Pages at the end are to be had, though some are free elsewhere. What the transaction itself frees does not count: it is of no use to it.</summary>
    private bool MayGrow => !TakesLowest && PageCount >= GrowthPagesMin && (ulong)FreePages * GrowthShare < PageCount;

    /// <summary>Frees what is missing of the area where the file ends, and the one after it if that is little. Gives back the last page.</summary>
    private uint GrowArea()
    {
        uint count = ChunkBitmap.AreaPages - (Within(PageCount) % ChunkBitmap.AreaPages);
        if (count < ChunkBitmap.AreaPages / 2 && Within(PageCount) + count < _layout.ChunkPages)
            count += ChunkBitmap.AreaPages;
        uint start = Grow(count);
        AddFree(start, count);
        return start + count - 1;
    }

    private uint Grow(uint count)
    {
        if (Within(PageCount) != 0 && Within(PageCount) + count > _layout.ChunkPages)
        {
            uint rest = _layout.ChunkPages - Within(PageCount);
            AddFree(PageCount, rest);
            PageCount += rest;
        }

        if (PageCount + (long)PageLayout.FirstRunPage + count > _layout.PagesMax)
            throw new BTreeFullException($"the file has {PageCount} pages of {_layout.PageBytes} bytes and can have {_layout.PagesMax}");
        if (Within(PageCount) == 0)
        {
            _chunks.Add(new ChunkBitmap(new ulong[_layout.ChunkWords]) { IsDirty = true });
            AddFree(PageCount, PageLayout.BitmapPage);
            PageCount += PageLayout.FirstRunPage;
        }

        uint start = PageCount;
        PageCount += count;
        return start;
    }

    private void AddFree(uint start, uint count)
    {
        ChunkBitmap chunk = Chunk(start);
        for (uint page = start; page < start + count; page++)
        {
            chunk.MarkFree(Within(page));
            chunk.MakeAvailable(Within(page));
        }

        FreePages += count;
        _low = Math.Min(_low, (int)ChunkOf(start));
    }
}
