using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Upkeep;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.BTree;

public sealed partial class BTreeStore
{
    // Fewer pages than this are not worth a walk.
    private const uint WasteMin = 64;

    private const int UpkeepPages = 256;

    // A step needs some room for the new copies of the pages on its way.
    private const uint SlackPages = 8;

    private ShrinkPass? _pass;
    private uint _pagesBeforePass;
    private uint _freeAfterPass;
    private int _upkeepScheduled;
    private int _shrinking;
    private bool _isTrimming;
    private long _heldPages;
    private long _commitBytes;
    private long _upkeepBytes;

    /// <summary>
    /// Frees pages of deleted buckets and ranges, so many at most, in one commit. False when nothing is left to be freed.
    /// Serving goes on; writers wait for one step at most.
    /// </summary>
    public bool FreeDeletedStep(int pages = 256)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pages);
        using WriteTransaction transaction = BeginWrite();
        transaction.IsUpkeep = true;
        if (transaction.Dead.IsEmpty)
            return false;
        DeadTrees.Free(transaction, pages);
        bool isMore = !transaction.Dead.IsEmpty;
        transaction.Commit();
        return isMore;
    }

    /// <summary>
    /// Does one part of making the file as small as its content: deletes what has expired, frees what was deleted, then joins sparse pages and moves
    /// others from the end to free places before it, then cuts the file. About so many pages are read and written, in one
    /// commit. False when the file has come to its end of it, as far as open readers allow.
    /// </summary>
    public bool ShrinkStep(int pages = 256)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pages);
        using WriteTransaction transaction = BeginWrite();
        return ShrinkStep(transaction, pages);
    }

    /// <summary>
    /// Makes the file as small as its content, step by step, as far as readers that stay open allow; others write in between. What is done when
    /// it is cancelled stays done.
    /// </summary>
    /// <param name="pages">Of a step.</param>
    /// <param name="beforeStep">Lets go of readers of the caller's own: what one of them sees can neither be used again nor be cut off.</param>
    /// <param name="cancellation">Looked at between two steps.</param>
    public void Shrink(int pages = 1024, Action? beforeStep = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pages);

        // Steps of the upkeep would go on under the caller's readers, and find no room for what they move.
        Interlocked.Increment(ref _shrinking);
        try
        {
            using (BeginWrite())
                (_pass, _isTrimming) = (null, false);
            do
            {
                cancellation.ThrowIfCancellationRequested();
                beforeStep?.Invoke();
            }
            while (ShrinkStep(pages));

            // The last commit but one was seen by a reader until now, and so was the end of the file.
            for (int i = 0; i < 2; i++)
            {
                beforeStep?.Invoke();
                Trim();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _shrinking);
        }
    }

    private bool ShrinkStep(WriteTransaction transaction, int pages)
    {
        transaction.MustTrim = true;
        transaction.IsUpkeep = true;

        // Readers that saw it may have gone since the commit that gave it up.
        CutEnd(_current.Meta.PageCount);
        if (transaction.Deadlines.Sweep(pages))
        {
            transaction.Commit();
            return true;
        }

        if (!transaction.Dead.IsEmpty)
        {
            DeadTrees.Free(transaction, pages);
            transaction.Commit();
            return true;
        }

        if (_pass is null && !_isTrimming)
        {
            _pass = new ShrinkPass(CutOff());
            _pagesBeforePass = _current.Meta.PageCount;
        }

        if (_pass is { } pass)
        {
            bool isOver = pass.Run(transaction, pages);
            transaction.Commit();
            if (isOver)
            {
                _pass = null;
                _isTrimming = true;
            }

            return true;
        }

        // What the last part of the pass has freed could not go with its own commit.
        transaction.Commit();
        _isTrimming = false;
        _freeAfterPass = _current.Meta.FreePages;

        // What was joined on the way has left the pass's aim too high, so another one may get further.
        return _current.Meta.PageCount > CutOff() && _current.Meta.PageCount < _pagesBeforePass;
    }

    /// <summary>
    /// Writes a copy of the last commit that can be opened as a store of its own, durable on return; writers go on meanwhile.
    /// The file must not be there. Should it take longer than readers may live, it fails with a
    /// <see cref="ReaderTooOldException"/> and leaves nothing; so it does when it is cancelled.
    /// </summary>
    public void Copy(IFileSystem files, string target, CancellationToken cancellation = default)
    {
        using ReadTransaction transaction = BeginRead();
        string making = StoreFile.MakingName(target);
        if (files.FileExists(target))
            throw new ArgumentException($"{target} exists; a copy wants a new file", nameof(target));
        if (files.FileExists(making))
            files.Delete(making);
        try
        {
            using IFile file = files.Open(making, FileOpenMode.CreateNew);
            StoreCopy.Write(transaction, file, cancellation);
        }
        catch (Exception exception) when (exception is StorageException or OperationCanceledException or ObjectDisposedException)
        {
            if (files.FileExists(making))
                files.Delete(making);
            throw;
        }

        StoreFile.GiveName(files, making, target);
    }

    /// <summary>
    /// Gives free pages at the end of the file back to the disk, as far as no reader sees them: what readers held back when the
    /// last <see cref="ShrinkStep(int)"/> ran may be free now. Cheap.
    /// </summary>
    public void Trim()
    {
        using WriteTransaction transaction = BeginWrite();
        transaction.IsUpkeep = true;
        transaction.MustTrim = true;
        transaction.Commit();
        _freeAfterPass = _current.Meta.FreePages;
    }

    /// <summary>Pages by use, and what holds them back. Cheap.</summary>
    public BTreeStatistics GetStatistics()
    {
        CommittedState state = Volatile.Read(ref _current);
        PageCacheCounts cache = _cache?.GetCounts() ?? default;
        return new BTreeStatistics
        {
            PageBytes = _layout.PageBytes,
            Pages = state.Meta.PageCount,
            FreePages = state.Meta.FreePages,
            HeldPages = Volatile.Read(ref _heldPages),
            Transaction = state.Transaction,
            OldestReader = _readers.Oldest(state.Transaction),
            Levels = state.Meta.Root.IsEmpty ? 0 : (int)state.Meta.Root.Level + 1,
            HasDeletedTrees = !state.Meta.Dead.IsEmpty,
            Readers = _readers.Count,
            CommitBytesWritten = Interlocked.Read(ref _commitBytes),
            UpkeepBytesWritten = Interlocked.Read(ref _upkeepBytes),
            CacheBytes = cache.Bytes,
            CacheHits = cache.Hits,
            CacheMisses = cache.Misses,
        };
    }

    private void UpkeepStep()
    {
        using WriteTransaction transaction = BeginWrite(WriterKind.Upkeep);
        if (Volatile.Read(ref _shrinking) == 0)
            ShrinkStep(transaction, UpkeepPages);
    }

    private uint CutOff()
    {
        uint used = _current.Meta.PageCount - _current.Meta.FreePages;
        return used + (used / 50) + SlackPages;
    }

    /// <summary>What others write meanwhile must not go to the end that is to be cut off.</summary>
    private bool IsBecomingSmaller => _pass is not null || _isTrimming || Volatile.Read(ref _shrinking) != 0;

    private bool NeedsUpkeep()
    {
        MetaPage meta = _current.Meta;
        return IsSweepDue || !meta.Dead.IsEmpty || _pass is not null || _isTrimming
            || (meta.FreePages > WasteMin && meta.FreePages > meta.PageCount / 4 && meta.FreePages > _freeAfterPass + (meta.PageCount / 8));
    }

    private void ScheduleUpkeep()
    {
        if (Options.BackgroundUpkeep && Volatile.Read(ref _shrinking) == 0 && NeedsUpkeep() && Interlocked.Exchange(ref _upkeepScheduled, 1) == 0)
            TrySchedule(new UpkeepJob(this), JobPriority.Compaction);
    }

    private sealed class UpkeepJob(BTreeStore store) : IBackgroundJob
    {
        public string Name => "btree upkeep";

        public void Run()
        {
            try
            {
                // In parts, so that others get the thread in between.
                store.UpkeepStep();
                Volatile.Write(ref store._upkeepScheduled, 0);
                if (!Volatile.Read(ref store._isClosed))
                    store.ScheduleUpkeep();
            }
            catch (Exception exception) when (exception is StorageException or ObjectDisposedException)
            {
                // A full disk is told to those who write. The next commit asks for upkeep again.
                Volatile.Write(ref store._upkeepScheduled, 0);
            }
        }
    }
}

/// <summary>What a store's file holds. Immutable; any thread.</summary>
public sealed record BTreeStatistics
{
    /// <summary>Bytes of a page.</summary>
    public int PageBytes { get; init; }

    /// <summary>Pages that the last commit counts, used and free; the file may be longer for a while.</summary>
    public long Pages { get; init; }

    /// <summary>Free in the file; among them those that are held back.</summary>
    public long FreePages { get; init; }

    /// <summary>Free, but not given out while readers may see them, as of the last write.</summary>
    public long HeldPages { get; init; }

    /// <summary>The last commit.</summary>
    public ulong Transaction { get; init; }

    /// <summary>The oldest commit that a reader sees.</summary>
    public ulong OldestReader { get; init; }

    /// <summary>Pages on the way from the root of the outermost bucket to an entry.</summary>
    public int Levels { get; init; }

    /// <summary>Deleted buckets or ranges wait for their pages to be freed.</summary>
    public bool HasDeletedTrees { get; init; }

    /// <summary>Read transactions that are open.</summary>
    public int Readers { get; init; }

    /// <summary>Bytes of the pages that commits wrote since the store was opened, meta pages and bitmaps among them.</summary>
    public long CommitBytesWritten { get; init; }

    /// <summary>The same of the store's own: freeing what was deleted, joining and moving pages.</summary>
    public long UpkeepBytesWritten { get; init; }

    /// <summary>Of pages in the cache, where reads are positional.</summary>
    public long CacheBytes { get; init; }

    /// <summary>Reads of pages that were in the cache.</summary>
    public long CacheHits { get; init; }

    /// <summary>Reads of pages that were not.</summary>
    public long CacheMisses { get; init; }
}
