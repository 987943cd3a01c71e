namespace Kvasir.Storage.Buffered.Keys;

/// <summary>What one version of a key is. Persisted in SSTables: numbers are never changed or reused.</summary>
public enum ValueKind : byte
{
    Tombstone = 0,
    Value = 1,

    /// <summary>The value is followed, where it is stored, by its deadline.</summary>
    ExpiringValue = 2,
}

/// <summary>
/// Sequence number and kind of one version in eight bytes: <c>sequence &lt;&lt; 8 | kind</c>. Versions of one user key
/// order by descending trailer, so that the newest comes first.
/// </summary>
public readonly record struct Trailer(ulong Packed)
{
    public Trailer(ulong sequence, ValueKind kind) : this((sequence << 8) | (byte)kind) { }

    /// <summary>Before every version with a smaller or equal sequence number.</summary>
    public static Trailer Seek(ulong sequence) => new((sequence << 8) | 0xFF);

    public ulong Sequence => Packed >> 8;

    public ValueKind Kind => (ValueKind)(byte)Packed;
}
