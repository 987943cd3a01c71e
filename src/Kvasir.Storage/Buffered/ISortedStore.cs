using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// Everything of an engine that lies in files, in the order of keys: of the log-structured merge tree the set of SSTables by level, its
/// manifest, compaction. The engine above holds what is in memory. Thread-safe, except that one flush is installed at a time.
/// </summary>
internal interface ISortedStore : IDisposable
{
    /// <summary>What the manifest says is durable in tables.</summary>
    LogPosition FlushedPosition { get; }

    /// <summary>Of everything up to that position, as the flush was told.</summary>
    StateDigest FlushedDigest { get; }

    /// <summary>The last sequence number of what is in tables.</summary>
    ulong FlushedSequence { get; }

    /// <summary>The longest key.</summary>
    int KeyBytesMax { get; }

    /// <summary>The longest value it takes.</summary>
    int ValueBytesMax { get; }

    /// <summary>
    /// Versions that a snapshot sees stay when newer ones are flushed, and every view answers for any sequence number. Otherwise a view has
    /// of each key what was newest when it was acquired, a flush brings no more than that, and snapshots hold the view of their moment.
    /// </summary>
    bool KeepsVersions { get; }

    /// <summary>
    /// The current tables with a reference taken; <see cref="ISortedView.Release"/> it. Safe beside installs.
    /// </summary>
    ISortedView Acquire();

    /// <summary>
    /// Writes the tables of one memtable into level zero and installs them, durably: on return
    /// <see cref="FlushedPosition"/> is <paramref name="position"/>. An empty source with no tombstones only moves the
    /// position. Called from a background job. On an exception nothing was installed.
    /// </summary>
    void Flush(
        InternalIterator source, IReadOnlyList<RangeTombstone> tombstones, LogPosition position, ulong lastSequence, StateDigest digest = default);

    /// <summary>Which part of a core flushes (true) and compactions (false) may take now (<see cref="WorkPace"/>). Set before the first.</summary>
    Func<bool, double> WorkShare { set; }

    /// <summary>True when <see cref="RunCompaction"/> would find something to do.</summary>
    bool CompactionDue { get; }

    /// <summary>
    /// Picks and runs one compaction (or trivial move). <paramref name="snapshots"/>: the sequence numbers still seen
    /// by someone, ascending, taken after the pick begins; the latest visible one is always in it. Several may run at
    /// once from several jobs; they never share a table. False when nothing was due.
    /// </summary>
    bool RunCompaction(Func<ulong[]> snapshots, CancellationToken cancellation = default);

    /// <summary>
    /// Lets go of what range tombstones cover whole, as <see cref="RunCompaction"/> does before anything else: that takes no room on
    /// the disk but for an edit of the manifest. False when there was nothing to look at.
    /// </summary>
    bool DropCovered(Func<ulong[]> snapshots);

    /// <summary>Whether range tombstones wait for older snapshots to go, before what they cover can.</summary>
    bool WaitsForSnapshots { get; }

    /// <summary>
    /// Tells the oldest sequence number that is still seen by someone, so that <see cref="CompactionDue"/> knows. Cheap
    /// unless the store <see cref="WaitsForSnapshots"/>.
    /// </summary>
    void NoteOldestSnapshot(ulong oldest);

    /// <summary>
    /// Compacts [start, end) (null: unbounded) down to the last level that has data, all of it rewritten. <paramref name="refresh"/> has the
    /// engine acquire the current view and let go of the one before, which may hold back what this frees.
    /// </summary>
    void CompactRange(byte[]? start, byte[]? end, Func<ulong[]> snapshots, Action? refresh = null, CancellationToken cancellation = default);

    /// <summary>Bytes that compaction owes: the sum over levels of what is above target. Drives back-pressure.</summary>
    long CompactionDebtBytes { get; }

    int LevelZeroTables { get; }

    /// <summary>Hard-links the current tables into <paramref name="folder"/> with a manifest of their own.</summary>
    void Checkpoint(string folder, CancellationToken cancellation = default);

    /// <summary>
    /// Writes sorted, unique keys as tables at the lowest level that does not overlap, all with
    /// <paramref name="sequence"/>. Durable on return.
    /// </summary>
    void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> sorted, ulong sequence);

    SortedStoreStatistics GetStatistics();

    /// <summary>Why nothing is written any more until <see cref="TryResume"/> has done its work; null while that is not so.</summary>
    StorageException? StopReason => null;

    /// <summary>Makes certain what has become of what failed, so that writes go on; false while the disk refuses.</summary>
    bool TryResume() => true;
}

/// <summary>
/// An immutable view of the tables, reference-counted: files live until the last view that names them is released.
/// Thread-safe.
/// </summary>
internal interface ISortedView
{
    /// <summary>
    /// The newest version of <paramref name="userKey"/> with a sequence number at most <paramref name="sequence"/>,
    /// range tombstones of tables taken into account. When a version is found (also a tombstone) returns true and
    /// fills <paramref name="result"/>; a value's bytes are appended to <paramref name="value"/> unless it is null.
    /// <paramref name="keyHash"/> is <see cref="StableHash.Hash64"/> of the key with seed 0.
    /// </summary>
    bool TryGet(ReadOnlySpan<byte> userKey, ulong keyHash, ulong sequence, BytesBuffer? value, out LookupResult result);

    /// <summary>Adds one iterator a level-zero table and one a level; each keeps what it needs until disposed.</summary>
    void AddIterators(List<InternalIterator> iterators, bool bypassCache);

    /// <summary>All range tombstones of the tables in the set, in any order. Usually empty.</summary>
    IReadOnlyList<RangeTombstone> RangeTombstones { get; }

    /// <summary>Bytes on disk of the keys in [start, end), roughly; an empty end means unbounded.</summary>
    long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end);

    /// <summary>
    /// Bytes of the tables that lie in [start, end) whole, and that no range tombstone of another table covers yet; an
    /// empty end means unbounded. Touches no file.
    /// </summary>
    long UncoveredBytesWithin(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end);

    void AddReference();

    void Release();
}

/// <summary>
/// The version that decides a read. <paramref name="Deleted"/> also when a range tombstone covers it, with that
/// tombstone's sequence number.
/// </summary>
internal readonly record struct LookupResult(ulong Sequence, bool Deleted, long ExpiresAtMs, int ValueLength);

internal sealed record SortedStoreStatistics
{
    public long DiskBytes { get; init; }

    public long FlushBytesWritten { get; init; }

    public long CompactionBytesRead { get; init; }

    public long CompactionBytesWritten { get; init; }

    public long EntryCount { get; init; }

    public long CacheBytes { get; init; }

    public long CacheHits { get; init; }

    public long CacheMisses { get; init; }

    public IReadOnlyList<(int Files, long Bytes)> Levels { get; init; } = [];

    public TreePageStatistics? TreePages { get; init; }
}
