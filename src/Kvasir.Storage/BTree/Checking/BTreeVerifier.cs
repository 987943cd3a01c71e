using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Checking;

/// <summary>What is wrong with an entry that its pages cannot tell; null for nothing.</summary>
internal delegate string? EntryCheck(EntryKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

/// <summary>
/// Walks all pages of a store that nobody has open: each is reached once or free once, its checksum, number and kind are right,
/// keys are in order and where their separators say, and so are the bitmaps.
/// </summary>
public sealed unsafe class BTreeVerifier
{
    private const int FindingsMax = 100;

    private readonly IFile _file;
    private readonly MetaPage _meta;
    private readonly PageLayout _layout;
    private readonly EntryCheck? _check;
    private readonly List<DamageFinding> _findings = [];
    private readonly ulong[] _reached;

    private readonly CancellationToken _cancellation;

    // Deadlines of what a deleted bucket had stay until its pages are freed: there may be more of them, and never fewer.
    private long _expiring;
    private long _deadlines;

    private BTreeVerifier(IFile file, MetaPage meta, EntryCheck? check, CancellationToken cancellation = default)
    {
        _cancellation = cancellation;
        _file = file;
        _meta = meta;
        _check = check;
        _layout = meta.Layout;
        _reached = new ulong[(meta.PageCount + 63) / 64];
    }

    /// <summary>What is wrong with the file; nothing in a sound one.</summary>
    public static IReadOnlyList<DamageFinding> Verify(IFileSystem files, string path) => Verify(files, path, static _ => null);

    /// <summary>
    /// With what its owner knows: <paramref name="checkOf"/> is given the user data of the commit that counts, and makes the check for the
    /// entries of the outermost bucket, or none.
    /// </summary>
    internal static IReadOnlyList<DamageFinding> Verify(IFileSystem files, string path, Func<byte[], EntryCheck?> checkOf)
    {
        try
        {
            using IFile file = files.Open(path, FileOpenMode.Read);
            MetaPage meta = StoreFile.Read(file).Meta;
            var verifier = new BTreeVerifier(file, meta, checkOf(meta.User));
            verifier.Run();
            return verifier._findings;
        }
        catch (StorageException failure)
        {
            return [DamageFinding.Of(failure, path)];
        }
    }

    /// <summary>As the other one, of what a read transaction sees of a store that is open.</summary>
    internal static IReadOnlyList<DamageFinding> Verify(IFile file, ReadTransaction transaction, CancellationToken cancellation)
    {
        var verifier = new BTreeVerifier(file, transaction.State.Meta, check: null, cancellation);
        try
        {
            transaction.CheckOpen();
            verifier.WalkAll();
            verifier.CountPages();
        }
        catch (StorageException failure)
        {
            verifier._findings.Add(DamageFinding.Of(failure, file.Path));
        }

        // Pages of a transaction that was ended for its age may have been written anew under the walk.
        transaction.CheckOpen();
        return verifier._findings;
    }

    private void WalkAll()
    {
        for (uint page = 0; page < PageLayout.MetaPages; page++)
            Reach(page);
        Walk(_meta.Root, TreeUse.Outermost);
        Walk(_meta.Dead, TreeUse.Graves);
        Walk(_meta.Deadlines, TreeUse.Deadlines);
        if (_findings.Count == 0 && _expiring > _deadlines)
            Find(0, $"{_expiring} entries expire, and the index of deadlines has {_deadlines}");
    }

    // Beside a writer the bitmaps of a commit are written over by the second one after it.
    private void CountPages()
    {
        for (uint chunk = 0; chunk * (long)_layout.ChunkPages < _meta.PageCount; chunk++)
        {
            for (uint slot = 0; slot < PageLayout.BitmapSlots; slot++)
                Reach((chunk * _layout.ChunkPages) + PageLayout.BitmapPage + slot);
        }

        long used = 0;
        foreach (ulong word in _reached)
            used += System.Numerics.BitOperations.PopCount(word);
        if (_findings.Count == 0 && used + _meta.FreePages != _meta.PageCount)
            Find(0, $"{used} of {_meta.PageCount} pages are used, and the meta page counts {_meta.FreePages} free ones");
    }

    private void Run()
    {
        WalkAll();
        uint free = 0;
        for (uint chunk = 0; chunk * (long)_layout.ChunkPages < _meta.PageCount; chunk++)
        {
            try
            {
                free += CheckBitmap(chunk, StoreFile.ReadBitmap(_file, _meta, chunk));
            }
            catch (StorageException failure)
            {
                _findings.Add(DamageFinding.Of(failure, _file.Path));
            }
        }

        if (_findings.Count == 0 && free != _meta.FreePages)
            Find(0, $"{free} pages are free, and the meta page counts {_meta.FreePages}");
    }

    private uint CheckBitmap(uint chunk, ulong[] words)
    {
        uint first = chunk * _layout.ChunkPages;
        uint free = 0;
        for (uint slot = 0; slot < PageLayout.BitmapSlots; slot++)
            Reach(first + PageLayout.BitmapPage + slot);
        for (uint at = 0; at < _layout.ChunkPages; at++)
        {
            bool isFree = (words[at >> 6] & (1UL << (int)(at & 63))) != 0;
            uint page = first + at;
            if (page >= _meta.PageCount)
            {
                if (isFree)
                    Find(page, "a page beyond the end of the store counts as free");
                continue;
            }

            bool isReached = (_reached[page >> 6] & (1UL << (int)(page & 63))) != 0;
            if (isFree && isReached)
                Find(page, "a page that is used counts as free");
            else if (!isFree && !isReached)
                Find(page, "a page that nothing leads to does not count as free");
            free += isFree ? 1u : 0;
        }

        return free;
    }

    private void Walk(TreeRoot root, TreeUse use)
    {
        if (!root.IsEmpty)
            Walk(root.Page, (int)root.Level, low: null, high: null, use);
    }

    private void Walk(uint number, int level, byte[]? low, byte[]? high, TreeUse use)
    {
        _cancellation.ThrowIfCancellationRequested();
        if (_findings.Count >= FindingsMax || !Reach(number) || Load(number) is not { } bytes)
            return;
        fixed (byte* page = bytes)
        {
            PageHeader* header = (PageHeader*)page;
            if (header->Level != level || header->Kind != (level == 0 ? PageKind.Leaf : PageKind.Branch))
            {
                Find(number, $"a page of kind {header->Kind} and level {header->Level} where level {level} is named");
                return;
            }

            CheckOrder(number, page, low, high);
            for (int i = 0; i < header->Count; i++)
            {
                byte* cell = NodePage.Cell(page, i);
                if (level == 0)
                {
                    CheckEntry(number, cell, use);
                    continue;
                }

                byte[]? from = i == 0 ? low : NodePage.BranchKey(cell).ToArray();
                byte[]? to = i + 1 == header->Count ? high : NodePage.Key(page, i + 1).ToArray();
                Walk(NodePage.Child(page, i), level - 1, from, to, use);
            }
        }
    }

    private void CheckOrder(uint number, byte* page, byte[]? low, byte[]? high)
    {
        PageHeader* header = (PageHeader*)page;
        ReadOnlySpan<byte> before = low;
        int used = 0;
        for (int i = 0; i < header->Count; i++)
        {
            used += NodePage.CellBytes(page, i);
            if (header->Level > 0 && i == 0)
                continue;
            ReadOnlySpan<byte> key = NodePage.Key(page, i);
            int order = key.SequenceCompareTo(before);
            bool isFirst = i == 0 || (header->Level > 0 && i == 1);
            if ((isFirst && low is not null && order < 0) || (!isFirst && order <= 0) || (high is not null && key.SequenceCompareTo(high) >= 0))
            {
                Find(number, $"the key of cell {i} is not in order");
                return;
            }

            before = key;
        }

        if (used + header->Garbage + header->ContentStart != _layout.PageBytes)
            Find(number, "the cells and the garbage do not fill the page");
    }

    private void CheckEntry(uint number, byte* cell, TreeUse use)
    {
        ReadOnlySpan<byte> key = NodePage.LeafKey(cell);
        if (use == TreeUse.Graves)
        {
            Walk(System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(key[1..]), key[0], low: null, high: null, TreeUse.Dead);
            return;
        }

        if (use == TreeUse.Deadlines)
        {
            _deadlines++;
            if (key.Length != Deadline.KeyBytes || NodePage.Kind(cell) is EntryKind.Bucket or EntryKind.Expiring)
                Find(number, "an entry of the index of deadlines that is none");
        }

        EntryCheck? check = use == TreeUse.Outermost ? _check : null;
        switch (NodePage.Kind(cell))
        {
            case EntryKind.Bucket:
                Ask(check, number, EntryKind.Bucket, key, default);
                Walk(TreeRoot.Read(new ReadOnlySpan<byte>(NodePage.ValueStart(cell), TreeRoot.Bytes)), use == TreeUse.Dead ? TreeUse.Dead : TreeUse.Inner);
                break;
            case EntryKind.Overflow:
                uint* reference = (uint*)NodePage.ValueStart(cell);
                if (CheckRun(reference[0], reference[1]) is { } run)
                    Ask(check, reference[0], EntryKind.Overflow, key, run.AsSpan(PageHeader.Bytes, (int)reference[1]));
                break;
            case EntryKind.Expiring when NodePage.ValueBytes(cell) < Deadline.HeaderBytes:
                Find(number, "an entry that is shorter than its deadline");
                break;
            case EntryKind.Expiring:
                _expiring += use == TreeUse.Dead ? 0 : 1;
                Ask(check, number, EntryKind.Expiring, key, default);
                uint* far = NodePage.Run(cell);
                if (far is not null)
                    CheckRun(far[0], far[1]);
                break;
            case EntryKind.Value:
                Ask(check, number, EntryKind.Value, key, new ReadOnlySpan<byte>(NodePage.ValueStart(cell), NodePage.ValueBytes(cell)));
                break;
            default:
                Find(number, $"an entry of kind {NodePage.Kind(cell)}");
                break;
        }
    }

    private void Ask(EntryCheck? check, uint number, EntryKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        if (check?.Invoke(kind, key, value) is { } fault)
            Find(number, fault);
    }

    /// <summary>The pages of the run; null where they are not what the leaf says.</summary>
    private byte[]? CheckRun(uint number, uint valueBytes)
    {
        uint pages = _layout.RunPages(valueBytes);
        for (uint page = number; page < number + pages; page++)
        {
            if (!Reach(page))
                return null;
        }

        if (Load(number, pages) is not { } bytes)
            return null;
        fixed (byte* start = bytes)
        {
            PageHeader* header = (PageHeader*)start;
            if (header->Kind != PageKind.Overflow || header->ValueBytes != valueBytes || header->Extent != pages)
                Find(number, $"not the overflow run of {valueBytes} bytes that a leaf names");
            else if (header->Checksum != _layout.ChecksumOf(start, bytes.Length))
                Find(number, "the checksum of an overflow run does not match");
            else
                return bytes;
            return null;
        }
    }

    private byte[]? Load(uint number, uint pages = 1)
    {
        var bytes = new byte[(long)pages << _layout.Shift];
        if (_file.Read(bytes, _layout.OffsetOf(number)) != bytes.Length)
        {
            Find(number, "the file ends before the page does");
            return null;
        }

        fixed (byte* start = bytes)
        {
            if (_layout.FaultOf(start, number, _meta.Transaction) is not { } fault)
                return bytes;
            Find(number, fault);
            return null;
        }
    }

    private bool Reach(uint page)
    {
        if (page >= _meta.PageCount)
        {
            Find(page, "a page beyond the end of the store is named");
            return false;
        }

        if ((_reached[page >> 6] & (1UL << (int)(page & 63))) != 0)
        {
            Find(page, "a page is reached twice");
            return false;
        }

        _reached[page >> 6] |= 1UL << (int)(page & 63);
        return true;
    }

    private void Find(uint page, string detail)
    {
        if (_findings.Count < FindingsMax)
            _findings.Add(new DamageFinding(_file.Path, _layout.OffsetOf(page), detail));
    }

    private enum TreeUse
    {
        Outermost,
        Inner,
        Graves,
        Dead,
        Deadlines,
    }
}
