using System.Numerics;
using System.Runtime.CompilerServices;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Lsm.Cache;

/// <summary>
/// Blocks of all tables of all engines that share one <see cref="MemoryBudget"/>, within what that budget leaves for
/// caches. Eviction is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a block
/// that is used once passes through a small queue and leaves; one that is used again moves to the main queue; one that
/// comes back soon after it left goes there at once. A scan therefore washes out a tenth of the cache at most.
/// <para>
/// A hit takes no lock and allocates nothing: it walks a bucket's chain and takes a reference. Inserting and evicting
/// happen under the lock of one of the shards.
/// </para>
/// </summary>
internal sealed class BlockCache
{
    private const int ShardCount = 16;
    private const int TypicalBlockBytes = 4096;

    private static readonly ConditionalWeakTable<MemoryBudget, BlockCache> s_caches = new();

    private readonly MemoryBudget _budget;
    private readonly CacheShard[] _shards = new CacheShard[ShardCount];
    private ulong _lastFileId;
    private uint _hand;
    // Whoever makes one of their own is its user.
    private int _users = 1;

    public BlockCache(MemoryBudget budget)
    {
        _budget = budget;
        // Twice as many buckets as blocks: a chain of two is one more miss of the processor's cache.
        long blocks = 2 * budget.TotalBytes / TypicalBlockBytes / ShardCount;
        int slots = (int)Math.Clamp(BitOperations.RoundUpToPowerOf2((ulong)blocks), 256, 1 << 17);
        for (int i = 0; i < ShardCount; i++)
            _shards[i] = new CacheShard(slots);
        budget.CacheOverrun = Trim;
    }

    public MemoryBudget Budget => _budget;

    public long Hits
    {
        get
        {
            long sum = 0;
            foreach (CacheShard shard in _shards)
                sum += shard.Hits;
            return sum;
        }
    }

    public long Misses
    {
        get
        {
            long sum = 0;
            foreach (CacheShard shard in _shards)
                sum += shard.Misses;
            return sum;
        }
    }

    /// <summary>What the budget is charged for blocks that can be found here.</summary>
    public long Bytes
    {
        get
        {
            long sum = 0;
            foreach (CacheShard shard in _shards)
                sum += shard.Bytes;
            return sum;
        }
    }

    /// <summary>The one cache of everything that shares <paramref name="budget"/>; <see cref="Leave"/> when done.</summary>
    public static BlockCache Join(MemoryBudget budget)
    {
        BlockCache cache = s_caches.GetValue(budget, static b => new BlockCache(b) { _users = 0 });
        Interlocked.Increment(ref cache._users);
        return cache;
    }

    /// <summary>The last user to leave takes all blocks along.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref _users) != 0)
            return;
        foreach (CacheShard shard in _shards)
            shard.Clear();
        _budget.Trim();
    }

    /// <summary>A name for a file that no other file of this process has had.</summary>
    public ulong NewFileId() => Interlocked.Increment(ref _lastFileId);

    /// <summary>A block with a reference taken, or null.</summary>
    public CachedBlock? TryGet(ulong fileId, long offset)
    {
        ulong hash = HashOf(fileId, offset);
        return _shards[hash >> 60].TryGet(hash, fileId, offset);
    }

    /// <summary>
    /// Offers a block that its caller holds a reference to. Returns the one to use from now on, with that reference:
    /// another's when somebody was faster.
    /// </summary>
    public CachedBlock Insert(CachedBlock block)
    {
        // A block that would push out an eighth of everything is used and forgotten.
        if (block.Capacity > _budget.CacheLimitBytes / 8)
            return block;
        ulong hash = HashOf(block.FileId, block.Offset);
        CachedBlock kept = _shards[hash >> 60].Insert(hash, block);
        if (!ReferenceEquals(kept, block))
            block.Release();

        // A walk may outlive the engine that it reads: nobody is left who would take this along.
        if (Volatile.Read(ref _users) == 0)
            _shards[hash >> 60].Clear();
        Trim();
        return kept;
    }

    /// <summary>Evicts until the budget holds, or nothing is left to evict.</summary>
    public void Trim()
    {
        int empty = 0;
        while (empty < ShardCount && _budget.CacheBytes > _budget.CacheLimitBytes)
        {
            uint next = Interlocked.Increment(ref _hand);
            empty = _shards[next % ShardCount].EvictOne() ? 0 : empty + 1;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong HashOf(ulong fileId, long offset)
    {
        ulong x = (fileId * 0x9E3779B97F4A7C15) ^ (ulong)offset;
        ulong high = Math.BigMul(x ^ 0xA0761D6478BD642F, 0xD6E8FEB86659FD93, out ulong low);
        return high ^ low;
    }
}
