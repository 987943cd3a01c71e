using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>What a node has of a group.</summary>
public enum ReplicaTrace
{
    /// <summary>Nothing: it never had a copy.</summary>
    None,

    /// <summary>A copy.</summary>
    Copy,

    /// <summary>It had a copy and removed it; which one it was is kept.</summary>
    Removed,
}

/// <summary>What a node has to do about a group.</summary>
public enum ReplicaDuty
{
    /// <summary>There is no copy here and there need be none.</summary>
    Nothing,

    /// <summary>Open a copy as one of the founders: with the configuration of <see cref="GroupRecord.Founders"/> and nothing else.</summary>
    Found,

    /// <summary>Open an empty copy, of the generation that the record names, that waits to be told.</summary>
    Join,

    /// <summary>Keep the copy that is here, or open it after a start.</summary>
    Keep,

    /// <summary>Remove the copy: nobody will ask for it again.</summary>
    Remove,
}

/// <summary>
/// When a node opens a copy of a group and when it may remove one. A record that names a node no longer is not enough to remove its copy:
/// until the group has settled without it, its vote may be the one that the change needs, and its data the only data. Once it
/// has, that copy is never named again: when the node is, another one is meant, of a later generation. So what was removed never comes
/// back, however old the view is that asks for it.
/// </summary>
public static class ReplicaRule
{
    /// <param name="view">What this node has applied of the directory.</param>
    /// <param name="self">This node.</param>
    /// <param name="group">Any group that the view or this node has a trace of.</param>
    /// <param name="trace">What this node has of it.</param>
    /// <param name="generation">Of the copy that it has, or had last.</param>
    /// <param name="isViewFresh">
    /// The view is known to be from after this process began. What a node applies again after a start may be older than what it
    /// acted on before: an old record could ask to remove what a newer one has asked for since.
    /// </param>
    public static ReplicaDuty Decide(DirectoryView view, NodeId self, GroupId group, ReplicaTrace trace, uint generation, bool isViewFresh)
    {
        // Everybody has the directory, to vote on it or to know it.
        if (group == GroupId.Directory)
            return trace == ReplicaTrace.Copy ? ReplicaDuty.Keep : ReplicaDuty.Join;
        GroupRecord? record = view.Group(group);
        MemberId named = record?.MemberOn(self) ?? MemberId.None;
        if (trace == ReplicaTrace.Copy)
        {
            bool isNeeded = record is null ? !view.IsDropped(group) : IsNeeded(record, named, generation);
            return isNeeded || !isViewFresh ? ReplicaDuty.Keep : ReplicaDuty.Remove;
        }

        if (trace == ReplicaTrace.Removed)
            return !named.IsNone && named.Generation > generation ? ReplicaDuty.Join : ReplicaDuty.Nothing;

        // A founder that others were put in the place of founds all the same: the others alone may be no majority.
        bool isFirst = !named.IsNone && named.Generation == 0;
        if (record is not null && record.Founders.Contains(self) && (isFirst || record.SettledEpoch == 0))
            return ReplicaDuty.Found;
        return named.IsNone ? ReplicaDuty.Nothing : ReplicaDuty.Join;
    }

    private static bool IsNeeded(GroupRecord record, MemberId named, uint generation)
    {
        // The record is from before this copy was wanted.
        if (record.Epoch <= generation)
            return true;

        // Who is named as a later copy was settled without before.
        return named.IsNone ? !record.IsSettled : named.Generation <= generation;
    }
}
