using Kvasir.Storage.BTree;

namespace Kvasir.Storage.Embedded;

/// <summary>How a <see cref="TransactionalStore"/> is opened. Immutable; any thread.</summary>
public sealed record TransactionalStoreOptions
{
    /// <summary>How pages are read.</summary>
    public PageReads Reads { get; init; } = PageReads.Mapped;

    /// <summary>
    /// 4096, 8192, 16384 or 32768; counts when the file is made, and stays with it. A key takes at most about a quarter of a page; larger pages
    /// are for larger keys, and for values that would not fit.
    /// </summary>
    public int PageBytes { get; init; } = 4096;

    /// <summary>What pages in memory may take with <see cref="PageReads.Positional"/>, at least 1 MiB. What a write transaction has changed comes on top, until it ends.</summary>
    public long CacheBytes { get; init; } = 64L << 20;

    /// <summary>
    /// The longest that a read transaction may live while others write; null: without limit. One that is older is ended by the next writer, and
    /// its next use throws a <see cref="ReaderTooOldException"/>: what it holds back can then be used again.
    /// </summary>
    public TimeSpan? ReaderAgeLimit { get; init; }

    /// <summary>Of read transactions that are older <see cref="ReaderIsOld"/> is told; null: of none.</summary>
    public TimeSpan? ReaderAgeWarning { get; init; }

    /// <summary>
    /// Called once for each read transaction that has grown older than <see cref="ReaderAgeWarning"/>, by a thread that begins to write: it should
    /// return at once, and must not use the store.
    /// </summary>
    public Action<BTreeReader>? ReaderIsOld { get; init; }

    /// <summary>
    /// What has expired is deleted, pages of what was deleted are freed, and a file with many free pages is made smaller, in the background.
    /// Without it the store does none of that by itself: <see cref="TransactionalStore.Shrink"/> does all of it,
    /// <see cref="TransactionalStore.DeleteExpired"/> the first. To readers expired keys are gone in either case.
    /// </summary>
    public bool BackgroundUpkeep { get; init; } = true;

    /// <summary>How many callbacks of <see cref="TransactionalStore.Batch(Action{BTree.Transactions.WriteTransaction})"/> one commit takes at most.</summary>
    public int BatchMax { get; init; } = 1024;

    /// <summary>The clock that keys expire by, and that tells the age of readers.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
