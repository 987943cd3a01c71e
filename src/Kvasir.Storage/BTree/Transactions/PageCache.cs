using System.Runtime.InteropServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>A page that was read and checked, in memory that the collector does not move. It lives while somebody refers to it.</summary>
internal sealed unsafe class CachedPage
{
    public CachedPage(uint number, long bytes)
    {
        Number = number;
        Bytes = GC.AllocateUninitializedArray<byte>(checked((int)bytes), pinned: true);
        Start = (byte*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(Bytes));
    }

    public uint Number { get; }

    public byte[] Bytes { get; }

    public byte* Start { get; }

    /// <summary>Was asked for since the hand of the clock last went over it.</summary>
    public bool WasUsed { get; set; }
}

/// <summary>What a cache holds, and how often it had what was asked for.</summary>
internal readonly record struct PageCacheCounts(long Bytes, long Hits, long Misses);

/// <summary>
/// So many pages, by the clock algorithm, in parts with a lock each. A page that is let go of stays whole for those who still
/// refer to it.
/// </summary>
internal sealed class PageCache
{
    private const int Shards = 16;

    private readonly Shard[] _shards = new Shard[Shards];
    private bool _isUsed;

    public PageCache(int pages)
    {
        for (int i = 0; i < Shards; i++)
            _shards[i] = new Shard(Math.Max(1, pages / Shards));
    }

    /// <summary>Has had a page: whoever writes pages anew need not look otherwise.</summary>
    public bool IsUsed => Volatile.Read(ref _isUsed);

    /// <param name="number">Of the page.</param>
    /// <param name="countsMiss">It is read if it is not there.</param>
    public CachedPage? Find(uint number, bool countsMiss = true) => _shards[number % Shards].Find(number, countsMiss);

    public void Add(CachedPage page)
    {
        Volatile.Write(ref _isUsed, true);
        _shards[page.Number % Shards].Add(page);
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

    private sealed class Shard(int places)
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<uint, int> _index = [];
        private readonly CachedPage?[] _places = new CachedPage?[places];
        private int _hand;
        private PageCacheCounts _counts;

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
                return page;
            }
        }

        public void Add(CachedPage page)
        {
            lock (_lock)
            {
                if (_index.ContainsKey(page.Number))
                    return;
                while (_places[_hand] is { WasUsed: true } used)
                {
                    used.WasUsed = false;
                    _hand = (_hand + 1) % _places.Length;
                }

                CachedPage? old = _places[_hand];
                if (old is not null)
                    Check.That(_index.Remove(old.Number));
                _counts = _counts with { Bytes = _counts.Bytes + page.Bytes.Length - (old?.Bytes.Length ?? 0) };
                _places[_hand] = page;
                _index.Add(page.Number, _hand);
                _hand = (_hand + 1) % _places.Length;
            }
        }

        public void Remove(uint number)
        {
            lock (_lock)
            {
                if (!_index.Remove(number, out int at))
                    return;
                _counts = _counts with { Bytes = _counts.Bytes - _places[at]!.Bytes.Length };
                _places[at] = null;
            }
        }
    }
}
