using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>
/// Pieces of memory of one size, mostly whole pages, from stretches of addresses of their own. A piece that is given back is
/// taken again first, or goes back to the system, so what is resident is what is in use and a few spares: a general
/// allocator would keep most of a cache that shrank, since what is still in use lies scattered between what is free.
/// Thread-safe.
/// </summary>
internal sealed unsafe class MemoryFrames
{
    private const int StretchBytes = 16 << 20;

    private readonly Lock _lock = new();
    private readonly List<nint> _stretches = [];

    // Free ones that are still resident, and those that the system has back.
    private readonly nint[] _spares;
    private readonly Stack<nint> _discarded = new();
    private int _spareCount;
    private byte* _next;
    private byte* _end;
    private int _used;

    /// <param name="bytes">The one size: a power of two.</param>
    /// <param name="sparesMax">Free ones that stay resident.</param>
    public MemoryFrames(int bytes, int sparesMax)
    {
        Check.That(StretchBytes % bytes == 0 && sparesMax > 0);
        Bytes = bytes;
        _spares = new nint[sparesMax];
    }

    ~MemoryFrames() => FreeStretches();

    public int Bytes { get; }

    /// <summary>Pieces that were taken and not given back.</summary>
    public int UsedCount
    {
        get
        {
            lock (_lock)
                return _used;
        }
    }

    /// <summary>Bytes that the system may hold for pieces, used and spare.</summary>
    public long ResidentBytes
    {
        get
        {
            lock (_lock)
                return (long)(_used + _spareCount) * Bytes;
        }
    }

    /// <summary>A piece, not zeroed.</summary>
    public byte* Take()
    {
        lock (_lock)
        {
            _used++;
            if (_spareCount != 0)
                return (byte*)_spares[--_spareCount];
            if (_discarded.TryPop(out nint discarded))
                return (byte*)discarded;
            if (_next == _end)
            {
                _next = (byte*)BulkMemory.Reserve(StretchBytes);
                _end = _next + StretchBytes;
                _stretches.Add((nint)_next);
            }

            byte* piece = _next;
            _next += Bytes;
            return piece;
        }
    }

    public void Return(byte* piece)
    {
        lock (_lock)
        {
            Check.That(--_used >= 0);
            if (_spareCount != _spares.Length)
            {
                _spares[_spareCount++] = (nint)piece;
                return;
            }

            // Under the lock: nobody may have taken it again meanwhile. Where pages are larger, others have a part of this one.
            if (Bytes % BulkMemory.PageBytes == 0)
                BulkMemory.Discard(piece, Bytes);
            _discarded.Push((nint)piece);
        }
    }

    /// <summary>Gives everything back to the system if nothing is in use.</summary>
    public void FreeIfUnused()
    {
        lock (_lock)
        {
            if (_used == 0)
                FreeStretches();
        }
    }

    private void FreeStretches()
    {
        foreach (nint stretch in _stretches)
            BulkMemory.Free((void*)stretch, StretchBytes);
        _stretches.Clear();
        _discarded.Clear();
        _spareCount = 0;
        _next = _end = null;
    }
}
