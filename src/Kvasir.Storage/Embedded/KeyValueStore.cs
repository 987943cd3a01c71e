using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Embedded;

/// <summary>
/// Keys and values in a folder, for the program that embeds Kvasir: open, put, get. Keys and values are bytes; text is UTF-8.
/// <para>
/// Every member may be called from any thread, at any time, until <see cref="Dispose()"/>; what is read is one consistent moment, and
/// reads wait for no writer. Writes of many threads share one sync.
/// </para>
/// <para>
/// A write returns when it is as durable as <see cref="StoreOptions.Durability"/> or the call says: by default it is on stable storage, and
/// killing the process, or the machine, at that instant loses nothing. A <see cref="WritesStoppedException"/> says that the disk is full
/// (the write did not happen and will not) or has failed (it may be found after a restart).
/// </para>
/// </summary>
public abstract class KeyValueStore : IDisposable
{
    /// <summary>Bytes of a batch, with its keys and values: no write may be larger.</summary>
    public const int BatchBytesMax = 512 << 20;

    private static readonly IEngineFactory[] s_engines = [new LsmEngineFactory(), new BTreeEngineFactory(), new HashLogEngineFactory()];

    private readonly string _folder;
    private readonly ThreadScheduler _scheduler;
    private readonly WriteDurability _durability;

    private protected KeyValueStore(string folder, DurableStore store, ThreadScheduler scheduler, StoreOptions options)
    {
        _folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        Store = store;
        _scheduler = scheduler;
        _durability = options.Durability;
    }

    private protected DurableStore Store { get; }

    /// <summary>The clock that keys expire by: <see cref="StoreOptions.Time"/>. Any thread.</summary>
    public TimeProvider Time => _scheduler.Time;

    /// <summary>
    /// Sets a key, and returns when that is as durable as the call or the store says. Any thread.
    /// </summary>
    /// <param name="key">Any bytes; none is a key, too. Short ones are better: every index has them.</param>
    /// <param name="value">Any bytes.</param>
    /// <param name="timeToLive">The key goes by itself after this time; null for never, and what leads beyond the year 9999 as good as never.</param>
    /// <param name="durability">Null for the store's own.</param>
    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, TimeSpan? timeToLive = null, WriteDurability? durability = null)
    {
        WriteBatch batch = BatchPool.Rent();
        try
        {
            batch.Put(key, value, DeadlineMs(timeToLive));
            Write(batch, durability);
        }
        finally
        {
            BatchPool.Return(batch);
        }
    }

    /// <inheritdoc cref="Put(ReadOnlySpan{byte}, ReadOnlySpan{byte}, TimeSpan?, WriteDurability?)"/>
    public void Put(string key, string value, TimeSpan? timeToLive = null, WriteDurability? durability = null)
    {
        using var keyBytes = new TextBytes(key);
        using var valueBytes = new TextBytes(value);
        Put(keyBytes.Span, valueBytes.Span, timeToLive, durability);
    }

    /// <summary>Deletes a key, if it is there, and returns when that is as durable as the call or the store says. Any thread.</summary>
    public void Delete(ReadOnlySpan<byte> key, WriteDurability? durability = null)
    {
        WriteBatch batch = BatchPool.Rent();
        try
        {
            batch.Delete(key);
            Write(batch, durability);
        }
        finally
        {
            BatchPool.Return(batch);
        }
    }

    /// <inheritdoc cref="Delete(ReadOnlySpan{byte}, WriteDurability?)"/>
    public void Delete(string key, WriteDurability? durability = null)
    {
        using var keyBytes = new TextBytes(key);
        Delete(keyBytes.Span, durability);
    }

    /// <summary>
    /// All of the batch, or none of it, whoever looks and whatever happens; returns when that is as durable as the call or the store says. Any thread,
    /// with a batch of its own, which may be cleared and used again when this returns; its deadlines are Unix milliseconds.
    /// </summary>
    public void Write(WriteBatch batch, WriteDurability? durability = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.Bytes.Length > BatchBytesMax)
            throw new ArgumentException($"a write of {batch.Bytes.Length} bytes; at most {BatchBytesMax} go in one", nameof(batch));
        WriteDurability chosen = durability ?? _durability;
        if (chosen is < WriteDurability.Sync or > WriteDurability.None)
            throw new ArgumentOutOfRangeException(nameof(durability), chosen, "no durability has this number");
        Store.Write(batch, chosen);
    }

    /// <summary>The value; null when there is none. Any thread, and waits for no writer: what it shows is as durable as its write wanted to be.</summary>
    /// <param name="key">The key.</param>
    /// <param name="snapshot">The moment to look at; null for now.</param>
    public byte[]? Get(ReadOnlySpan<byte> key, EngineSnapshot? snapshot = null)
    {
        using ValueLease lease = Lease(key, snapshot);
        return lease.Found ? lease.Value.ToArray() : null;
    }

    /// <inheritdoc cref="Get(ReadOnlySpan{byte}, EngineSnapshot?)"/>
    public string? GetString(string key, EngineSnapshot? snapshot = null)
    {
        using var keyBytes = new TextBytes(key);
        using ValueLease lease = Lease(keyBytes.Span, snapshot);
        return lease.Found ? Encoding.UTF8.GetString(lease.Value) : null;
    }

    /// <summary>
    /// Appends the value to <paramref name="value"/>; false, and nothing is appended, when there is none. Allocates nothing. Any thread; as durable
    /// as what <see cref="Get"/> shows.
    /// </summary>
    public bool TryGet(ReadOnlySpan<byte> key, BytesBuffer value, EngineSnapshot? snapshot = null) => Find(key, value, snapshot).Found;

    /// <summary>
    /// Has <paramref name="reader"/> look at the value; false, and it is not called, when there is none. Allocates nothing. The reader may read
    /// from the store and write to it. Any thread; the reader is called on the caller's. As durable as what <see cref="Get"/> shows.
    /// </summary>
    public bool Read<TState>(ReadOnlySpan<byte> key, TState state, ValueReader<TState> reader, EngineSnapshot? snapshot = null)
        where TState : allows ref struct
    {
        ArgumentNullException.ThrowIfNull(reader);
        PooledValue value = ValueBuffers.Rent();
        try
        {
            if (!Find(key, value.Bytes, snapshot).Found)
                return false;
            reader(value.Bytes.WrittenSpan, state);
            return true;
        }
        finally
        {
            ValueBuffers.Return(value, value.Use);
        }
    }

    /// <summary>
    /// The value in a buffer of a pool, until the lease is disposed of. Allocates nothing in steady state. Any thread; a lease is its caller's. As
    /// durable as what <see cref="Get"/> shows.
    /// </summary>
    public ValueLease Lease(ReadOnlySpan<byte> key, EngineSnapshot? snapshot = null)
    {
        PooledValue value = ValueBuffers.Rent();
        EntryInfo found;
        try
        {
            found = Find(key, value.Bytes, snapshot);
        }
        catch
        {
            ValueBuffers.Return(value, value.Use);
            throw;
        }

        if (!found.Found)
        {
            ValueBuffers.Return(value, value.Use);
            return default;
        }

        return new ValueLease(value, found.ExpiresAtMs == 0 ? null : Deadlines.At(found.ExpiresAtMs));
    }

    /// <summary>Whether the key has a value. Any thread; as durable as what <see cref="Get"/> shows.</summary>
    public bool Contains(ReadOnlySpan<byte> key, EngineSnapshot? snapshot = null) => Find(key, value: null, snapshot).Found;

    /// <inheritdoc cref="Contains(ReadOnlySpan{byte}, EngineSnapshot?)"/>
    public bool Contains(string key, EngineSnapshot? snapshot = null)
    {
        using var keyBytes = new TextBytes(key);
        return Contains(keyBytes.Span, snapshot);
    }

    /// <summary>
    /// This moment, to be read as long as it is not disposed of. Keeps what it can see on the disk, in this process: dispose of it. Any thread, and
    /// so is it.
    /// </summary>
    public EngineSnapshot CreateSnapshot() => Store.CreateSnapshot();

    /// <summary>Makes all that was written durable in the engine's own files, and the journal short, so that the next start is quick. Any thread; others write meanwhile.</summary>
    public void Flush() => Store.Flush();

    /// <summary>
    /// Writes a copy of this moment, which can be opened, to a new folder on the same disk; durable on return. Where the engine's files never
    /// change it is made by hard links, at once and for little space; of a B+tree the pages are copied. Reads and writes go on meanwhile.
    /// Cancelled, it throws <see cref="OperationCanceledException"/> and leaves nothing. Any thread.
    /// </summary>
    /// <param name="folder">There must be none yet, and it may not lie inside the store's own.</param>
    /// <param name="cancellation">Looked at now and then.</param>
    public void Checkpoint(string folder, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string target = Path.GetFullPath(folder);
        if (target.StartsWith(_folder + "/", StringComparison.Ordinal))
            throw new ArgumentException($"{target} lies inside {_folder}; a checkpoint wants a folder of its own", nameof(folder));
        Store.Checkpoint(target, cancellation);
    }

    /// <summary>
    /// Walks all keys once, in the engine's own order, over this moment or that of a snapshot (<see cref="IteratorOptions.View"/>). Any thread;
    /// the walk belongs to one at a time; dispose of it. Allocates when it is made, and not when it moves. As durable as what <see cref="Get"/> shows.
    /// </summary>
    public EngineScan CreateScan(in IteratorOptions options = default) => Store.CreateScan(options);

    /// <summary>
    /// All keys and their values, in the engine's own order, as of the moment of the first step. For convenience: allocates for each. Cancelled,
    /// the next step throws <see cref="OperationCanceledException"/>. Any thread; each walk belongs to one at a time. As durable as what
    /// <see cref="Get"/> shows.
    /// </summary>
    public IEnumerable<KeyValuePair<byte[], byte[]>> Scan(CancellationToken cancellation = default)
    {
        using EngineScan scan = CreateScan();
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
        {
            cancellation.ThrowIfCancellationRequested();
            yield return KeyValuePair.Create(scan.Key.ToArray(), scan.Value.ToArray());
        }
    }

    /// <summary>
    /// Deletes all keys from <paramref name="start"/> to before <paramref name="end"/>, in the order of their bytes (empty: from the first, to the
    /// last), at the price of one write, and returns when that is as durable as the call or the store says. Any thread.
    /// </summary>
    public void DeleteRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, WriteDurability? durability = null)
    {
        WriteBatch batch = BatchPool.Rent();
        try
        {
            batch.DeleteRange(start, end);
            Write(batch, durability);
        }
        finally
        {
            BatchPool.Return(batch);
        }
    }

    /// <summary>
    /// Rewrites the files, so that what was deleted, written over or has expired takes no space any more. Returns when it is done; reads and
    /// writes go on meanwhile. It is never necessary: the store does it by itself, a little at a time. Cancelled, it throws
    /// <see cref="OperationCanceledException"/>, and what it has done until then stays. Any thread; nothing that was durable is less so at any moment.
    /// </summary>
    public void Compact(CancellationToken cancellation = default)
    {
        Store.Flush();
        Store.Engine.Compact(cancellation);
    }

    /// <summary>Numbers of this moment. Cheap; any thread.</summary>
    public StoreStatistics GetStatistics()
    {
        EngineStatistics engine = Store.Engine.GetStatistics();
        return new StoreStatistics
        {
            EstimatedKeys = engine.EstimatedKeys,
            DiskBytes = engine.DiskBytes,
            JournalBytes = Store.JournalBytes,
            MemoryBytes = engine.MemoryBytes,
            CacheHits = engine.CacheHits,
            CacheMisses = engine.CacheMisses,
            CompactionDebtBytes = engine.CompactionDebtBytes,
            UserBytesWritten = engine.UserBytesWritten,
            EngineBytesWritten = engine.FlushBytesWritten + engine.CompactionBytesWritten,
            IndexBytes = engine.IndexBytes,
            IndexLimitBytes = engine.IndexLimitBytes,
        };
    }

    /// <summary>
    /// Waits for writers that are at work, and closes; any thread, and a second call does nothing. Nothing that was acknowledged depends on it: a program that is killed loses no more than
    /// its durability says.
    /// </summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <inheritdoc cref="Dispose()"/>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        Store.Dispose();
        _scheduler.Dispose();
    }

    /// <summary>A store of that engine on this machine's disk.</summary>
    private protected static (DurableStore Store, ThreadScheduler Scheduler) Open(string folder, IEngineFactory engine, StoreOptions options)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MemoryBytes, MemoryBudget.MinimumBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BackgroundThreads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.BackgroundThreads, StoreOptions.BackgroundThreadsMax);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.JournalBytesMax, 1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(options.SyncInterval, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.SyncInterval, StoreOptions.SyncIntervalMax);
        ArgumentNullException.ThrowIfNull(options.Time);
        if (!Enum.IsDefined(options.Durability))
            throw new ArgumentOutOfRangeException(nameof(options), options.Durability, "no durability has this number");
        var scheduler = new ThreadScheduler(options.Time, options.BackgroundThreads);
        try
        {
            var durable = new DurableStoreOptions
            {
                MemoryBytes = options.MemoryBytes,
                SyncInterval = options.SyncInterval,
                JournalBytesMax = options.JournalBytesMax,
            };

            // The program may go to another folder later: files are made wherever the store is.
            string full = Path.GetFullPath(folder);
            var files = new PosixFileSystem();
            RefuseOtherEngines(files, full, engine);
            return (DurableStore.Open(files, scheduler, full, engine, durable), scheduler);
        }
        catch
        {
            scheduler.Dispose();
            throw;
        }
    }

    /// <summary>A checkpoint has no file that says whose it is, and its engine's files would be passed over by another one.</summary>
    private static void RefuseOtherEngines(PosixFileSystem files, string folder, IEngineFactory engine)
    {
        string engineFolder = folder + "/engine";
        if (files.FileExists(StoreInspector.IdentityPath(folder)) || engine.FindMissing(files, engineFolder) is null)
            return;
        if (Array.Find(s_engines, e => e.FindMissing(files, engineFolder) is null) is { } other)
            throw new StorageException($"{folder} holds a store of engine '{other.Name}', not '{engine.Name}'");
    }

    private EntryInfo Find(ReadOnlySpan<byte> key, BytesBuffer? value, EngineSnapshot? snapshot) =>
        snapshot is null ? Store.Get(key, value) : Store.Get(key, snapshot, value);

    private long DeadlineMs(TimeSpan? timeToLive) =>
        timeToLive is { } time ? Deadlines.After(Time.GetUtcNow().ToUnixTimeMilliseconds(), time) : 0;
}
