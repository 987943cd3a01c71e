using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>What nodes have told the directory's leader of late of copies that move to another engine.</summary>
public sealed class MoveReports
{
    private static readonly TimeSpan s_toldFor = TimeSpan.FromSeconds(3);

    private readonly SortedDictionary<(GroupId Group, MemberId Member), (MoveReport Report, TimeSpan At)> _told = [];

    /// <summary>A node has told of these.</summary>
    public void Tell(NodeId node, IEnumerable<MoveReport> reports, TimeSpan now)
    {
        foreach (MoveReport report in reports)
            _told[(report.Group, GroupMember.Of(node, report.Generation))] = (report, now);
    }

    /// <summary>What was not told of any more is forgotten: its node is silent.</summary>
    public void Forget(TimeSpan now)
    {
        foreach (((GroupId, MemberId) copy, (MoveReport _, TimeSpan at)) in _told.ToArray())
        {
            if (now - at > s_toldFor)
                _told.Remove(copy);
        }
    }

    /// <summary>The last report of a copy; null where it is silent, or tells of another move.</summary>
    public MoveReport? Of(GroupId group, MemberId member, ulong number) =>
        _told.TryGetValue((group, member), out (MoveReport Report, TimeSpan At) told) && told.Report.Number == number ? told.Report : null;
}
