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

    /// <summary>
    /// Lets everything happen up to a time, and moves there. Timers of the clock are stopped at on the way: what they ask for may
    /// be due before the next event.
    /// </summary>
    public void RunUntil(TimeSpan time)
    {
        while (true)
        {
            long next = time.Ticks;
            if (Clock.NextDue() is { } due)
                next = Math.Min(next, due.UtcTicks - _start);
            if (_events.TryPeek(out _, out (long Ticks, long Number) first))
                next = Math.Min(next, first.Ticks);
            MoveTo(next);
            if (_events.TryPeek(out Action? happens, out (long Ticks, long Number) at) && at.Ticks <= Now.Ticks)
            {
                _events.Dequeue();
                happens();
            }
            else if (next >= time.Ticks)
            {
                return;
            }
        }
    }

    // What blocks may have moved the clock on: then some things happen late.
    private void MoveTo(long ticks)
    {
        long now = Now.Ticks;
        if (ticks > now)
            Clock.Advance(TimeSpan.FromTicks(ticks - now));
        else
            Clock.FireDue();
    }
}
