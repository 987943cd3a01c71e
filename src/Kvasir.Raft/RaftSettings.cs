using Kvasir.Primitives;

namespace Kvasir.Raft;

/// <summary>What the members of a group agree on beforehand: the same on all of them.</summary>
public sealed record RaftSettings
{
    /// <summary>E: after hearing its leader a voter gives no vote to another for this long; it campaigns after E to 2 E.</summary>
    public TimeSpan ElectionTimeout { get; init; } = TimeSpan.FromMilliseconds(250);

    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// The clock-drift bound that leases rest on: over an election timeout, every member's monotonic clock advances by 1 minus
    /// to 1 plus this much of true time. Real clocks keep to 0.001.
    /// </summary>
    public double ClockDriftMax { get; init; } = 0.02;

    /// <summary>A lease holds only this long after the beginning of the last write or sync that the leader's disk completed.</summary>
    public TimeSpan LeaseDiskSilenceMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A leader whose disk has not completed a write for this long gives up leadership.</summary>
    public TimeSpan DiskStallMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Bytes of entries in one append; one entry always fits.</summary>
    public long AppendBytesMax { get; init; } = 256 * 1024;

    /// <summary>Appends on their way to one follower.</summary>
    public int InflightMessagesMax { get; init; } = 64;

    /// <summary>Bytes on their way to one follower; one append always fits.</summary>
    public long InflightBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// Followers hear at once that an entry is committed, by an append without entries, and not by the next append or heartbeat:
    /// where what they have applied matters as soon as it is true, and entries are rare.
    /// </summary>
    public bool TellsCommits { get; init; }

    /// <summary>Entries that a leader accepts beyond what is committed.</summary>
    public long UncommittedEntriesMax { get; init; } = 64 * 1024;

    /// <summary>
    /// A learner may become a voter when its durable log ends at most this many entries before the leader's, and has the newest
    /// configuration.
    /// </summary>
    public long PromotionLagMax { get; init; } = 1024;

    /// <summary>
    /// A member that knows of more entries that are committed, and has not applied them, campaigns not and lets nobody hand it
    /// leadership: clients would wait for it to apply them.
    /// </summary>
    public long ApplyLagMax { get; init; } = 16 * 1024;

    /// <summary>After this long without work a group goes quiet; <see cref="TimeSpan.MaxValue"/> for never.</summary>
    public TimeSpan QuiesceAfter { get; init; } = TimeSpan.FromSeconds(2);

    internal RaftSettings Checked()
    {
        Check.That(HeartbeatInterval > TimeSpan.Zero && ElectionTimeout >= 2 * HeartbeatInterval);
        Check.That(ElectionTimeout < TimeSpan.FromHours(1));
        Check.That(ClockDriftMax is >= 0 and < 0.5);
        Check.That(LeaseDiskSilenceMax > TimeSpan.Zero && DiskStallMax > TimeSpan.Zero && QuiesceAfter > TimeSpan.Zero);
        Check.That(AppendBytesMax > 0 && InflightMessagesMax > 0 && InflightBytesMax > 0);
        Check.That(UncommittedEntriesMax > 0 && PromotionLagMax >= 0 && ApplyLagMax >= 0);
        return this;
    }
}
