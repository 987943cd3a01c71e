using System.Numerics;
using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Space;

/// <summary>
/// The free pages of one chunk, twice: as the file has them (<see cref="IsFree"/>), and those of them that may be given out,
/// which excludes what a reader or the commit before may still need.
/// </summary>
internal sealed class ChunkBitmap
{
    /// <summary>Side by side: an area, whose free pages are compared with those of others. Some commits of many small transactions fit.</summary>
    public const uint AreaPages = AreaWords * 64;

    private const int AreaWords = 8;

    private readonly ulong[] _free;
    private readonly ulong[] _available;

    // Nothing is available in words before this one.
    private int _lowWord;
    private int _availableCount;

    // A search for so many pages in a row has failed, and nothing has come since.
    private uint _noRunOf = uint.MaxValue;

    public ChunkBitmap(ulong[] free)
    {
        _free = free;
        _available = (ulong[])free.Clone();
        foreach (ulong word in free)
            _availableCount += BitOperations.PopCount(word);
    }

    /// <summary>Differs from the bitmap in the file.</summary>
    public bool IsDirty { get; set; }

    public int AvailableCount => _availableCount;

    public ReadOnlySpan<ulong> FreeWords => _free;

    public bool IsFree(uint at) => (_free[at >> 6] & Bit(at)) != 0;

    public bool IsAvailable(uint at) => (_available[at >> 6] & Bit(at)) != 0;

    /// <summary>The lowest page that may be given out. There must be one.</summary>
    public uint TakeLowest()
    {
        while (_available[_lowWord] == 0)
            _lowWord++;
        uint at = (uint)((_lowWord << 6) + BitOperations.TrailingZeroCount(_available[_lowWord]));
        Take(at);
        return at;
    }

    /// <summary>Pages of an area that may be given out.</summary>
    public int AvailableIn(uint area)
    {
        int count = 0;
        int start = (int)area * AreaWords;
        foreach (ulong word in _available.AsSpan(start, Math.Min(AreaWords, _available.Length - start)))
            count += BitOperations.PopCount(word);
        return count;
    }

    /// <summary>The first page that may be given out, at <paramref name="from"/> or after in the same area; -1 without one.</summary>
    public long TakeInArea(uint from)
    {
        long at = FindRunInArea(from, 1);
        if (at >= 0)
            Take((uint)at);
        return at;
    }

    /// <summary>
    /// Where the first so many pages side by side that may be given out begin, at <paramref name="from"/> or after in the same area; -1 without
    /// them. Takes nothing.
    /// </summary>
    public long FindRunInArea(uint from, uint count)
    {
        uint end = Math.Min(((from / AreaPages) + 1) * AreaPages, (uint)_available.Length << 6);
        uint length = 0;
        while (from < end)
        {
            ulong word = _available[from >> 6] >> (int)(from & 63);
            if (word == 0)
            {
                length = 0;
                from = (from | 63) + 1;
                continue;
            }

            uint skip = (uint)BitOperations.TrailingZeroCount(word);
            length = skip == 0 ? length : 0;
            from += skip;
            uint ones = Math.Min((uint)BitOperations.TrailingZeroCount(~(word >> (int)skip)), 64 - (from & 63));
            length += ones;
            from += ones;
            if (length >= count)
                return from - length;
        }

        return -1;
    }

    /// <summary>Takes the page, if it may be given out.</summary>
    public bool TryTake(uint at)
    {
        if (!IsAvailable(at))
            return false;
        Take(at);
        return true;
    }

    /// <summary>The lowest run of pages that may be given out, at <paramref name="from"/> or after; -1 without one.</summary>
    public long TakeRun(uint count, uint from)
    {
        if (_availableCount < count || count >= _noRunOf)
            return -1;
        uint length = 0;
        uint end = (uint)_available.Length << 6;
        for (uint at = Math.Max((uint)_lowWord << 6, from); at < end;)
        {
            ulong word = _available[at >> 6] >> (int)(at & 63);
            if (word == 0)
            {
                length = 0;
                at = (at | 63) + 1;
                continue;
            }

            int skip = BitOperations.TrailingZeroCount(word);
            if (skip != 0)
            {
                length = 0;
                at += (uint)skip;
                continue;
            }

            uint ones = Math.Min((uint)BitOperations.TrailingZeroCount(~word), 64 - (at & 63));
            length += ones;
            at += ones;
            if (length < count)
                continue;
            uint start = at - length;
            for (uint page = start; page < start + count; page++)
                Take(page);
            return start;
        }

        _noRunOf = count;
        return -1;
    }

    /// <summary>Free in the file's bitmap from now on, but not to be given out yet.</summary>
    public void MarkFree(uint at)
    {
        Check.That(!IsFree(at), $"page {at} of a chunk was freed twice");
        _free[at >> 6] |= Bit(at);
        IsDirty = true;
    }

    /// <summary>May be given out from now on.</summary>
    public void MakeAvailable(uint at)
    {
        Check.That(IsFree(at) && !IsAvailable(at), $"page {at} of a chunk is not held back");
        _available[at >> 6] |= Bit(at);
        _availableCount++;
        _lowWord = Math.Min(_lowWord, (int)(at >> 6));
        _noRunOf = uint.MaxValue;
    }

    /// <summary>No longer free, whatever it was: the pages of an aborted transaction, or beyond a new end of the file.</summary>
    public void Clear(uint at)
    {
        if (IsAvailable(at))
            _availableCount--;
        _free[at >> 6] &= ~Bit(at);
        _available[at >> 6] &= ~Bit(at);
        IsDirty = true;
    }

    private void Take(uint at)
    {
        Check.That(IsAvailable(at) && IsFree(at));
        _available[at >> 6] &= ~Bit(at);
        _free[at >> 6] &= ~Bit(at);
        _availableCount--;
        IsDirty = true;
    }

    private static ulong Bit(uint at) => 1UL << (int)(at & 63);
}
