using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <content>Commands that came from other nodes.</content>
internal sealed partial class CommandRouter
{
    private const string TooLong = "TIMEOUT outcome unknown: the write was done, and its reply was lost with the leader of the shard";
    private const string Forgotten = "TIMEOUT outcome unknown: the leader of the shard was lost, and the next one cannot tell whether it was done";

    /// <summary>For a command that came from another node.</summary>
    private Direction DirectHere(CommandContext context, GroupId group)
    {
        RespSession session = context.Session;
        Route route = _node.Router.Route(group, ref context.Session.Claim);
        if (route.Kind == RouteKind.Local && !session.HasRefused)
            return RunForwarded(context, route);
        if (session.HasRefused || route.Kind is RouteKind.Remote or RouteKind.NoLeader)
        {
            session.HasRefused = true;
            session.WaitsSinceMs = 0;
            context.Reply.Error(route.Kind == RouteKind.Remote
                ? $"NOTLEADER the shard is led by node {route.Leader}"
                : "NOTLEADER this node does not lead the shard");
            return Direction.Refused;
        }

        return Wait(context, route.Kind, group);
    }

    private Direction RunForwarded(CommandContext context, in Route route)
    {
        RespSession session = context.Session;
        if (session.Forwarded?.MayRun(route) != false)
            return Run(context, route);

        // Nothing of it has happened: it may come again, on another stream.
        session.HasRefused = true;
        session.WaitsSinceMs = 0;
        context.Reply.Error($"NOTLEADER the shard is led by node {Self}");
        return Direction.Refused;
    }

    /// <summary>
    /// A write that was sent before: the log knows whether it has happened, and then what it was answered. It runs if it surely has
    /// not.
    /// </summary>
    public Direction DirectRepeat(CommandContext context)
    {
        RespSession session = context.Session;
        TransactionState transaction = session.Transaction;
        if (DirectHere(context, session.Pinned) is var direction and not Direction.Runs)
            return direction;
        session.Group.End(context.Execution);
        RepeatedWrite repeat = session.Forwarded!.Repeat;
        IReplicaLog log = context.Routed!.Log;
        Check.That(log.Sessions is not null);
        WriteFate fate = log.Sessions.Find(repeat.Id, repeat.Known, out ReadOnlySpan<byte> reply, out LogPosition position);
        if (fate == WriteFate.NotApplied)
            return Direction.Runs;
        if (transaction.IsOpen)
        {
            transaction.End();
            _server.Watches.RemoveAll(session);
        }

        session.WaitsSinceMs = 0;
        if (fate == WriteFate.Applied)
            context.Reply.Buffer.Append(reply);
        else
            context.Reply.Error(fate == WriteFate.Unknown ? Forgotten : TooLong);
        if (fate != WriteFate.Unknown)
            context.Execution.SeeRecord(log, position);
        return Direction.Refused;
    }
}
