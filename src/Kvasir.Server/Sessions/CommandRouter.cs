using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>What becomes of a command in a cluster.</summary>
internal enum Direction
{
    /// <summary>It runs here.</summary>
    Runs,

    /// <summary>It cannot run yet: its session is suspended, and the command comes again.</summary>
    Waits,

    /// <summary>It was answered with an error.</summary>
    Refused,

    /// <summary>It was sent to where it runs; its reply has a place.</summary>
    Sent,
}

/// <summary>
/// Finds the shard of each command by its keys, and whether this node leads it. One that another node leads is sent there,
/// once: what came from another node runs here or nowhere. A shard without a leader is waited for a while, so that clients
/// that know nothing of clusters notice no election. Inside the mailbox.
/// </summary>
internal sealed partial class CommandRouter
{
    public const string CrossSlot = "CROSSSLOT Keys in request don't hash to the same slot";
    private const string Dropped = "ERR the keyspace of this database was dropped: SELECT another";

    /// <summary>How often a session looks again that waits for what nobody tells of.</summary>
    private const int LookMicroseconds = 5000;

    /// <summary>Replies that one session may be owed by other nodes: beyond it, its next commands wait.</summary>
    private const int OwedMax = 1024;

    /// <summary>Of one request. With what waits beside it, it has room in a message.</summary>
    private const int RequestBytesMax = 96 << 20;

    private readonly ServerState _server;
    private readonly IClusteredNode _node;
    private readonly IForwarder _forwarder;
    private readonly BytesBuffer _request = new(256);

    private readonly RouteWaiters _waiters;

    public CommandRouter(ServerState server, IClusteredNode node, IForwarder forwarder)
    {
        _server = server;
        _node = node;
        _forwarder = forwarder;
        _waiters = new RouteWaiters(server);
        node.Router.Watcher = _waiters.Moved;
    }

    public IForwarder Forwarder => _forwarder;

    public IRouter Router => _node.Router;

    public NodeId Self => _node.Self;

    /// <summary>How long commands wait for a leader before they are refused.</summary>
    public TimeSpan Patience { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Tells the engines of shards that are led here the keys of a session's next commands. Slots mean nothing for a session
    /// that was made for one shard, and are overwritten.
    /// </summary>
    public void Foresee(RespSession session, Span<int> slots, ReadOnlySpan<ulong> hashes, bool values)
    {
        if (!session.Pinned.IsNone)
        {
            _node.Router.Route(session.Pinned).Replica?.Engine.Prefetch(hashes, values);
            return;
        }

        ReadOnlySpan<GroupId> shards = _node.Router.ShardsOf(session.DatabaseIndex);
        if (shards.IsEmpty)
            return;
        Span<ulong> together = stackalloc ulong[hashes.Length];
        foreach (ref int slot in slots)
            slot &= shards.Length - 1;
        for (int i = 0; i < slots.Length; i++)
        {
            int shard = slots[i];
            if (shard < 0)
                continue;
            int count = 0;
            for (int j = i; j < slots.Length; j++)
            {
                if (slots[j] != shard)
                    continue;
                together[count++] = hashes[j];
                slots[j] = -1;
            }

            if (!shards[shard].IsNone)
                _node.Router.Route(shards[shard]).Replica?.Engine.Prefetch(together[..count], values);
        }
    }

    public Direction Direct(CommandContext context, CommandEntry entry)
    {
        RespSession session = context.Session;
        TransactionState transaction = session.Transaction;
        CommandDefinition definition = entry.Definition;
        context.Routed = null;

        // Its own node may number the database otherwise.
        if (!session.Pinned.IsNone && _node.Router.DatabaseOf(session.Pinned) is var database and >= 0)
            session.DatabaseIndex = database;

        // A channel is of no shard here: whoever listens to it hears what any node publishes.
        if ((definition.Flags & CommandFlags.PubSub) != 0 && (!transaction.IsOpen || entry.Definition.Name is "publish" or "spublish"))
            return Direction.Runs;
        if (transaction.IsOpen && !CommandDispatcher.RunsInsideMulti(entry))
            return DirectQueued(context, entry);
        if (entry is { Parent: null, Definition.Name: "exec" } && transaction.IsOpen)
            return DirectExec(context);
        if (definition.FirstKey != 0)
        {
            if (FindShard(context, entry, out GroupId group) is var found and not Direction.Runs)
                return found;
            return entry is { Parent: null, Definition.Name: "watch" } ? DirectWatch(context, group) : DirectKeys(context, entry, group);
        }

        if (definition.OverShards is not { } overShards)
        {
            if (session.RepliesOwed != 0 && entry is { Parent: null, Definition.Name: "hello" or "reset" })
            {
                // A stream to another node speaks one protocol: what comes next takes another, and must not come in before.
                Suspend(session);
                return Direction.Waits;
            }

            if (entry is { Parent: null, Definition.Name: "select" })
                return DirectSelect(context);
            if ((definition.Flags & CommandFlags.Write) == 0)
                return Direction.Runs;
            context.Reply.Error($"ERR {entry.FullName.ToUpperInvariant()} is not possible in a cluster");
            return Direction.Refused;
        }

        if (!session.Pinned.IsNone)
            return DirectHere(context, session.Pinned);
        if (!KnowsShards(context.DatabaseIndex))
            return Wait(context, _node.Router.Route(context.DatabaseIndex, slot: 0).Kind, GroupId.None);
        session.WaitsSinceMs = 0;
        if (!KeepsOrder(session) || !MaySend(session))
            return Direction.Waits;
        session.Group.End(context.Execution);
        _server.Statistics.Commands++;
        int start = context.Reply.Buffer.Length;
        overShards(context);
        return context.Reply.Buffer.Length == start ? Direction.Sent : Direction.Refused;
    }

    /// <summary>A node that has just begun knows no keyspaces yet, and one that was just made may lack some of its shards.</summary>
    private bool KnowsShards(int database)
    {
        ReadOnlySpan<GroupId> shards = _node.Router.ShardsOf(database);
        return !shards.IsEmpty && !shards.Contains(GroupId.None);
    }

    /// <summary>A session of another node's has no keys for a shard but the one it was made for.</summary>
    private Direction FindShard(CommandContext context, CommandEntry entry, out GroupId group)
    {
        CommandDefinition definition = entry.Definition;
        ReadOnlySpan<GroupId> shards = _node.Router.ShardsOf(context.DatabaseIndex);
        group = GroupId.None;
        if (shards.IsEmpty)
            return Wait(context, _node.Router.Route(context.DatabaseIndex, slot: 0).Kind, GroupId.None);

        int mask = shards.Length - 1;
        int shard = -1;
        int last = definition.LastKey < 0 ? context.ArgumentCount + definition.LastKey : definition.LastKey;
        for (int i = definition.FirstKey; i <= last && i < context.ArgumentCount; i += Math.Max(definition.KeyStep, 1))
        {
            int of = Slot.OfKey(context.Argument(i)).Value & mask;
            if (shard >= 0 && of != shard)
            {
                context.Reply.Error(CrossSlot);
                return Direction.Refused;
            }

            shard = of;
        }

        if (definition.LateKey is { } lateKey && lateKey(context) is var late and > 0 && (Slot.OfKey(context.Argument(late)).Value & mask) != shard)
        {
            context.Reply.Error(CrossSlot);
            return Direction.Refused;
        }

        // A key that the command says it has and the client left out: the command itself says what is wrong.
        group = shards[Math.Max(shard, 0)];
        if (group.IsNone)
            return Wait(context, RouteKind.NoLeader, GroupId.None);
        if (context.Session.Pinned.IsNone || context.Session.Pinned == group)
            return Direction.Runs;
        context.Reply.Error("NOTLEADER the key is of another shard than its node took it for");
        return Direction.Refused;
    }

    private Direction DirectKeys(CommandContext context, CommandEntry entry, GroupId group)
    {
        RespSession session = context.Session;
        if (!session.Pinned.IsNone)
            return DirectHere(context, group);
        if (session.StaleMaxMs != 0 && (entry.Definition.Flags & CommandFlags.ReadOnly) != 0 && MayReadStale(context, group))
            return Direction.Runs;
        Route route = _node.Router.Route(group, ref context.Session.Claim);
        switch (route.Kind)
        {
            case RouteKind.Local:
                if (!KeepsOrder(session))
                    return Direction.Waits;
                return Run(context, route);
            case RouteKind.Remote when Redirects && !PassesOn(context, entry, route):
                return RedirectKeys(context, entry, route);
            case RouteKind.Remote when _forwarder.CanReach(route.Leader):
                if (!KeepsOrder(session) || !MaySend(session) || !HasRoom(session, route))
                    return Direction.Waits;
                bool writes = (entry.Definition.Flags & CommandFlags.Write) != 0;
                return Forward(context, route, RequestBytes(context), repliesBefore: 0, writes, session.Transaction.Lane);
            default:
                return Wait(context, route.Kind, group);
        }
    }

    /// <summary>
    /// A read that need not be current finds a replica here that is young enough. What a client watches it wants to see as it
    /// is.
    /// </summary>
    private bool MayReadStale(CommandContext context, GroupId group)
    {
        RespSession session = context.Session;
        if (session.Transaction.Lane is not null || session.Transaction.Watched.Count != 0
            || _node.Router.StaleReplica(group, TimeSpan.FromMilliseconds(session.StaleMaxMs), out TimeSpan age) is not { } replica)
            return false;
        session.ReadAgeMs = Math.Max(session.ReadAgeMs, (long)Math.Ceiling(age.TotalMilliseconds));
        context.Routed = replica;
        return true;
    }

    private static Direction Run(CommandContext context, in Route route)
    {
        context.Routed = route.Replica;
        return Direction.Runs;
    }

    private Direction DirectQueued(CommandContext context, CommandEntry entry)
    {
        TransactionState transaction = context.Session.Transaction;
        if (entry.Definition.FirstKey == 0)
        {
            if (entry.Parent is null && entry.Definition.Name is "ping" or "echo" or "time" or "unwatch")
                return Direction.Runs;
            context.Reply.Error($"ERR {entry.FullName.ToUpperInvariant()} inside MULTI is not possible in a cluster: only commands with keys are");
            return Direction.Refused;
        }

        if (FindShard(context, entry, out GroupId group) is var found and not Direction.Runs)
            return found;
        if (!transaction.Shard.IsNone && transaction.Shard != group)
        {
            context.Reply.Error(CrossSlot);
            return Direction.Refused;
        }

        if (Redirects && context.Session.Pinned.IsNone && _node.Router.Route(group) is { Kind: RouteKind.Remote } route)
            return Redirect(context, route, Slot.OfKey(context.Argument(entry.Definition.FirstKey)).Value);
        transaction.Shard = group;
        return Direction.Runs;
    }

    private Direction DirectWatch(CommandContext context, GroupId group)
    {
        TransactionState transaction = context.Session.Transaction;
        if (transaction.IsOpen)
            return Direction.Runs;
        bool watches = transaction.Watched.Count != 0 || transaction.Lane is not null;
        if (watches && transaction.WatchedShard != group)
        {
            context.Reply.Error(CrossSlot);
            return Direction.Refused;
        }

        Route route = _node.Router.Route(group, ref context.Session.Claim);
        if (!context.Session.Pinned.IsNone && (context.Session.HasRefused || route.Kind != RouteKind.Local))
            return DirectHere(context, group);
        if (route.Kind == RouteKind.Remote)
        {
            if (Redirects)
                return Redirect(context, route, Slot.OfKey(context.Argument(1)).Value);
            if (_forwarder.CanReach(route.Leader))
                return WatchThere(context, route);
        }

        if (route.Kind != RouteKind.Local)
            return Wait(context, route.Kind, group);
        if (!KeepsOrder(context.Session))
            return Direction.Waits;

        // A lead that was lost and won again in between has missed what others wrote.
        transaction.WatchBroken |= transaction.Lane is not null;
        if (transaction.Watched.Count != 0 && transaction.WatchedTerm != route.Term)
            transaction.WatchBroken = true;
        transaction.WatchedShard = group;
        transaction.WatchedTerm = route.Term;
        return Run(context, route);
    }

    /// <summary>WATCH of a key of a shard that another node leads: by a lane.</summary>
    private Direction WatchThere(CommandContext context, in Route route)
    {
        RespSession session = context.Session;
        TransactionState transaction = session.Transaction;
        if (transaction.Lane is not { IsBroken: false })
        {
            // What was sent before goes before it.
            if (session.RepliesOwed != 0)
            {
                Suspend(session);
                return Direction.Waits;
            }

            // Watched here until the lead went there, or there until that was lost.
            transaction.WatchBroken |= transaction.Watched.Count != 0 || transaction.Lane is not null;
        }

        if (!KeepsOrder(session) || !MaySend(session) || !HasRoom(session, route))
            return Direction.Waits;
        WatchLane lane = transaction.Lane is { IsBroken: false } open ? open : new WatchLane(route.Group);
        Direction direction = Forward(context, route, RequestBytes(context), repliesBefore: 0, writes: false, lane);
        if (direction == Direction.Sent)
            (transaction.Lane, transaction.WatchedShard) = (lane, route.Group);
        return direction;
    }

    private Direction DirectExec(CommandContext context)
    {
        RespSession session = context.Session;
        TransactionState transaction = session.Transaction;
        GroupId group = transaction.Shard;
        if (transaction.HasErrors || transaction.WatchBroken)
            return Direction.Runs;
        WatchLane? lane = transaction.Lane;
        if (transaction.Watched.Count != 0 || lane is not null)
        {
            if (!group.IsNone && group != transaction.WatchedShard)
            {
                context.Reply.Error(CrossSlot);
                return Direction.Refused;
            }

            group = transaction.WatchedShard;
        }

        if (group.IsNone)
            return Direction.Runs;
        Route route = _node.Router.Route(group, ref context.Session.Claim);
        bool lost = lane is not null
            ? lane.IsBroken || route.Kind != RouteKind.Remote || !_forwarder.CanReach(lane.Leader)
            : transaction.Watched.Count != 0 && (route.Kind != RouteKind.Local || route.Term != transaction.WatchedTerm);
        if (lost)
        {
            // It lost the lead, so nobody here knows what was written since: as if something was.
            transaction.WatchBroken = true;
            return Direction.Runs;
        }

        if (!session.Pinned.IsNone && (session.HasRefused || route.Kind != RouteKind.Local))
            return DirectHere(context, group);
        if (route.Kind == RouteKind.Local)
        {
            if (session.Forwarded?.MayRun(route) == false)
                return RunForwarded(context, route);
            bool mayRun = KeepsOrder(session) && !(transaction.HasWrites && WaitsOut(session, route.Replica!.Log.Refusal));
            return mayRun ? Run(context, route) : Direction.Waits;
        }

        if (route.Kind != RouteKind.Remote || !_forwarder.CanReach(route.Leader))
            return Wait(context, route.Kind, group);
        if (!KeepsOrder(session) || !MaySend(session) || !HasRoom(session, route))
            return Direction.Waits;
        bool writes = transaction.HasWrites;
        int commands = transaction.Count;
        _request.Clear();
        Append(_request, "multi"u8);
        transaction.AppendRequests(_request);
        Append(_request, "exec"u8);
        Direction direction = Forward(context, route, _request.WrittenSpan, commands + 1, writes, lane);
        _request.ClearAndTrim(64 << 10);
        if (direction == Direction.Sent)
        {
            transaction.End();
            _server.Watches.RemoveAll(session);
        }

        return direction;
    }

    private Direction Forward(
        CommandContext context, in Route route, ReadOnlySpan<byte> bytes, int repliesBefore, bool writes, WatchLane? lane)
    {
        RespSession session = context.Session;
        if (lane is not null && (lane.IsBroken || lane.Group != route.Group))
            lane = null;
        session.WaitsSinceMs = 0;
        if (bytes.Length > RequestBytesMax)
        {
            context.Reply.Error($"ERR more than {RequestBytesMax >> 20} MiB are not sent to the node that leads the shard");
            return Direction.Refused;
        }

        session.Group.End(context.Execution);
        _server.Statistics.Commands++;
        session.Client.LastCommandAtMs = _server.Clock.NowMs;
        _forwarder.Send(new ForwardedRequest
        {
            Group = route.Group,
            Database = route.Database,
            Leader = route.Leader,
            Protocol = context.Reply.Protocol,
            Bytes = bytes,
            RepliesBefore = repliesBefore,
            Writes = writes,
            Sink = session.AwaitReply(),
            Session = session,
            Lane = lane,
        });
        return Direction.Sent;
    }

    private Direction Wait(CommandContext context, RouteKind kind, GroupId group)
    {
        RespSession session = context.Session;
        long nowMs = _server.Clock.NowMs;
        if (session.WaitsSinceMs == 0)
            session.WaitsSinceMs = nowMs;
        bool hasWaited = session.Input.Position < session.WaitedInVainTo;
        if (kind != RouteKind.Gone && !hasWaited && nowMs - session.WaitsSinceMs < (long)Patience.TotalMilliseconds)
        {
            if (group.IsNone)
                Suspend(session);
            else
                _waiters.Await(session, group);
            return Direction.Waits;
        }

        session.WaitsSinceMs = 0;
        if (kind != RouteKind.Gone && !hasWaited)
            session.WaitedInVainTo = session.Input.ReceivedBytes;
        context.Reply.Error(session.Forwarded is { IsRepeat: true } ? Forgotten : kind switch
        {
            RouteKind.Gone => Dropped,
            RouteKind.NotReady => "TRYAGAIN this node leads the shard and cannot reach a majority of it",
            RouteKind.Remote => "CLUSTERDOWN the leader of the shard cannot be reached",
            _ => "CLUSTERDOWN the shard has no leader",
        });
        return Direction.Refused;
    }

    /// <summary>
    /// A refusal that ends by itself, of a shard that has too much under way or is being handed over, is waited out for as
    /// long as an election is: the session waits instead of its client.
    /// </summary>
    public bool WaitsOut(RespSession session, WriteRefusal? refusal)
    {
        if (refusal is not { Code: "TRYAGAIN" })
            return false;
        long nowMs = _server.Clock.NowMs;
        if (session.WaitsSinceMs == 0)
            session.WaitsSinceMs = nowMs;
        if (nowMs - session.WaitsSinceMs >= (long)Patience.TotalMilliseconds)
            return false;
        Suspend(session);
        return true;
    }

    /// <summary>
    /// What a session sent to another node is answered before anything takes another way: else a command could overtake an
    /// earlier one on the same key when the lead changes.
    /// </summary>
    private bool KeepsOrder(RespSession session)
    {
        ulong version = _node.Router.Version + _forwarder.Learned;
        if (session.RepliesOwed == 0)
        {
            session.RoutedAt = version;
            session.WaitsForReplies = false;
            return true;
        }

        if (session.RoutedAt == version && !session.WaitsForReplies)
            return true;
        Suspend(session);
        return false;
    }

    private bool MaySend(RespSession session)
    {
        if (session.RepliesOwed < OwedMax)
            return true;
        Suspend(session);
        return false;
    }

    private bool HasRoom(RespSession session, in Route route)
    {
        bool overtakes = session.RepliesOwed != 0 && _forwarder.HoldsBack(route.Group);
        if (!overtakes && _forwarder.HasRoom(route.Leader))
            return true;
        Suspend(session);
        return false;
    }

    private void Suspend(RespSession session) =>
        session.Suspended = session.Delay.Until(_server.Clock.NowMicroseconds + LookMicroseconds);

    /// <summary>The request as it came, or as it would have come from a client that speaks RESP.</summary>
    private ReadOnlySpan<byte> RequestBytes(CommandContext context)
    {
        RespSession session = context.Session;
        if (session.Parser.InlineBytes is null)
            return session.Input.Bytes[..session.Parser.Consumed];
        _request.Clear();
        RequestText.Begin(_request, context.ArgumentCount);
        for (int i = 0; i < context.ArgumentCount; i++)
            RequestText.Argument(_request, context.Argument(i));
        return _request.WrittenSpan;
    }

    private static void Append(BytesBuffer request, ReadOnlySpan<byte> command)
    {
        RequestText.Begin(request, 1);
        RequestText.Argument(request, command);
    }
}
