using Kvasir.Primitives;

namespace Kvasir.Simulation.Scheduling;

/// <summary>
/// The clock of one machine in a simulated world. Its monotonic side starts anew at each boot and runs a little fast or slow;
/// its wall clock does so, too, and may be set forwards and back.
/// </summary>
public sealed class NodeClock(SimulatedClock world) : TimeProvider
{
    private long _bootedAt = world.GetTimestamp();
    private long _origin;
    private TimeSpan _wallOffset;

    /// <summary>How much of its own time passes in one of true time.</summary>
    public double Rate { get; private set; } = 1;

    /// <summary>What the machine's monotonic clock shows.</summary>
    public TimeSpan Monotonic => TimeSpan.FromTicks(GetTimestamp());

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _origin + (long)((world.GetTimestamp() - _bootedAt) * Rate);

    public override DateTimeOffset GetUtcNow() =>
        new DateTimeOffset(_bootedAt, TimeSpan.Zero) + TimeSpan.FromTicks(GetTimestamp() - _origin) + _wallOffset;

    /// <summary>A boot: the monotonic clock begins somewhere, with a rate of at most this far from true.</summary>
    public void Boot(SeededRandom random, double driftMax)
    {
        _bootedAt = world.GetTimestamp();
        _origin = random.NextInt64(10 * TimeSpan.TicksPerSecond) + TimeSpan.TicksPerSecond;
        Rate = 1 + (((random.NextDouble() * 2) - 1) * driftMax);
    }

    /// <summary>From now on it runs at another rate; it shows what it showed.</summary>
    public void Drift(double rate)
    {
        DateTimeOffset wall = GetUtcNow();
        _origin = GetTimestamp();
        _bootedAt = world.GetTimestamp();
        Rate = rate;
        _wallOffset += wall - GetUtcNow();
    }

    /// <summary>Somebody sets the wall clock.</summary>
    public void SetWall(TimeSpan by) => _wallOffset += by;

    /// <summary>How long the world takes until the monotonic clock shows this; not below zero.</summary>
    public TimeSpan Until(TimeSpan monotonic)
    {
        long ticks = monotonic.Ticks - GetTimestamp();

        // One more, so that the reading is surely not a tick short when that time has passed.
        return ticks <= 0 ? TimeSpan.Zero : TimeSpan.FromTicks((long)(ticks / Rate) + 1);
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        world.CreateTimer(callback, state, Scaled(dueTime), Scaled(period));

    private TimeSpan Scaled(TimeSpan time) => time < TimeSpan.Zero ? time : TimeSpan.FromTicks((long)(time.Ticks / Rate));
}
