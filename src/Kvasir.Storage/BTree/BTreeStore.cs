using Kvasir.Primitives;
using Kvasir.Storage.BTree.Batches;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Space;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.BTree;

/// <summary>
/// A sorted map in one file: a copy-on-write B+tree. One write transaction at a time, any number of readers beside it, each
/// with a state of its own. Thread-safe; a transaction is for one thread at a time.
/// </summary>
public sealed unsafe partial class BTreeStore : IDisposable
{
    private readonly Lock _closing = new();
    private readonly IFile _file;
    private readonly IDisposable _lock;
    private readonly IScheduler _scheduler;
    private readonly IWaitPoint _writerWait;
    private readonly PageCache _cache;
    private readonly PageSource _positional;
    private readonly ReaderTable _readers = new();
    private readonly List<PageSource> _sources = [];
    private readonly ReaderSlot _writerSlot = new();
    private readonly PageLayout _layout;
    private readonly FreeSpace _space;
    private readonly DirtyPages _dirty = new();
    private readonly PageBuffers _buffers;
    private readonly CommitWriter _commits;
    private readonly GroupCommit _batches;
    private readonly byte* _scratch;
    private CommittedState _current;
    private StorageException? _stopped;
    private volatile WriterKind _writing;

    // Runs somebody's action with the write transaction, and would wait for itself if that wanted another.
    private volatile int _actor;
    private object? _keptFor;
    private bool _isClosed;
    private bool _isReleased;
    private bool _hasLetGo;

    private BTreeStore(IFile file, IDisposable fileLock, IScheduler scheduler, BTreeOptions options, OpenedFile opened)
    {
        _file = file;
        _lock = fileLock;
        _scheduler = scheduler;
        Options = options;
        _writerWait = scheduler.CreateWaitPoint();
        _layout = opened.Meta.Layout;
        _cache = new PageCache(options.CachedPages, _layout.PageBytes);
        _positional = PageSource.Positional(file, _layout, _cache);
        PageSource source = options.UseMap ? NewMap(opened.Meta.PageCount) : _positional;
        _sources.Add(source);
        _current = new CommittedState(opened.Meta, opened.MetaNumber, source);
        _space = new FreeSpace(_layout, LoadBitmap, opened.Meta.PageCount, opened.Meta.FreePages);
        _buffers = new PageBuffers(_layout.PageBytes);
        _commits = new CommitWriter(file, _layout, opened.NewestSeen);
        _batches = new GroupCommit(this, scheduler);
        _scratch = (byte*)BulkMemory.Allocate(ScratchPages * (long)_layout.PageBytes);
    }

    /// <summary>Who has the place of the one write transaction.</summary>
    private enum WriterKind
    {
        Nobody,
        Caller,
        Upkeep,
    }

    private const int ScratchPages = 3;
    private const int PassedOverMax = 4;

    public string Path => _file.Path;

    /// <summary>The file whose lock says that a process has the store open.</summary>
    public static string LockPath(string path) => path + ".lock";

    public BTreeOptions Options { get; }

    /// <summary>Why no more writes are taken; null while they are.</summary>
    public StorageException? StopReason => Volatile.Read(ref _stopped);

    internal bool IsClosed => Volatile.Read(ref _isClosed);

    internal PageLayout Layout => _layout;

    /// <summary>See <see cref="PageCache.MemoriesMade"/>.</summary>
    internal long PageMemoriesMade => _cache.MemoriesMade;

    /// <summary>For a caller that keeps the file open by a transaction.</summary>
    internal long FileBytes => _file.Length;

    internal IScheduler Scheduler => _scheduler;

    /// <summary>The clock that entries expire by.</summary>
    internal long NowMs => _scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>
    /// Opens the file, and makes it where there is none. What a crash has left needs no repair: the last whole commit counts,
    /// and opening takes the same time for a small file and a large one.
    /// </summary>
    public static BTreeStore Open(IFileSystem files, string path, IScheduler scheduler, BTreeOptions? options = null)
    {
        options ??= new BTreeOptions();
        IDisposable fileLock = files.Lock(LockPath(path));
        IFile? file = null;
        try
        {
            if (!files.FileExists(path))
                StoreFile.Create(files, path, options);
            file = files.Open(path, FileOpenMode.ReadWrite);

            // It must be on the disk before it is shown, and before the next commit takes the place of the one before it.
            OpenedFile opened = StoreFile.ReadAndSecure(file);
            var store = new BTreeStore(file, fileLock, scheduler, options, opened);
            store.BeginSweeping();
            return store;
        }
        catch
        {
            file?.Dispose();
            fileLock.Dispose();
            throw;
        }
    }

    /// <summary>Sees the last commit. Never waits.</summary>
    public ReadTransaction BeginRead()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isClosed), this);
        LeaveBrokenMap();
        ReaderSlot slot = _readers.Enter(ref _current, _scheduler.Time.GetTimestamp(), out CommittedState state);
        if (!Volatile.Read(ref _isClosed))
            return new ReadTransaction(this, state, slot);
        EndRead(slot);
        throw new ObjectDisposedException(nameof(BTreeStore));
    }

    /// <summary>Sees the commit that another transaction sees, which stays open until this returns.</summary>
    internal ReadTransaction BeginReadAt(ReadTransaction other)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isClosed), this);
        ReaderSlot slot = _readers.EnterAt(other.State, _scheduler.Time.GetTimestamp());
        if (!Volatile.Read(ref _isClosed))
            return new ReadTransaction(this, WithReadablePages(other.State), slot);
        EndRead(slot);
        throw new ObjectDisposedException(nameof(BTreeStore));
    }

    /// <summary>
    /// Waits until no other write transaction is open: a thread that has begun one waits for itself for ever. Throws
    /// <see cref="InvalidOperationException"/> inside <see cref="Act"/>.
    /// </summary>
    public WriteTransaction BeginWrite()
    {
        RefuseActor();
        return BeginWrite(WriterKind.Caller);
    }

    /// <summary>Runs an action that must not begin another write transaction, and is told so if it does.</summary>
    public void Act(Action<WriteTransaction> action, WriteTransaction transaction)
    {
        _actor = Environment.CurrentManagedThreadId;
        try
        {
            action(transaction);
        }
        finally
        {
            _actor = 0;
        }
    }

    private void RefuseActor()
    {
        if (_actor == Environment.CurrentManagedThreadId)
            throw new InvalidOperationException("this thread has the store's one write transaction, and would wait for itself: write with the transaction that the callback was given");
    }

    /// <summary>Whoever gave the transaction to a callback ends it: others' may be in it.</summary>
    internal void RefuseEndByActor()
    {
        if (_actor == Environment.CurrentManagedThreadId)
            throw new InvalidOperationException("the transaction of a callback is committed when that returns, and given up when it throws: the callback itself must not end it");
    }

    private WriteTransaction BeginWrite(WriterKind kind)
    {
        bool hasPlace = TryTakePlaceAs(waiter: null, kind) || AwaitPlace(kind);
        ObjectDisposedException.ThrowIf(!hasPlace, this);
        try
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _isClosed), this);
            if (StopReason is { } reason)
                throw new WritesStoppedException($"{Path} takes no more writes until it is opened again: {reason.Message}", reason);
            TellOldReaders();
            EndOldReaders();
            LeaveBrokenMap();
            _space.Release(_readers.Oldest(_current.Transaction));
            _space.TakesLowest = IsBecomingSmaller;
            _writerSlot.Generation++;
            return new WriteTransaction(this, _current, _writerSlot, _space, _dirty, _buffers);
        }
        catch
        {
            ReleaseWriter();
            throw;
        }
    }

    /// <summary>
    /// Runs a small transaction together with those of other threads: one commit, one sync for all of them. Returns when it is
    /// durable. The action may run more than once, should another one of its commit fail, and only its last run counts; what it
    /// throws is thrown here and harms nobody else.
    /// </summary>
    public void Batch(Action<WriteTransaction> action)
    {
        RefuseActor();
        _batches.Run(action);
    }

    /// <summary>
    /// As <see cref="Batch"/>, without a thread that waits; both go into the same commits. The action runs on a thread of the scheduler or of
    /// another caller, and must not wait for a write transaction. What it throws, a failed commit, and the end of the store are the task's.
    /// Cancelled before its action is taken into a commit, it has not happened; after that, cancelling does nothing.
    /// </summary>
    public ValueTask BatchAsync(Action<WriteTransaction> action, CancellationToken cancellation = default) =>
        _batches.RunAsync(action, cancellation);

    /// <summary>
    /// What is wrong with the pages of the last commit; nothing in a sound store. Reads all of them once, beside whatever else is done.
    /// The bitmaps of free pages are only counted: those of a closed store are compared by <see cref="Checking.BTreeVerifier.Verify(IFileSystem, string)"/>.
    /// </summary>
    public IReadOnlyList<DamageFinding> Verify(CancellationToken cancellation = default)
    {
        using ReadTransaction transaction = BeginRead();
        return Checking.BTreeVerifier.Verify(_file, transaction, cancellation);
    }

    /// <summary>Everything that reads and has not been disposed yet, with its age.</summary>
    public IReadOnlyList<BTreeReader> ListReaders()
    {
        TimeProvider time = _scheduler.Time;
        long now = time.GetTimestamp();
        return [.. _readers.List().Select(r => new BTreeReader(r.Transaction, time.GetElapsedTime(r.StartedAt, now), r.Ended))];
    }

    /// <summary>Ends read transactions that are older than the options allow. Each begin of a write does it, too.</summary>
    public void EndOldReaders()
    {
        if (Options.ReaderAgeLimit is not { } limit)
            return;
        _readers.EndBefore(_scheduler.Time.GetTimestamp() - TicksOf(limit), TransactionEnd.TooOld);
    }

    private void TellOldReaders()
    {
        if (Options is not { ReaderAgeWarning: { } age, ReaderIsOld: { } tell })
            return;
        TimeProvider time = _scheduler.Time;
        long now = time.GetTimestamp();
        foreach ((ulong transaction, long startedAt) in _readers.TakeUntoldBefore(now - TicksOf(age)))
            tell(new BTreeReader(transaction, time.GetElapsedTime(startedAt, now), HasEnded: false));
    }

    private long TicksOf(TimeSpan age) => (long)(age.TotalSeconds * _scheduler.Time.TimestampFrequency);

    /// <summary>
    /// No new transactions from here on, and open ones fail at their next use. The file is let go of when the last of them is
    /// disposed, since spans that they gave out may still be read. A step of the store's own upkeep, which its next use of a page ends, is
    /// waited for: where callers have none open the file and its lock are free on return.
    /// </summary>
    public void Dispose()
    {
        lock (_closing)
        {
            Volatile.Write(ref _isClosed, true);
            _sweepTimer?.Dispose();
        }

        _readers.EndBefore(long.MaxValue, TransactionEnd.StoreClosed);
        _writerSlot.Reason = TransactionEnd.StoreClosed;
        Volatile.Write(ref _writerSlot.Ended, Volatile.Read(ref _writerSlot.Generation));
        _writerWait.Pulse();
        _writerWait.WaitUntil(() => _writing != WriterKind.Upkeep);
        TryRelease();
        _writerWait.WaitUntil(() => !Volatile.Read(ref _isReleased) || Volatile.Read(ref _hasLetGo));
    }

    internal byte* ScratchPage(int which) => _scratch + ((long)which * _layout.PageBytes);

    /// <summary>False once the store is closed: the scheduler may end with it.</summary>
    internal bool TrySchedule(IBackgroundJob job, JobPriority priority)
    {
        lock (_closing)
        {
            if (_isClosed)
                return false;
            _scheduler.Schedule(job, priority);
            return true;
        }
    }

    internal void EndRead(ReaderSlot slot)
    {
        ReaderTable.Leave(slot);
        if (Volatile.Read(ref _isClosed))
            TryRelease();
    }

    /// <summary>The write transaction is over, and without a commit nothing is left of it.</summary>
    internal void EndWrite()
    {
        // After a commit there is nothing to take back.
        _space.Rollback();
        _dirty.Clear();
        _buffers.Reset();
        ReleaseWriter();
    }

    /// <summary>After a page of the map could not be read, reads go through the file, where an error is told each time and of the page that has it.</summary>
    private void LeaveBrokenMap()
    {
        CommittedState seen = Volatile.Read(ref _current);
        if (seen.Pages.IsBroken)
            Interlocked.CompareExchange(ref _current, WithReadablePages(seen), seen);
    }

    private CommittedState WithReadablePages(CommittedState state) => state.Pages.IsBroken ? state with { Pages = _positional } : state;

    /// <summary>
    /// Who comes while the place is free takes it, whoever waits: that is quick, but a waiter that has to be woken first would never have it
    /// beside somebody who writes all the time. One that was passed over some times has it kept for itself. False: the store was closed.
    /// </summary>
    private bool AwaitPlace(WriterKind kind)
    {
        var waiter = new object();
        bool hasPlace = false;
        int passedOver = 0;
        try
        {
            _writerWait.WaitUntil(() =>
            {
                if (Volatile.Read(ref _isClosed) || (hasPlace = TryTakePlaceAs(waiter, kind)))
                    return true;
                if (++passedOver >= PassedOverMax)
                    Interlocked.CompareExchange(ref _keptFor, waiter, null);
                return false;
            });
            return hasPlace;
        }
        finally
        {
            if (Interlocked.CompareExchange(ref _keptFor, null, waiter) == waiter && !hasPlace)
                _writerWait.Pulse();
        }
    }

    private bool TryTakePlaceAs(object? waiter, WriterKind kind) =>
        (Volatile.Read(ref _keptFor) is not { } keptFor || ReferenceEquals(keptFor, waiter)) && TryTakePlace(kind);

    private bool TryTakePlace(WriterKind kind) => Interlocked.CompareExchange(ref _writing, kind, WriterKind.Nobody) == WriterKind.Nobody;

    private void ReleaseWriter()
    {
        _writing = WriterKind.Nobody;
        _writerWait.Pulse();
        if (Volatile.Read(ref _isClosed))
            TryRelease();
    }

    private void TryRelease()
    {
        lock (_closing)
        {
            if (_isReleased || !_readers.IsEmpty || !TryTakePlace(WriterKind.Caller))
                return;
            _isReleased = true;
        }

        Seal();
        foreach (PageSource source in _sources)
            source.Dispose();
        _buffers.Dispose();
        _commits.Dispose();
        BulkMemory.Free(_scratch, ScratchPages * (long)_layout.PageBytes);
        _file.Dispose();
        _lock.Dispose();
        Volatile.Write(ref _hasLetGo, true);
        _writerWait.Pulse();
    }
}

/// <summary>An open read transaction. Immutable; any thread.</summary>
/// <param name="Transaction">The commit that it sees; what later ones freed is held back for it.</param>
/// <param name="Age">How long it has been open.</param>
/// <param name="HasEnded">It was ended for its age, or with the store, and nothing is held back for it any more.</param>
public sealed record BTreeReader(ulong Transaction, TimeSpan Age, bool HasEnded);
