using System.Runtime.InteropServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// Memory of cached blocks. What fills most of a page gets one of its own, as nearly every block of small rows does; others
/// come in steps of 256 bytes, with a few freed ones of each size at hand: a full cache lets one block go for each that it
/// takes, and the system's allocator would look at the neighbours of both, which lie in no cache of the processor, and
/// scatter sizes until much of its memory were gaps. Thread-safe.
/// </summary>
internal sealed unsafe class SpareBlocks
{
    private const int StepBytes = 256;
    private const int PooledBytesMax = 16 << 10;
    private const int FrameBytes = 4096;
    private const int FramedBytesMin = 3328;

    private readonly Shelf[] _shelves = new Shelf[(PooledBytesMax / StepBytes) + 1];
    private readonly MemoryFrames _frames;

    /// <param name="budgetBytes">What the spares come on top of: at most a few hundredths of it.</param>
    public SpareBlocks(long budgetBytes)
    {
        int each = (int)Math.Clamp(budgetBytes >> 25, 2, 64);
        for (int i = 1; i < _shelves.Length; i++)
            _shelves[i] = new Shelf(each);
        _frames = new MemoryFrames(FrameBytes, 16 * each);
    }

    ~SpareBlocks() => FreeSpares();

    /// <summary>The size that a block of <paramref name="bytes"/> bytes really takes.</summary>
    public static int SizeOf(int bytes) => bytes switch
    {
        > PooledBytesMax => bytes,
        > FramedBytesMin and <= FrameBytes => FrameBytes,
        _ => (Math.Max(bytes, 1) + StepBytes - 1) & -StepBytes,
    };

    /// <summary>
    /// What a block of this size costs on average beyond it: gaps between blocks that the system's allocator cannot use, of
    /// an eighth in a cache of mixed sizes.
    /// </summary>
    public static int GapsOf(int size) => size is FrameBytes or >= BulkMemory.MappedBytesMin ? 0 : size / 8;

    /// <param name="size">From <see cref="SizeOf"/>.</param>
    public byte* Take(int size)
    {
        Check.That(size == SizeOf(size));
        if (size == FrameBytes)
            return _frames.Take();
        return size <= PooledBytesMax && _shelves[size / StepBytes].TryTake(out nint block)
            ? (byte*)block
            : (byte*)BulkMemory.Allocate(size);
    }

    public void Return(byte* block, int size)
    {
        if (size == FrameBytes)
            _frames.Return(block);
        else if (size > PooledBytesMax || !_shelves[size / StepBytes].TryKeep((nint)block))
            BulkMemory.Free(block, size);
    }

    /// <summary>Lets the spares go.</summary>
    public void Trim()
    {
        FreeSpares();
        _frames.FreeIfUnused();
    }

    private void FreeSpares()
    {
        for (int i = 1; i < _shelves.Length; i++)
        {
            while (_shelves[i] is { } shelf && shelf.TryTake(out nint block))
                NativeMemory.Free((void*)block);
        }
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
