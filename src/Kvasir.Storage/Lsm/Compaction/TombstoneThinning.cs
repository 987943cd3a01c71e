using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// The range tombstones of a compaction's inputs: which versions they cover for good, which of them must live on, and
/// how they are cut at the borders of the outputs.
/// </summary>
internal sealed class TombstoneThinning
{
    private readonly FragmentedTombstones _all;
    private readonly SnapshotStripes _stripes;
    private readonly List<RangeTombstone> _kept = [];

    /// <param name="mayExistBelow">Whether older versions of keys in a range may lie outside the inputs.</param>
    public TombstoneThinning(IReadOnlyList<RangeTombstone> inputs, SnapshotStripes stripes, Func<KeyBounds, bool> mayExistBelow)
    {
        _all = new FragmentedTombstones(inputs);
        _stripes = stripes;
        var open = new Dictionary<ulong, int>();
        foreach (FragmentedTombstones.Fragment fragment in _all.Fragments)
        {
            int lastStripe = -1;
            foreach (ulong sequence in fragment.Sequences)
            {
                // Of each stripe the newest says it all.
                int stripe = stripes.Of(sequence);
                if (stripe == lastStripe && stripe != stripes.Open)
                    continue;
                lastStripe = stripe;
                if (stripe == 0 && stripes.Open > 0 && !mayExistBelow(new KeyBounds(fragment.Start, fragment.End, EndInclusive: false)))
                    continue;

                // Pieces that touch and say the same are one again.
                if (open.TryGetValue(sequence, out int at) && _kept[at].End.AsSpan().SequenceEqual(fragment.Start))
                    _kept[at] = _kept[at] with { End = fragment.End };
                else
                {
                    open[sequence] = _kept.Count;
                    _kept.Add(new RangeTombstone(fragment.Start, fragment.End, sequence));
                }
            }
        }
    }

    public bool IsEmpty => _all.IsEmpty;

    /// <summary>Whether nobody can see a version of <paramref name="userKey"/> for a newer range tombstone of its stripe.</summary>
    public bool Hides(ReadOnlySpan<byte> userKey, ulong sequence, int stripe)
    {
        if (_all.IsEmpty || stripe == _stripes.Open)
            return false;
        FragmentedTombstones.Fragment? fragment = _all.Find(userKey);
        if (fragment is null)
            return false;
        foreach (ulong candidate in fragment.Sequences)
        {
            if (candidate <= sequence)
                return false;
            if (_stripes.Of(candidate) == stripe)
                return true;
        }

        return false;
    }

    /// <summary>Whether all of a table is covered for everybody: it need not even be read.</summary>
    public bool HidesAll(TableFile table) =>
        !_all.IsEmpty && _stripes.Open > 0 && _all.Covers(table.Bounds, table.Properties.LargestSequence, _stripes.Oldest);

    /// <summary>The tombstones that live on, cut to [start, end); null for no end.</summary>
    public List<RangeTombstone> Cut(byte[] start, byte[]? end)
    {
        var cut = new List<RangeTombstone>();
        foreach (RangeTombstone tombstone in _kept)
        {
            byte[] from = tombstone.Start.AsSpan().SequenceCompareTo(start) < 0 ? start : tombstone.Start;
            byte[]? to = tombstone.End is null || (end is not null && end.AsSpan().SequenceCompareTo(tombstone.End) < 0) ? end : tombstone.End;
            if (to is null || from.AsSpan().SequenceCompareTo(to) < 0)
                cut.Add(new RangeTombstone(from, to, tombstone.Sequence));
        }

        return cut;
    }
}
