using System.Runtime.InteropServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// Memory of cached blocks, in steps of 256 bytes, with a few freed ones of each size at hand: a full cache lets one block go
/// for each that it takes, and the system's allocator would look at the neighbours of both, which lie in no cache of the
/// processor, and scatter sizes until much of its memory were gaps. Thread-safe.
/// </summary>
internal sealed unsafe class SpareBlocks
{
    private const int StepBytes = 256;
    private const int PooledBytesMax = 16 << 10;

    private readonly Shelf[] _shelves = new Shelf[(PooledBytesMax / StepBytes) + 1];

    /// <param name="budgetBytes">What the spares come on top of: at most a few hundredths of it.</param>
    public SpareBlocks(long budgetBytes)
    {
        int each = (int)Math.Clamp(budgetBytes >> 25, 2, 64);
        for (int i = 1; i < _shelves.Length; i++)
            _shelves[i] = new Shelf(each);
    }

    ~SpareBlocks()
    {
        foreach (Shelf? shelf in _shelves)
        {
            while (shelf is not null && shelf.TryTake(out nint block))
                NativeMemory.Free((void*)block);
        }
    }

    /// <summary>The size that a block of <paramref name="bytes"/> bytes really takes.</summary>
    public static int SizeOf(int bytes) =>
        bytes > PooledBytesMax ? bytes : (Math.Max(bytes, 1) + StepBytes - 1) & -StepBytes;

    /// <param name="size">From <see cref="SizeOf"/>.</param>
    public byte* Take(int size)
    {
        Check.That(size == SizeOf(size));
        return size <= PooledBytesMax && _shelves[size / StepBytes].TryTake(out nint block)
            ? (byte*)block
            : (byte*)NativeMemory.Alloc((nuint)size);
    }

    public void Return(byte* block, int size)
    {
        if (size > PooledBytesMax || !_shelves[size / StepBytes].TryKeep((nint)block))
            NativeMemory.Free(block);
    }

    private sealed class Shelf(int capacity)
    {
        private readonly Lock _lock = new();
        private readonly nint[] _blocks = new nint[capacity];
        private int _count;

        public bool TryTake(out nint block)
        {
            lock (_lock)
            {
                block = _count == 0 ? 0 : _blocks[--_count];
                return block != 0;
            }
        }

        public bool TryKeep(nint block)
        {
            lock (_lock)
            {
                if (_count == _blocks.Length)
                    return false;
                _blocks[_count++] = block;
                return true;
            }
        }
    }
}
