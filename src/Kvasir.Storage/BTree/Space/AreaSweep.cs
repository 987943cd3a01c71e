using Kvasir.Storage.BTree.Pages;

namespace Kvasir.Storage.BTree.Space;

/// <summary>
/// Which free page is taken next: goes round the file and takes pages that lie side by side, passing over runs that are too short. How long a run has
/// to be follows from what is found: as long as can be, so that holes grow together until the next time. What a commit writes lies side by side then, as
/// far as the file allows, and costs fewer operations of the disk. That is the threading of a log through free extents (Rosenblum and Ousterhout,
/// 1991), without the copying.
/// <para>
/// Branches are written anew far more often than leaves. Among leaves they would leave holes of one page each, so a few areas are
/// kept for them, which empty again by themselves.
/// </para>
/// </summary>
/// <param name="layout">Of the file.</param>
/// <param name="chunkAt">The bitmap of a chunk.</param>
/// <param name="growArea">Adds an area of free pages to the end of the file, and gives back the last page.</param>
internal sealed class AreaSweep(PageLayout layout, Func<int, ChunkBitmap> chunkAt, Func<uint> growArea)
{
    // One area in so many is kept for branches, at most.
    private const uint KeptShare = 16;

    // An area with fewer free pages is not worth being kept.
    private const int KeptPagesMin = (int)ChunkBitmap.AreaPages / 8;

    // Where the file may grow instead, shorter runs are left.
    private const uint GrowthRunMin = 16;
    private const uint RunFirst = 8;
    private const uint RunMax = 64;

    // A round that took a larger share of what there is can do with longer runs; one that took a smaller one cannot.
    private const int RichShare = 8;
    private const int PoorShare = 64;

    private readonly uint _areasPerChunk = (layout.ChunkPages + ChunkBitmap.AreaPages - 1) / ChunkBitmap.AreaPages;
    private readonly List<uint> _kept = [];
    private readonly HashSet<uint> _isKept = [];
    private uint _pageCount;
    private int _keptAt;
    private uint _keptNext;
    private uint _area;
    private uint _next;
    private uint _runMin = RunFirst;
    private long _takenInRound;
    private bool _isInRun;

    // Pages to be taken at the end before the file is looked through again.
    private uint _growthLeft;

    /// <param name="available">Pages that may be given out.</param>
    /// <param name="pageCount">Pages of the file.</param>
    /// <param name="isBranch">A node with children, which will soon be written anew.</param>
    /// <param name="mayGrow">The file has few free pages, and may grow though there are some.</param>
    /// <returns>-1: what is available is kept for branches or, if the file may grow, not worth it.</returns>
    public long Take(long available, uint pageCount, bool isBranch, bool mayGrow)
    {
        if (pageCount < _pageCount)
            LetGoBeyond(pageCount);
        _pageCount = pageCount;
        if (isBranch && TakeKept(available, mayGrow) is >= 0 and var kept)
            return kept;
        if (_isInRun && TakeNext() is >= 0 and var next)
            return next;
        _isInRun = false;
        if (mayGrow)
            return TakeOrGrow(available);
        _growthLeft = 0;
        while (!FindRun(_runMin, available))
        {
            if (_runMin == 1)
                return -1;
            _runMin--;
        }

        return TakeNext();
    }

    private long TakeOrGrow(long available)
    {
        if (_growthLeft == 0)
        {
            if (FindRun(Math.Max(_runMin, GrowthRunMin), available))
                return TakeNext();
            _growthLeft = ChunkBitmap.AreaPages;
        }

        _growthLeft--;
        return -1;
    }

    /// <summary>The page where the sweep stands.</summary>
    private long TakeNext()
    {
        uint chunk = _area / _areasPerChunk;
        uint at = (_area % _areasPerChunk * ChunkBitmap.AreaPages) + _next;
        if (_next == ChunkBitmap.AreaPages || PagesOf(_area) == 0 || _isKept.Contains(_area) || !chunkAt((int)chunk).TryTake(at))
            return -1;
        _next++;
        _takenInRound++;
        _isInRun = true;
        return (chunk * (long)layout.ChunkPages) + at;
    }

    /// <summary>Goes on to so many pages side by side in an area that is not kept, once round the file at most.</summary>
    private bool FindRun(uint length, long available)
    {
        uint chunks = (_pageCount + layout.ChunkPages - 1) / layout.ChunkPages;
        uint areas = chunks * _areasPerChunk;
        for (uint tried = 0; tried <= areas; tried++)
        {
            ChunkBitmap chunk = chunkAt((int)(_area / _areasPerChunk));
            uint area = _area % _areasPerChunk;
            if (area == 0 && chunk.AvailableCount < length)
            {
                tried += _areasPerChunk - 1;
                GoOn(_areasPerChunk, areas, available);
                continue;
            }

            if (_next < ChunkBitmap.AreaPages && !_isKept.Contains(_area) && chunk.AvailableIn(area) >= length
                && chunk.FindRunInArea((area * ChunkBitmap.AreaPages) + _next, length) is >= 0 and var at)
            {
                _next = (uint)at - (area * ChunkBitmap.AreaPages);
                return true;
            }

            GoOn(1, areas, available);
        }

        return false;
    }

    private void GoOn(uint by, uint areas, long available)
    {
        _next = 0;
        _area += by;
        if (_area < areas)
            return;
        _area = 0;
        if (_takenInRound * RichShare > available)
            _runMin = Math.Min(_runMin + 1, RunMax);
        else if (_takenInRound * PoorShare < available)
            _runMin = Math.Max(_runMin - 1, 1);
        _takenInRound = 0;
    }

    private long TakeKept(long available, bool mayGrow)
    {
        int keptMax = (int)(_pageCount / ChunkBitmap.AreaPages / KeptShare);
        if (keptMax == 0)
            return -1;
        if (_kept.Count != 0)
        {
            if (TakeIn(_kept[_keptAt], ref _keptNext) is >= 0 and var found)
                return found;
            _keptAt = (_keptAt + 1) % _kept.Count;
        }

        // The next is the one that was left longest: has it not emptied enough, there are too few. One that does not empty is let go.
        bool areTooFew = _kept.Count == 0 || AvailableIn(_kept[_keptAt]) < ChunkBitmap.AreaPages / 2;
        if (areTooFew && _kept.Count < keptMax)
        {
            if (TryFind(available, out uint area) && AvailableIn(area) >= KeptPagesMin)
                Keep(area);
            else if (mayGrow)
                KeepNew();
        }

        while (_kept.Count != 0 && AvailableIn(_kept[_keptAt]) < KeptPagesMin)
        {
            _isKept.Remove(_kept[_keptAt]);
            _kept.RemoveAt(_keptAt);
            _keptAt = _keptAt == _kept.Count ? 0 : _keptAt;
        }

        _keptNext = 0;
        return _kept.Count == 0 ? -1 : TakeIn(_kept[_keptAt], ref _keptNext);
    }

    private void Keep(uint area)
    {
        _kept.Insert(_keptAt, area);
        _isKept.Add(area);
    }

    private void KeepNew()
    {
        uint last = growArea();
        _pageCount = last + 1;
        Keep((last / layout.ChunkPages * _areasPerChunk) + (last % layout.ChunkPages / ChunkBitmap.AreaPages));
    }

    /// <summary>
    /// The next area that is not kept and has as many as those have on average. There is one, if any of them has any: behind the
    /// last one that was found, or before it.
    /// </summary>
    private bool TryFind(long available, out uint area)
    {
        long left = available;
        long pages = _pageCount;
        foreach (uint kept in _kept)
        {
            left -= AvailableIn(kept);
            pages -= PagesOf(kept);
        }

        area = _area;
        if (left <= 0)
            return false;
        uint chunks = (_pageCount + layout.ChunkPages - 1) / layout.ChunkPages;
        for (uint tried = 0; tried <= chunks * _areasPerChunk; tried++)
        {
            area = (area + 1) % (chunks * _areasPerChunk);
            if (area % _areasPerChunk == 0 && chunkAt((int)(area / _areasPerChunk)).AvailableCount == 0)
            {
                area += _areasPerChunk - 1;
                tried += _areasPerChunk - 1;
                continue;
            }

            int count = AvailableIn(area);
            if (count != 0 && !_isKept.Contains(area) && count * pages >= left * PagesOf(area))
                return true;
        }

        return false;
    }

    private int AvailableIn(uint area) => chunkAt((int)(area / _areasPerChunk)).AvailableIn(area % _areasPerChunk);

    /// <summary>The last area of a chunk, and of the file, are parts.</summary>
    private long PagesOf(uint area)
    {
        long start = area % _areasPerChunk * ChunkBitmap.AreaPages;
        long end = Math.Min(layout.ChunkPages, _pageCount - (area / _areasPerChunk * (long)layout.ChunkPages));
        return Math.Clamp(end - start, 0, ChunkBitmap.AreaPages);
    }

    private long TakeIn(uint area, ref uint next)
    {
        uint chunk = area / _areasPerChunk;
        if (next == ChunkBitmap.AreaPages || PagesOf(area) == 0)
            return -1;
        uint start = area % _areasPerChunk * ChunkBitmap.AreaPages;
        long at = chunkAt((int)chunk).TakeInArea(start + next);
        next = at < 0 ? ChunkBitmap.AreaPages : (uint)at + 1 - start;
        return at < 0 ? -1 : (chunk * (long)layout.ChunkPages) + at;
    }

    private void LetGoBeyond(uint pageCount)
    {
        _pageCount = pageCount;
        _kept.RemoveAll(area => PagesOf(area) == 0);
        while (_kept.Count > pageCount / ChunkBitmap.AreaPages / KeptShare)
            _kept.RemoveAt(_kept.Count - 1);
        _isKept.Clear();
        _isKept.UnionWith(_kept);
        (_keptAt, _keptNext) = (0, 0);
        if (PagesOf(_area) == 0)
            (_area, _next) = (0, ChunkBitmap.AreaPages);
    }
}
