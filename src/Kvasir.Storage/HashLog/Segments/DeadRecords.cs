using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>
/// Where in a segment records lie that a flush has superseded: four bytes for each, outside the garbage-collected heap, so that a merge need
/// not ask the index for them, which is much of what a merge costs. Nothing depends on its being complete: what is not here is found by way
/// of the index. One adds at a time; meanwhile another may read, and finds at least what was there when it began.
/// </summary>
internal sealed unsafe class DeadRecords(MemoryBudget budget)
{
    // Blocks grow with what there is: an engine that holds little takes little.
    private const int BlockBytesMin = 256;
    private const int BlockBytesMax = 64 << 10;

    private nint _first;
    private Block* _last;
    private int _blockBytes = BlockBytesMin;
    private long _bytes;

    public void Add(uint offsetUnits)
    {
        if (_last == null || _last->Count == _last->Capacity)
            AddBlock();
        Offsets(_last)[_last->Count] = offsetUnits;

        // Last: whoever sees the count finds the offset.
        Volatile.Write(ref _last->Count, _last->Count + 1);
    }

    public void CopyTo(DeadMarks marks)
    {
        for (var block = (Block*)Volatile.Read(ref _first); block != null; block = (Block*)Volatile.Read(ref block->Next))
        {
            int count = Volatile.Read(ref block->Count);
            for (int i = 0; i < count; i++)
                marks.Add(Offsets(block)[i]);
        }
    }

    /// <summary>Nobody adds or reads any more.</summary>
    public void Free()
    {
        for (var block = (Block*)_first; block != null;)
        {
            var next = (Block*)block->Next;
            BulkMemory.Free(block, sizeof(Block) + (block->Capacity * (long)sizeof(uint)));
            block = next;
        }

        budget.AddCache(-_bytes);
        _first = 0;
        _last = null;
        _bytes = 0;
    }

    private void AddBlock()
    {
        var block = (Block*)BulkMemory.Allocate(_blockBytes);
        *block = new Block { Capacity = (_blockBytes - sizeof(Block)) / sizeof(uint) };
        if (_last == null)
            Volatile.Write(ref _first, (nint)block);
        else
            Volatile.Write(ref _last->Next, (nint)block);
        _last = block;
        _bytes += _blockBytes;
        budget.AddCache(_blockBytes);
        _blockBytes = Math.Min(_blockBytes * 2, BlockBytesMax);
    }

    private static uint* Offsets(Block* block) => (uint*)(block + 1);

    /// <summary>The offsets lie behind it.</summary>
    private struct Block
    {
        public nint Next;
        public int Count;
        public int Capacity;
    }
}
