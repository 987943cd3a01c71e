using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

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

        // There may be as many ranges as slots, and few groups: who holds a group is put into words once, since the node does nothing else meanwhile.
        IReadOnlyList<NodeDescription> nodes = topology.Nodes;
        Dictionary<GroupId, (int Count, byte[] Words)> holders = [];
        context.Reply.ArrayHeader(ranges.Count);
        foreach (SlotRange range in ranges)
        {
            if (!holders.TryGetValue(range.Group.Id, out (int Count, byte[] Words) held))
                holders.Add(range.Group.Id, held = HoldersOf(range, nodes));
            context.Reply.ArrayHeader(2 + held.Count);
            context.Reply.Integer(range.First);
            context.Reply.Integer(range.Last);
            context.Reply.Buffer.Append(held.Words);
        }
    }

    public static void Shards(CommandContext context)
    {
        IClusterTopology topology = Topology(context);
        IReadOnlyList<NodeDescription> nodes = topology.Nodes;
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

            List<NodeDescription> holders = Holders(ranges[0], nodes);
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

    /// <summary>The leader first.</summary>
    private static List<NodeDescription> Holders(SlotRange range, IReadOnlyList<NodeDescription> nodes) =>
        [.. range.Holders().Select(id => nodes.FirstOrDefault(n => n.Id == id)).OfType<NodeDescription>()];

    private static (int Count, byte[] Words) HoldersOf(SlotRange range, IReadOnlyList<NodeDescription> nodes)
    {
        List<NodeDescription> holders = Holders(range, nodes);
        RespWriter words = new(new BytesBuffer(256));
        foreach (NodeDescription holder in holders)
        {
            (string host, int port) = holder.RespAddress;
            words.ArrayHeader(4);
            words.BulkString(host);
            words.Integer(port);
            words.BulkString(IdOf(holder.Id));
            words.ArrayHeader(0);
        }

        return (holders.Count, words.Buffer.WrittenSpan.ToArray());
    }

    private static ulong Epoch(IClusterTopology topology) => topology.Groups.Count == 0 ? 0 : topology.Groups.Max(static g => g.Epoch);

    /// <summary>Forty digits, as Redis Cluster's are.</summary>
    private static string IdOf(NodeId id) => id.Value.ToString("x40", CultureInfo.InvariantCulture);
}
