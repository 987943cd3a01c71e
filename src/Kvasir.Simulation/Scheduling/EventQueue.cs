using Kvasir.Primitives;

namespace Kvasir.Simulation.Scheduling;

/// <summary>
/// What will happen in a simulated world and when: the one place where its time moves. What is due at one moment happens in
/// the order in which it was asked for.
/// </summary>
public sealed class EventQueue(SimulatedClock clock)
{
    private readonly PriorityQueue<Action, (long Ticks, long Number)> _events = new();
    private readonly long _start = clock.GetTimestamp();
    private long _number;

    public SimulatedClock Clock { get; } = clock;

    /// <summary>Since the beginning of the world.</summary>
    public TimeSpan Now => TimeSpan.FromTicks(Clock.GetTimestamp() - _start);

    public void After(TimeSpan delay, Action happens) => At(Now + delay, happens);

    /// <summary>A time that has passed means now.</summary>
    public void At(TimeSpan time, Action happens) => _events.Enqueue(happens, (Math.Max(time.Ticks, Now.Ticks), _number++));

    /// <summary>Lets everything happen up to a time, and moves there.</summary>
    public void RunUntil(TimeSpan time)
    {
        while (_events.TryPeek(out Action? happens, out (long Ticks, long Number) at) && at.Ticks <= time.Ticks)
        {
            _events.Dequeue();
            MoveTo(at.Ticks);
            happens();
        }

        MoveTo(time.Ticks);
    }

    private void MoveTo(long ticks)
    {
        long now = Now.Ticks;
        Check.That(ticks >= now);
        if (ticks > now)
            Clock.Advance(TimeSpan.FromTicks(ticks - now));
    }
}
