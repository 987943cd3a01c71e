using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Replicas that are stopped, since their files are damaged or they came to something else than their leaders: that is written down and
/// told to the directory's leader, which has others put in their place.
/// </summary>
public sealed partial class ClusterNode
{
    // Inside the mailbox, but for what is read beside it.
    private readonly StoppedCopies _stoppedCopies = new();
    private readonly SortedSet<GroupId> _unmarked = [];
    private readonly List<string> _unsaid = [];
    private StoppedReplica[] _stopped = [];

    /// <summary>
    /// Its files stay as they are until another takes its place, for those who want to know why; what it would need of the journal
    /// does not.
    /// </summary>
    private void ReplicaStopped(RaftGroup group)
    {
        string reason = group.StopReason!;
        TryStopConversion(group);
        Volatile.Write(ref _stopped, [.. _stopped.Where(s => s.Group != group.Id), new StoppedReplica(group.Id, group.Difference, reason)]);
        Say(group.Id == GroupId.Directory
            ? $"the directory: {reason}; empty this node's folder and let it join anew"
            : $"shard {group.Id}: {reason}; another copy is made while most copies of the shard are good");
        Mark(group);
        _router.Rebuild(View);
    }

    /// <summary>That it is stopped is written down; only then others may rely on it.</summary>
    private void Mark(RaftGroup group)
    {
        try
        {
            if (group.Difference is { } difference)
                _folders.MarkStopped(group.Id, group.BaseIndex, difference);
            else
                _folders.MarkDamaged(group.Id, group.BaseIndex);
            group.ReleaseLog();
            _unmarked.Remove(group.Id);
        }
        catch (StorageException e)
        {
            // The log is still whole: the next start finds the difference, or the damage, anew.
            if (_unmarked.Add(group.Id))
                Say($"shard {group.Id}: that it is stopped cannot be written down: {e.Message}");
        }
    }

    private void TellOfStopped()
    {
        if ((Warner ?? Announcer) is { } warner)
        {
            _unsaid.ForEach(warner);
            _unsaid.Clear();
        }

        if (_stopped.Length == 0)
            return;
        List<StoppedCopy> copies = [];
        foreach (RaftGroup group in _host!.Groups)
        {
            if (!group.IsOut || group.Id == GroupId.Directory)
                continue;
            if (_unmarked.Contains(group.Id))
                Mark(group);
            if (!_unmarked.Contains(group.Id))
                copies.Add(new StoppedCopy(group.Id, group.Member.Id.Generation));
        }

        if (copies.Count == 0 || _directory!.Leader.IsNone)
            return;
        if (_directory.IsServing)
        {
            TakeNoteOfStopped(Self, copies);
            return;
        }

        _reportBytes.Clear();
        _reportBytes.Append(Channel.Calls);
        DirectoryCallCodec.Write(_reportBytes, copies);
        Transport.Send(_directory.Leader, MessageBuffer.Copy(_reportBytes.WrittenSpan));
    }

    private void TakeNoteOfStopped(NodeId node, IReadOnlyList<StoppedCopy> copies)
    {
        if (_host is { } host && _directory is { IsServing: true })
            _stoppedCopies.Tell(node, copies, host.Now());
    }

    private void SayReplaced(CopyReplacement replacement)
    {
        NodeId node = GroupMember.NodeOf(replacement.Stopped);
        _stoppedCopies.Replaced(replacement.Group, _host!.Now());
        Announcer?.Invoke(node == replacement.On
            ? $"shard {replacement.Group}: the copy on node {node} is stopped, and is made anew"
            : $"shard {replacement.Group}: the copy on node {node} is stopped, and another is made on node {replacement.On}");
    }

    /// <summary>A warning. At the very start nobody listens yet: what is said then is said a moment later.</summary>
    private void Say(string text)
    {
        if ((Warner ?? Announcer) is { } warner)
            warner(text);
        else
            _unsaid.Add(text);
    }

    private void Forgot(RaftGroup group, LogIndex acknowledged)
    {
        if (HasForgotten)
            return;
        HasForgotten = true;
        Refuse($"the folder is an older copy of node {Self}'s, or its disk has lost what it had synced: the node has acknowledged entry {acknowledged} of shard {group.Id}, and has {group.LastIndex}. "
            + $"Put the newest folder back, or drain the node (node drain {Self}), empty the folder and let it join anew");
    }

    private void Refuse(string reason)
    {
        Refused = reason;
        Announcer?.Invoke(reason);
    }
}
