using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Space;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree;

/// <summary>Everything that one commit writes but its meta page.</summary>
/// <param name="Pages">By number; bitmaps among them.</param>
/// <param name="SlotBits">Where the bitmaps are afterwards.</param>
/// <param name="Listed">For the meta page; null when they are too many, and must be synced before it.</param>
internal sealed record PageWrites(DirtyPage[] Pages, byte[] SlotBits, ListedPage[]? Listed);

/// <summary>Writes commits: pages that lie side by side together, then the meta page, with as few syncs as it takes.</summary>
internal sealed unsafe class CommitWriter : IDisposable
{
    /// <summary>More than this is synced before the meta page, so that the next start has little to read.</summary>
    public const long ListedBytesMax = 2 << 20;

    private const int StagingBytes = 1 << 20;

    private readonly IFile _file;
    private readonly PageLayout _layout;
    private readonly PageBuffers _bitmaps;
    private readonly byte* _staging;
    private readonly byte[] _meta;
    private ulong _newest;
    private long _length;

    public CommitWriter(IFile file, PageLayout layout, ulong newest)
    {
        _file = file;
        _layout = layout;
        _newest = newest;
        _length = file.Length;
        _bitmaps = new PageBuffers(layout.PageBytes);
        _staging = (byte*)BulkMemory.Allocate(StagingBytes);
        _meta = new byte[layout.PageBytes];
    }

    public ulong NextTransaction() => ++_newest;

    /// <summary>Gives every page its number, transaction and checksum, and the bitmaps that have changed their other places.</summary>
    public PageWrites Gather(DirtyPages dirty, FreeSpace space, MetaPage before, ulong transaction)
    {
        _bitmaps.Reset();
        byte[] slotBits = (byte[])before.SlotBits.Clone();
        List<DirtyPage> pages = [.. dirty.Sorted()];
        long bytes = 0;
        foreach (DirtyPage page in pages)
        {
            long length = (long)page.Run << _layout.Shift;
            _layout.Seal((byte*)page.Memory, page.Number, transaction, length);
            bytes += length;
        }

        foreach ((uint chunk, ChunkBitmap bitmap) in space.Dirty())
        {
            slotBits[chunk >> 3] ^= (byte)(1 << (int)(chunk & 7));
            bool slot = (slotBits[chunk >> 3] & (1 << (int)(chunk & 7))) != 0;
            uint number = StoreFile.BitmapPageOf(_layout, chunk, slot);
            byte* page = _bitmaps.Take();
            StoreFile.EncodeBitmap(_layout, page, chunk, number, transaction, bitmap.FreeWords);
            pages.Add(new DirtyPage(number, 1, (nint)page));
            bytes += _layout.PageBytes;
        }

        pages.Sort((x, y) => x.Number.CompareTo(y.Number));
        bool isListed = pages.Count <= MetaPage.ListedPagesMax(_layout.PageBytes) && bytes <= ListedBytesMax;
        return new PageWrites(
            [.. pages],
            slotBits,
            isListed ? [.. pages.Select(p => new ListedPage(p.Number, ((PageHeader*)p.Memory)->Checksum))] : null);
    }

    /// <param name="writes">The pages.</param>
    /// <param name="pageCount">Pages of the file afterwards; the last of them may be free, and written by nobody.</param>
    public void WritePages(PageWrites writes, uint pageCount)
    {
        long length = _layout.OffsetOf(pageCount);
        if (_length < length)
        {
            _file.SetLength(length);
            _length = length;
        }

        int staged = 0;
        uint start = 0;
        uint end = 0;
        foreach (DirtyPage page in writes.Pages)
        {
            long bytes = (long)page.Run << _layout.Shift;
            if (staged != 0 && (page.Number != end || staged + bytes > StagingBytes))
            {
                _file.Write(new ReadOnlySpan<byte>(_staging, staged), _layout.OffsetOf(start));
                staged = 0;
            }

            if (bytes > StagingBytes)
            {
                WriteLong((byte*)page.Memory, bytes, _layout.OffsetOf(page.Number));
                continue;
            }

            if (staged == 0)
                start = page.Number;
            Buffer.MemoryCopy((byte*)page.Memory, _staging + staged, StagingBytes - staged, bytes);
            staged += (int)bytes;
            end = page.Number + page.Run;
        }

        if (staged != 0)
            _file.Write(new ReadOnlySpan<byte>(_staging, staged), _layout.OffsetOf(start));
    }

    /// <summary>Pages that are not listed are synced first; then the meta page, then one more sync.</summary>
    public void Finish(MetaPage meta, uint number)
    {
        if (meta.Listed is null)
            _file.Sync(SyncMode.Data);
        meta.Encode(_meta, number);
        _file.Write(_meta, _layout.OffsetOf(number));
        _file.Sync(SyncMode.Data);
    }

    /// <summary>As <see cref="Finish"/> after one that failed: the length that the file was given for it is not certain either.</summary>
    public void FinishAnew(MetaPage meta, uint number)
    {
        long length = _layout.OffsetOf(meta.PageCount);
        _file.SetLength(Math.Max(length, _file.Length));
        Finish(meta, number);
    }

    /// <summary>The file has more than so many pages.</summary>
    public bool IsLonger(uint pageCount) => _length > _layout.OffsetOf(pageCount);

    /// <summary>Cuts off what the committed state does not have.</summary>
    public void Cut(uint pageCount)
    {
        long length = _layout.OffsetOf(pageCount);
        _file.SetLength(length);
        _length = length;
    }

    public void Dispose()
    {
        _bitmaps.Dispose();
        BulkMemory.Free(_staging, StagingBytes);
    }

    private void WriteLong(byte* memory, long bytes, long offset)
    {
        const int PartBytes = 1 << 30;
        for (long at = 0; at < bytes; at += PartBytes)
            _file.Write(new ReadOnlySpan<byte>(memory + at, (int)Math.Min(PartBytes, bytes - at)), offset + at);
    }
}
