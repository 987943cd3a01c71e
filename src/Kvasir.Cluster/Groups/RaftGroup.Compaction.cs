using Kvasir.Cluster.Groups.Journal;
using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups;

/// <summary>Entries leave the log, and the engine's files alone hold what they did.</summary>
public sealed partial class RaftGroup
{
    /// <summary>
    /// Entries that the engine's files hold, up to this one, leave the log; fewer when followers that are heard of still
    /// need some. Gives how far the log was cut.
    /// </summary>
    internal LogIndex Compact(LogIndex keepFrom)
    {
        if (IsOut)
            return _member.BaseIndex;
        LogIndex to = LogIndex.Least(CompactableIndex, keepFrom.Previous);
        if (to <= _member.BaseIndex)
            return _member.BaseIndex;

        // Asked for behind the oldest that is not flushed: a flush that ends between the two makes this one more, and never less than
        // what is let go needs.
        LogPosition flushed = Replica.Engine.FlushedPosition;
        Check.That(_member.TryTermAt(to, out Term term));
        ConfigurationEntry configuration = _member.ConfigurationAt(to);
        _member.Compact(to);
        _entries.DropBefore(to.Next);
        _host.Journal.Compacted(Id, to, term, configuration, EngineMark.For(_snapshot, flushed, to));
        return to;
    }

    /// <summary>
    /// Up to here the log is not needed by this node: no-ops and configurations behind the last write that the engine flushed
    /// leave nothing to flush.
    /// </summary>
    internal LogIndex CompactableIndex
    {
        get
        {
            LogIndex index = LogIndex.Least(_applied, _stable);
            return Replica.Engine.OldestUnflushedPosition is { } oldest
                ? LogIndex.Least(index, new LogIndex(oldest.Value - 1))
                : index;
        }
    }

    /// <summary>
    /// A stopped replica needs no entries, and the journal need not keep them. That it is stopped is durable by now; files in its place
    /// that do not say so would have to hold all of it.
    /// </summary>
    internal void ReleaseLog()
    {
        LogIndex to = _member.SyncedIndex;
        if (to <= _member.BaseIndex)
            return;
        Check.That(_member.TryTermAt(to, out Term term));
        _host.Journal.Compacted(Id, to, term, _member.ConfigurationAt(to), _host.Journal.NeededOf(Id) with { Flushed = to });
        _host.WriteSoon();
    }
}
