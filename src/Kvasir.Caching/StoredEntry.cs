using System.Buffers.Binary;

namespace Kvasir.Caching;

/// <summary>
/// What stands before an entry's bytes in the store: a version (1 byte), the sliding time (8, milliseconds, 0 for none), and the absolute
/// deadline (8, Unix milliseconds, 0 for none), little-endian. When the entry goes is the store's own deadline of the key.
/// </summary>
internal readonly record struct StoredEntry(long SlidingMs, long AbsoluteMs)
{
    public const int HeaderBytes = 17;
    private const byte Version = 1;

    /// <summary>The end of the times that .NET can name, in Unix milliseconds: as good as never.</summary>
    public static readonly long LatestMs = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    /// <summary>So long a sliding entry may live beyond its time: it is not written again for every look at it, but once in so long.</summary>
    private long SlackMs => SlidingMs / 10;

    /// <summary>False when the bytes are no entry of this version.</summary>
    public static bool TryRead(ReadOnlySpan<byte> stored, out StoredEntry entry)
    {
        entry = default;
        if (stored.Length < HeaderBytes || stored[0] != Version)
            return false;
        entry = new StoredEntry(BinaryPrimitives.ReadInt64LittleEndian(stored[1..]), BinaryPrimitives.ReadInt64LittleEndian(stored[9..]));
        return true;
    }

    public void Write(Span<byte> to)
    {
        to[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(to[1..], SlidingMs);
        BinaryPrimitives.WriteInt64LittleEndian(to[9..], AbsoluteMs);
    }

    /// <summary>How long it lives from now on when it is used now; null for no end.</summary>
    public TimeSpan? TimeToLive(long nowMs)
    {
        long end = SlidingMs == 0 ? long.MaxValue : Math.Min(nowMs + SlidingMs + SlackMs, LatestMs);
        if (AbsoluteMs != 0)
            end = Math.Min(end, AbsoluteMs);
        return end == long.MaxValue ? null : TimeSpan.FromMilliseconds(Math.Max(end - nowMs, 1));
    }

    /// <summary>Whether a use now, of one that ends then, has to be written down.</summary>
    public bool IsDueForRenewal(long nowMs, long endMs) =>
        SlidingMs != 0 && endMs != AbsoluteMs && endMs < Math.Min(nowMs + SlidingMs, LatestMs);
}
