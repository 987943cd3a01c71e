using System.Runtime.InteropServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>
/// A page that was read and checked, in memory that the collector does not move. Whoever uses it has it pinned: the memory of a page that the cache lets
/// go of is used again for another, unless somebody has it pinned; that is left to the collector, and so is one that nobody ever unpins.
/// </summary>
internal sealed unsafe class CachedPage
{
    // The first pin is of whoever makes it.
    private long _pins = 1;

    /// <param name="number">Of the page.</param>
    /// <param name="memory">Pinned in the collector's sense.</param>
    public CachedPage(uint number, byte[] memory)
    {
        Number = number;
        Bytes = memory;
        Start = (byte*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(Bytes));
    }

    public uint Number { get; }

    public byte[] Bytes { get; }

    public byte* Start { get; }

    /// <summary>Was asked for since the hand of the clock last went over it.</summary>
    public bool WasUsed { get; set; }

    public bool IsPinned => Volatile.Read(ref _pins) != 0;

    /// <summary>By whoever has it pinned already, or by the cache under its lock: a page that nobody has pinned may be about to go.</summary>
    public void Pin() => Interlocked.Increment(ref _pins);

    public void Unpin() => Check.That(Interlocked.Decrement(ref _pins) >= 0);
}

/// <summary>What a cache holds, and how often it had what was asked for.</summary>
internal readonly record struct PageCacheCounts(long Bytes, long Hits, long Misses);

/// <summary>
/// So many pages, by the clock algorithm, in parts with a lock each. A page that is let go of stays whole for those who have it pinned.
/// </summary>
internal sealed class PageCache
{
    private const int Shards = 16;

    private readonly Shard[] _shards = new Shard[Shards];
    private bool _isUsed;

    /// <param name="pages">How many there are at most.</param>
    /// <param name="pageBytes">Of each but those of long values.</param>
    public PageCache(int pages, int pageBytes)
    {
        for (int i = 0; i < Shards; i++)
            _shards[i] = new Shard(Math.Max(1, pages / Shards), pageBytes);
    }

    /// <summary>Has had a page: whoever writes pages anew need not look otherwise.</summary>
    public bool IsUsed => Volatile.Read(ref _isUsed);

    /// <summary>Pages whose memory was made for them, and not that of another before: for tests.</summary>
    public long MemoriesMade => _shards.Sum(s => s.MemoriesMade);

    /// <summary>Pinned for the caller.</summary>
    /// <param name="number">Of the page.</param>
    /// <param name="countsMiss">It is read if it is not there.</param>
    public CachedPage? Find(uint number, bool countsMiss = true) => _shards[number % Shards].Find(number, countsMiss);

    /// <summary>A page to be read to, and added or given back; pinned for the caller.</summary>
    public CachedPage NewPage(uint number) => new(number, _shards[number % Shards].TakeMemory());

    /// <summary>A page that nobody else has seen is not needed after all.</summary>
    public void GiveBack(CachedPage page) => _shards[page.Number % Shards].GiveBack(page);

    /// <summary>It stays pinned for the caller. False where another read of it was added before: then it is the caller's alone.</summary>
    public bool Add(CachedPage page)
    {
        Volatile.Write(ref _isUsed, true);
        return _shards[page.Number % Shards].Add(page);
    }

    public PageCacheCounts GetCounts()
    {
        PageCacheCounts sum = default;
        foreach (Shard shard in _shards)
        {
            PageCacheCounts part = shard.GetCounts();
            sum = new PageCacheCounts(sum.Bytes + part.Bytes, sum.Hits + part.Hits, sum.Misses + part.Misses);
        }

        return sum;
    }

    public void Remove(uint number) => _shards[number % Shards].Remove(number);

    private sealed class Shard(int places, int pageBytes)
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<uint, int> _index = [];
        private readonly CachedPage?[] _places = new CachedPage?[places];

        // Of pages that are gone: never more than there are places.
        private readonly Stack<byte[]> _spare = new();
        private int _hand;
        private PageCacheCounts _counts;

        public long MemoriesMade { get; private set; }

        public PageCacheCounts GetCounts()
        {
            lock (_lock)
                return _counts;
        }

        public CachedPage? Find(uint number, bool countsMiss)
        {
            lock (_lock)
            {
                if (!_index.TryGetValue(number, out int at))
                {
                    _counts = _counts with { Misses = _counts.Misses + (countsMiss ? 1 : 0) };
                    return null;
                }

                _counts = _counts with { Hits = _counts.Hits + 1 };
                CachedPage page = _places[at]!;
                page.WasUsed = true;
                page.Pin();
                return page;
            }
        }

        public byte[] TakeMemory()
        {
            lock (_lock)
            {
                if (_spare.TryPop(out byte[]? memory))
                    return memory;
                MemoriesMade++;
            }

            return GC.AllocateUninitializedArray<byte>(pageBytes, pinned: true);
        }

        public void GiveBack(CachedPage page)
        {
            page.Unpin();
            lock (_lock)
                Reuse(page);
        }

        public bool Add(CachedPage page)
        {
            lock (_lock)
            {
                if (_index.ContainsKey(page.Number))
                    return false;
                while (_places[_hand] is { WasUsed: true } used)
                {
                    used.WasUsed = false;
                    _hand = (_hand + 1) % _places.Length;
                }

                CachedPage? old = _places[_hand];
                if (old is not null)
                {
                    Check.That(_index.Remove(old.Number));
                    Reuse(old);
                }

                _counts = _counts with { Bytes = _counts.Bytes + page.Bytes.Length - (old?.Bytes.Length ?? 0) };
                _places[_hand] = page;
                _index.Add(page.Number, _hand);
                _hand = (_hand + 1) % _places.Length;
                return true;
            }
        }

        public void Remove(uint number)
        {
            lock (_lock)
            {
                if (!_index.Remove(number, out int at))
                    return;
                CachedPage old = _places[at]!;
                _counts = _counts with { Bytes = _counts.Bytes - old.Bytes.Length };
                _places[at] = null;
                Reuse(old);
            }
        }

        /// <summary>Nobody finds the page any more; those who had found it have it pinned. Under the lock.</summary>
        private void Reuse(CachedPage page)
        {
            if (!page.IsPinned && page.Bytes.Length == pageBytes && _spare.Count < places)
                _spare.Push(page.Bytes);
        }
    }
}
