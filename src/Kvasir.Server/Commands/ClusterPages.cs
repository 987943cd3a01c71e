using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>What CLUSTER shows of a cluster: the keyspace of the selected database, in the words of Redis Cluster.</summary>
internal static class ClusterPages
{
    public static void KeySlotOf(CommandContext context) => context.Reply.Integer(Slot.OfKey(context.Argument(2)).Value);

    public static void MyId(CommandContext context) => context.Reply.BulkString(IdOf(context.Server.Router!.Self));

    public static void Info(CommandContext context)
    {
        IClusterTopology topology = Topology(context);
        int covered = SlotRange.Of(topology, context.DatabaseIndex).Sum(static r => r.Last - r.First + 1);
        int size = topology.Groups.Select(static g => g.Leader).Where(static l => !l.IsNone).Distinct().Count();
        context.Reply.Verbatim(string.Create(
            CultureInfo.InvariantCulture,
            $"cluster_state:{(covered == Slot.Count ? "ok" : "fail")}\r\ncluster_slots_assigned:{Slot.Count}\r\ncluster_slots_ok:{covered}\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:{Slot.Count - covered}\r\ncluster_known_nodes:{Known(topology).Count()}\r\ncluster_size:{size}\r\ncluster_current_epoch:{Epoch(topology)}\r\ncluster_my_epoch:{Epoch(topology)}\r\n"));
    }

    public static void Slots(CommandContext context)
    {
        IClusterTopology topology = Topology(context);
        List<SlotRange> ranges = SlotRange.Of(topology, context.DatabaseIndex);
        context.Reply.ArrayHeader(ranges.Count);
        foreach (SlotRange range in ranges)
        {
            List<NodeDescription> holders = [.. range.Holders().Select(id => Find(topology, id)).OfType<NodeDescription>()];
            context.Reply.ArrayHeader(2 + holders.Count);
            context.Reply.Integer(range.First);
            context.Reply.Integer(range.Last);
            foreach (NodeDescription holder in holders)
            {
                (string host, int port) = holder.RespAddress;
                context.Reply.ArrayHeader(4);
                context.Reply.BulkString(host);
                context.Reply.Integer(port);
                context.Reply.BulkString(IdOf(holder.Id));
                context.Reply.ArrayHeader(0);
            }
        }
    }

    public static void Shards(CommandContext context)
    {
        IClusterTopology topology = Topology(context);
        var shards = SlotRange.Of(topology, context.DatabaseIndex)
            .GroupBy(static r => string.Join(',', r.Holders()), StringComparer.Ordinal)
            .Select(static g => g.ToArray())
            .ToArray();
        context.Reply.ArrayHeader(shards.Length);
        foreach (SlotRange[] ranges in shards)
        {
            context.Reply.MapHeader(2);
            context.Reply.BulkString("slots"u8);
            context.Reply.ArrayHeader(ranges.Length * 2);
            foreach (SlotRange range in ranges)
            {
                context.Reply.Integer(range.First);
                context.Reply.Integer(range.Last);
            }

            List<NodeDescription> holders = [.. ranges[0].Holders().Select(id => Find(topology, id)).OfType<NodeDescription>()];
            context.Reply.BulkString("nodes"u8);
            context.Reply.ArrayHeader(holders.Count);
            foreach (NodeDescription holder in holders)
                WriteHolder(context, holder, holder.Id == ranges[0].Group.Leader);
        }
    }

    public static void Nodes(CommandContext context)
    {
        IClusterTopology topology = Topology(context);
        List<SlotRange> ranges = SlotRange.Of(topology, context.DatabaseIndex);
        StringBuilder text = new();
        foreach (NodeDescription node in Known(topology))
        {
            (string host, int port) = node.RespAddress;
            string me = node.Id == context.Server.Router!.Self ? "myself," : "";
            string failure = node.State == "down" ? ",fail" : node.Reachable ? "" : ",fail?";
            string state = node.Reachable ? "connected" : "disconnected";
            text.Append(CultureInfo.InvariantCulture, $"{IdOf(node.Id)} {host}:{port}@{port} {me}master{failure} - 0 0 {Epoch(topology)} {state}");
            foreach (SlotRange range in ranges)
            {
                if (range.Group.Leader != node.Id)
                    continue;
                text.Append(CultureInfo.InvariantCulture, $" {range.First}");
                if (range.Last != range.First)
                    text.Append(CultureInfo.InvariantCulture, $"-{range.Last}");
            }

            text.Append('\n');
        }

        context.Reply.Verbatim(text.ToString());
    }

    private static void WriteHolder(CommandContext context, NodeDescription node, bool leads)
    {
        (string host, int port) = node.RespAddress;
        context.Reply.MapHeader(7);
        context.Reply.BulkString("id"u8);
        context.Reply.BulkString(IdOf(node.Id));
        context.Reply.BulkString("port"u8);
        context.Reply.Integer(port);
        context.Reply.BulkString("ip"u8);
        context.Reply.BulkString(host);
        context.Reply.BulkString("endpoint"u8);
        context.Reply.BulkString(host);
        context.Reply.BulkString("role"u8);
        context.Reply.BulkString(leads ? "master"u8 : "replica"u8);
        context.Reply.BulkString("replication-offset"u8);
        context.Reply.Integer(0);
        context.Reply.BulkString("health"u8);
        context.Reply.BulkString(node.Reachable ? "online"u8 : "failed"u8);
    }

    private static IClusterTopology Topology(CommandContext context) => context.Node.Clustered!.Topology;

    /// <summary>One that has left for good would be called on by clients for ever.</summary>
    private static IEnumerable<NodeDescription> Known(IClusterTopology topology) => topology.Nodes.Where(static n => n.State != "decommissioned");

    private static NodeDescription? Find(IClusterTopology topology, NodeId id) => topology.Nodes.FirstOrDefault(n => n.Id == id);

    private static ulong Epoch(IClusterTopology topology) => topology.Groups.Count == 0 ? 0 : topology.Groups.Max(static g => g.Epoch);

    /// <summary>Forty digits, as Redis Cluster's are.</summary>
    private static string IdOf(NodeId id) => id.Value.ToString("x40", CultureInfo.InvariantCulture);
}
