using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// Memory outside the garbage-collected heap that is handed out piece by piece and given back all at once. Pieces never
/// move, so plain pointers to them stay good until <see cref="Free"/>. One thread allocates; the counters may be read by
/// any. Chunks start small, so that an idle engine costs next to nothing.
/// </summary>
internal sealed unsafe class NativeArena
{
    public const int FirstChunkBytes = 64 << 10;
    public const int ChunkBytesMax = SpareChunks.ChunkBytes;

    private readonly MemoryBudget _budget;
    private readonly List<(nint Memory, long Bytes)> _chunks = [];
    private byte* _next;
    private byte* _end;
    private int _chunkBytes = FirstChunkBytes;
    private long _allocated;
    private long _used;

    public NativeArena(MemoryBudget budget) => _budget = budget;

    /// <summary>Bytes taken from the system.</summary>
    public long AllocatedBytes => Volatile.Read(ref _allocated);

    /// <summary>Bytes handed out.</summary>
    public long UsedBytes => Volatile.Read(ref _used);

    /// <summary>A piece of <paramref name="bytes"/> bytes, aligned to eight, not zeroed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* Allocate(long bytes)
    {
        bytes = (bytes + 7) & ~7L;
        _used += bytes;
        byte* piece = _next;
        if (_end - piece < bytes)
            return AllocateSlow(bytes);
        _next = piece + bytes;
        return piece;
    }

    /// <summary>Zeroed memory of its own, for tables that are replaced as they grow but must outlive their readers.</summary>
    public byte* AllocateZeroed(long bytes)
    {
        byte* piece;
        if (bytes == SpareChunks.ChunkBytes)
        {
            piece = _budget.Spares.Take();
            new Span<byte>(piece, SpareChunks.ChunkBytes).Clear();
        }
        else
        {
            // Large ones come from the system, which clears pages as they are used: not all at once while a writer waits.
            piece = (byte*)BulkMemory.AllocateZeroed(bytes);
        }

        Keep(piece, bytes);
        _used += bytes;
        return piece;
    }

    public void Free()
    {
        _budget.AddWrite(-_allocated);
        foreach ((nint memory, long bytes) in _chunks)
        {
            if (bytes == SpareChunks.ChunkBytes)
                _budget.Spares.Return((byte*)memory);
            else
                BulkMemory.Free((void*)memory, bytes);
        }

        _chunks.Clear();
        _allocated = 0;
        _used = 0;
        _next = _end = null;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte* AllocateSlow(long bytes)
    {
        // What is large gets a chunk of its own, so that the rest of the current one is not wasted.
        if (bytes > _chunkBytes / 4)
        {
            byte* own = Obtain(bytes);
            Keep(own, bytes);
            return own;
        }

        byte* chunk = Obtain(_chunkBytes);
        Keep(chunk, _chunkBytes);
        _next = chunk + bytes;
        _end = chunk + _chunkBytes;
        _chunkBytes = Math.Min(_chunkBytes * 2, ChunkBytesMax);
        return chunk;
    }

    private byte* Obtain(long bytes) =>
        bytes == SpareChunks.ChunkBytes ? _budget.Spares.Take() : (byte*)BulkMemory.Allocate(bytes);

    private void Keep(byte* memory, long bytes)
    {
        // The hash index keeps 16 bits of the hash above 48 bits of address.
        Check.That((ulong)memory >> 48 == 0, $"an address above 48 bits");
        _chunks.Add(((nint)memory, bytes));
        Volatile.Write(ref _allocated, _allocated + bytes);
        _budget.AddWrite(bytes);
    }
}
