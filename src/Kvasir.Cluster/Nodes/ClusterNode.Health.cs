using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Nodes;

/// <summary>Says aloud when the cluster keeps less than it promises.</summary>
public sealed partial class ClusterNode
{
    private static readonly TimeSpan s_silenceMax = TimeSpan.FromSeconds(2);

    private DirectoryHealth? _health;

    DirectoryHealth? IClusterTopology.Health => Volatile.Read(ref _health);

    /// <summary>Told when it turns, not with every copy that is made.</summary>
    private void LookAtHealth()
    {
        if (View.Cluster is null)
            return;
        GroupHost host = _host!;
        SortedDictionary<NodeId, TimeSpan> heard = HeardOf();
        TimeSpan since = host.Now() - s_silenceMax;
        _stoppedCopies.Forget(host.Now());
        var health = DirectoryHealth.Of(
            View, node => node != Self && (!_reachable.ContainsKey(node) || (heard.TryGetValue(node, out TimeSpan at) && at < since)),
            (group, member) => _stoppedCopies.IsStopped(group, member) || (host.TryFind(group, out RaftGroup? own) && own.IsOut && own.Member.Id == member),
            (group, member) => GroupMember.NodeOf(member) == Self && _unopened.ContainsKey(group) && !host.TryFind(group, out _));
        DirectoryHealth? before = _health;
        Volatile.Write(ref _health, health);
        if (before is null ? health.IsWhole : (before.Word, before.NodesLost, before.NodesActive) == (health.Word, health.NodesLost, health.NodesActive))
            return;
        Announcer?.Invoke(health.Problems.IsEmpty
            ? "the cluster has all copies that it promised"
            : $"the cluster is {health.Word}: {string.Join("; ", health.Problems)}");
    }

    /// <summary>When the leaders here last heard of others: a connection outlives a process that hangs.</summary>
    private SortedDictionary<NodeId, TimeSpan> HeardOf()
    {
        SortedDictionary<NodeId, TimeSpan> heard = [];
        foreach (RaftGroup group in _host!.Groups)
        {
            if (!group.IsServing || group.Member.IsQuiesced)
                continue;
            foreach (MemberId member in group.Configuration.Members)
            {
                NodeId node = GroupMember.NodeOf(member);
                if (group.TryFollower(member, out FollowerStatus status) && (!heard.TryGetValue(node, out TimeSpan at) || at < status.HeardAt))
                    heard[node] = status.HeardAt;
            }
        }

        return heard;
    }
}
