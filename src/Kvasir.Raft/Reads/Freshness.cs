using System.Runtime.CompilerServices;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Reads;

/// <summary>
/// How old a follower's applied state can be, by its own clock alone. It remembers when it answered the last few heartbeats. A
/// heartbeat that names one of these answers was sent after it; if its sender held a lease, then everything committed in the
/// group at the time of that answer is at or below the index that it carries. Once that index is applied, the state is
/// no older than the answer.
/// </summary>
internal struct Freshness
{
    private RecentAnswers _answers;
    private int _next;
    private LogIndex _pendingIndex;
    private TimeSpan _pendingAt;
    private TimeSpan _reachedAt;
    private bool _pending;
    private bool _reached;

    /// <summary>A new term, with rounds of its own.</summary>
    public void Forget() => (_answers, _next) = (default, 0);

    public void Answered(ulong round, TimeSpan now)
    {
        _answers[_next] = new AnsweredRound(round, now);
        _next = (_next + 1) % RecentAnswers.Length;
    }

    /// <summary>A heartbeat says: after you answered this round, all that was committed lay at or below this index.</summary>
    public void Heard(ulong ackedRound, LogIndex committed, LogIndex applied)
    {
        if (committed == LogIndex.Zero || ackedRound == 0)
            return;
        for (int i = 0; i < RecentAnswers.Length; i++)
        {
            if (_answers[i].Round != ackedRound)
                continue;
            // One that is not reached stays: a follower that is always behind would else never reach any.
            if (!_pending)
                (_pending, _pendingIndex, _pendingAt) = (true, committed, _answers[i].At);
            Applied(applied);
            return;
        }
    }

    public void Applied(LogIndex applied)
    {
        if (!_pending || applied < _pendingIndex)
            return;
        _pending = false;
        if (!_reached || _pendingAt > _reachedAt)
            _reachedAt = _pendingAt;
        _reached = true;
    }

    public readonly bool TryAge(TimeSpan now, out TimeSpan age)
    {
        age = _reached ? now - _reachedAt : TimeSpan.MaxValue;
        return _reached;
    }

    private readonly record struct AnsweredRound(ulong Round, TimeSpan At);

    [InlineArray(Length)]
    private struct RecentAnswers
    {
        public const int Length = 4;
        private AnsweredRound _first;
    }
}
