using System.Buffers;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>A list that leaves no garbage: what flushes and merges remember of each record would be most of what the process allocates.</summary>
internal sealed class TokenList<T> : IDisposable where T : struct, ITokened
{
    private const int CountMin = 256;

    private T[] _items = [];

    public int Count { get; private set; }

    public Span<T> Items => _items.AsSpan(0, Count);

    public void Add(in T item)
    {
        if (Count == _items.Length)
            Grow();
        _items[Count++] = item;
    }

    public void Sort() => TokenSort.Sort(Items);

    public void Dispose()
    {
        Count = 0;
        if (_items.Length != 0)
            ArrayPool<T>.Shared.Return(_items);
        _items = [];
    }

    private void Grow()
    {
        T[] grown = ArrayPool<T>.Shared.Rent(Math.Max(CountMin, Count * 2));
        Items.CopyTo(grown);
        if (_items.Length != 0)
            ArrayPool<T>.Shared.Return(_items);
        _items = grown;
    }
}
