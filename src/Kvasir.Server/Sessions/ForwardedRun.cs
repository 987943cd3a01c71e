using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Of a session that runs another node's requests: the number of the command that it runs, and under which number the writes
/// are remembered in the shard's log. Inside the mailbox.
/// </summary>
/// <param name="stream">The stream's number: the session that its writes are of.</param>
/// <param name="known">Up to here the shard's log was committed before the stream was begun.</param>
/// <param name="isLane">What comes is never sent again.</param>
internal sealed class ForwardedRun(ulong stream, LogPosition known, bool isLane)
{
    private readonly Queue<RepeatedWrite> _repeats = new();
    private IReplicaLog? _log;
    private ulong _term;
    private ulong _next;
    private ulong _nextRepeat = ulong.MaxValue;

    /// <summary>Up to here the shard's log is committed, as far as this is its leader; zero while it was not.</summary>
    public LogPosition Committed => _log?.DurablePosition ?? LogPosition.Zero;

    /// <summary>The command at the head was sent before, and may have happened.</summary>
    public bool IsRepeat => _next == _nextRepeat;

    /// <summary>Of the command at the head.</summary>
    public RepeatedWrite Repeat => _repeats.Peek();

    public bool Remembers => !isLane;

    /// <summary>Of the command at the head.</summary>
    public WriteId Id => IsRepeat ? Repeat.Id : new WriteId(stream, _next);

    /// <summary>A write will come that came before; false when it makes no sense: its place has been taken.</summary>
    public bool TryExpect(in RepeatedWrite repeat)
    {
        if (repeat.At < _next)
            return false;
        _repeats.Enqueue(repeat);
        _nextRepeat = Repeat.At;
        return true;
    }

    /// <summary>The command at the head is done with.</summary>
    public void Executed()
    {
        if (IsRepeat)
        {
            _repeats.Dequeue();
            _nextRepeat = _repeats.TryPeek(out RepeatedWrite repeat) ? repeat.At : ulong.MaxValue;
        }

        _next++;
    }

    /// <summary>
    /// Whether the stream's requests may run while this node leads the shard. They may in one term only: with another leader in
    /// between, they may have been sent again to that one. And none of them may be in the log before the first is run: this
    /// stream was over already then, and its first frames are late.
    /// </summary>
    public bool MayRun(in Route route)
    {
        if (isLane)
            return true;
        if (_term != 0)
            return _term == route.Term;
        _log = route.Replica!.Log;
        if (_log.Sessions is { } sessions && !sessions.MayBegin(stream, known))
            return false;
        _term = route.Term;
        return true;
    }
}
