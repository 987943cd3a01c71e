using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>How the directory's leader sees another node, and itself.</summary>
/// <param name="Node">Whom.</param>
/// <param name="SilentFor">Since it was last heard of, or since this leader began to listen.</param>
/// <param name="HasDirectory">It has all of the directory but the latest.</param>
public readonly record struct NodeStanding(NodeId Node, TimeSpan SilentFor, bool HasDirectory);

/// <summary>A copy that is stopped is made anew.</summary>
/// <param name="Group">Of which it is a copy.</param>
/// <param name="Stopped">Which one.</param>
/// <param name="On">Where the next one is made.</param>
public readonly record struct CopyReplacement(GroupId Group, MemberId Stopped, NodeId On);

public sealed record UpkeepSettings
{
    /// <summary>A node that is silent for so long is replaced; <see cref="TimeSpan.MaxValue"/> for never.</summary>
    public TimeSpan DeadAfter { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A node that joins is let in only while it was heard of within this time.</summary>
    public TimeSpan ArrivalSilenceMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Groups that are under way at the same time before more copies are moved for balance alone.</summary>
    public int MovesMax { get; init; } = 16;

    /// <summary>Leaderships handed over at once for balance alone.</summary>
    public int HandOversMax { get; init; } = 64;

    /// <summary>Copies that are stopped, since they are damaged or differ, are made anew.</summary>
    public bool ReplacesStopped { get; init; } = true;
}

/// <summary>
/// What the leader of the directory does by itself: lets in who has arrived, gives up who is silent for too long, and says where
/// copies and leaders shall be. Asked again after each change and about once a second, it has nothing to say when all is as it
/// should be.
/// </summary>
public static class DirectoryUpkeep
{
    /// <summary>Never refused; without changes when there is nothing to do.</summary>
    public static DirectoryDecision Next(DirectoryView view, IReadOnlyList<NodeStanding> standings, UpkeepSettings settings) =>
        Next(view, standings, settings, new StoppedCopies(), TimeSpan.Zero, out _);

    /// <inheritdoc cref="Next(DirectoryView, IReadOnlyList{NodeStanding}, UpkeepSettings)"/>
    public static DirectoryDecision Next(
        DirectoryView view, IReadOnlyList<NodeStanding> standings, UpkeepSettings settings, StoppedCopies stopped, TimeSpan now, out CopyReplacement? replacement)
    {
        replacement = null;
        if (view.Cluster is null)
            return DirectoryDecision.Grant([]);
        var draft = new DirectoryDraft(view);
        foreach (NodeStanding standing in standings)
        {
            if (!standing.HasDirectory || standing.SilentFor > settings.ArrivalSilenceMax || view.Node(standing.Node) is not { } heard)
                continue;

            // Who was only silent for too long is there again without a start.
            if (heard.State == NodeState.Joining)
                draft.Put(heard with { State = NodeState.Active });
            else if (heard.State == NodeState.Dead && !HasSuccessor(view, heard))
                draft.Put(heard with { State = DirectoryOperations.StateAfterStart(view, heard) });
        }

        if (FirstDead(view, standings, settings) is { } dead)
            draft.Put(dead with { State = NodeState.Dead });
        foreach (NodeRecord replaced in draft.View.Nodes.Where(n => n.State == NodeState.Dead && IsReplaced(draft.View, n)).ToArray())
            draft.Put(replaced with { State = NodeState.Decommissioned });
        var placement = new Placement(draft.View, stopped);
        placement.Heal(draft);
        if (settings.ReplacesStopped && FirstStopped(draft.View, standings, settings, stopped, now) is (var group, var member))
            replacement = placement.Replace(draft, group, member);
        int underWay = draft.View.Groups.Count(g => !g.IsSettled);
        Rebalance.Apply(draft, settings.MovesMax - underWay);
        LeaderSpread.Apply(draft, settings.HandOversMax);
        return draft.Grant();
    }

    /// <summary>
    /// The next copy to make anew: one at a time, and only where most copies of the shard are good and heard of. So no more is lost
    /// with what a stopped copy has than is lost already. Shards that wait for those who are away hold up no others.
    /// </summary>
    internal static (GroupRecord Group, MemberId Member)? FirstStopped(
        DirectoryView view, IReadOnlyList<NodeStanding> standings, UpkeepSettings settings, StoppedCopies stopped, TimeSpan now)
    {
        if (stopped.IsEmpty)
            return null;
        var heard = new SortedSet<NodeId>(standings.Where(s => s.SilentFor <= settings.ArrivalSilenceMax).Select(s => s.Node));
        (GroupRecord, MemberId)? first = null;
        foreach (GroupRecord group in view.Groups)
        {
            bool IsGood(MemberId member) => heard.Contains(GroupMember.NodeOf(member)) && !stopped.IsStopped(group.Id, member);

            // Those who are to go have what those who are to come have not got yet.
            bool hasMajority = IsMajority(group.Members, IsGood) || IsMajority(group.Members.Concat(group.Leaving), IsGood);
            if (group.Id == GroupId.Directory || !hasMajority)
                continue;
            MemberId lost = group.Members.FirstOrDefault(m => stopped.IsStopped(group.Id, m));
            if (lost.IsNone && !group.IsSettled)
                return null;
            if (first is null && !lost.IsNone && stopped.IsDue(group.Id, now) && view.Node(GroupMember.NodeOf(lost)) is { State: NodeState.Active })
                first = (group, lost);
        }

        return first;
    }

    private static bool IsMajority(IEnumerable<MemberId> members, Func<MemberId, bool> counts)
    {
        int all = 0, counted = 0;
        foreach (MemberId member in members)
        {
            all++;
            counted += counts(member) ? 1 : 0;
        }

        return 2 * counted > all;
    }

    /// <summary>Another folder is at its address, and nothing of a shard is wanted there any more: it does not come back.</summary>
    private static bool IsReplaced(DirectoryView view, NodeRecord dead) =>
        HasSuccessor(view, dead) && view.Groups.All(g => g.IsSettled && !g.IsReplica(dead.Id));

    private static bool HasSuccessor(DirectoryView view, NodeRecord node) =>
        view.Nodes.Any(n => n.Id > node.Id && n.PeerAddress == node.PeerAddress && (n.IsServing || n.State == NodeState.Joining));

    /// <summary>
    /// One at a time, and only while most are heard of: when half of a cluster is silent, it is the network or the listener. Nodes
    /// that are being drained are expected to be silent.
    /// </summary>
    private static NodeRecord? FirstDead(DirectoryView view, IReadOnlyList<NodeStanding> standings, UpkeepSettings settings)
    {
        NodeRecord[] silent = [.. standings.Where(s => s.SilentFor >= settings.DeadAfter).OrderBy(s => s.Node)
            .Select(s => view.Node(s.Node)).OfType<NodeRecord>().Where(n => n.IsServing)];
        int serving = view.Nodes.Count(n => n.IsServing);
        return 2 * silent.Length < serving ? Array.Find(silent, n => n.State == NodeState.Active) : null;
    }
}
