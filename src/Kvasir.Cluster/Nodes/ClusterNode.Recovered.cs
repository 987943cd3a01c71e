using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Nodes;

/// <content>
/// Copies that a last resort (<see cref="QuorumRecovery"/>) left alone. Others may have settled without such a copy before they were
/// lost, and the directory here may know that already, while the copy was not removed yet: nobody else has anything of its shard now.
/// </content>
public sealed partial class ClusterNode
{
    /// <summary>
    /// By its own log it is all of its group, as this node is all of the directory. Nothing else leads there: who leaves a group never
    /// has a configuration in which it votes alone.
    /// </summary>
    private bool IsLeftAlone(DirectoryView view, GroupId id) =>
        view.Group(id) is not null && _directory is { } directory && IsOnlyVoter(directory) && _host!.TryFind(id, out RaftGroup? group) && IsOnlyVoter(group);

    private static bool IsOnlyVoter(RaftGroup group) => group.Configuration.IsSoleVoter(group.Member.Id);

    /// <summary>The directory is told that they are the ones that count, before it is asked for anything else.</summary>
    private void KeepLeftAlone(Execution execution)
    {
        if (!IsOnlyVoter(_directory!))
            return;
        DirectoryView view = View;
        List<(GroupId, MemberId)> left = [];
        foreach (RaftGroup group in _host!.Groups)
        {
            if (ReplicaRule.Decide(view, Self, group.Id, ReplicaTrace.Copy, group.Member.Id.Generation, isViewFresh: true) == ReplicaDuty.Remove
                && IsLeftAlone(view, group.Id))
                left.Add((group.Id, group.Member.Id));
        }

        if (left.Count > 0)
            _desk!.Ask(execution, asked => DirectoryOperations.KeepOnly(asked, left), static (_, _) => { });
    }
}
