using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// The bytes of the directory's records (docs/formats/directory.md). What is read is whole and means what can be, or is refused.
/// </summary>
internal static class DirectoryCodec
{
    /// <summary>Every value begins with it; a newer one is refused.</summary>
    public const uint FormatVersion = 1;

    public const int NameLengthMax = 64;
    public const int AddressLengthMax = 255;

    /// <summary>Of one group.</summary>
    public const int ReplicasMax = 32;

    public const int ShardsMax = 1024;
    public const int DatabasesMax = 16 * 1024;

    /// <summary>The version of a value, for what could not be read.</summary>
    public static uint VersionOf(ReadOnlySpan<byte> value) =>
        Varint.TryRead(value, out ulong version, out _) && version <= uint.MaxValue ? (uint)version : 0;

    public static byte[] Write(ClusterRecord cluster)
    {
        var bytes = new BytesBuffer();
        FieldWriter fields = Begin(bytes);
        fields.Number(cluster.Id);
        fields.Text(cluster.Name);
        return bytes.WrittenSpan.ToArray();
    }

    public static byte[] Write(IdCounters counters)
    {
        var bytes = new BytesBuffer();
        FieldWriter fields = Begin(bytes);
        fields.Number(counters.NextNode.Value);
        fields.Number(counters.NextKeyspace.Value);
        fields.Number(counters.NextGroup.Value);
        return bytes.WrittenSpan.ToArray();
    }

    public static byte[] Write(NodeRecord node)
    {
        var bytes = new BytesBuffer();
        FieldWriter fields = Begin(bytes);
        fields.Number(node.Identity);
        fields.Number((ulong)node.State);
        fields.Number(node.Incarnation);
        fields.Text(node.PeerAddress);
        fields.Text(node.RespAddress);
        fields.Text(node.HttpAddress);
        Write(fields, node.Locality);
        return bytes.WrittenSpan.ToArray();
    }

    public static byte[] Write(KeyspaceRecord keyspace)
    {
        var bytes = new BytesBuffer();
        FieldWriter fields = Begin(bytes);
        fields.Text(keyspace.Name);
        fields.Number(keyspace.Database is { } database ? (ulong)database + 1 : 0);
        fields.Text(keyspace.Engine);
        fields.Number((ulong)keyspace.Partitioning);
        fields.Number((ulong)keyspace.Shards);
        fields.Number((ulong)keyspace.Replication);
        fields.Number((ulong)keyspace.Replicas);
        fields.Number(NumberOf(keyspace.Durability));
        fields.Number((ulong)keyspace.Conflicts);
        return bytes.WrittenSpan.ToArray();
    }

    public static byte[] Write(GroupRecord group)
    {
        var bytes = new BytesBuffer();
        FieldWriter fields = Begin(bytes);
        fields.Number(group.Keyspace.Value);
        fields.Number((ulong)group.Shard);
        fields.Number(group.Epoch);
        fields.Number(group.SettledEpoch);
        fields.Number(group.PreferredLeader.Value);
        fields.Number(group.IsLeaderPinned ? 1UL : 0);
        Write(fields, group.Replicas);
        Write(fields, group.Founders);
        return bytes.WrittenSpan.ToArray();
    }

    public static bool TryRead(ReadOnlySpan<byte> value, [NotNullWhen(true)] out ClusterRecord? cluster)
    {
        FieldReader fields = Begin(value);
        ulong id = fields.Number(1, ulong.MaxValue);
        string name = fields.Text(NameLengthMax);
        cluster = fields.IsWhole ? new ClusterRecord(id, name) : null;
        return cluster is not null;
    }

    public static bool TryRead(ReadOnlySpan<byte> value, [NotNullWhen(true)] out IdCounters? counters)
    {
        FieldReader fields = Begin(value);
        var node = new NodeId(fields.Number(1, ulong.MaxValue));
        var keyspace = new KeyspaceId((uint)fields.Number(1, uint.MaxValue));
        var group = new GroupId((uint)fields.Number(1, uint.MaxValue));
        counters = fields.IsWhole ? new IdCounters(node, keyspace, group) : null;
        return counters is not null;
    }

    public static bool TryRead(NodeId id, ReadOnlySpan<byte> value, [NotNullWhen(true)] out NodeRecord? node)
    {
        FieldReader fields = Begin(value);
        var read = new NodeRecord
        {
            Id = id,
            Identity = fields.Number(),
            State = (NodeState)fields.Number((ulong)NodeState.Joining, (ulong)NodeState.Dead),
            Incarnation = fields.Number(),
            PeerAddress = fields.Text(AddressLengthMax),
            RespAddress = fields.Text(AddressLengthMax),
            HttpAddress = fields.Text(AddressLengthMax),
            Locality = ReadLocality(ref fields),
        };
        node = fields.IsWhole ? read : null;
        return node is not null;
    }

    public static bool TryRead(KeyspaceId id, ReadOnlySpan<byte> value, [NotNullWhen(true)] out KeyspaceRecord? keyspace)
    {
        FieldReader fields = Begin(value);
        string name = fields.Text(NameLengthMax);
        int database = (int)fields.Number(DatabasesMax) - 1;
        var read = new KeyspaceRecord
        {
            Id = id,
            Name = name,
            Database = database < 0 ? null : database,
            Engine = fields.Text(NameLengthMax),
            Partitioning = (KeyspacePartitioning)fields.Number((ulong)KeyspacePartitioning.Range, (ulong)KeyspacePartitioning.Ring),
            Shards = (int)fields.Number(1, ShardsMax),
            Replication = (KeyspaceReplication)fields.Number((ulong)KeyspaceReplication.Raft, (ulong)KeyspaceReplication.MultiLeader),
            Replicas = (int)fields.Number(1, ReplicasMax),
            Durability = DurabilityOf(fields.Number(1, 3)),
            Conflicts = (KeyspaceConflicts)fields.Number((ulong)KeyspaceConflicts.None, (ulong)KeyspaceConflicts.Crdt),
        };
        keyspace = fields.IsWhole && (read.Shards & (read.Shards - 1)) == 0 ? read : null;
        return keyspace is not null;
    }

    public static bool TryRead(GroupId id, ReadOnlySpan<byte> value, [NotNullWhen(true)] out GroupRecord? group)
    {
        FieldReader fields = Begin(value);
        var read = new GroupRecord
        {
            Id = id,
            Keyspace = new KeyspaceId((uint)fields.Number(1, uint.MaxValue)),
            Shard = (int)fields.Number(ShardsMax - 1),
            Epoch = fields.Number(1, ulong.MaxValue),
            SettledEpoch = fields.Number(),
            PreferredLeader = new NodeId(fields.Number()),
            IsLeaderPinned = fields.Number(1) == 1,
            Replicas = ReadNodes(ref fields),
            Founders = ReadNodes(ref fields),
        };
        bool makesSense = read.SettledEpoch <= read.Epoch && (!read.IsLeaderPinned || !read.PreferredLeader.IsNone);
        group = fields.IsWhole && makesSense ? read : null;
        return group is not null;
    }

    public static void Write(in FieldWriter fields, Locality locality)
    {
        fields.Number((ulong)locality.Labels.Length);
        foreach (LocalityLabel label in locality.Labels)
        {
            fields.Text(label.Key);
            fields.Text(label.Value);
        }
    }

    public static Locality ReadLocality(ref FieldReader fields)
    {
        var labels = new LocalityLabel[fields.Number(Locality.LabelsMax)];
        for (int i = 0; i < labels.Length; i++)
        {
            string key = fields.Text(Locality.WordLengthMax);
            labels[i] = new LocalityLabel(key, fields.Text(Locality.WordLengthMax));
        }

        if (Locality.TryMake(labels, out Locality? locality, out _))
            return locality;
        fields.Fail();
        return Locality.None;
    }

    private static FieldWriter Begin(BytesBuffer bytes)
    {
        var fields = new FieldWriter(bytes);
        fields.Number(FormatVersion);
        return fields;
    }

    private static FieldReader Begin(ReadOnlySpan<byte> value)
    {
        var fields = new FieldReader(value);
        fields.Number(FormatVersion, FormatVersion);
        return fields;
    }

    private static void Write(in FieldWriter fields, ImmutableArray<NodeId> nodes)
    {
        Check.That(nodes.Length is > 0 and <= ReplicasMax);
        fields.Number((ulong)nodes.Length);
        foreach (NodeId node in nodes)
            fields.Number(node.Value);
    }

    private static ImmutableArray<NodeId> ReadNodes(ref FieldReader fields)
    {
        var nodes = new NodeId[fields.Number(1, ReplicasMax)];
        for (int i = 0; i < nodes.Length; i++)
        {
            nodes[i] = new NodeId(fields.Number(1, ulong.MaxValue));
            if (i > 0 && nodes[i] <= nodes[i - 1])
                fields.Fail();
        }

        return [.. nodes];
    }

    private static ulong NumberOf(Durability durability) => durability switch
    {
        Durability.Sync => 1,
        Durability.Interval => 2,
        Durability.None => 3,
        _ => throw new ArgumentOutOfRangeException(nameof(durability)),
    };

    private static Durability DurabilityOf(ulong number) => number switch
    {
        2 => Durability.Interval,
        3 => Durability.None,
        _ => Durability.Sync,
    };
}
