using Kvasir.Primitives;

namespace Kvasir.Simulation.Scheduling;

/// <summary>
/// Imagined time: it moves only when told. Timers fire from <see cref="FireDue"/>, in the order of their due times, on
/// the thread that calls it.
/// </summary>
public sealed class SimulatedClock : TimeProvider
{
    private readonly List<SimulatedTimer> _timers = [];
    private DateTimeOffset _now;
    private long _nextTimer;

    public SimulatedClock(DateTimeOffset start) => _now = start;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => _now;

    public override long GetTimestamp() => _now.UtcTicks;

    /// <summary>Moves time without firing timers: what a slow disk does to those who wait for it.</summary>
    public void Elapse(TimeSpan time)
    {
        Check.That(time >= TimeSpan.Zero);
        _now += time;
    }

    /// <summary>Moves time, stopping at every timer on the way to fire it.</summary>
    public void Advance(TimeSpan time)
    {
        DateTimeOffset end = _now + time;
        while (NextDue() is { } due && due <= end)
        {
            _now = due > _now ? due : _now;
            FireDue();
        }

        _now = end > _now ? end : _now;
    }

    /// <summary>When the next timer is due, or null.</summary>
    public DateTimeOffset? NextDue()
    {
        DateTimeOffset? next = null;
        foreach (SimulatedTimer timer in _timers)
        {
            if (timer.Due is { } due && (next is null || due < next))
                next = due;
        }

        return next;
    }

    /// <summary>Fires one round of the timers that are due now; true if there was one.</summary>
    public bool FireDue()
    {
        List<SimulatedTimer> due = [.. _timers.Where(timer => timer.Due <= _now).OrderBy(t => t.Due).ThenBy(t => t.Number)];
        foreach (SimulatedTimer timer in due)
            timer.Fire(_now);
        return due.Count > 0;
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new SimulatedTimer(this, callback, state, _nextTimer++);
        _timers.Add(timer);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class SimulatedTimer(SimulatedClock clock, TimerCallback callback, object? state, long number) : ITimer
    {
        private TimeSpan _period = Timeout.InfiniteTimeSpan;

        public long Number { get; } = number;

        public DateTimeOffset? Due { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Due = dueTime == Timeout.InfiniteTimeSpan ? null : clock._now + dueTime;
            _period = period;
            return true;
        }

        public void Fire(DateTimeOffset now)
        {
            if (Due is null || Due > now)
                return;
            Due = _period == Timeout.InfiniteTimeSpan || _period == TimeSpan.Zero ? null : now + _period;
            callback(state);
        }

        public void Dispose()
        {
            Due = null;
            clock._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
