using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Routing;

namespace Kvasir.Server.Sessions;

/// <content>
/// Clients that know Redis Cluster are told which node leads. There a replica that CLUSTER SLOTS names answers reads, after READONLY,
/// for as long as it likes to, and it leads nothing; here a node leads some shards and has copies of others. So what is read where
/// a copy is, and the copy cannot answer, is passed on to the leader: the reply is current, and nobody goes round in circles.
/// </content>
internal sealed partial class CommandRouter
{
    /// <summary>Tell clients which node leads instead of asking it for them.</summary>
    public bool Redirects { get; set; }

    /// <summary>
    /// A read that its client means for this node: it said READONLY, or was told of the leader before and asks here again. ioredis
    /// says READONLY to no node that leads anything, and takes a copy for what it reads all the same.
    /// </summary>
    private bool PassesOn(CommandContext context, CommandEntry entry, in Route route)
    {
        RespSession session = context.Session;
        if ((entry.Definition.Flags & CommandFlags.ReadOnly) == 0 || !_node.Router.IsReplicaOf(route.Group) || !_forwarder.CanReach(route.Leader))
            return false;
        return session.StaleMaxMs != 0 || session.ToldLeaders?.WasTold(route.Group, route.Leader, session.Input.Position) == true;
    }

    private Direction RedirectKeys(CommandContext context, CommandEntry entry, in Route route)
    {
        RespSession session = context.Session;
        if ((entry.Definition.Flags & CommandFlags.ReadOnly) == 0)
            session.ToldLeaders?.Forget(route.Group);
        else if (_node.Router.IsReplicaOf(route.Group))
            (session.ToldLeaders ??= new ToldLeaders()).Tell(route.Group, route.Leader, session.Input.ReceivedBytes);
        return Redirect(context, route, Slot.OfKey(context.Argument(entry.Definition.FirstKey)).Value);
    }

    private Direction Redirect(CommandContext context, in Route route, int slot)
    {
        (string Host, int Port) address = ("", 0);
        foreach (NodeDescription other in _node.Topology.Nodes)
        {
            if (other.Id == route.Leader)
                address = other.RespAddress;
        }

        context.Session.WaitsSinceMs = 0;
        context.Reply.Error(address.Port == 0
            ? $"CLUSTERDOWN node {route.Leader}, which leads the shard, serves no clients"
            : $"MOVED {slot} {address.Host}:{address.Port}");
        return Direction.Refused;
    }
}
