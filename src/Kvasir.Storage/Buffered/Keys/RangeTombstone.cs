namespace Kvasir.Storage.Buffered.Keys;

/// <summary>
/// A recorded deletion of every version of a key in [Start, End) with a sequence number below
/// <paramref name="Sequence"/>. A null end means unbounded.
/// </summary>
public sealed record RangeTombstone(byte[] Start, byte[]? End, ulong Sequence)
{
    public bool Covers(ReadOnlySpan<byte> userKey) =>
        userKey.SequenceCompareTo(Start) >= 0 && (End is null || userKey.SequenceCompareTo(End) < 0);
}
