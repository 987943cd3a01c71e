using Kvasir.Primitives;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>
/// A list outside the garbage-collected heap: what flushes and merges remember of each record would be most of what the process
/// allocates, and pools of arrays let go of what is as large as this. Not thread-safe; who made it disposes of it.
/// </summary>
internal sealed unsafe class TokenList<T> : IDisposable where T : unmanaged, ITokened
{
    private const int CapacityMin = 256;

    private T* _items;
    private int _capacity;

    public int Count { get; private set; }

    /// <summary>Until the next is added.</summary>
    public Span<T> Items => new(_items, Count);

    public void Add(in T item)
    {
        if (Count == _capacity)
            Grow();
        _items[Count++] = item;
    }

    public void Sort() => TokenSort.Sort(Items);

    public void Dispose()
    {
        Free();
        _items = null;
        _capacity = 0;
        Count = 0;
    }

    private void Grow()
    {
        int capacity = checked(Math.Max(CapacityMin, _capacity * 2));
        var grown = (T*)BulkMemory.Allocate((long)capacity * sizeof(T));
        Items.CopyTo(new Span<T>(grown, capacity));
        Free();
        _items = grown;
        _capacity = capacity;
    }

    private void Free()
    {
        if (_capacity != 0)
            BulkMemory.Free(_items, (long)_capacity * sizeof(T));
    }
}
