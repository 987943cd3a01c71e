namespace Kvasir.Storage.Engines;

/// <summary>
/// Deadlines of keys as programs give and read them. Engines keep any number of milliseconds; what .NET can name ends with the year 9999, and
/// a time to live that leads beyond it means that the key stays.
/// </summary>
internal static class Deadlines
{
    private static readonly long s_latestMs = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    /// <summary>In Unix milliseconds: a time from now, rounded up to a whole one where it is less.</summary>
    public static long After(long nowMs, TimeSpan timeToLive)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(timeToLive, TimeSpan.Zero, nameof(timeToLive));
        return Math.Min(nowMs + Math.Max(timeToLive.Ticks / TimeSpan.TicksPerMillisecond, 1), s_latestMs);
    }

    public static DateTimeOffset At(long expiresAtMs) => DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(expiresAtMs, 0, s_latestMs));
}
