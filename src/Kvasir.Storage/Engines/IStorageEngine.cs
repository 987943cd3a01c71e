using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// A map of byte keys to byte values on disk, below a log that somebody else owns: the journal of an embedded store, or
/// a replica's log. The engine keeps no log of its own. It takes writes in the order of their positions, remembers which
/// position each flush made durable, and after a restart is given every later write again.
/// <para>
/// <b>Threads.</b> <see cref="Stage"/>, <see cref="Publish"/>, <see cref="Apply"/> and <see cref="DiscardAfter"/> come from one
/// thread at a time (the replica's: "the writer"); everything else from any thread, at any time, beside them.
/// </para>
/// <para>
/// <b>Stage, then publish.</b> The writer stages the mutations of one command (or of one transaction of many commands),
/// reading its own writes through <see cref="ReadView.Applied"/>; nobody else sees them. When the record of all of them
/// is in the log, <see cref="Publish"/> makes them visible together.
/// </para>
/// <para>
/// <b>Stable.</b> Writes may be published before their log record is durable, so that a later command of the same
/// pipeline can read them. Until <see cref="MarkStable"/> covers them, the engine must be able to forget them
/// (<see cref="DiscardAfter"/>) and must not let them reach its files.
/// </para>
/// </summary>
public interface IStorageEngine : IDisposable
{
    /// <summary>The last position given to <see cref="Publish"/>.</summary>
    LogPosition PublishedPosition { get; }

    /// <summary>
    /// Everything up to here is durable in the engine's own files: the log before it is not needed again, and replay
    /// starts after it.
    /// </summary>
    LogPosition FlushedPosition { get; }

    /// <summary>The position of the oldest write that is only in memory, or null when there is none.</summary>
    LogPosition? OldestUnflushedPosition { get; }

    /// <summary>The longest key; longer ones must not be staged.</summary>
    int KeyBytesMax => int.MaxValue;

    /// <summary>The longest value; longer ones must not be staged.</summary>
    int ValueBytesMax => int.MaxValue;

    /// <summary>
    /// How many keys that are not there it has room for. Who owns the log asks before it writes there, since what is in the log must be
    /// taken (<see cref="EngineEnvironment.TakesAll"/>).
    /// </summary>
    long KeysLeft => long.MaxValue;

    /// <summary>The sequence number of the last published mutation.</summary>
    SequenceNumber LastSequence { get; }

    /// <summary>The sequence number of the last mutation that is stable: everything up to it will never be discarded.</summary>
    SequenceNumber StableSequence { get; }

    /// <summary>
    /// Of everything published, where <see cref="EngineEnvironment.KeepsDigest"/> asked for it and the engine can; it comes back
    /// with <see cref="FlushedPosition"/> after a restart. By the writer.
    /// </summary>
    StateDigest PublishedDigest => StateDigest.Unknown;

    /// <summary>Of everything stable.</summary>
    StateDigest StableDigest => StateDigest.Unknown;

    /// <summary>
    /// The content came another way than from the log: this is the digest of what is published, or, when something is staged, will
    /// be with its publication. Called by the writer.
    /// </summary>
    void AssumeDigest(StateDigest digest)
    {
    }

    /// <summary>
    /// Adds mutations (the bytes of a <see cref="WriteBatch"/>) that only <see cref="ReadView.Applied"/> sees, each with
    /// the next sequence number. Never waits for the disk; the caller asks <see cref="SuggestWriteDelay"/> first.
    /// </summary>
    void Stage(ReadOnlySpan<byte> batch);

    /// <summary>
    /// Makes everything staged visible, atomically; <paramref name="position"/> is that of its log record and grows from
    /// call to call. A call with nothing staged does nothing. What is not <paramref name="awaited"/>, because nobody's
    /// answer waits for its log record, may become stable a little later than the record, and is not discarded alone.
    /// </summary>
    void Publish(LogPosition position, bool awaited = true);

    /// <summary>
    /// What came from the log, with nothing staged: as if each batch was staged and published at its position, but they may become
    /// visible, and stable, together. Batches with one position are published together in any case.
    /// </summary>
    /// <param name="payloads">Holds the bytes of the batches.</param>
    /// <param name="batches">In the order of their positions.</param>
    void Apply(ReadOnlySpan<byte> payloads, ReadOnlySpan<LoggedBatch> batches);

    /// <summary>
    /// The log is durable up to <paramref name="position"/> (which may lie ahead of <see cref="PublishedPosition"/>):
    /// nothing published at or before it will be discarded. Any thread; calls that go backwards do nothing.
    /// </summary>
    void MarkStable(LogPosition position);

    /// <summary>
    /// Forgets what is staged and every publication after <paramref name="position"/>, which is at or after the last
    /// stable one. Views and iterators made before may still show what was forgotten. Whether the sequence numbers of what
    /// was forgotten are given again is up to the engine.
    /// </summary>
    void DiscardAfter(LogPosition position);

    /// <summary>
    /// Back-pressure: how long a writer of <paramref name="bytes"/> should wait before <see cref="Stage"/>, in
    /// proportion to what flushes and compactions owe. Zero most of the time. Positive values come early and small,
    /// rather than late and long; the largest is bounded, and asked again after waiting.
    /// </summary>
    TimeSpan SuggestWriteDelay(int bytes);

    /// <summary>
    /// Reads one key. The value is appended to <paramref name="value"/> unless that is null. Deleted and expired keys
    /// are not found.
    /// </summary>
    EntryInfo Get(ReadOnlySpan<byte> key, in ReadView view, BytesBuffer? value);

    /// <summary>
    /// A hint that changes nothing: keys with these hashes (by <see cref="StableHash"/>, unseeded) will be read or written
    /// next by the calling thread, at most 64. An engine in memory can fetch what it needs for all of them at once; with
    /// <paramref name="values"/>, what their values need, too.
    /// </summary>
    void Prefetch(ReadOnlySpan<ulong> hashes, bool values)
    {
    }

    /// <summary>
    /// A hint that changes nothing: whether reads are expected from now on, as they are until this is called. An engine that
    /// only follows another need keep nothing ready for them. Any thread.
    /// </summary>
    void ExpectReads(bool areExpected)
    {
    }

    /// <summary>
    /// A walk over all live keys of one view, of now or of the snapshot, in the engine's own order: that of the keys' bytes in an
    /// <see cref="IOrderedEngine"/>, <see cref="TokenOrder"/> in any other. Bounds are places in that order. Dispose it soon, it
    /// holds resources.
    /// </summary>
    EngineScan CreateScan(in IteratorOptions options);

    /// <summary>A consistent view of what is published now, until disposed. Holding one keeps the versions it can see.</summary>
    EngineSnapshot CreateSnapshot();

    /// <summary>
    /// Starts making everything that is stable durable in the engine's files; returns at once.
    /// <see cref="WaitForFlush"/> waits for it.
    /// </summary>
    void Flush();

    /// <summary>
    /// Waits until everything stable at the last <see cref="Flush"/> is in the files. Throws
    /// <see cref="Files.WritesStoppedException"/>, with the cause inside, when a background failure stopped it.
    /// </summary>
    void WaitForFlush();

    /// <summary>
    /// Fixes what a checkpoint will hold, everything that is stable now and nothing later, and starts to flush it. What is
    /// written meanwhile stays in memory until the checkpoint is disposed: do that soon. Called by the writer, or with
    /// nothing staged.
    /// </summary>
    EngineCheckpoint BeginCheckpoint();

    /// <summary>
    /// Takes keys straight into the files, without log or memory: none twice, none that is there, and strictly ascending by their
    /// bytes where the engine is an <see cref="IOrderedEngine"/>, which also wants that they overlap nothing. Sequence numbers
    /// continue. Called by the writer, with nothing staged and everything published stable. Durable on return; where it fails nothing of
    /// them is there, unless the disk fails that, too. Of many thousands a crash meanwhile may leave the first.
    /// </summary>
    void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> rows);

    /// <summary>
    /// Drops everything droppable from the files. Blocks until done. Takes what is in the files: call <see cref="Flush"/> first to
    /// include the latest writes. Cancelled, it throws <see cref="OperationCanceledException"/> soon, and nothing is lost.
    /// </summary>
    void Compact(CancellationToken cancellation = default);

    /// <summary>
    /// Bytes on disk, roughly, of the keys in [start, end), places in the engine's own order; an empty end means unbounded.
    /// </summary>
    long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end);

    EngineStatistics GetStatistics();

    /// <summary>
    /// Set when a background job met a failure that stops writes (a full or failing disk, damage); null otherwise.
    /// </summary>
    Exception? BackgroundFailure { get; }

    /// <summary>Tries the failed background work again, after space was freed. True when the failure is gone.</summary>
    bool TryResume();

    /// <summary>
    /// As <see cref="TryResume"/>, in the background: <see cref="BackgroundFailure"/> is null until it fails again, but for work that
    /// has failed again and again: that is told until it has ended well.
    /// </summary>
    void RequestResume();
}

/// <summary>An engine whose keys are ordered by their unsigned bytes: that is the order of its scans, too.</summary>
public interface IOrderedEngine : IStorageEngine
{
    /// <summary>An iterator over a view of now, or of the snapshot; dispose it soon, it holds resources.</summary>
    EngineIterator CreateIterator(in IteratorOptions options);

    /// <summary>
    /// Compacts the whole of [start, end) down, dropping everything droppable. Blocks until done. Takes what is in the
    /// files: call <see cref="IStorageEngine.Flush"/> first to include the latest writes. Cancelled as <see cref="IStorageEngine.Compact"/>.
    /// </summary>
    void CompactRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, CancellationToken cancellation = default);
}

/// <summary>What a read found beside the value.</summary>
/// <param name="Found">Whether a live value exists.</param>
/// <param name="Sequence">
/// The sequence number of the mutation that decided the answer, also when that was a deletion; zero when nothing did.
/// </param>
/// <param name="ExpiresAtMs">
/// Unix milliseconds at which the value dies; 0 for never. When nothing was found because the value has expired, the
/// deadline that passed: whoever meets it may delete it and tell of it.
/// </param>
/// <param name="ValueLength">Length of the value in bytes.</param>
public readonly record struct EntryInfo(bool Found, SequenceNumber Sequence, long ExpiresAtMs, int ValueLength);

/// <summary>Which writes a read may see.</summary>
public readonly struct ReadView
{
    private ReadView(EngineSnapshot? snapshot, ReadViewKind kind)
    {
        Snapshot = snapshot;
        Kind = kind;
    }

    /// <summary>Everything published: the default.</summary>
    public static ReadView Published => default;

    /// <summary>Everything published, and what the writer has staged. Only the writer may ask for it.</summary>
    public static ReadView Applied => new(snapshot: null, ReadViewKind.Applied);

    /// <summary>
    /// Everything stable: what a node whose log has failed may still serve, since it is certain to survive.
    /// </summary>
    public static ReadView Stable => new(snapshot: null, ReadViewKind.Stable);

    /// <summary>What the snapshot sees; good as long as that is not disposed of.</summary>
    public static ReadView At(EngineSnapshot snapshot) => new(snapshot, ReadViewKind.Snapshot);

    /// <summary>Of a view of <see cref="ReadViewKind.Snapshot"/>; else null.</summary>
    public EngineSnapshot? Snapshot { get; }

    /// <summary>Which of the views it is.</summary>
    public ReadViewKind Kind { get; }
}

/// <summary>The views that there are.</summary>
public enum ReadViewKind
{
    /// <summary>Everything published.</summary>
    Published,

    /// <summary>Everything published, and what the writer has staged.</summary>
    Applied,

    /// <summary>Everything that is certain to survive.</summary>
    Stable,

    /// <summary>What a snapshot sees.</summary>
    Snapshot,
}

/// <summary>A consistent view of an engine. Any thread. It lives no longer than its process. Reading at one that was disposed throws.</summary>
public abstract class EngineSnapshot : IDisposable
{
    private int _disposed;

    protected EngineSnapshot(SequenceNumber sequence) => Sequence = sequence;

    /// <summary>The last mutation that the view contains. Any thread.</summary>
    public SequenceNumber Sequence { get; }

    /// <summary>What it could see may be gone since.</summary>
    protected internal bool IsDisposed => Volatile.Read(ref _disposed) != 0;

    /// <summary>What only the snapshot kept may go. Any thread; a second call does nothing.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>Numbers for people and metrics; a moment's reading, not a consistent cut.</summary>
public sealed record EngineStatistics
{
    public long MemoryBytes { get; init; }

    public long MemTableBytes { get; init; }

    public long CacheBytes { get; init; }

    public long CacheHits { get; init; }

    public long CacheMisses { get; init; }

    public long DiskBytes { get; init; }

    public long UserBytesWritten { get; init; }

    public long FlushBytesWritten { get; init; }

    public long CompactionBytesRead { get; init; }

    public long CompactionBytesWritten { get; init; }

    /// <summary>Bytes that compactions owe: 0 where nothing is due, however much of the files is garbage.</summary>
    public long CompactionDebtBytes { get; init; }

    public long StallMicroseconds { get; init; }

    public long EstimatedKeys { get; init; }

    /// <summary>Of an engine that has every key in memory: what they take; 0 for others.</summary>
    public long IndexBytes { get; init; }

    /// <summary>
    /// What they may take beside those of other engines that share its memory: from four fifths of it on it is time to act, and at the end
    /// of it new keys are refused.
    /// </summary>
    public long IndexLimitBytes { get; init; }

    /// <summary>
    /// Of an engine that has every key in memory: how much of what they may take they do, or those of all engines together where that is more.
    /// </summary>
    public int? IndexPercent { get; init; }

    /// <summary>Files and bytes of each level, level zero first; engines without levels leave it empty.</summary>
    public IReadOnlyList<(int Files, long Bytes)> Levels { get; init; } = [];

    /// <summary>Of an engine whose file is a tree of pages; null for others.</summary>
    public TreePageStatistics? TreePages { get; init; }
}

/// <summary>What the pages of a tree are there for.</summary>
public sealed record TreePageStatistics
{
    public int PageBytes { get; init; }

    public long Pages { get; init; }

    /// <summary>Free in the file; among them those that are held back.</summary>
    public long FreePages { get; init; }

    /// <summary>Free, but not given out while somebody may read them.</summary>
    public long HeldPages { get; init; }

    /// <summary>Pages from the root to an entry.</summary>
    public int Depth { get; init; }

    /// <summary>Views of the tree that are open, those that the engine keeps for the next read among them.</summary>
    public int Readers { get; init; }

    /// <summary>Commits since the one that the oldest of them sees.</summary>
    public long OldestReaderLag { get; init; }
}
