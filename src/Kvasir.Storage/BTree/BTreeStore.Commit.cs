using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree;

public sealed unsafe partial class BTreeStore
{
    /// <summary>
    /// Makes a transaction's pages durable and then visible. Until its meta page is begun, a failure leaves nothing behind but
    /// bytes in free pages; from there on, and after any failed sync, nobody knows, and the store takes no more writes. A full disk that
    /// took nothing of the meta page has not begun it.
    /// </summary>
    internal void Commit(WriteTransaction transaction)
    {
        CommittedState before = _current;
        bool deadlinesChange = transaction.Deadlines.Index.Tree != before.Meta.Deadlines;
        long firstMs = deadlinesChange ? transaction.Deadlines.FirstMs : 0;
        _space.ApplyFreed();
        if (transaction.MustTrim)
            _space.TrimEnd();
        PageSource source = before.Pages;
        if (_space.PageCount > source.Pages)
            _sources.Add(source = NewMap(_space.PageCount));

        // Never given out again, whatever comes: pages of an attempt that failed must not pass for those of the next.
        ulong number = _commits.NextTransaction();
        PageWrites writes = _commits.Gather(_dirty, _space, before.Meta, number);
        var meta = new MetaPage
        {
            Layout = _layout,
            Transaction = number,
            Root = transaction.Root.Tree,
            Dead = transaction.Dead,
            Deadlines = transaction.Deadlines.Index.Tree,
            FileVersion = Math.Max(before.Meta.FileVersion, transaction.Deadlines.Index.Tree.IsEmpty ? 1u : 2u),
            PageCount = _space.PageCount,
            FreePages = _space.FreePages,
            User = transaction.UserData.ToArray(),
            SlotBits = writes.SlotBits,
            Listed = writes.Listed,
        };
        uint metaNumber = before.MetaNumber ^ 1;
        _commits.WritePages(writes, _space.PageCount);
        try
        {
            _commits.Finish(meta, metaNumber);
        }
        catch (StorageException exception) when (exception is not DiskFullException { WroteNothing: true })
        {
            Volatile.Write(ref _stopped, exception);
            throw new WritesStoppedException(
                $"whether the commit to {Path} is durable is unknown, and the store takes no more writes until it is opened again: {exception.Message}",
                exception);
        }

        // A map that has been outgrown keeps what it knows: who still reads there sees none of these pages.
        long bytes = _layout.PageBytes;
        foreach (DirtyPage page in writes.Pages)
        {
            source.Forget(page.Number);
            if (source != _positional && _cache.IsUsed)
                _positional.Forget(page.Number);
            bytes += (long)page.Run << _layout.Shift;
        }

        Interlocked.Add(ref transaction.IsUpkeep ? ref _upkeepBytes : ref _commitBytes, bytes);

        _space.Commit(number);
        Volatile.Write(ref _heldPages, _space.HeldPages);
        Interlocked.Exchange(ref _current, new CommittedState(meta, metaNumber, source));
        CutEnd(meta.PageCount);
        if (deadlinesChange)
            PlanSweep(firstMs, transaction.Deadlines.HasSwept);
        ScheduleUpkeep();
    }

    /// <summary>Gives back to the disk what the store no longer has, once nobody can be reading there.</summary>
    internal void CutEnd(uint pageCount)
    {
        if (!_commits.IsLonger(pageCount) || _readers.AnySees(pageCount))
            return;
        try
        {
            _commits.Cut(pageCount);
        }
        catch (StorageException)
        {
            // The commit is durable, and a file that is too long does no harm: the next commit tries again.
        }
    }

    /// <summary>
    /// Both meta pages say the same afterwards, and that nothing was under way: damage to one of them, or to a page of the last
    /// commit, is then not taken for a commit that a crash has cut short.
    /// </summary>
    private void Seal()
    {
        if (_stopped is not null || _current.Meta.IsSeal)
            return;
        try
        {
            _commits.Finish(_current.Meta with { Transaction = _commits.NextTransaction(), Listed = null, IsSeal = true }, _current.MetaNumber ^ 1);
        }
        catch (StorageException)
        {
            // Without it the file is as a crash would have left it, which is good enough.
        }
    }

    /// <summary>
    /// Once more after a commit of unknown outcome: a seal of the commit before it is written over its meta page. When that is durable it has not
    /// happened, for certain, and its pages are free ones, whatever the disk has of them. False while the disk refuses.
    /// </summary>
    internal bool TryResume()
    {
        if (StopReason is null)
            return true;
        if (!TryTakePlaceAs(waiter: null, WriterKind.Caller) && !AwaitPlace(WriterKind.Caller))
            return false;
        try
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _isClosed), this);
            if (StopReason is null)
                return true;
            CommittedState before = _current;
            MetaPage seal = before.Meta with { Transaction = _commits.NextTransaction(), Listed = null, IsSeal = true };
            _commits.FinishAnew(seal, before.MetaNumber ^ 1);
            Interlocked.Exchange(ref _current, new CommittedState(seal, before.MetaNumber ^ 1, before.Pages));
            Volatile.Write(ref _stopped, null);
            return true;
        }
        catch (StorageException)
        {
            return false;
        }
        finally
        {
            ReleaseWriter();
        }
    }

    private PageSource NewMap(uint pages)
    {
        long length = Math.Max(Options.MapBytesMin, _layout.PageBytes);
        while (length >> _layout.Shift < pages)
            length *= 2;
        IFileMap? map = _file.Map(length);
        return map is null ? _positional : PageSource.Mapped(_file, _layout, map);
    }

    private ulong[] LoadBitmap(uint chunk)
    {
        MetaPage meta = _current.Meta;
        return StoreFile.ReadBitmap(_file, meta, chunk);
    }
}
