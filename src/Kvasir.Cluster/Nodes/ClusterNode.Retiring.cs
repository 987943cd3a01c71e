using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Nodes;

/// <summary>A clean stop: others lead what was led here before it goes, so that nobody waits for an election.</summary>
public sealed partial class ClusterNode
{
    private static readonly TimeSpan s_handOverLook = TimeSpan.FromMilliseconds(5);

    private readonly PostedItem _handOverItem;
    private readonly ITimer _handOverTimer;
    private Action<int>? _handedOver;
    private TimeSpan _handOverEnd;

    public void HandOver(TimeSpan patience, Action<int> done) => Mailbox.Post(new ActionItem(_ =>
    {
        if (_host is null)
        {
            done(0);
            return;
        }

        _handedOver += done;
        _handOverEnd = _host.Now() + patience;
        _host.Retire();
        HandOverLeaders();
    }));

    /// <summary>Looks again until nothing is led here that others could lead.</summary>
    private void HandOverLeaders()
    {
        if (_handedOver is not { } done)
            return;
        int left = 0;
        foreach (RaftGroup group in _host?.Groups ?? [])
        {
            if (group.Role != RaftRole.Leader)
                continue;
            left += group.IsTransferring || (SuccessorOf(group) is { IsNone: false } successor && group.TryTransfer(successor)) ? 1 : 0;
        }

        if (left > 0 && _host!.Now() < _handOverEnd)
        {
            _handOverTimer.Change(s_handOverLook, Timeout.InfiniteTimeSpan);
            return;
        }

        _handedOver = null;
        done(left);
    }

    /// <summary>A voter that is there, has nearly everything and is willing; by the group's number, so that not all go to one node.</summary>
    private MemberId SuccessorOf(RaftGroup group)
    {
        List<MemberId> able = [];
        foreach (MemberId voter in group.Configuration.Voters)
        {
            if (group.TryFollower(voter, out FollowerStatus status) && !status.IsSuspected && !status.Declines && status.HasCaughtUp)
                able.Add(voter);
        }

        return able.Count == 0 ? MemberId.None : able[(int)(group.Id.Value % (uint)able.Count)];
    }
}
