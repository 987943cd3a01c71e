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

/// <summary>
/// So many pages, by the clock algorithm, in parts with a lock each. A page that is let go of stays whole for those who still
/// refer to it.
/// </summary>
internal sealed class PageCache
{
    private const int Shards = 16;

    private readonly Shard[] _shards = new Shard[Shards];

    public PageCache(int pages)
    {
        for (int i = 0; i < Shards; i++)
            _shards[i] = new Shard(Math.Max(1, pages / Shards));
    }

    public CachedPage? Find(uint number) => _shards[number % Shards].Find(number);

    public void Add(CachedPage page) => _shards[page.Number % Shards].Add(page);

    public void Remove(uint number) => _shards[number % Shards].Remove(number);

    private sealed class Shard(int places)
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<uint, int> _index = [];
        private readonly CachedPage?[] _places = new CachedPage?[places];
        private int _hand;

        public CachedPage? Find(uint number)
        {
            lock (_lock)
            {
                if (!_index.TryGetValue(number, out int at))
                    return null;
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

                if (_places[_hand] is { } old)
                    Check.That(_index.Remove(old.Number));
                _places[_hand] = page;
                _index.Add(page.Number, _hand);
                _hand = (_hand + 1) % _places.Length;
            }
        }

        public void Remove(uint number)
        {
            lock (_lock)
            {
                if (_index.Remove(number, out int at))
                    _places[at] = null;
            }
        }
    }
}
