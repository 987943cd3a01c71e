using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Groups;

namespace Kvasir.Cluster.Directory;

/// <summary>Keyspaces that move to another engine (docs/decisions/0011-replicas-convert-by-themselves.md).</summary>
public static partial class DirectoryOperations
{
    /// <summary>All copies of a keyspace shall have another engine.</summary>
    public static DirectoryDecision BeginMove(DirectoryView view, string name, string engine, long nowMs)
    {
        if (view.KeyspaceByName(name)?.Record is not { } keyspace)
            return DirectoryDecision.Refuse("there is no such keyspace");
        if (keyspace.IsSystem)
            return DirectoryDecision.Refuse("the keyspace 'system' is the cluster's own");
        if (KeyspaceRules.RefusalOfEngine(engine, keyspace.Partitioning) is { } refusal)
            return DirectoryDecision.Refuse(refusal);
        if (view.Keyspaces.FirstOrDefault(static k => k.Record.IsMoving) is { } underWay)
            return DirectoryDecision.Refuse(ConversionStatus.RefusalOfAnother(underWay.Record.Name, underWay.Record.Move!.IsWithdrawn));
        if (keyspace.Engine == engine)
            return DirectoryDecision.Refuse($"keyspace {name} has the engine {engine}");
        var draft = new DirectoryDraft(view);
        draft.Put(keyspace with
        {
            Move = new KeyspaceMove
            {
                From = keyspace.Engine,
                To = engine,
                State = KeyspaceMoveState.Moving,
                Number = (keyspace.Move?.Number ?? 0) + 1,
                BeganAtMs = Math.Max(nowMs, 0),
            },
        });
        return draft.Grant();
    }

    /// <summary>Copies that have the new engine go back to the one that they had.</summary>
    public static DirectoryDecision AbortMove(DirectoryView view, string name)
    {
        if (view.KeyspaceByName(name)?.Record is not { Move: { IsUnderWay: true } move } keyspace)
            return DirectoryDecision.Refuse("no conversion of that keyspace is under way");
        var draft = new DirectoryDraft(view);
        if (!move.IsWithdrawn)
            draft.Put(keyspace with { Move = Withdraw(move, KeyspaceMoveState.Aborting, "aborted") });
        return draft.Grant();
    }

    /// <summary>Ends moves that have come to their end, and takes back those that cannot. Never refused.</summary>
    public static DirectoryDecision SettleMoves(DirectoryView view, MoveReports reports, long nowMs)
    {
        var draft = new DirectoryDraft(view);
        foreach (KeyspaceShards shards in view.Keyspaces)
        {
            if (shards.Record is not { Move: { IsUnderWay: true } move } keyspace)
                continue;
            MoveOverview overview = Overview(shards, reports)!;
            MoveReport? hopeless = overview.Copies.FirstOrDefault(static c => c.Report is { IsHopeless: true })?.Report;
            if (hopeless is not null && !move.IsWithdrawn)
                draft.Put(keyspace with { Move = Withdraw(move, KeyspaceMoveState.Failing, hopeless.Text) });
            else if (HasArrived(shards, move) && overview.Copies.All(c => c.Report?.Engine == move.Wanted))
                draft.Put(keyspace with { Engine = move.Wanted, Move = End(move, overview, nowMs) });
        }

        return draft.Grant();
    }

    /// <summary>Null where a keyspace never moved.</summary>
    public static MoveOverview? Overview(KeyspaceShards keyspace, MoveReports reports)
    {
        if (keyspace.Record.Move is not { } move)
            return null;
        List<CopyMove> copies = [];
        foreach (GroupRecord? group in move.IsUnderWay ? keyspace.Groups : default)
        {
            if (group is not null)
                copies.AddRange(group.Members.Select(m => new CopyMove(group.Shard, GroupMember.NodeOf(m), reports.Of(group.Id, m, move.Number))));
        }

        return new MoveOverview(keyspace.Record.Name, move, copies);
    }

    /// <summary>
    /// Who is named is all there is: one that was named, and has not gone yet, could be named again, with the engine that it has.
    /// </summary>
    private static bool HasArrived(KeyspaceShards keyspace, KeyspaceMove move) =>
        move.IsUnderWay && keyspace.Groups.ToArray().All(static g => g is { IsSettled: true });

    private static KeyspaceMove Withdraw(KeyspaceMove move, KeyspaceMoveState state, string reason) =>
        move with { State = state, Number = move.Number + 1, Reason = reason };

    private static KeyspaceMove End(KeyspaceMove move, MoveOverview overview, long nowMs)
    {
        MoveReport[] reports = [.. overview.Copies.Select(static c => c.Report!)];
        return move with
        {
            State = move.State switch
            {
                KeyspaceMoveState.Moving => KeyspaceMoveState.Done,
                KeyspaceMoveState.Aborting => KeyspaceMoveState.Aborted,
                _ => KeyspaceMoveState.Failed,
            },
            EndedAtMs = Math.Max(nowMs, move.BeganAtMs),
            Copies = reports.Length,
            Compared = reports.Count(static r => r.Stage == ConversionStage.Done),
            Rows = reports.Sum(static r => r.Rows),
            Bytes = reports.Sum(static r => r.Bytes),
        };
    }
}
