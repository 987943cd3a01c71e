using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// Copies that are stopped, as their nodes have told the directory's leader of late, and how often it has replaced which: where one
/// stops again and again, the disk below it is what is wrong.
/// </summary>
public sealed class StoppedCopies
{
    private static readonly TimeSpan s_toldFor = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_pauseMin = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_pauseMax = TimeSpan.FromMinutes(10);

    private readonly SortedDictionary<(GroupId Group, MemberId Member), TimeSpan> _told = [];
    private readonly SortedDictionary<GroupId, (TimeSpan At, TimeSpan Pause)> _replaced = [];

    public bool IsEmpty => _told.Count == 0;

    /// <summary>A node has told of these.</summary>
    public void Tell(NodeId node, IEnumerable<StoppedCopy> copies, TimeSpan now)
    {
        foreach (StoppedCopy copy in copies)
            _told[(copy.Group, GroupMember.Of(node, copy.Generation))] = now;
    }

    /// <summary>What was not told of any more is forgotten: it is gone, or its node is.</summary>
    public void Forget(TimeSpan now)
    {
        foreach (((GroupId Group, MemberId Member) copy, TimeSpan at) in _told.ToArray())
        {
            if (now - at > s_toldFor)
                _told.Remove(copy);
        }
    }

    public bool IsStopped(GroupId group, MemberId member) => _told.ContainsKey((group, member));

    /// <summary>A copy of the group may be replaced: none was a moment ago, and the more often it was the longer ago.</summary>
    public bool IsDue(GroupId group, TimeSpan now) => !_replaced.TryGetValue(group, out (TimeSpan At, TimeSpan Pause) last) || now - last.At >= last.Pause;

    /// <summary>A copy of the group is being replaced.</summary>
    public void Replaced(GroupId group, TimeSpan now)
    {
        TimeSpan pause = _replaced.TryGetValue(group, out (TimeSpan At, TimeSpan Pause) last) && now - last.At < 4 * s_pauseMax ? 2 * last.Pause : s_pauseMin;
        _replaced[group] = (now, pause < s_pauseMax ? pause : s_pauseMax);
    }
}
