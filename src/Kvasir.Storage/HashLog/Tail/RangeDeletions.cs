namespace Kvasir.Storage.HashLog.Tail;

/// <summary>Everything in [<paramref name="Start"/>, <paramref name="End"/>) with a smaller sequence number is gone; no end means no bound.</summary>
internal sealed record RangeDeletion(byte[] Start, byte[]? End, ulong Sequence)
{
    public bool Covers(ReadOnlySpan<byte> key) =>
        key.SequenceCompareTo(Start) >= 0 && (End is null || key.SequenceCompareTo(End) < 0);

    /// <summary>Everything that the other covers.</summary>
    public bool Covers(RangeDeletion other) =>
        Start.AsSpan().SequenceCompareTo(other.Start) <= 0 && (End is null || (other.End is not null && End.AsSpan().SequenceCompareTo(other.End) >= 0));
}

/// <summary>The deletions of ranges that something may lie below, ascending by sequence number. Immutable.</summary>
internal sealed class RangeDeletions(RangeDeletion[] all)
{
    public static readonly RangeDeletions None = new([]);

    public IReadOnlyList<RangeDeletion> All => all;

    public bool IsEmpty => all.Length == 0;

    /// <summary>The newest at or before a sequence number that covers the key; zero when none does.</summary>
    public ulong Cover(ReadOnlySpan<byte> key, ulong sequence)
    {
        for (int i = all.Length - 1; i >= 0; i--)
        {
            if (all[i].Sequence <= sequence && all[i].Covers(key))
                return all[i].Sequence;
        }

        return 0;
    }

    /// <summary>The first one after <paramref name="after"/>, at or before <paramref name="sequence"/>, that covers the key; zero when none does.</summary>
    public ulong FirstCover(ReadOnlySpan<byte> key, ulong after, ulong sequence)
    {
        foreach (RangeDeletion deletion in all)
        {
            if (deletion.Sequence > sequence)
                break;
            if (deletion.Sequence > after && deletion.Covers(key))
                return deletion.Sequence;
        }

        return 0;
    }

    public RangeDeletions With(RangeDeletion deletion) => new([.. all, deletion]);

    public RangeDeletions Where(Func<RangeDeletion, bool> stays) => Array.TrueForAll(all, d => stays(d)) ? this : new([.. all.Where(stays)]);
}
