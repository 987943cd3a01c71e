using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// What a node does about a segment of its journal that cannot be read: what is in it was applied long ago, so the engines write it out, and
/// the logs begin behind it. From then on followers that lack it get snapshots, and a start does not look for it.
/// </summary>
public sealed partial class ClusterNode
{
    private ulong _saidUnreadable;

    private void SayOfUnreadable()
    {
        if (_journal!.Unreadable is { } lost)
        {
            if (lost.Number == _saidUnreadable)
                return;
            _saidUnreadable = lost.Number;
            Warn($"a part of the journal cannot be read: {lost.Reason}. This node writes out what that says, and lets go of it; followers that lack it get snapshots. "
                + "Do not stop it before it says that this is done: it would not start again without emptying its folder. Look after the disk");
            return;
        }

        if (_saidUnreadable == 0)
            return;
        _saidUnreadable = 0;
        Warn("this node no longer needs the part of the journal that could not be read");
    }

    private void LetGoOfUnreadable()
    {
        if (_journal!.Unreadable is null)
            return;
        foreach (RaftGroup group in _host!.Groups)
        {
            if (!_journal.NeedsUnreadable(group.Id))
                continue;
            group.Compact(LogIndex.Least(KeptForReaders(group), NeededByConversion(group)));
            if (!_journal.NeedsUnreadable(group.Id) || group.IsOut)
                continue;
            group.Replica.Engine.Flush();
            FlushTarget(group);
        }
    }

    /// <summary>From here on the group's followers can still be given entries.</summary>
    private LogIndex KeptForReaders(RaftGroup group)
    {
        LogIndex kept = LogIndex.Max;
        foreach (MemberId member in group.Configuration.Members)
        {
            if (group.TryFollower(member, out FollowerStatus status) && !status.IsSuspected
                && status.MatchIndex < group.LastIndex && !_journal!.IsUnreadable(group.Id, status.MatchIndex.Next))
                kept = LogIndex.Least(kept, status.MatchIndex.Next);
        }

        return kept;
    }

    private string? UnreadableOf(RaftGroup group) =>
        _journal!.NeedsUnreadable(group.Id) ? $"a part of the journal cannot be read: {_journal.Unreadable?.Reason}" : null;
}
