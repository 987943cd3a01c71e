using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// For how long followers have lacked something that is committed, as their leaders see it. They are looked at by the clock: what is committed
/// at a look is a mark, and who has reached it lacks nothing that is older than that look.
/// </summary>
internal sealed class FollowerDelays
{
    private Dictionary<(GroupId Group, MemberId Member), LookedAt> _delays = [];
    private Dictionary<(GroupId Group, MemberId Member), LookedAt> _before = [];

    /// <summary>A round of looks: who is not looked at in it is forgotten.</summary>
    public void Begin()
    {
        (_delays, _before) = (_before, _delays);
        _delays.Clear();
    }

    public void Look(GroupId group, MemberId member, LogIndex match, LogIndex commit, TimeSpan now)
    {
        if (match >= commit)
            return;
        if (!_before.TryGetValue((group, member), out LookedAt delay))
            delay = new LookedAt(now, commit, now);
        else if (match >= delay.Mark)
            delay = new LookedAt(delay.MarkedAt, commit, now);
        _delays[(group, member)] = delay;
    }

    /// <summary>Zero for one that lacks nothing, and for one that did not at the last look.</summary>
    public TimeSpan Of(GroupId group, MemberId member, LogIndex match, LogIndex commit, TimeSpan now)
    {
        if (match >= commit || !_delays.TryGetValue((group, member), out LookedAt delay))
            return TimeSpan.Zero;
        return now - (match >= delay.Mark ? delay.MarkedAt : delay.Since);
    }

    /// <param name="Since">What was committed then is there, or it was not looked at before.</param>
    /// <param name="Mark">What was committed at a later look.</param>
    /// <param name="MarkedAt">When that was.</param>
    private readonly record struct LookedAt(TimeSpan Since, LogIndex Mark, TimeSpan MarkedAt);
}
