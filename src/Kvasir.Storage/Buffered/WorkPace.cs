using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// Spreads the work of flushes and compactions that nobody waits for over time: bursts of a millisecond or two with rests between
/// them. In one go a job takes a core from whoever serves clients for as long as it lasts, some tenths of a second to seconds,
/// and a machine has few. Any thread.
/// </summary>
internal sealed class WorkPace(IScheduler scheduler)
{
    // Shorter ones would cost more in wakes than they spare.
    private static readonly TimeSpan s_burstMin = TimeSpan.FromMilliseconds(1);

    // Whoever begins to wait for a job does not wait for longer than this in vain.
    private static readonly TimeSpan s_restMax = TimeSpan.FromMilliseconds(20);

    /// <summary>Which part of a core a job may take now, above 0 to 1; asked once a burst, with whether it is a flush.</summary>
    public Func<bool, double> Share { get; set; } = static _ => 1;

    /// <summary>When work begins.</summary>
    public long Begin() => scheduler.Time.GetTimestamp();

    /// <summary>Between two pieces of work: rests if it is time to, and says when the next burst began.</summary>
    public void Rest(bool isFlush, ref long begun)
    {
        TimeSpan worked = scheduler.Time.GetElapsedTime(begun);
        if (worked < s_burstMin)
            return;

        // The threads are shared by all engines: what is easy for this one may be urgent for another.
        double share = scheduler.HasWaitingJobs ? 1 : Share(isFlush);
        if (share < 1)
        {
            TimeSpan rest = worked * ((1 / share) - 1);
            scheduler.Pause(rest < s_restMax ? rest : s_restMax);
        }

        begun = scheduler.Time.GetTimestamp();
    }
}
