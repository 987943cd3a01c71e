using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// The hashes of a table's keys until its filter is built: megabytes that grow, which the collected heap would copy and
/// keep. In pieces, so that it takes no more than it needs; they count as cache.
/// </summary>
internal sealed unsafe class HashList : IDisposable
{
    private const int PieceBytes = MemoryBudget.ChunkBytes;
    private const int PieceHashes = PieceBytes / sizeof(ulong);

    private readonly MemoryBudget? _budget;
    private readonly List<nint> _pieces = [];
    private ulong* _next;
    private ulong* _end;

    /// <param name="budget">Null where no budget is kept.</param>
    public HashList(MemoryBudget? budget) => _budget = budget;

    public int Count => (_pieces.Count * PieceHashes) - (int)(_end - _next);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ulong hash)
    {
        if (_next == _end)
            Grow();
        *_next++ = hash;
    }

    /// <summary>Puts all of them into a filter that was begun.</summary>
    public void AddTo(Span<byte> filter)
    {
        for (int i = 0; i < _pieces.Count; i++)
        {
            int count = Math.Min(PieceHashes, Count - (i * PieceHashes));
            BloomFilter.Add(new ReadOnlySpan<ulong>((void*)_pieces[i], count), filter);
        }
    }

    public void Dispose()
    {
        foreach (nint piece in _pieces)
        {
            if (_budget is null)
                BulkMemory.Free((void*)piece, PieceBytes);
            else
                _budget.ReturnCacheChunk((byte*)piece);
        }

        _pieces.Clear();
        _next = _end = null;
    }

    private void Grow()
    {
        Check.That(_pieces.Count < int.MaxValue / PieceHashes);
        byte* piece = _budget is null ? (byte*)BulkMemory.Allocate(PieceBytes) : _budget.TakeCacheChunk();
        _pieces.Add((nint)piece);
        _next = (ulong*)piece;
        _end = _next + PieceHashes;
    }
}
