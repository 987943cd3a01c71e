using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Replication;

/// <summary>What of each member a majority is counted over.</summary>
internal enum QuorumMeasure
{
    /// <summary>The last index that is durable there.</summary>
    MatchIndex,

    /// <summary>The newest heartbeat round that it answered.</summary>
    AckedRound,

    /// <summary>When the newest heartbeat that it answered was sent.</summary>
    AckedSentAt,

    /// <summary>When it was last heard of.</summary>
    HeardAt,

    /// <summary>The newest round at which it stopped its clock; a dead one counts as running.</summary>
    QuiescedRound,
}

/// <summary>
/// A leader's view of the members of the configuration in force, itself left out, and what a majority of them has reached.
/// </summary>
internal sealed class ProgressTable(MemberId self)
{
    private Progress[] _others = [];

    public ReadOnlySpan<Progress> Others => _others;

    public Progress? Find(MemberId id)
    {
        foreach (Progress progress in _others)
        {
            if (progress.Id == id)
                return progress;
        }

        return null;
    }

    /// <summary>Keeps what is known of those who stay; newcomers are probed from <paramref name="next"/> on.</summary>
    public void Adopt(Configuration configuration, LogIndex next, TimeSpan now)
    {
        var others = new List<Progress>(configuration.Members.Length);
        foreach (MemberId id in configuration.Members)
        {
            if (id == self)
                continue;
            Progress? known = Find(id);
            if (known is null)
            {
                known = new Progress(id) { HeardAt = now };
                known.Reset(next);
            }

            others.Add(known);
        }

        _others = [.. others];
    }

    /// <summary>
    /// The largest value that a majority has reached (of both halves when joint), with <paramref name="own"/> for this member.
    /// Learners and those who are not in the configuration count for nothing.
    /// </summary>
    public long Reached(Configuration configuration, QuorumMeasure measure, long own)
    {
        Check.That(configuration.Voters.Length > 0);
        long reached = Reached(configuration.Voters, measure, own);
        return configuration.IsJoint ? Math.Min(reached, Reached(configuration.Outgoing, measure, own)) : reached;
    }

    private long Reached(ReadOnlySpan<MemberId> voters, QuorumMeasure measure, long own)
    {
        Span<long> values = stackalloc long[Configuration.VotersMax];
        values = values[..voters.Length];
        for (int i = 0; i < voters.Length; i++)
        {
            long value = voters[i] == self ? own : Value(Find(voters[i])!, measure);
            int at = i;
            for (; at > 0 && values[at - 1] < value; at--)
                values[at] = values[at - 1];
            values[at] = value;
        }

        return values[voters.Length / 2];
    }

    private static long Value(Progress progress, QuorumMeasure measure) => measure switch
    {
        QuorumMeasure.MatchIndex => (long)progress.MatchIndex.Value,
        QuorumMeasure.AckedRound => (long)progress.AckedRound,
        QuorumMeasure.AckedSentAt => progress.AckedSentAt.Ticks,
        QuorumMeasure.HeardAt => progress.HeardAt.Ticks,
        QuorumMeasure.QuiescedRound => progress.IsSuspected ? 0 : (long)progress.QuiescedRound,
        _ => throw new ArgumentOutOfRangeException(nameof(measure)),
    };
}
