using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// Range tombstones cut at each other's borders into pieces that do not overlap, each with the sequence numbers that
/// cover it, newest first: a lookup is one binary search. Immutable.
/// </summary>
internal sealed class FragmentedTombstones
{
    public static readonly FragmentedTombstones Empty = new([]);

    private readonly List<Fragment> _fragments = [];

    public FragmentedTombstones(IReadOnlyList<RangeTombstone> tombstones)
    {
        if (tombstones.Count == 0)
            return;
        var borders = new SortedSet<byte[]>(KeyOrder.Instance);
        foreach (RangeTombstone tombstone in tombstones)
        {
            borders.Add(tombstone.Start);
            if (tombstone.End is not null)
                borders.Add(tombstone.End);
        }

        byte[][] starts = [.. borders];
        var byStart = tombstones.OrderBy(t => t.Start, KeyOrder.Instance).ToList();
        var active = new List<RangeTombstone>();
        int next = 0;
        for (int i = 0; i < starts.Length; i++)
        {
            byte[] start = starts[i];
            byte[]? end = i + 1 < starts.Length ? starts[i + 1] : null;
            active.RemoveAll(t => t.End is not null && t.End.AsSpan().SequenceCompareTo(start) <= 0);
            while (next < byStart.Count && byStart[next].Start.AsSpan().SequenceCompareTo(start) <= 0)
            {
                RangeTombstone starting = byStart[next++];
                // An empty range covers nothing.
                if (starting.End is null || starting.End.AsSpan().SequenceCompareTo(start) > 0)
                    active.Add(starting);
            }

            if (active.Count == 0)
                continue;
            ulong[] sequences = [.. active.Select(t => t.Sequence).Distinct().OrderDescending()];
            _fragments.Add(new Fragment(start, end, sequences));
        }
    }

    public IReadOnlyList<Fragment> Fragments => _fragments;

    public bool IsEmpty => _fragments.Count == 0;

    /// <summary>The newest tombstone over <paramref name="userKey"/> that a view at <paramref name="sequence"/> sees; 0 for none.</summary>
    public ulong Covering(ReadOnlySpan<byte> userKey, ulong sequence)
    {
        Fragment? fragment = Find(userKey);
        if (fragment is null)
            return 0;
        foreach (ulong candidate in fragment.Sequences)
        {
            if (candidate <= sequence)
                return candidate;
        }

        return 0;
    }

    public Fragment? Find(ReadOnlySpan<byte> userKey)
    {
        int low = 0;
        int high = _fragments.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_fragments[middle].Start.AsSpan().SequenceCompareTo(userKey) <= 0)
                low = middle + 1;
            else
                high = middle;
        }

        if (low == 0)
            return null;
        Fragment fragment = _fragments[low - 1];
        return fragment.End is null || userKey.SequenceCompareTo(fragment.End) < 0 ? fragment : null;
    }

    /// <summary>
    /// Whether every key of <paramref name="bounds"/> lies under a tombstone that is newer than <paramref name="after"/> and
    /// not newer than <paramref name="upTo"/>.
    /// </summary>
    public bool Covers(in KeyBounds bounds, ulong after, ulong upTo)
    {
        byte[] at = bounds.Start;
        while (true)
        {
            Fragment? fragment = Find(at);
            if (fragment is null || !HasBetween(fragment.Sequences, after, upTo))
                return false;
            if (fragment.End is null || bounds.EndsBefore(fragment.End))
                return true;
            at = fragment.End;
        }
    }

    private static bool HasBetween(ulong[] newestFirst, ulong after, ulong upTo)
    {
        foreach (ulong sequence in newestFirst)
        {
            if (sequence <= after)
                return false;
            if (sequence <= upTo)
                return true;
        }

        return false;
    }

    internal sealed record Fragment(byte[] Start, byte[]? End, ulong[] Sequences);
}

/// <summary>Keys order by their unsigned bytes.</summary>
internal sealed class KeyOrder : IComparer<byte[]>
{
    public static readonly KeyOrder Instance = new();

    public int Compare(byte[]? x, byte[]? y) => x.AsSpan().SequenceCompareTo(y);
}
