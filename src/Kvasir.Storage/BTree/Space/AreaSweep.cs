using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;

namespace Kvasir.Storage.BTree.Space;

/// <summary>
/// Which free page is taken next: goes round the file, area by area, and stays in those where at least as much may be given out as
/// elsewhere on average. What a commit writes lies side by side then, as far as the file allows, and costs fewer operations of the disk; where
/// nearly nothing is free it is any page. That is the threading of a log through free extents (Rosenblum and Ousterhout, 1991), without
/// the copying.
/// </summary>
internal sealed class AreaSweep(PageLayout layout, Func<int, ChunkBitmap> chunkAt)
{
    private int _chunk;
    private uint _next;

    /// <param name="available">Pages that may be given out; there is one.</param>
    /// <param name="pageCount">Pages of the file.</param>
    public long Take(long available, uint pageCount)
    {
        Check.That(available > 0);
        int chunks = (int)((pageCount + layout.ChunkPages - 1) / layout.ChunkPages);
        uint area = 0;
        if (_chunk < chunks)
        {
            if (_next % ChunkBitmap.AreaPages != 0 && TakeIn(chunkAt(_chunk), _next) is >= 0 and var found)
                return found;
            area = (_next + ChunkBitmap.AreaPages - 1) / ChunkBitmap.AreaPages;
        }

        // Some chunk has as many as the average, and some area of it as many as the average of that chunk: the rest of this
        // one, all others, and its beginning are where they can be.
        for (int tried = 0; tried <= chunks + 1; tried++, _chunk++, area = 0)
        {
            if (_chunk >= chunks)
                (_chunk, area) = (0, 0);
            ChunkBitmap chunk = chunkAt(_chunk);
            long pages = Math.Min(layout.ChunkPages, pageCount - (_chunk * (long)layout.ChunkPages));
            if ((long)chunk.AvailableCount * pageCount < available * pages)
                continue;
            for (; area * (long)ChunkBitmap.AreaPages < pages; area++)
            {
                long areaPages = Math.Min(ChunkBitmap.AreaPages, pages - (area * (long)ChunkBitmap.AreaPages));
                int count = chunk.AvailableIn(area);
                if (count != 0 && count * pages >= chunk.AvailableCount * areaPages)
                    return TakeIn(chunk, area * ChunkBitmap.AreaPages);
            }
        }

        Check.That(false, $"{available} pages of {pageCount} are available, and none is found");
        return -1;
    }

    private long TakeIn(ChunkBitmap chunk, uint from)
    {
        long at = chunk.TakeInArea(from);
        if (at < 0)
            return -1;
        _next = (uint)at + 1;
        return (_chunk * (long)layout.ChunkPages) + at;
    }
}
