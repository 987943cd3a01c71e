using Kvasir.Cluster.Partitioning;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Directory;

/// <summary>A keyspace with the group of each of its shards, as one view has them. Immutable.</summary>
public sealed class KeyspaceShards
{
    private readonly GroupRecord?[] _groups;

    internal KeyspaceShards(KeyspaceRecord record, GroupRecord?[] groups)
    {
        Check.That(groups.Length == record.Shards);
        Record = record;
        _groups = groups;
    }

    public KeyspaceRecord Record { get; }

    /// <summary>By shard; null for one whose group is not known.</summary>
    public ReadOnlySpan<GroupRecord?> Groups => _groups;

    public GroupRecord? GroupOf(Slot slot) => _groups[slot.Shard(_groups.Length)];
}
