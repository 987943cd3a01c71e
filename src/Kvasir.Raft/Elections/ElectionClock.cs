using Kvasir.Primitives;

namespace Kvasir.Raft.Elections;

/// <summary>
/// When a member loses patience with its leader, and when it must keep faith. A leader's lease rests on the second: a voter
/// that answered a heartbeat at H gives no vote to another before H + timeout, by its own clock; and since a restart forgets H,
/// a member that may have answered one keeps faith for a whole timeout from its start.
/// </summary>
internal struct ElectionClock(TimeSpan timeout, TimeSpan faithfulUntil)
{
    // Whatever is true of a leader's authority rests on this one, and it only grows.
    private TimeSpan _contactUntil = TimeSpan.MinValue;

    /// <summary>When to campaign; <see cref="TimeSpan.MaxValue"/> for never.</summary>
    public TimeSpan Deadline { get; private set; } = TimeSpan.MaxValue;

    /// <summary>The leader of this term was heard.</summary>
    public void LeaderHeard(TimeSpan now, SeededRandom random)
    {
        _contactUntil = now + timeout;
        Restart(now, random);
    }

    /// <summary>A new wait, of one to two timeouts.</summary>
    public void Restart(TimeSpan now, SeededRandom random) =>
        Deadline = now + timeout + TimeSpan.FromTicks(random.NextInt64(timeout.Ticks));

    /// <summary>A wait of at most one timeout, yet not before faith in the leader ends.</summary>
    public void Hasten(TimeSpan now, SeededRandom random)
    {
        TimeSpan soon = now + TimeSpan.FromTicks(random.NextInt64(timeout.Ticks));
        TimeSpan faithful = _contactUntil > faithfulUntil ? _contactUntil : faithfulUntil;
        Deadline = soon > faithful ? soon : faithful;
    }

    /// <summary>At this time, yet not before faith in the leader ends, and not later than it would have been.</summary>
    public void Advance(TimeSpan now, TimeSpan wait)
    {
        TimeSpan faithful = _contactUntil > faithfulUntil ? _contactUntil : faithfulUntil;
        TimeSpan at = (now > faithful ? now : faithful) + wait;
        if (at < Deadline)
            Deadline = at;
    }

    /// <summary>No wait at all.</summary>
    public void Expire(TimeSpan now) => Deadline = now;

    public void Stop() => Deadline = TimeSpan.MaxValue;

    /// <summary>A leader was heard so lately that its lease may hold.</summary>
    public readonly bool KeepsFaith(TimeSpan now) => now < _contactUntil || IsJustStarted(now);

    /// <summary>What was promised before a restart may still bind, and nothing of it is known.</summary>
    public readonly bool IsJustStarted(TimeSpan now) => now < faithfulUntil;
}
