using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Commands;

/// <summary>Shards of which a node has the only copy: who empties its folder loses them.</summary>
internal static class LoneCopies
{
    private const int KeyspacesNamedMax = 16;
    private const int RangesNamedMax = 8;

    /// <summary>In one line for people; null when there is another copy of every shard, on a node that is still part of the cluster.</summary>
    public static string? Warning(IClusterTopology topology, NodeId node)
    {
        SortedSet<NodeId> others = [.. topology.Nodes.Where(n => n.Id != node && n.State is "active" or "draining").Select(static n => n.Id)];
        List<IGrouping<string, int>> lone =
        [
            .. topology.Groups.Where(g => g.Keyspace != "system" && g.Replicas.Contains(node) && !g.Replicas.Any(others.Contains))
                .GroupBy(static g => g.Keyspace, static g => g.Shard, StringComparer.Ordinal),
        ];
        if (lone.Count == 0)
            return null;
        var text = new StringBuilder();
        foreach (IGrouping<string, int> keyspace in lone.Take(KeyspacesNamedMax))
        {
            int[] shards = [.. keyspace.Order()];
            text.Append(text.Length > 0 ? "; " : "").Append(CultureInfo.InvariantCulture, $"{keyspace.Key} ");
            AppendRanges(text, shards);
        }

        if (lone.Count > KeyspacesNamedMax)
            text.Append(CultureInfo.InvariantCulture, $"; and of {lone.Count - KeyspacesNamedMax} more keyspaces");
        return $"these shards have no other copy ({text}): do not wipe node {node} while it has them; node decommission moves them";
    }

    private static void AppendRanges(StringBuilder text, int[] shards)
    {
        int ranges = 0;
        for (int i = 0; i < shards.Length;)
        {
            if (ranges == RangesNamedMax)
            {
                text.Append(CultureInfo.InvariantCulture, $" and {shards.Length - i} more");
                return;
            }

            int last = i;
            while (last + 1 < shards.Length && shards[last + 1] == shards[last] + 1)
                last++;
            text.Append(ranges++ > 0 ? ", " : "").Append(CultureInfo.InvariantCulture, $"{shards[i]}");
            if (last > i)
                text.Append(CultureInfo.InvariantCulture, $"-{shards[last]}");
            i = last + 1;
        }
    }
}
