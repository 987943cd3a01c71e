using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>
/// One state of a store, for one thread at a time. Spans that it hands out are good until it is disposed, or ended for its age;
/// in a write transaction, until its next write.
/// </summary>
public abstract unsafe class BTreeTransaction : IDisposable
{
    // As many pages as one operation goes through, pinned, so that none of them goes under it.
    private const int RecentPages = 64;
    private const int SmallestSystemPage = 4096;

    private static readonly ReaderSlot s_disposed = new() { Ended = 0, Reason = TransactionEnd.Disposed };

    private readonly PageSource _source;
    private readonly byte* _start;
    private readonly ulong* _verified;
    private readonly long* _broken;
    private readonly int _shift;
    private readonly uint _pageCount;
    private readonly ulong _newest;
    private readonly CachedPage?[]? _recent;
    private List<CachedPage>? _retained;
    private List<BTreeCursor>? _cursors;
    private int _recentAt;

    // Found in the cache for a cursor that is about to ask for it, and pinned.
    private CachedPage? _awaited;
    private ReaderSlot _slot;
    private long _generation;

    private protected BTreeTransaction(BTreeStore store, CommittedState state, ReaderSlot slot)
    {
        Store = store;
        State = state;
        Layout = state.Meta.Layout;
        _slot = slot;
        _generation = slot.Generation;
        _source = state.Pages;
        _start = _source.Start;
        _verified = _source.Verified;
        _broken = _source.Broken;
        _shift = Layout.Shift;
        _pageCount = state.Meta.PageCount;
        _newest = state.Transaction;
        NowMs = state.Meta.Deadlines.IsEmpty ? 0 : store.NowMs;
        _recent = _start is null ? new CachedPage?[RecentPages] : null;
    }

    /// <summary>The commit whose state is seen. Any thread.</summary>
    public ulong Number => State.Transaction;

    internal BTreeStore Store { get; }

    internal CommittedState State { get; }

    internal PageLayout Layout { get; }

    /// <summary>What the transaction itself has written; null in one that only reads.</summary>
    internal DirtyPages? Dirty { get; init; }

    /// <summary>When the transaction began, so that nothing expires under it; 0 where nothing can.</summary>
    internal long NowMs { get; private protected init; }

    internal ReaderSlot Slot => _slot;

    /// <summary>Pages are copies that live while somebody refers to them.</summary>
    internal bool IsPositional => _recent is not null;

    /// <summary>Pinned until as many others were read as one operation goes through.</summary>
    internal CachedPage? Latest { get; private set; }

    /// <summary>
    /// Throws a <see cref="DiskFailedException"/> when a mapped page that the transaction may have handed out could not be read since: a
    /// span of it may have had zeros in it; and a <see cref="ReaderTooOldException"/> or an <see cref="ObjectDisposedException"/> when the transaction
    /// is over: what a span has may be another commit's. Whoever uses spans where they lie calls this after it has used them and before it
    /// relies on them; what copies does it by itself, and so does each next use of the transaction. One thread at a time.
    /// </summary>
    public void EnsureReadable() => CheckOpen();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void EnsureMapped()
    {
        if (Volatile.Read(ref *_broken) != 0)
            ThrowBroken();
    }

    /// <summary>It reads from a map that cannot be relied on any more.</summary>
    internal bool IsUnreadable => Volatile.Read(ref *_broken) != 0;

    /// <summary>
    /// The transaction is over: what it sees may change, and using it throws an <see cref="ObjectDisposedException"/>. A write
    /// transaction that was not committed leaves nothing; one that was is durable. One thread at a time; a second call does nothing.
    /// </summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <inheritdoc cref="Dispose()"/>
    protected abstract void Dispose(bool disposing);

    /// <summary>A use of pages begins; <see cref="Exit"/> ends it, also when it has failed and is not tried again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Enter()
    {
        ReaderSlot slot = _slot;
        Volatile.Write(ref slot.Busy, 1);
        if (Volatile.Read(ref slot.Ended) == _generation)
            ThrowEnded();
    }

    /// <summary>What was read counts only if the map was whole to the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Exit()
    {
        EndUse();
        EnsureMapped();
    }

    /// <summary>As <see cref="Exit"/>, whatever was read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void EndUse() => Volatile.Write(ref _slot.Busy, 0);

    /// <summary>For what touches no page but is not to be had from a transaction that is over.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void CheckOpen()
    {
        if (Volatile.Read(ref _slot.Ended) == _generation)
            ThrowEnded();
        EnsureMapped();
    }

    /// <summary>A page of a tree, at the level where its parent has it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal byte* Node(uint number, int level)
    {
        byte* page;
        if (Dirty is not null && (page = Dirty.Find(number)) is not null)
            return page;
        page = _start is not null && number < _pageCount && (_verified[number >> 6] & (1UL << (int)(number & 63))) != 0
            ? _start + ((long)number << _shift)
            : Fetch(number);
        PageHeader* header = (PageHeader*)page;
        if (*(ushort*)&header->Kind != PageLayout.NodeTag(level) || header->Transaction > _newest)
            ThrowMisplaced(number, page, level);
        return page;
    }

    /// <summary>The entry is there no more, though its pages still have it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool HasExpired(byte* cell) => NodePage.Kind(cell) == EntryKind.Expiring && Deadline.AtMs(NodePage.ValueStart(cell)) <= NowMs;

    /// <summary>
    /// Where a committed page is in memory, if it is one and can be read. Its use is not to be relied on: it is for asking for the page before it is
    /// needed. Null where only the file has it.
    /// </summary>
    internal byte* Await(uint number)
    {
        if (_start is not null)
            return _start + ((long)number << _shift);
        _awaited?.Unpin();
        _awaited = _source.Cached(number);
        return _awaited is null ? null : _awaited.Start;
    }

    /// <summary>Leaves that lie side by side will be asked for soon, and are not in the cache.</summary>
    internal void ReadAhead(uint first, int count)
    {
        if (_start is null && first >= PageLayout.FirstRunPage && first + (long)count <= _pageCount)
            _source.ReadAhead(first, count, _newest);
    }

    /// <summary>The value in an overflow run.</summary>
    internal byte* Overflow(uint number, uint bytes)
    {
        byte* page;
        if (Dirty is not null && (page = Dirty.Find(number)) is not null)
            return page + PageHeader.Bytes;
        page = _start is not null && number < _pageCount && (_verified[number >> 6] & (1UL << (int)(number & 63))) != 0
            ? _start + ((long)number << _shift)
            : Fetch(number);
        PageHeader* header = (PageHeader*)page;
        if (header->Kind != PageKind.Overflow || header->ValueBytes != bytes || header->Transaction > _newest)
            throw Damaged(number, $"not the overflow run of {bytes} bytes that the tree has here");
        if (_start is not null)
            Touch(page + PageHeader.Bytes, bytes);
        return page + PageHeader.Bytes;
    }

    /// <summary>Values in nodes may lie in pages of the system that the search has not touched.</summary>
    internal bool TouchesValues => _start is not null && Layout.PageBytes > SmallestSystemPage;

    /// <summary>So that what cannot be read is found here, and not by who reads the value.</summary>
    internal static void Touch(byte* start, long bytes)
    {
        if (bytes == 0)
            return;
        for (long at = 0; at < bytes; at += SmallestSystemPage)
            _ = Volatile.Read(ref start[at]);
        _ = Volatile.Read(ref start[bytes - 1]);
    }

    /// <summary>The page that was read last stays for the life of the transaction.</summary>
    internal void RetainLatest()
    {
        if (Latest is null || (_retained is [.., var last] && ReferenceEquals(last, Latest)))
            return;
        Latest.Pin();
        (_retained ??= []).Add(Latest);
    }

    /// <summary>Nobody looks any more at values that were given out before: for transactions that are kept for many reads.</summary>
    internal void ReleaseRetained()
    {
        foreach (CachedPage page in _retained ?? [])
            page.Unpin();
        _retained?.Clear();
    }

    /// <summary>What a cursor has pinned is let go of with the transaction: cursors are not disposed.</summary>
    internal void Register(BTreeCursor cursor)
    {
        if (_recent is not null)
            (_cursors ??= []).Add(cursor);
    }

    /// <summary>True the first time: whoever gets it gives back the place in the table.</summary>
    private protected bool Leave()
    {
        if (ReferenceEquals(_slot, s_disposed))
            return false;
        Volatile.Write(ref _slot.Busy, 0);
        _slot = s_disposed;
        _generation = 0;
        if (_recent is not null)
            Unpin();
        return true;
    }

    private void Unpin()
    {
        foreach (CachedPage? page in _recent!)
            page?.Unpin();
        Array.Clear(_recent);
        ReleaseRetained();
        foreach (BTreeCursor cursor in _cursors ?? [])
            cursor.Unpin();
        _awaited?.Unpin();
        _awaited = Latest = null;
        _cursors = null;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte* Fetch(uint number)
    {
        if (number >= _pageCount || number < PageLayout.FirstRunPage)
            throw Damaged(number, $"a tree names page {number} of {_pageCount}");
        if (_start is not null)
            return _source.Verify(number, _newest);
        CachedPage? awaited = _awaited;
        _awaited = null;
        CachedPage page;
        if (awaited?.Number == number)
        {
            page = awaited;
        }
        else
        {
            awaited?.Unpin();
            page = _source.Load(number, _newest);
        }

        ref CachedPage? place = ref _recent![_recentAt++ & (RecentPages - 1)];
        place?.Unpin();
        Latest = place = page;
        return page.Start;
    }

    [DoesNotReturn]
    private void ThrowMisplaced(uint number, byte* page, int level)
    {
        EnsureMapped();
        PageHeader* header = (PageHeader*)page;
        throw Layout.Damage(
            Store.Path,
            number,
            $"a page of kind {header->Kind} and level {header->Level}, written by transaction {header->Transaction}, where transaction {_newest} has level {level}");
    }

    // What the map showed need not be what is on the disk.
    private CorruptionException Damaged(uint number, string detail)
    {
        EnsureMapped();
        return Layout.Damage(Store.Path, number, detail);
    }

    [DoesNotReturn]
    private void ThrowBroken() => throw new DiskFailedException(
        $"{Store.Path}: a page that was mapped could not be read again: the disk failed, or the file was cut by somebody else. "
        + "The next transaction reads each page through the file",
        inner: null);

    [DoesNotReturn]
    private void ThrowEnded()
    {
        int reason = _slot.Reason;
        EndUse();
        throw reason switch
        {
            TransactionEnd.TooOld => new ReaderTooOldException(
                $"the read transaction of state {Number} is older than {Store.Options.ReaderAgeLimit} and was ended: begin a new one"),
            TransactionEnd.StoreClosed => new ObjectDisposedException(nameof(BTreeStore), $"{Store.Path} is closed"),
            _ => new ObjectDisposedException(GetType().Name, "the transaction is over"),
        };
    }
}
