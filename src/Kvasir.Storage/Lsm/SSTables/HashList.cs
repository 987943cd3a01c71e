using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// The hashes of a table's keys until its filter is built: megabytes that grow, which the collected heap would copy and keep.
/// </summary>
internal sealed unsafe class HashList : IDisposable
{
    private ulong* _hashes;
    private int _capacity;

    public int Count { get; private set; }

    public ReadOnlySpan<ulong> Span => new(_hashes, Count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ulong hash)
    {
        if (Count == _capacity)
            Grow();
        _hashes[Count++] = hash;
    }

    public void Dispose()
    {
        NativeMemory.Free(_hashes);
        _hashes = null;
        _capacity = 0;
        Count = 0;
    }

    private void Grow()
    {
        Check.That(_capacity <= int.MaxValue / 2);
        _capacity = Math.Max(4096, _capacity * 2);
        _hashes = (ulong*)NativeMemory.Realloc(_hashes, (nuint)_capacity * sizeof(ulong));
    }
}
