using System.Runtime.CompilerServices;

namespace Kvasir.Storage.Lsm.Cache;

/// <summary>
/// One independent part of a <see cref="BlockCache"/>: hash buckets read without a lock, two queues and the memory of
/// who left lately under one.
/// </summary>
internal sealed class CacheShard
{
    private const int FrequencyMax = 3;

    private readonly Lock _lock = new();
    private readonly CachedBlock?[] _buckets;

    /// <summary>Fingerprints of blocks evicted from the small queue; a slot holds the latest of its kind.</summary>
    private readonly uint[] _ghosts;

    private BlockQueue _small;
    private BlockQueue _main;
    private long _hits;
    private long _misses;

    public CacheShard(int slots)
    {
        _buckets = new CachedBlock?[slots];
        _ghosts = new uint[slots];
    }

    public long Hits => Volatile.Read(ref _hits);

    public long Misses => Volatile.Read(ref _misses);

    public long Bytes
    {
        get
        {
            lock (_lock)
                return _small.Bytes + _main.Bytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public CachedBlock? TryGet(ulong hash, ulong fileId, long offset)
    {
        CachedBlock? block = Volatile.Read(ref _buckets[(int)hash & (_buckets.Length - 1)]);
        while (block is not null)
        {
            if (block.Offset == offset && block.FileId == fileId && block.TryAddReference())
            {
                if (block.Frequency < FrequencyMax)
                    block.Frequency++;
                // Not interlocked: a count for people, and this is the hottest line of the cache.
                _hits++;
                return block;
            }

            block = Volatile.Read(ref block.NextInBucket);
        }

        _misses++;
        return null;
    }

    public CachedBlock Insert(ulong hash, CachedBlock block)
    {
        lock (_lock)
        {
            ref CachedBlock? bucket = ref _buckets[(int)hash & (_buckets.Length - 1)];
            for (CachedBlock? other = bucket; other is not null; other = other.NextInBucket)
            {
                if (other.Offset == block.Offset && other.FileId == block.FileId && other.TryAddReference())
                    return other;
            }

            // The cache's own reference: the caller holds one, so this cannot fail.
            block.TryAddReference();
            block.NextInBucket = bucket;
            Volatile.Write(ref bucket, block);
            ref uint ghost = ref _ghosts[(int)hash & (_ghosts.Length - 1)];
            if (ghost == Fingerprint(hash))
            {
                ghost = 0;
                _main.Enqueue(block);
            }
            else
            {
                _small.Enqueue(block);
            }

            return block;
        }
    }

    /// <summary>Drops one block; false when there is none.</summary>
    public bool EvictOne()
    {
        lock (_lock)
        {
            while (true)
            {
                bool fromSmall = _small.Count > 0 && (_main.Count == 0 || _small.Bytes * 10 >= _small.Bytes + _main.Bytes);
                if (fromSmall)
                {
                    CachedBlock block = _small.Dequeue();
                    if (block.Frequency > 0)
                    {
                        block.Frequency = 0;
                        _main.Enqueue(block);
                        continue;
                    }

                    Remove(block, remember: true);
                    return true;
                }

                if (_main.Count == 0)
                    return false;
                CachedBlock old = _main.Dequeue();
                if (old.Frequency > 0)
                {
                    old.Frequency--;
                    _main.Enqueue(old);
                    continue;
                }

                Remove(old, remember: false);
                return true;
            }
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            while (_small.Count > 0)
                Remove(_small.Dequeue(), remember: false);
            while (_main.Count > 0)
                Remove(_main.Dequeue(), remember: false);
            Array.Clear(_ghosts);
        }
    }

    private void Remove(CachedBlock block, bool remember)
    {
        ulong hash = BlockCache.HashOf(block.FileId, block.Offset);
        ref CachedBlock? link = ref _buckets[(int)hash & (_buckets.Length - 1)];
        while (!ReferenceEquals(link, block))
            link = ref link!.NextInBucket;
        Volatile.Write(ref link, block.NextInBucket);
        if (remember)
            _ghosts[(int)hash & (_ghosts.Length - 1)] = Fingerprint(hash);
        block.Release();
    }

    private static uint Fingerprint(ulong hash) => (uint)(hash >> 28) | 1;

    private struct BlockQueue
    {
        private CachedBlock? _oldest;
        private CachedBlock? _youngest;

        public int Count { get; private set; }

        public long Bytes { get; private set; }

        public void Enqueue(CachedBlock block)
        {
            block.NextInQueue = null;
            if (_youngest is null)
                _oldest = block;
            else
                _youngest.NextInQueue = block;
            _youngest = block;
            Count++;
            Bytes += block.ChargedBytes;
        }

        public CachedBlock Dequeue()
        {
            CachedBlock block = _oldest!;
            _oldest = block.NextInQueue;
            if (_oldest is null)
                _youngest = null;
            block.NextInQueue = null;
            Count--;
            Bytes -= block.ChargedBytes;
            return block;
        }
    }
}
