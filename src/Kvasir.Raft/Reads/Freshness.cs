using System.Runtime.CompilerServices;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Reads;

/// <summary>
/// How old a follower's applied state can be, by its own clock alone. Each answer to a heartbeat gets a number that no other has
/// (they begin at random, so that those of an earlier life are not taken for this one's), and when the last few were given is
/// remembered. A heartbeat that names one of them was sent after it; if its sender held a lease, then everything committed
/// in the group at the time of that answer lies at or below the index that it carries. Once that index is applied, the
/// state is no older than the answer.
/// </summary>
internal struct Freshness(ulong firstEcho)
{
    private ulong _echo = firstEcho;
    private RecentAnswers _answers;
    private LogIndex _pendingIndex;
    private TimeSpan _pendingAt;
    private TimeSpan _reachedAt;
    private bool _pending;
    private bool _reached;

    /// <summary>An answer is given now; gives its number.</summary>
    public ulong Answering(TimeSpan now)
    {
        _echo = _echo == ulong.MaxValue ? 1 : _echo + 1;
        _answers[(int)(_echo % RecentAnswers.Length)] = new GivenAnswer(_echo, now);
        return _echo;
    }

    /// <summary>A heartbeat says: after you gave this answer, all that was committed lay at or below this index.</summary>
    public void Heard(ulong echo, LogIndex committed, LogIndex applied)
    {
        GivenAnswer answer = _answers[(int)(echo % RecentAnswers.Length)];
        if (committed == LogIndex.Zero || echo == 0 || answer.Echo != echo)
            return;
        // One that is not reached stays: a follower that is always behind would else never reach any.
        if (!_pending)
            (_pending, _pendingIndex, _pendingAt) = (true, committed, answer.At);
        Applied(applied);
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

    private readonly record struct GivenAnswer(ulong Echo, TimeSpan At);

    [InlineArray(Length)]
    private struct RecentAnswers
    {
        public const int Length = 4;
        private GivenAnswer _first;
    }
}
