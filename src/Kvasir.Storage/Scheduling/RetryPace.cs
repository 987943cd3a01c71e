namespace Kvasir.Storage.Scheduling;

/// <summary>
/// How long work that keeps failing rests before it is tried again: each try may fill the disk and give it back. Used under the lock of
/// whoever owns it.
/// </summary>
internal sealed class RetryPace(TimeProvider time)
{
    private const int FailuresUntilPersistent = 2;

    // Of the time, trying again and again takes one part in this many and one.
    private const int PausePerTry = 4;
    private const int DoublingsMax = 10;

    private static readonly TimeSpan s_pauseMin = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_pauseMax = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_pauseAfterLongMax = TimeSpan.FromSeconds(30);

    private int _failures;
    private long _failedAt;
    private TimeSpan _pause;

    /// <summary>It has failed again and again: one failure may be an accident, and nobody need know of it that was mended meanwhile.</summary>
    public bool IsPersistent => _failures >= FailuresUntilPersistent;

    /// <summary>It may be tried again.</summary>
    public bool IsRested => time.GetElapsedTime(_failedAt) >= _pause;

    /// <summary>When a try began, for <see cref="Fail"/>.</summary>
    public long Begin() => time.GetTimestamp();

    public void Fail(long begunAt)
    {
        _failures++;
        _failedAt = time.GetTimestamp();
        _pause = IsPersistent ? PauseAfter(time.GetElapsedTime(begunAt, _failedAt)) : TimeSpan.Zero;
    }

    /// <summary>What made it fail may be gone: it need rest no longer.</summary>
    public void EndRest() => _pause = TimeSpan.Zero;

    public void Succeed() => (_failures, _pause) = (0, TimeSpan.Zero);

    private TimeSpan PauseAfter(TimeSpan tried)
    {
        double grown = Math.Min(s_pauseMin.Ticks * Math.Pow(2, Math.Min(_failures - FailuresUntilPersistent, DoublingsMax)), s_pauseMax.Ticks);
        return TimeSpan.FromTicks((long)Math.Max(grown, Math.Min((double)PausePerTry * tried.Ticks, s_pauseAfterLongMax.Ticks)));
    }
}
