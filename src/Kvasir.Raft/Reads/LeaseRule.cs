namespace Kvasir.Raft.Reads;

/// <summary>
/// How long a leader may answer reads alone. A majority that answered a heartbeat sent at S gives no vote to another for an
/// election timeout E after it arrived, and it arrived after S. If every clock runs at a rate within 1 - drift to 1 + drift of
/// true time, the voters keep faith for at least E / (1 + drift), and a lease that the leader's clock measures as L has ended
/// after L / (1 - drift). So L = E (1 - drift) / (1 + drift) ends before any vote is given, whatever the clocks show.
/// </summary>
internal static class LeaseRule
{
    public static TimeSpan Duration(TimeSpan electionTimeout, double driftMax) =>
        TimeSpan.FromTicks((long)(electionTimeout.Ticks * ((1 - driftMax) / (1 + driftMax))));

    /// <summary>
    /// The lease's end: that of what the majority answered, or of the disk's last sign of life, whichever is sooner. A leader
    /// whose disk hangs could serve reads forever and never write again.
    /// </summary>
    public static TimeSpan End(TimeSpan majorityAnsweredSentAt, TimeSpan duration, TimeSpan diskSyncedAt, TimeSpan diskSilenceMax)
    {
        TimeSpan byMajority = Later(majorityAnsweredSentAt, duration);
        TimeSpan byDisk = Later(diskSyncedAt, diskSilenceMax);
        return byMajority < byDisk ? byMajority : byDisk;
    }

    // "Never" stays never: MinValue is before all time, and MaxValue is what a sole voter is answered with.
    private static TimeSpan Later(TimeSpan at, TimeSpan by) =>
        at == TimeSpan.MinValue ? at : at > TimeSpan.MaxValue - by ? TimeSpan.MaxValue : at + by;
}
