using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Buffered.Iterators;

/// <summary>
/// Range tombstones, which may overlap in any way, cut at each other's ends into fragments that do not: each with the
/// sequence numbers of the tombstones that cover it, ascending. Immutable.
/// </summary>
internal sealed class RangeTombstoneFragments
{
    private readonly byte[][] _bounds;

    // Fragment i is [bounds[i], bounds[i + 1]), the last one unbounded; some are covered by nothing.
    private readonly ulong[][] _sequences;

    public RangeTombstoneFragments(IReadOnlyList<RangeTombstone> tombstones)
    {
        var edges = new List<(byte[] Key, bool Start, ulong Sequence)>(tombstones.Count * 2);
        foreach (RangeTombstone tombstone in tombstones)
        {
            if (tombstone.End is not null && tombstone.Start.AsSpan().SequenceCompareTo(tombstone.End) >= 0)
                continue;
            edges.Add((tombstone.Start, true, tombstone.Sequence));
            if (tombstone.End is not null)
                edges.Add((tombstone.End, false, tombstone.Sequence));
        }

        edges.Sort(static (x, y) => x.Key.AsSpan().SequenceCompareTo(y.Key));
        var bounds = new List<byte[]>();
        var sequences = new List<ulong[]>();
        var open = new SortedDictionary<ulong, int>();
        for (int i = 0; i < edges.Count;)
        {
            byte[] bound = edges[i].Key;
            for (; i < edges.Count && edges[i].Key.AsSpan().SequenceEqual(bound); i++)
            {
                int count = open.GetValueOrDefault(edges[i].Sequence) + (edges[i].Start ? 1 : -1);
                if (count == 0)
                    open.Remove(edges[i].Sequence);
                else
                    open[edges[i].Sequence] = count;
            }

            bounds.Add(bound);
            sequences.Add([.. open.Keys]);
        }

        _bounds = [.. bounds];
        _sequences = [.. sequences];
    }

    public bool IsEmpty => _bounds.Length == 0;

    /// <summary>Index of the fragment that holds the key; -1 before the first.</summary>
    public int Find(ReadOnlySpan<byte> key)
    {
        int low = 0, high = _bounds.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (key.SequenceCompareTo(_bounds[middle]) < 0)
                high = middle;
            else
                low = middle + 1;
        }

        return low - 1;
    }

    /// <summary>Whether fragment <paramref name="index"/> holds the key: cheaper than <see cref="Find"/> when it does.</summary>
    public bool Holds(int index, ReadOnlySpan<byte> key) =>
        (index < 0 || key.SequenceCompareTo(_bounds[index]) >= 0)
        && (index + 1 >= _bounds.Length || key.SequenceCompareTo(_bounds[index + 1]) < 0);

    public ReadOnlySpan<byte> Start(int index) => _bounds[index];

    /// <summary>Empty for no bound.</summary>
    public ReadOnlySpan<byte> End(int index) => index + 1 < _bounds.Length ? _bounds[index + 1] : default;

    /// <summary>Sequence numbers of the tombstones over the fragment, ascending.</summary>
    public ReadOnlySpan<ulong> Sequences(int index) => index < 0 ? default : _sequences[index];
}
