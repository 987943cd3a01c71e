using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Lsm.Cache;

/// <summary>
/// A run of memory outside the garbage-collected heap, counted in a budget while it lives. One owner, who disposes it
/// once nobody reads it any more.
/// </summary>
internal sealed unsafe class NativeBytes : IDisposable
{
    private readonly MemoryBudget? _budget;
    private byte* _pointer;

    public NativeBytes(int length, MemoryBudget? budget)
    {
        Length = length;
        _pointer = (byte*)BulkMemory.Allocate(Math.Max(length, 1));
        _budget = budget;
        budget?.AddCache(length);
    }

    public int Length { get; }

    public byte* Pointer => _pointer;

    public Span<byte> Span => new(_pointer, Length);

    public void Dispose()
    {
        if (_pointer is null)
            return;
        BulkMemory.Free(_pointer, Math.Max(Length, 1));
        _pointer = null;
        _budget?.AddCache(-Length);
    }
}
