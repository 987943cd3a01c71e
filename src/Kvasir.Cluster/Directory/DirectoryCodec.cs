using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// The bytes of the directory's records (docs/formats/directory.md). What is read is whole and means what can be, or is refused.
/// </summary>
internal static class DirectoryCodec
{
    private const uint FormatVersion = 1;

    // Of a group whose members are not all the first of their nodes, or some of whose members are leaving.
    private const uint GenerationsVersion = 2;

    // Of a keyspace that moves to another engine, or did.
    private const uint MoveVersion = 2;

    public const int NameLengthMax = 64;
    public const int AddressLengthMax = 255;

    /// <summary>Of one group.</summary>
    public const int ReplicasMax = 32;

    public const int ShardsMax = 1024;

    private const int LeavingMax = 16 * 1024;

    public const int DatabasesMax = 16 * 1024;

    /// <summary>Every value begins with one; a newer one is refused.</summary>
    public static uint VersionKnown(DirectoryKind kind) => kind switch
    {
        DirectoryKind.Group => GenerationsVersion,
        DirectoryKind.Keyspace => MoveVersion,
        _ => FormatVersion,
    };

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
        FieldWriter fields = Begin(bytes, keyspace.Move is null ? FormatVersion : MoveVersion);
        fields.Text(keyspace.Name);
        fields.Number(keyspace.Database is { } database ? (ulong)database + 1 : 0);
        fields.Text(keyspace.Engine);
        fields.Number((ulong)keyspace.Partitioning);
        fields.Number((ulong)keyspace.Shards);
        fields.Number((ulong)keyspace.Replication);
        fields.Number((ulong)keyspace.Replicas);
        fields.Number(NumberOf(keyspace.Durability));
        fields.Number((ulong)keyspace.Conflicts);
        if (keyspace.Move is { } move)
            MoveCodec.Write(fields, move);
        return bytes.WrittenSpan.ToArray();
    }

    public static byte[] Write(GroupRecord group)
    {
        bool hasGenerations = !group.Generations.IsEmpty || !group.Leaving.IsEmpty;
        var bytes = new BytesBuffer();
        FieldWriter fields = Begin(bytes, hasGenerations ? GenerationsVersion : FormatVersion);
        fields.Number(group.Keyspace.Value);
        fields.Number((ulong)group.Shard);
        fields.Number(group.Epoch);
        fields.Number(group.SettledEpoch);
        fields.Number(group.PreferredLeader.Value);
        fields.Number(group.IsLeaderPinned ? 1UL : 0);
        Write(fields, group.Replicas);
        Write(fields, group.Founders);
        if (hasGenerations)
            WriteGenerations(fields, group);
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
        var fields = new FieldReader(value);
        bool hasMove = fields.Number(FormatVersion, MoveVersion) == MoveVersion;
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
        if (hasMove)
            read = read with { Move = MoveCodec.Read(ref fields, read.Engine) };
        keyspace = fields.IsWhole && (read.Shards & (read.Shards - 1)) == 0 ? read : null;
        return keyspace is not null;
    }

    public static bool TryRead(GroupId id, ReadOnlySpan<byte> value, [NotNullWhen(true)] out GroupRecord? group)
    {
        var fields = new FieldReader(value);
        bool hasGenerations = fields.Number(FormatVersion, GenerationsVersion) == GenerationsVersion;
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
        if (hasGenerations)
            read = ReadGenerations(ref fields, read);
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

    private static FieldWriter Begin(BytesBuffer bytes, uint version = FormatVersion)
    {
        var fields = new FieldWriter(bytes);
        fields.Number(version);
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

    private static void WriteGenerations(in FieldWriter fields, GroupRecord group)
    {
        for (int i = 0; i < group.Replicas.Length; i++)
            fields.Number(group.Generations.IsEmpty ? 0 : group.Generations[i]);
        fields.Number((ulong)group.Leaving.Length);
        foreach (MemberId member in group.Leaving)
        {
            fields.Number(member.Keeper);
            fields.Number(member.Generation);
        }
    }

    /// <summary>They are of epochs that have been; where there are none, they are not written.</summary>
    private static GroupRecord ReadGenerations(ref FieldReader fields, GroupRecord group)
    {
        ulong max = Math.Min(group.Epoch - 1, uint.MaxValue);
        var generations = new uint[group.Replicas.Length];
        for (int i = 0; i < generations.Length; i++)
            generations[i] = (uint)fields.Number(max);
        var leaving = new MemberId[fields.Number((ulong)Math.Min(LeavingMax, fields.Remaining))];
        for (int i = 0; i < leaving.Length; i++)
        {
            uint keeper = (uint)fields.Number(1, uint.MaxValue);
            leaving[i] = new MemberId(keeper, (uint)fields.Number(max));
            if (group.IsReplica(new NodeId(keeper)) || (i > 0 && keeper <= leaving[i - 1].Keeper))
                fields.Fail();
        }

        bool isFirstOfAll = Array.TrueForAll(generations, g => g == 0);
        if (isFirstOfAll && leaving.Length == 0)
            fields.Fail();
        return group with { Generations = isFirstOfAll ? [] : [.. generations], Leaving = [.. leaving] };
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
