using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// One hard budget in bytes for all engines of a process. Write memory (memtables) has a share of its own; caches live
/// in what is left. Thread-safe.
/// </summary>
public sealed class MemoryBudget
{
    /// <summary>Caches and table writers take small things from chunks of this size.</summary>
    internal const int ChunkBytes = 64 << 10;

    // From here on somebody should know, and from there on nobody needs to any more.
    private const double IndexNearAt = 0.8;
    private const double IndexFarAt = 0.75;

    private readonly MemoryFrames _cacheChunks;
    private long _writeBytes;
    private long _writeBytesPeak;
    private long _spareBytes;
    private long _frozenBytes;
    private long _cacheBytes;
    private long _indexBytes;
    private long _indexGivenBytes;
    private int _indexNear;

    /// <param name="totalBytes">For everything.</param>
    /// <param name="writeBytes">
    /// How much of it is for memtables alone; 0 for half, of which caches may use what memtables never needed.
    /// </param>
    public MemoryBudget(long totalBytes, long writeBytes = 0)
    {
        Check.That(totalBytes >= MinimumBytes, $"a memory budget of {totalBytes} bytes is below the minimum of {MinimumBytes}");
        Check.That(writeBytes >= 0 && writeBytes < totalBytes, $"write memory of {writeBytes} bytes out of {totalBytes}");
        TotalBytes = totalBytes;
        LendsWriteMemory = writeBytes == 0;
        WriteLimitBytes = writeBytes == 0 ? totalBytes / 2 : writeBytes;
        Spares = new SpareChunks(this);
        SpareBlocks = new SpareBlocks(totalBytes);
        _cacheChunks = new MemoryFrames(ChunkBytes, sparesMax: (int)Math.Clamp(totalBytes >> 25, 2, 64));
    }

    /// <summary>Chunks between two memtables.</summary>
    public SpareChunks Spares { get; }

    internal SpareBlocks SpareBlocks { get; }

    /// <summary>Whether caches may use what memtables leave of their share.</summary>
    internal bool LendsWriteMemory { get; }

    /// <summary>The smallest budget that works: 16 MiB.</summary>
    public const long MinimumBytes = 16L << 20;

    public long TotalBytes { get; }

    /// <summary>
    /// What the keys of all engines together may take that have every key in memory: a quarter, or what one of them was given for itself
    /// where that is more. Nothing evicts them, and caches live in what they leave.
    /// </summary>
    public long IndexLimitBytes => Math.Max(TotalBytes / 4, Interlocked.Read(ref _indexGivenBytes));

    /// <summary>What they take.</summary>
    public long IndexBytes => Interlocked.Read(ref _indexBytes);

    /// <summary>What all memtables together may take before the largest must be flushed.</summary>
    public long WriteLimitBytes { get; }

    public long WriteBytes => Interlocked.Read(ref _writeBytes);

    public long CacheBytes => Interlocked.Read(ref _cacheBytes);

    /// <summary>Kept for the next memtables: nobody uses it, and it is there.</summary>
    public long SpareBytes => Interlocked.Read(ref _spareBytes);

    /// <summary>What memtables, with what is kept for them, took at most.</summary>
    internal long WriteBytesPeak => Interlocked.Read(ref _writeBytesPeak);

    /// <summary>
    /// What caches may take in all right now. What memtables once had stays theirs: small pieces that a cache gave back lie
    /// scattered, and the system gets few of them, so lending the same memory to and fro would count it twice.
    /// </summary>
    public long CacheLimitBytes =>
        Math.Max(TotalBytes - (LendsWriteMemory ? Interlocked.Read(ref _writeBytesPeak) : Math.Max(WriteBytes, WriteLimitBytes)), TotalBytes / 8);

    public bool WriteLimitReached => WriteBytes >= WriteLimitBytes;

    /// <summary>
    /// A little above: where nothing can be flushed, writers are held back before it, and what is left is for deletions, which are what
    /// makes room on the disk.
    /// </summary>
    public bool DeletionLimitReached => WriteBytes >= WriteLimitBytes + (WriteLimitBytes / 16);

    /// <summary>
    /// What the memtables that are being filled take together, of all engines: where it reaches this, one of them is due to be
    /// flushed, so that there is room while that lasts. One engine alone sees to it by the size of its memtables.
    /// </summary>
    public bool ActiveLimitReached => WriteBytes - Interlocked.Read(ref _frozenBytes) >= ActiveLimitBytes;

    /// <summary>One fills, one is flushed, and there is room to wait.</summary>
    public long ActiveLimitBytes => WriteLimitBytes / 5 * 2;

    /// <summary>
    /// Somebody waits for memory for writes that other engines may have, and looks again and again. Set by whoever looks after all of them,
    /// once; called by any thread, and returns at once.
    /// </summary>
    public Action? RoomWanted { get; set; }

    /// <summary>
    /// Write memory was at its limit and is not any more: whoever waits for some may ask again. Set once; called by any thread, whatever locks
    /// it holds, and returns at once.
    /// </summary>
    public Action? RoomMade { get; set; }

    /// <summary>
    /// Has caches give back what is above <see cref="CacheLimitBytes"/>. Called by whoever takes memory, whatever locks it
    /// holds: it takes none but the caches' own.
    /// </summary>
    internal Action? CacheOverrun { get; set; }

    public void AddWrite(long bytes)
    {
        long now = Interlocked.Add(ref _writeBytes, bytes);
        if (bytes > 0)
            RaisePeak();
        else if (now < WriteLimitBytes && now - bytes >= WriteLimitBytes)
            RoomMade?.Invoke();
    }

    /// <summary>So much more is kept for the next memtables; less, when it is negative.</summary>
    internal void AddSpare(long bytes)
    {
        Interlocked.Add(ref _spareBytes, bytes);
        if (bytes > 0)
            RaisePeak();
    }

    private void RaisePeak()
    {
        long now = WriteBytes + SpareBytes;
        for (long peak = Interlocked.Read(ref _writeBytesPeak); now > peak;)
        {
            long seen = Interlocked.CompareExchange(ref _writeBytesPeak, now, peak);
            if (seen == peak)
            {
                KeepCacheLimit();
                break;
            }

            peak = seen;
        }
    }

    /// <summary>Of the write memory, so much waits for a flush or for readers to let go; less, when it is negative.</summary>
    public void AddFrozen(long bytes) => Interlocked.Add(ref _frozenBytes, bytes);

    /// <summary>Of what counts as cache, so much is keys; less, when it is negative.</summary>
    internal void AddIndex(long bytes) => Interlocked.Add(ref _indexBytes, bytes);

    /// <summary>An engine was given so much for its keys.</summary>
    internal void AllowIndex(long bytes)
    {
        for (long given = Interlocked.Read(ref _indexGivenBytes); bytes > given;)
        {
            long seen = Interlocked.CompareExchange(ref _indexGivenBytes, bytes, given);
            if (seen == given)
                return;
            given = seen;
        }
    }

    /// <summary>True for one of those who ask after the keys have come near what they may take, until they have gone far from it again.</summary>
    internal bool TakeIndexWarning()
    {
        if (IndexBytes < IndexFarAt * IndexLimitBytes)
            Volatile.Write(ref _indexNear, 0);
        return IndexBytes >= IndexNearAt * IndexLimitBytes && Volatile.Read(ref _indexNear) == 0 && Interlocked.Exchange(ref _indexNear, 1) == 0;
    }

    public void AddCache(long bytes)
    {
        Interlocked.Add(ref _cacheBytes, bytes);
        if (bytes > 0)
            KeepCacheLimit();
    }

    /// <summary>A chunk of <see cref="ChunkBytes"/>, not zeroed, that counts as cache until it is given back.</summary>
    internal unsafe byte* TakeCacheChunk()
    {
        AddCache(ChunkBytes);
        return _cacheChunks.Take();
    }

    internal unsafe void ReturnCacheChunk(byte* chunk)
    {
        _cacheChunks.Return(chunk);
        AddCache(-ChunkBytes);
    }

    private void KeepCacheLimit()
    {
        if (CacheBytes > CacheLimitBytes)
            CacheOverrun?.Invoke();
    }

    /// <summary>Lets go what was kept ready for more blocks and chunks: nobody is left who would want them.</summary>
    internal void Trim()
    {
        Spares.Trim();
        SpareBlocks.Trim();
        _cacheChunks.FreeIfUnused();
    }
}
