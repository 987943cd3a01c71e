using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Upkeep;

/// <summary>
/// Writes what a read transaction sees into a file of its own: every page that its trees reach, in its old place, and bitmaps
/// and meta pages that fit them. Free pages are holes. Trees that wait to be freed stay behind.
/// </summary>
internal sealed unsafe class StoreCopy
{
    private readonly ReadTransaction _transaction;
    private readonly PageLayout _layout;
    private readonly IFile _target;
    private readonly ulong[][] _free;
    private readonly CancellationToken _cancellation;
    private uint _freePages;

    private StoreCopy(ReadTransaction transaction, IFile target, CancellationToken cancellation)
    {
        _cancellation = cancellation;
        _transaction = transaction;
        _layout = transaction.Layout;
        _target = target;
        uint pages = transaction.State.Meta.PageCount;
        _free = new ulong[(pages + _layout.ChunkPages - 1) / _layout.ChunkPages][];
        for (int chunk = 0; chunk < _free.Length; chunk++)
            _free[chunk] = new ulong[_layout.ChunkWords];
        for (uint page = 0; page < pages; page++)
        {
            uint within = page % _layout.ChunkPages;
            bool isFixed = page < PageLayout.MetaPages || (within >= PageLayout.BitmapPage && within < PageLayout.FirstRunPage);
            if (!isFixed)
                SetFree(page, isFree: true);
        }
    }

    public static void Write(ReadTransaction transaction, IFile target, CancellationToken cancellation = default)
    {
        var copy = new StoreCopy(transaction, target, cancellation);
        MetaPage meta = transaction.State.Meta;
        target.SetLength(copy._layout.OffsetOf(meta.PageCount));

        // One long use of pages: whoever ends the transaction meanwhile waits with reusing them until it is noticed here.
        transaction.Enter();
        try
        {
            copy.CopyTree(meta.Root);
            copy.CopyTree(meta.Deadlines);
        }
        finally
        {
            transaction.EndUse();
        }

        transaction.EnsureMapped();
        copy.WriteBitmaps(meta.Transaction);
        var bytes = new byte[copy._layout.PageBytes];
        for (uint number = 0; number < PageLayout.MetaPages; number++)
        {
            (meta with
            {
                Transaction = meta.Transaction + number,
                Dead = default,
                FreePages = copy._freePages,
                SlotBits = new byte[meta.SlotBits.Length],
                Listed = null,
                IsSeal = number == 1,
            }).Encode(bytes, number);
            target.Write(bytes, copy._layout.OffsetOf(number));
        }

        target.Sync(SyncMode.Full);
    }

    private void CopyTree(TreeRoot root)
    {
        if (!root.IsEmpty)
            CopyNode(root.Page, (int)root.Level);
    }

    private void CopyNode(uint number, int level)
    {
        _transaction.CheckOpen();
        _cancellation.ThrowIfCancellationRequested();
        byte* page = _transaction.Node(number, level);
        CachedPage? holder = _transaction.Latest;
        holder?.Pin();
        CopyPages(number, page, 1);
        for (int i = 0; i < NodePage.Header(page)->Count; i++)
        {
            if (level > 0)
                CopyNode(NodePage.Child(page, i), level - 1);
            else
                CopyEntry(NodePage.Cell(page, i));
        }

        holder?.Unpin();
    }

    private void CopyEntry(byte* cell)
    {
        if (NodePage.Kind(cell) == EntryKind.Bucket)
        {
            CopyTree(TreeRoot.Read(new ReadOnlySpan<byte>(NodePage.ValueStart(cell), TreeRoot.Bytes)));
        }

        uint* reference = NodePage.Run(cell);
        if (reference is not null)
        {
            byte* run = _transaction.Overflow(reference[0], reference[1]) - PageHeader.Bytes;
            CopyPages(reference[0], run, _layout.RunPages(reference[1]));
        }
    }

    private void CopyPages(uint number, byte* start, uint pages)
    {
        long bytes = (long)pages << _layout.Shift;
        const int PartBytes = 1 << 26;
        for (long at = 0; at < bytes; at += PartBytes)
            _target.Write(new ReadOnlySpan<byte>(start + at, (int)Math.Min(PartBytes, bytes - at)), _layout.OffsetOf(number) + at);
        for (uint page = number; page < number + pages; page++)
            SetFree(page, isFree: false);
    }

    private void SetFree(uint page, bool isFree)
    {
        ref ulong word = ref _free[page / _layout.ChunkPages][(page % _layout.ChunkPages) >> 6];
        ulong bit = 1UL << (int)(page & 63);
        Check.That((word & bit) != 0 != isFree, $"page {page} is reached twice");
        word ^= bit;
        _freePages = isFree ? _freePages + 1 : _freePages - 1;
    }

    private void WriteBitmaps(ulong transaction)
    {
        var bytes = new byte[_layout.PageBytes];
        for (uint chunk = 0; chunk < _free.Length; chunk++)
        {
            uint number = StoreFile.BitmapPageOf(_layout, chunk, slot: false);
            fixed (byte* page = bytes)
                StoreFile.EncodeBitmap(_layout, page, chunk, number, transaction, _free[chunk]);
            _target.Write(bytes, _layout.OffsetOf(number));
        }
    }
}
