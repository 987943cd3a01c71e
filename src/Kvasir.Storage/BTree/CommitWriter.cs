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
        List<DirtyPage> pages = [];
        dirty.AppendTo(pages);
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

        DirtyPage[] sorted = ByNumber(pages);
        bool isListed = sorted.Length <= MetaPage.ListedPagesMax(_layout.PageBytes) && bytes <= ListedBytesMax;
        return new PageWrites(
            sorted,
            slotBits,
            isListed ? [.. sorted.Select(p => new ListedPage(p.Number, ((PageHeader*)p.Memory)->Checksum))] : null);
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

        DirtyPage[] pages = writes.Pages;
        for (int from = 0; from < pages.Length;)
        {
            int next = from + 1;
            long bytes = BytesOf(pages[from]);
            while (next < pages.Length && pages[next].Number == pages[next - 1].Number + pages[next - 1].Run && bytes + BytesOf(pages[next]) <= StagingBytes)
                bytes += BytesOf(pages[next++]);
            long offset = _layout.OffsetOf(pages[from].Number);
            if (next == from + 1)
                WriteLong((byte*)pages[from].Memory, bytes, offset);
            else
                WriteTogether(pages.AsSpan(from, next - from), offset);
            from = next;
        }
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

    private static DirtyPage[] ByNumber(List<DirtyPage> pages)
    {
        DirtyPage[] sorted = [.. pages];
        uint[] numbers = new uint[sorted.Length];
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = sorted[i].Number;
        Array.Sort(numbers, sorted);
        return sorted;
    }

    private long BytesOf(DirtyPage page) => (long)page.Run << _layout.Shift;

    /// <summary>Pages that lie side by side in the file, and not in memory.</summary>
    private void WriteTogether(ReadOnlySpan<DirtyPage> pages, long offset)
    {
        int staged = 0;
        foreach (DirtyPage page in pages)
        {
            long bytes = BytesOf(page);
            Buffer.MemoryCopy((byte*)page.Memory, _staging + staged, StagingBytes - staged, bytes);
            staged += (int)bytes;
        }

        _file.Write(new ReadOnlySpan<byte>(_staging, staged), offset);
    }

    private void WriteLong(byte* memory, long bytes, long offset)
    {
        const int PartBytes = 1 << 30;
        for (long at = 0; at < bytes; at += PartBytes)
            _file.Write(new ReadOnlySpan<byte>(memory + at, (int)Math.Min(PartBytes, bytes - at)), offset + at);
    }
}
