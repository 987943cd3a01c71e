using Kvasir.Storage.BTree.Pages;

namespace Kvasir.Storage.BTree.Space;

/// <summary>
/// Which free page is taken next: goes round the file, area by area, and stays in those where at least as much may be given out as
/// elsewhere on average. What a commit writes lies side by side then, as far as the file allows, and costs fewer operations of the disk.
/// That is the threading of a log through free extents (Rosenblum and Ousterhout, 1991), without the copying.
/// <para>
/// Branches are written anew far more often than leaves. Among leaves they would leave holes of one page each, so a few areas are
/// kept for them, which empty again by themselves.
/// </para>
/// </summary>
internal sealed class AreaSweep(PageLayout layout, Func<int, ChunkBitmap> chunkAt)
{
    // One area in so many is kept for branches, at most.
    private const uint KeptShare = 16;

    // An area with fewer free pages is not worth being kept.
    private const int KeptPagesMin = (int)ChunkBitmap.AreaPages / 8;

    private readonly uint _areasPerChunk = (layout.ChunkPages + ChunkBitmap.AreaPages - 1) / ChunkBitmap.AreaPages;
    private readonly List<uint> _kept = [];
    private readonly HashSet<uint> _isKept = [];
    private uint _pageCount;
    private int _keptAt;
    private uint _keptNext;
    private uint _area;
    private uint _next = ChunkBitmap.AreaPages;

    /// <param name="available">Pages that may be given out.</param>
    /// <param name="pageCount">Pages of the file.</param>
    /// <param name="isBranch">A node with children, which will soon be written anew.</param>
    /// <returns>-1: what is available is kept for branches.</returns>
    public long Take(long available, uint pageCount, bool isBranch)
    {
        if (pageCount < _pageCount)
            LetGoBeyond(pageCount);
        _pageCount = pageCount;
        if (isBranch && TakeKept(available) is >= 0 and var kept)
            return kept;
        if (!_isKept.Contains(_area) && TakeIn(_area, ref _next) is >= 0 and var found)
            return found;
        if (!TryFind(available, out uint area))
            return -1;
        _area = area;
        _next = 0;
        return TakeIn(area, ref _next);
    }

    private long TakeKept(long available)
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
        if (areTooFew && _kept.Count < keptMax && TryFind(available, out uint area) && AvailableIn(area) >= KeptPagesMin)
        {
            _kept.Insert(_keptAt, area);
            _isKept.Add(area);
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
