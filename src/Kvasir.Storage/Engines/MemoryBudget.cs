using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// One hard budget in bytes for all engines of a process. Write memory (memtables) has a share of its own; caches live
/// in what is left. Thread-safe.
/// </summary>
public sealed class MemoryBudget
{
    private long _writeBytes;
    private long _cacheBytes;

    public MemoryBudget(long totalBytes)
    {
        Check.That(totalBytes >= MinimumBytes, $"a memory budget of {totalBytes} bytes is below the minimum of {MinimumBytes}");
        TotalBytes = totalBytes;
        Spares = new SpareChunks(this, WriteLimitBytes / 8);
    }

    /// <summary>Chunks between two memtables.</summary>
    public SpareChunks Spares { get; }

    /// <summary>The smallest budget that works: 16 MiB.</summary>
    public const long MinimumBytes = 16L << 20;

    public long TotalBytes { get; }

    /// <summary>What all memtables together may take before the largest must be flushed: half of the total.</summary>
    public long WriteLimitBytes => TotalBytes / 2;

    public long WriteBytes => Interlocked.Read(ref _writeBytes);

    public long CacheBytes => Interlocked.Read(ref _cacheBytes);

    /// <summary>What caches may take in all right now.</summary>
    public long CacheLimitBytes => Math.Max(TotalBytes - WriteBytes, TotalBytes / 8);

    public bool WriteLimitReached => WriteBytes >= WriteLimitBytes;

    public void AddWrite(long bytes) => Interlocked.Add(ref _writeBytes, bytes);

    public void AddCache(long bytes) => Interlocked.Add(ref _cacheBytes, bytes);
}
