namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// A stretch of the key space: from a first key to an end that is a key or (null) beyond all of them. Point entries end
/// a table inclusively, range tombstones exclusively.
/// </summary>
internal readonly record struct KeyBounds(byte[] Start, byte[]? End, bool EndInclusive)
{
    public static readonly KeyBounds All = new([], End: null, EndInclusive: false);

    public bool Contains(ReadOnlySpan<byte> key) => key.SequenceCompareTo(Start) >= 0 && !EndsBefore(key);

    /// <summary>Whether everything lies before <paramref name="key"/>.</summary>
    public bool EndsBefore(ReadOnlySpan<byte> key)
    {
        if (End is null)
            return false;
        int order = End.AsSpan().SequenceCompareTo(key);
        return order < 0 || (order == 0 && !EndInclusive);
    }

    public bool Overlaps(in KeyBounds other) => !EndsBefore(other.Start) && !other.EndsBefore(Start);

    /// <summary>Whether all of <paramref name="other"/> lies in here.</summary>
    public bool Encloses(in KeyBounds other) =>
        Start.AsSpan().SequenceCompareTo(other.Start) <= 0 && CompareEnds(this, other) >= 0;

    public KeyBounds Union(in KeyBounds other) => new(
        Start.AsSpan().SequenceCompareTo(other.Start) <= 0 ? Start : other.Start,
        CompareEnds(this, other) >= 0 ? End : other.End,
        CompareEnds(this, other) >= 0 ? EndInclusive : other.EndInclusive);

    private static int CompareEnds(in KeyBounds a, in KeyBounds b)
    {
        if (a.End is null || b.End is null)
            return (a.End is null ? 1 : 0) - (b.End is null ? 1 : 0);
        int order = a.End.AsSpan().SequenceCompareTo(b.End);
        return order != 0 ? order : a.EndInclusive.CompareTo(b.EndInclusive);
    }
}
