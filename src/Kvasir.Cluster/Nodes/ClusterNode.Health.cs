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

    // Whoever starts with the others hears of them one after another.
    private static readonly TimeSpan s_startPatience = TimeSpan.FromSeconds(30);

    private DirectoryHealth? _health;
    private bool _wasSound;
    private bool _hasWarned;

    DirectoryHealth? IClusterTopology.Health => Volatile.Read(ref _health);

    /// <summary>
    /// Told when it turns, not with every copy that is made. What is lost is a warning; what is not there yet where a node has just started
    /// becomes one when it does not come.
    /// </summary>
    private void LookAtHealth()
    {
        if (View.Cluster is null)
            return;
        GroupHost host = _host!;
        TimeSpan since = host.Now() - s_silenceMax;
        SortedDictionary<NodeId, TimeSpan> heard = HeardOf(since);
        _stoppedCopies.Forget(host.Now());
        var health = DirectoryHealth.Of(
            View, node => node != Self && (!_reachable.ContainsKey(node) || (heard.TryGetValue(node, out TimeSpan at) && at < since)),
            IsStopped,
            (group, member) => !IsStopped(group, member)
                && (host.TryFind(group, out RaftGroup? own) ? IsUnheard(own, member, since) : GroupMember.NodeOf(member) == Self && _unopened.ContainsKey(group)));
        DirectoryHealth? before = _health;
        Volatile.Write(ref _health, health);
        _wasSound |= !health.IsAlarming;
        bool warns = health.IsAlarming && (_wasSound || host.Now() - _startedAt >= s_startPatience);
        bool isNews = before is null ? !health.IsWhole : (before.Word, before.NodesLost, before.NodesActive) != (health.Word, health.NodesLost, health.NodesActive);
        if (!isNews && (!warns || _hasWarned))
            return;
        _hasWarned = warns;
        string text = health.Problems.IsEmpty
            ? "the cluster has all copies that it promised"
            : $"the cluster is {health.Word}: {string.Join("; ", health.Problems)}";
        if (warns)
            Warn(text);
        else
            Announcer?.Invoke(text);
    }

    private bool IsStopped(GroupId group, MemberId member) =>
        _stoppedCopies.IsStopped(group, member) || (_host!.TryFind(group, out RaftGroup? own) && own.IsOut && own.Member.Id == member);

    /// <summary>
    /// Nothing is heard of a copy, for longer than its node may be silent: where that one is heard of, it has not opened the copy. Only the shard's
    /// leader can tell, and only while it is awake; it does not go quiet before it has heard of all whose nodes are there.
    /// </summary>
    private static bool IsUnheard(RaftGroup group, MemberId member, TimeSpan since) =>
        group.IsServing && !group.Member.IsQuiesced && group.TryFollower(member, out FollowerStatus status) && status.HeardAt < since;

    /// <summary>
    /// When the leaders here last heard of others: a connection outlives a process that hangs. A copy that has never answered its leader may not have
    /// been opened, and one that is stopped answers nobody: that says nothing of its node.
    /// </summary>
    private SortedDictionary<NodeId, TimeSpan> HeardOf(TimeSpan since)
    {
        SortedDictionary<NodeId, TimeSpan> heard = [];
        foreach (RaftGroup group in _host!.Groups)
        {
            if (!group.IsServing || group.Member.IsQuiesced)
                continue;
            foreach (MemberId member in group.Configuration.Members)
            {
                if (!group.TryFollower(member, out FollowerStatus status)
                    || (status.HeardAt < since && (status.MatchIndex == LogIndex.Zero || IsStopped(group.Id, member))))
                    continue;
                NodeId node = GroupMember.NodeOf(member);
                if (!heard.TryGetValue(node, out TimeSpan at) || at < status.HeardAt)
                    heard[node] = status.HeardAt;
            }
        }

        return heard;
    }
}
