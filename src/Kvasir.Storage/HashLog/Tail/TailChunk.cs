using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>A piece of the log's tail: records one behind the other, by sequence number.</summary>
internal sealed unsafe class TailChunk
{
    private long _used;
    private ulong _lastSequence;

    public TailChunk(MemoryBudget budget, long bytes, ulong firstSequence)
    {
        Memory = bytes == SpareChunks.ChunkBytes ? budget.Spares.Take() : (byte*)BulkMemory.Allocate(bytes);
        Check.That((ulong)Memory >> 63 == 0);
        Bytes = bytes;
        FirstSequence = firstSequence;
        budget.AddWrite(bytes);
    }

    public byte* Memory { get; }

    public long Bytes { get; }

    public ulong FirstSequence { get; }

    public long Used => Volatile.Read(ref _used);

    public ulong LastSequence => Volatile.Read(ref _lastSequence);

    /// <summary>Everything in it is in the files: it is kept for reads, as a cache.</summary>
    public bool IsFlushed { get; private set; }

    /// <summary>Room at its end; null when there is none.</summary>
    public TailRecord* Place(long bytes) => Bytes - _used < bytes ? null : (TailRecord*)(Memory + _used);

    /// <summary>The record at the end is whole.</summary>
    public void Advance(long bytes, ulong sequence)
    {
        Volatile.Write(ref _lastSequence, sequence);
        Volatile.Write(ref _used, _used + bytes);
    }

    public void BecomeCache(MemoryBudget budget)
    {
        IsFlushed = true;
        budget.AddWrite(-Bytes);
        budget.AddCache(Bytes);
    }

    public void Free(MemoryBudget budget)
    {
        if (IsFlushed)
            budget.AddCache(-Bytes);
        else
            budget.AddWrite(-Bytes);
        if (Bytes == SpareChunks.ChunkBytes)
            budget.Spares.Return(Memory);
        else
            BulkMemory.Free(Memory, Bytes);
    }
}
