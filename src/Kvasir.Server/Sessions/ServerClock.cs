namespace Kvasir.Server.Sessions;

/// <summary>
/// The time that commands see: read once a command, cheaply, from the monotonic clock, and set right by the wall clock
/// now and then. Used inside the mailbox.
/// </summary>
internal sealed class ServerClock
{
    private readonly TimeProvider _time;
    private readonly double _microsecondsPerTick;
    private long _anchorTicks;
    private long _anchorMicroseconds;

    public ServerClock(TimeProvider time)
    {
        _time = time;
        _microsecondsPerTick = 1_000_000.0 / time.TimestampFrequency;
        StartedAt = time.GetUtcNow();
        Anchor();
    }

    public DateTimeOffset StartedAt { get; }

    /// <summary>As of the last <see cref="Refresh"/>.</summary>
    public long NowMs { get; private set; }

    /// <summary>Unix microseconds as of the last <see cref="Refresh"/>.</summary>
    public long NowMicroseconds { get; private set; }

    /// <summary>Reads the clock; Unix milliseconds.</summary>
    public long Refresh()
    {
        long elapsed = (long)((_time.GetTimestamp() - _anchorTicks) * _microsecondsPerTick);
        if (elapsed > 100_000)
        {
            // The wall clock may be set; a pure monotonic clock would never notice.
            Anchor();
            return NowMs;
        }

        NowMicroseconds = _anchorMicroseconds + elapsed;
        NowMs = NowMicroseconds / 1000;
        return NowMs;
    }

    private void Anchor()
    {
        _anchorTicks = _time.GetTimestamp();
        _anchorMicroseconds = (_time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks / 10;
        NowMicroseconds = _anchorMicroseconds;
        NowMs = NowMicroseconds / 1000;
    }
}
