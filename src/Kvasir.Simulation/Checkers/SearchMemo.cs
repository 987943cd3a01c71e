using Kvasir.Primitives;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// Where a search has been: which certain operations were placed, in which state, with which uncertain ones used up. A
/// place is not worth a second visit when it was visited with no uncertain operation more used up than now, and with no
/// hidden write less to spare: whatever leads on from here led on from there. Compared whole, never by hash alone.
/// </summary>
/// <remarks>
/// One arena of numbers; an entry is hash, next entry and first word, state, counts of words and of spare writes, then the
/// words of placed operations from the first that is not full, then those of used ones, then the spare ones.
/// </remarks>
internal sealed class SearchMemo
{
    private const int HeadWords = 4;

    private readonly int _usedWords;
    private readonly long _bytesMax;
    private ulong[] _arena = new ulong[1 << 12];
    private int[] _buckets = new int[1 << 10];
    private int _end = 1;
    private int _count;

    public SearchMemo(int usedWords, long bytesMax)
    {
        _usedWords = usedWords;
        _bytesMax = bytesMax;
    }

    public enum VisitOutcome
    {
        New,
        Seen,
        Full,
    }

    public int Count => _count;

    public VisitOutcome Visit(ulong hash, long state, int firstWord, ReadOnlySpan<ulong> placed, ReadOnlySpan<ulong> used, ReadOnlySpan<int> spare)
    {
        hash ^= (ulong)state * 0x9E3779B97F4A7C15;
        hash ^= hash >> 29;
        ref int bucket = ref _buckets[(int)(hash & (ulong)(_buckets.Length - 1))];
        for (int at = bucket; at != 0; at = (int)(uint)_arena[at + 1])
        {
            if (_arena[at] != hash || (long)_arena[at + 2] != state || (int)(_arena[at + 1] >> 32) != firstWord
                || (int)(uint)_arena[at + 3] != placed.Length
                || !_arena.AsSpan(at + HeadWords, placed.Length).SequenceEqual(placed))
                continue;
            ReadOnlySpan<ulong> rest = _arena.AsSpan(at + HeadWords + placed.Length, _usedWords + (int)(_arena[at + 3] >> 32));
            if (IsSubset(rest[.._usedWords], used) && IsAmong(spare, rest[_usedWords..]))
                return VisitOutcome.Seen;
        }

        int length = HeadWords + placed.Length + _usedWords + spare.Length;
        if (_end + length > _arena.Length && !Grow(length))
            return VisitOutcome.Full;
        Span<ulong> entry = _arena.AsSpan(_end, length);
        entry[0] = hash;
        entry[1] = ((ulong)firstWord << 32) | (uint)bucket;
        entry[2] = (ulong)state;
        entry[3] = ((ulong)spare.Length << 32) | (uint)placed.Length;
        placed.CopyTo(entry[HeadWords..]);
        used.CopyTo(entry[(HeadWords + placed.Length)..]);
        for (int i = 0; i < spare.Length; i++)
            entry[length - spare.Length + i] = (ulong)spare[i];
        bucket = _end;
        _end += length;
        if (++_count > _buckets.Length)
            Rehash();
        return VisitOutcome.New;
    }

    private static bool IsSubset(ReadOnlySpan<ulong> small, ReadOnlySpan<ulong> large)
    {
        for (int i = 0; i < small.Length; i++)
        {
            if ((small[i] & ~large[i]) != 0)
                return false;
        }

        return true;
    }

    /// <summary>Both are sorted.</summary>
    private static bool IsAmong(ReadOnlySpan<int> few, ReadOnlySpan<ulong> many)
    {
        int at = 0;
        foreach (int one in few)
        {
            while (at < many.Length && many[at] < (ulong)one)
                at++;
            if (at == many.Length || many[at] != (ulong)one)
                return false;
        }

        return true;
    }

    private bool Grow(int length)
    {
        long wanted = Math.Max(_arena.Length * 2L, _end + (long)length);
        if (wanted * sizeof(ulong) > _bytesMax || wanted > Array.MaxLength)
            return false;
        Array.Resize(ref _arena, (int)wanted);
        return true;
    }

    private void Rehash()
    {
        int[] buckets = new int[_buckets.Length * 4];
        for (int at = 1; at < _end; at += HeadWords + (int)(uint)_arena[at + 3] + _usedWords + (int)(_arena[at + 3] >> 32))
        {
            ref int bucket = ref buckets[(int)(_arena[at] & (ulong)(buckets.Length - 1))];
            _arena[at + 1] = (_arena[at + 1] & 0xFFFF_FFFF_0000_0000) | (uint)bucket;
            bucket = at;
        }

        Check.That(_end <= _arena.Length);
        _buckets = buckets;
    }
}
