using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// What this node had proposed and not seen committed when it ceased to lead. The group goes on and decides it, and this member hears of
/// it like any other: an entry of the same index and term is the same entry, with the same ones before it (log matching, figure 3 of the
/// Raft paper), so it was answered rightly; one of another term, committed in its place, says that it will never be, and all behind it
/// neither. That an entry is taken out of this member's own log says nothing: another may have it still and come to lead (figure 8).
/// </summary>
public sealed partial class RaftGroup
{
    private Term _doubtTerm;
    private LogIndex _doubtLast;
    private TimeSpan _doubtUntil = TimeSpan.MaxValue;

    private bool HasDoubt => _doubtTerm != default;

    /// <summary>Entries behind what is applied, up to <paramref name="last"/>, were proposed in <paramref name="term"/> and are not known to be committed.</summary>
    private void BeginDoubt(Term term, LogIndex last)
    {
        Check.That(!HasDoubt && last > _applied);
        (_doubtTerm, _doubtLast) = (term, last);
        _doubtUntil = _host.LastNow + _host.Options.DoubtPatience;
    }

    /// <summary>An entry is committed. Called in order, before anybody can see that the log is durable up to there.</summary>
    private void Judge(LogIndex index, Term term)
    {
        if (!HasDoubt || index > _doubtLast || term == _doubtTerm)
            return;
        _host.Lost(this, new LogPosition(index.Previous.Value), LogLoss.Overruled);
        _doubtLast = index.Previous;
    }

    /// <summary>Who waits for what is applied hears of it by that.</summary>
    private void ResolveDoubt()
    {
        if (HasDoubt && _applied >= _doubtLast)
            EndDoubt();
    }

    /// <summary>Nobody here will hear what becomes of it, or not soon.</summary>
    private void GiveUpDoubt()
    {
        if (!HasDoubt)
            return;
        EndDoubt();
        _host.Lost(this, new LogPosition(_applied.Value), LogLoss.Unresolved);
    }

    private void EndDoubt() => (_doubtTerm, _doubtLast, _doubtUntil) = (default, LogIndex.Zero, TimeSpan.MaxValue);
}
