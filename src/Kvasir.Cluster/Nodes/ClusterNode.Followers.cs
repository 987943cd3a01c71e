using Kvasir.Cluster.Groups;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Nodes;

/// <summary>How far others are behind what this node leads, for those who ask.</summary>
public sealed partial class ClusterNode
{
    private readonly FollowerDelays _delays = new();
    private long _mostEntriesBehind;
    private long _longestBehindMs;

    /// <summary>Groups that sleep have everything everywhere, but where nothing is heard of a node.</summary>
    private void LookAtFollowers()
    {
        TimeSpan now = _host!.Now(), longest = TimeSpan.Zero;
        ulong most = 0;
        _delays.Begin();
        foreach (RaftGroup group in _host.Groups)
        {
            if (!group.IsServing || group.IsQuiet)
                continue;
            LogIndex commit = group.CommitIndex;
            foreach (MemberId member in group.Configuration.Members)
            {
                if (!group.TryFollower(member, out FollowerStatus follower) || follower.MatchIndex >= commit)
                    continue;
                _delays.Look(group.Id, member, follower.MatchIndex, commit, now);
                TimeSpan delay = _delays.Of(group.Id, member, follower.MatchIndex, commit, now);
                longest = delay > longest ? delay : longest;
                most = Math.Max(most, commit - follower.MatchIndex);
            }
        }

        Volatile.Write(ref _mostEntriesBehind, (long)most);
        Volatile.Write(ref _longestBehindMs, (long)longest.TotalMilliseconds);
    }
}
