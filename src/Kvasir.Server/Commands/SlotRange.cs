using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>Slots that follow each other and have the same leader and the same replicas.</summary>
/// <param name="First">The first of them.</param>
/// <param name="Last">The last of them.</param>
/// <param name="Group">One of the shards that they are of.</param>
internal readonly record struct SlotRange(int First, int Last, GroupDescription Group)
{
    /// <summary>
    /// All slots of a keyspace that have a leader. Shards take turns, slot by slot, so that neighbours are in one range only
    /// where one node leads neighbouring shards.
    /// </summary>
    public static List<SlotRange> Of(IClusterTopology topology, int database)
    {
        List<SlotRange> ranges = [];
        KeyspaceDescription? keyspace = topology.Keyspaces.FirstOrDefault(k => k.Database == database);
        if (keyspace is null)
            return ranges;
        GroupDescription?[] shards = new GroupDescription?[keyspace.Shards];
        foreach (GroupDescription group in topology.Groups)
        {
            if (group.Keyspace == keyspace.Name && group.Shard < shards.Length)
                shards[group.Shard] = group;
        }

        for (int slot = 0; slot < Slot.Count; slot++)
        {
            if (shards[slot & (shards.Length - 1)] is not { } group || group.Leader.IsNone)
                continue;
            if (ranges.Count != 0 && ranges[^1].Last == slot - 1 && IsSame(ranges[^1].Group, group))
                ranges[^1] = ranges[^1] with { Last = slot };
            else
                ranges.Add(new SlotRange(slot, slot, group));
        }

        return ranges;
    }

    /// <summary>Who has the slots, the leader first.</summary>
    public List<NodeId> Holders()
    {
        List<NodeId> holders = [Group.Leader];
        foreach (NodeId replica in Group.Replicas)
        {
            if (replica != Group.Leader)
                holders.Add(replica);
        }

        return holders;
    }

    private static bool IsSame(GroupDescription a, GroupDescription b) =>
        ReferenceEquals(a, b) || (a.Leader == b.Leader && a.Replicas.SequenceEqual(b.Replicas));
}
