namespace Kvasir.Cluster.Replicas;

/// <summary>Holds writers to so many bytes a second, or to none. The limit is set by any thread, asked for in the mailbox.</summary>
internal sealed class WritePace(TimeProvider time)
{
    // What may be written at once after a rest, as time at the limit.
    private static readonly TimeSpan s_burst = TimeSpan.FromMilliseconds(10);

    private long _bytesPerSecond;
    private long _paidUntil;

    /// <summary>0 for no limit.</summary>
    public long BytesPerSecond
    {
        get => Volatile.Read(ref _bytesPerSecond);
        set => Volatile.Write(ref _bytesPerSecond, value);
    }

    /// <summary>How long to wait before so much is written; zero: it counts as written.</summary>
    public TimeSpan Ask(int bytes)
    {
        long limit = BytesPerSecond;
        if (limit == 0)
            return TimeSpan.Zero;
        long now = time.GetTimestamp();
        long burst = (long)(s_burst.TotalSeconds * time.TimestampFrequency);
        if (_paidUntil > now + burst)
            return time.GetElapsedTime(now + burst, _paidUntil);
        _paidUntil = Math.Max(_paidUntil, now) + (long)((double)bytes / limit * time.TimestampFrequency);
        return TimeSpan.Zero;
    }
}
