using System.ComponentModel;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Checking;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Embedded;

/// <summary>
/// Keys and values in one file, with transactions and nested buckets: a copy-on-write B+tree in the manner of LMDB and bbolt. Read
/// transactions see one commit for as long as they live and wait for nobody; one write transaction at a time sees its own writes.
/// <para>
/// Every member may be called from any thread, at any time, until <see cref="Dispose"/>. A transaction, its buckets and its cursors belong to
/// one thread at a time.
/// </para>
/// <para>
/// Keys may have a time to live. A transaction reads the clock when it begins, and what has expired by then is not there for it.
/// </para>
/// <para>
/// A commit is on stable storage when it returns: killing the process, or the machine, at any instant leaves the last commit that returned, or
/// a later one that was under way, whole. Opening needs no repair. A <see cref="DiskFullException"/> of a commit says that nothing has happened;
/// a <see cref="WritesStoppedException"/> that nobody knows, and that the store takes no more writes until it is opened again.
/// </para>
/// </summary>
public sealed class TransactionalStore : IDisposable
{
    private const long CacheBytesMin = 1 << 20;

    private const string AsynchronousWrite =
        "The transaction ends when the callback returns, and an asynchronous one has not done its work by then: await first, and write when everything is there.";

    private readonly PosixFileSystem _files;
    private readonly ThreadScheduler _scheduler;
    private readonly BTreeStore _store;

    private TransactionalStore(PosixFileSystem files, ThreadScheduler scheduler, BTreeStore store) =>
        (_files, _scheduler, _store) = (files, scheduler, store);

    /// <summary>The file. Any thread.</summary>
    public string Path => _store.Path;

    /// <summary>Why no more writes are taken; null while they are. Any thread.</summary>
    public StorageException? StopReason => _store.StopReason;

    /// <summary>
    /// Opens the file, and makes it where there is none; takes as long for a large one as for a small one. Throws a
    /// <see cref="StorageException"/> that names the file and says what to do: when another process has it open, when it is damaged or
    /// something else, when a newer version wrote it. Any thread; what is found is the last commit that was durable, or a later one that was under way.
    /// </summary>
    /// <param name="path">Of the file; its folder must be there. A lock file lies beside it.</param>
    /// <param name="options">Null for the defaults.</param>
    public static TransactionalStore Open(string path, TransactionalStoreOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new TransactionalStoreOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.CacheBytes, CacheBytesMin, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchMax, 1, nameof(options));
        ArgumentNullException.ThrowIfNull(options.Time);
        if (options.PageBytes is not (4096 or 8192 or 16384 or 32768))
            throw new ArgumentOutOfRangeException(nameof(options), options.PageBytes, "a page has 4096, 8192, 16384 or 32768 bytes");
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ReaderAgeLimit ?? TimeSpan.Zero, TimeSpan.Zero, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ReaderAgeWarning ?? TimeSpan.Zero, TimeSpan.Zero, nameof(options));
        if (!Enum.IsDefined(options.Reads))
            throw new ArgumentOutOfRangeException(nameof(options), options.Reads, "there is no such way to read pages");
        var files = new PosixFileSystem();
        CheckPlace(files, path);
        var scheduler = new ThreadScheduler(options.Time, backgroundThreads: 1);
        try
        {
            var tree = new BTreeOptions
            {
                PageBytes = options.PageBytes,
                UseMap = options.Reads == PageReads.Mapped,
                CachedPages = (int)Math.Min(options.CacheBytes / options.PageBytes, int.MaxValue),
                ReaderAgeLimit = options.ReaderAgeLimit,
                ReaderAgeWarning = options.ReaderAgeWarning,
                ReaderIsOld = options.ReaderIsOld,
                BackgroundUpkeep = options.BackgroundUpkeep,
                BatchMax = options.BatchMax,
                Identity = (ulong)options.Time.GetUtcNow().UtcTicks,
            };
            return new TransactionalStore(files, scheduler, BTreeStore.Open(files, path, scheduler, tree));
        }
        catch
        {
            scheduler.Dispose();
            throw;
        }
    }

    /// <summary>
    /// A transaction that sees the last commit until it is disposed of, whatever is written meanwhile. Any thread; never waits. It holds back the pages
    /// of that commit, so that the file grows under long readers: dispose of it soon.
    /// </summary>
    public ReadTransaction BeginRead() => _store.BeginRead();

    /// <summary>
    /// The one write transaction: waits until there is no other; any thread. Ended, durably, by <see cref="WriteTransaction.Commit"/>; disposed of without it, nothing
    /// has happened. A thread that has one and begins another waits for itself for ever;
    /// inside <see cref="Update(Action{WriteTransaction})"/> and <see cref="Batch(Action{WriteTransaction})"/> it throws <see cref="InvalidOperationException"/> instead, as they do inside each other.
    /// </summary>
    public WriteTransaction BeginWrite() => _store.BeginWrite();

    /// <summary>
    /// Runs a callback with a read transaction, and gives back what it returns once it is sure that all of it could be read. Any thread. Where that
    /// is a task, the transaction is over for what goes on in it: <see cref="ObjectDisposedException"/>.
    /// </summary>
    public TResult View<TResult>(Func<ReadTransaction, TResult> read)
    {
        ArgumentNullException.ThrowIfNull(read);
        using ReadTransaction transaction = BeginRead();
        TResult result = read(transaction);
        transaction.EnsureReadable();
        return result;
    }

    /// <summary>Runs a callback with the write transaction and commits it, durably; any thread. What the callback throws is thrown here, and nothing has happened.</summary>
    public void Update(Action<WriteTransaction> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        using WriteTransaction transaction = BeginWrite();
        _store.Act(write, transaction);
        transaction.Commit();
    }

    // Of a lambda that returns nothing, or only throws, no type can be inferred here, and one that returns something else does not satisfy the
    // constraint: they go on to be the actions that they are. Only a task leads here, in the place of an async void that nobody waits for.

    /// <summary>Does not compile: the transaction would be over before an asynchronous callback has done its work.</summary>
    [Obsolete(AsynchronousWrite, error: true)]
    [EditorBrowsable(EditorBrowsableState.Never)]
    public void Update<TTask>(Func<WriteTransaction, TTask> write)
        where TTask : Task => throw new NotSupportedException(AsynchronousWrite);

    /// <summary>
    /// As <see cref="Update(Action{WriteTransaction})"/>, for many small transactions of many threads: those that wait go into one commit, with one sync. Returns when it is
    /// durable. The callback may run more than once, should another one of its commit fail, and only its last run counts; what it throws is
    /// thrown here and harms nobody else. It runs on whatever thread commits.
    /// </summary>
    public void Batch(Action<WriteTransaction> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        _store.Batch(write);
    }

    /// <inheritdoc cref="Update{TTask}(Func{WriteTransaction, TTask})"/>
    [Obsolete(AsynchronousWrite, error: true)]
    [EditorBrowsable(EditorBrowsableState.Never)]
    public void Batch<TTask>(Func<WriteTransaction, TTask> write)
        where TTask : Task => throw new NotSupportedException(AsynchronousWrite);

    /// <summary>
    /// As <see cref="Batch(Action{WriteTransaction})"/>, without a thread that waits for the disk: thousands of callers may await it on a few threads. Both go into the
    /// same commits. The task ends when the commit is durable; what the callback throws, a commit that fails, and an
    /// <see cref="ObjectDisposedException"/> if the store is disposed of before, are thrown where it is awaited. The callback runs on a thread of
    /// the store's own or of another caller, alone, and without the caller's <see cref="ExecutionContext"/>: it should be short, and must not wait for
    /// another batch or write transaction. Whoever awaits goes on where tasks go on, never on the thread that commits.
    /// </summary>
    /// <param name="write">The callback.</param>
    /// <param name="cancellation">
    /// Before the callback is taken into a commit: nothing has happened, and the task throws <see cref="OperationCanceledException"/>. After that
    /// it does nothing, and the task tells what became of the commit.
    /// </param>
    /// <returns>Awaited once, as any <see cref="ValueTask"/>; <see cref="ValueTask.AsTask"/> makes one that may be kept, and awaited by many.</returns>
    public ValueTask BatchAsync(Action<WriteTransaction> write, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(write);
        return _store.BatchAsync(write, cancellation);
    }

    /// <inheritdoc cref="Update{TTask}(Func{WriteTransaction, TTask})"/>
    [Obsolete(AsynchronousWrite, error: true)]
    [EditorBrowsable(EditorBrowsableState.Never)]
    public ValueTask BatchAsync<TTask>(Func<WriteTransaction, TTask> write, CancellationToken cancellation = default)
        where TTask : Task => throw new NotSupportedException(AsynchronousWrite);

    /// <summary>Read transactions that have not been disposed of, with the commit that each sees and its age. Any thread.</summary>
    public IReadOnlyList<BTreeReader> ListReaders() => _store.ListReaders();

    /// <summary>Ends those that are older than <see cref="TransactionalStoreOptions.ReaderAgeLimit"/> now; every writer does it, too. Any thread.</summary>
    public void EndOldReaders() => _store.EndOldReaders();

    /// <summary>Pages of the file by use, and what holds them back. Cheap; any thread.</summary>
    public BTreeStatistics GetStatistics()
    {
        ObjectDisposedException.ThrowIf(_store.IsClosed, this);
        return _store.GetStatistics();
    }

    /// <summary>
    /// Deletes what has expired by now, and gives its space back to later writes; reads and writes go on in between. With
    /// <see cref="TransactionalStoreOptions.BackgroundUpkeep"/> the store does it by itself; to readers expired keys are gone in either case.
    /// Cancelled, it throws <see cref="OperationCanceledException"/>, and what it has done until then stays. Any thread; what it has done is durable
    /// on return.
    /// </summary>
    public void DeleteExpired(CancellationToken cancellation = default) => _store.DeleteExpired(cancellation: cancellation);

    /// <summary>
    /// Makes the file as small as what is in it, as far as open readers allow; reads and writes go on in between. It is never necessary: with
    /// <see cref="TransactionalStoreOptions.BackgroundUpkeep"/> the store does it by itself when much is free. Cancelled, it throws
    /// <see cref="OperationCanceledException"/>, and what it has done until then stays. Any thread; nothing that was durable is less so at any moment.
    /// </summary>
    public void Shrink(CancellationToken cancellation = default) => _store.Shrink(cancellation: cancellation);

    /// <summary>
    /// Writes a copy of the last commit, which can be opened, to a new file; durable on return. Reads and writes go on meanwhile. Cancelled, it
    /// throws <see cref="OperationCanceledException"/> and leaves nothing. Any thread.
    /// </summary>
    public void CopyTo(string path, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        _store.Copy(_files, path, cancellation);
    }

    /// <summary>
    /// Reads every page of the last commit and tells what is wrong; nothing in a sound store. Reads and writes go on meanwhile. Cancelled, it
    /// throws <see cref="OperationCanceledException"/>. Any thread.
    /// </summary>
    public IReadOnlyList<DamageFinding> Check(CancellationToken cancellation = default) => _store.Verify(cancellation);

    /// <summary>What is wrong with the file of a store that nobody has open; nothing in a sound one. Changes nothing. Any thread.</summary>
    public static IReadOnlyList<DamageFinding> CheckFile(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return BTreeVerifier.Verify(new PosixFileSystem(), path);
    }

    /// <summary>
    /// No new transactions from here on, and open ones throw an <see cref="ObjectDisposedException"/> at their next use. The file is let go of
    /// when the last of them is disposed of. Nothing that was committed depends on it: it is durable in any case. Any thread; a second call does nothing.
    /// </summary>
    public void Dispose()
    {
        _store.Dispose();
        _scheduler.Dispose();
    }

    private static void CheckPlace(PosixFileSystem files, string path)
    {
        if (files.FolderExists(path))
            throw new StorageException($"{path} is a folder: name a file in it");
        string? folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path));
        if (folder is not null && !files.FolderExists(folder))
            throw new StorageException($"the folder of {path} is not there: make it first");
    }
}
