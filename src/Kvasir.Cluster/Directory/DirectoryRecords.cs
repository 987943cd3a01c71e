using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// The records of the directory that a replica has applied, decoded. Kept up by each entry that is applied; gives a
/// <see cref="DirectoryView"/> for everybody else. A record that cannot be read stops the node: half a directory is none.
/// One thread at a time.
/// </summary>
public sealed class DirectoryRecords
{
    private readonly SortedDictionary<NodeId, NodeRecord> _nodes = [];
    private readonly SortedDictionary<KeyspaceId, KeyspaceRecord> _keyspaces = [];
    private readonly SortedDictionary<GroupId, GroupRecord> _groups = [];
    private ClusterRecord? _cluster;
    private IdCounters _counters = IdCounters.First;
    private DirectoryView? _view = DirectoryView.Empty;

    public DirectoryRecords()
    {
    }

    internal DirectoryRecords(DirectoryView view)
    {
        (_cluster, _counters, _view) = (view.Cluster, view.Counters, view);
        foreach (NodeRecord node in view.Nodes)
            _nodes.Add(node.Id, node);
        foreach (KeyspaceShards keyspace in view.Keyspaces)
            _keyspaces.Add(keyspace.Record.Id, keyspace.Record);
        foreach (GroupRecord group in view.Groups)
            _groups.Add(group.Id, group);
    }

    /// <summary>As it stands after the last change; ask when all changes of an entry are applied, not in between.</summary>
    public DirectoryView View =>
        _view ??= new DirectoryView(_cluster, _counters, [.. _nodes.Values], [.. _keyspaces.Values], [.. _groups.Values]);

    /// <summary>What an engine holds of the directory.</summary>
    public static DirectoryRecords Read(IOrderedEngine engine)
    {
        var records = new DirectoryRecords();
        using EngineIterator iterator = engine.CreateIterator(new IteratorOptions { LowerBound = DirectoryKey.First, UpperBound = DirectoryKey.End });
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            records.Apply(iterator.Key, iterator.Value);
        return records;
    }

    /// <summary>The mutations of an entry, in the bytes of a <see cref="WriteBatch"/>.</summary>
    public void ApplyBatch(ReadOnlySpan<byte> batch)
    {
        var reader = new BatchReader(batch);
        while (reader.MoveNext())
        {
            switch (reader.Kind)
            {
                case BatchOperationKind.Put or BatchOperationKind.PutExpiring:
                    Apply(reader.Key, reader.Value);
                    break;
                case BatchOperationKind.Delete:
                    Remove(reader.Key);
                    break;
                case BatchOperationKind.DeleteRange:
                    RemoveRange(reader.Key, reader.Value);
                    break;
            }
        }

        Check.That(!reader.Malformed);
    }

    /// <summary>A key was written; false when it is none of the directory's.</summary>
    public bool Apply(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        DirectoryKey parsed = Parse(key);
        switch (parsed.Kind)
        {
            case DirectoryKind.Cluster when DirectoryCodec.TryRead(value, out ClusterRecord? cluster):
                _cluster = cluster;
                break;
            case DirectoryKind.Counters when DirectoryCodec.TryRead(value, out IdCounters? counters):
                _counters = counters;
                break;
            case DirectoryKind.Node when DirectoryCodec.TryRead(new NodeId(parsed.Number), value, out NodeRecord? node):
                _nodes[node.Id] = node;
                break;
            case DirectoryKind.Keyspace when DirectoryCodec.TryRead(new KeyspaceId((uint)parsed.Number), value, out KeyspaceRecord? keyspace):
                _keyspaces[keyspace.Id] = keyspace;
                break;
            case DirectoryKind.Group when DirectoryCodec.TryRead(new GroupId((uint)parsed.Number), value, out GroupRecord? group):
                _groups[group.Id] = group;
                break;
            case DirectoryKind.Other:
                return false;
            default:
                throw Unreadable(key, value);
        }

        _view = null;
        return true;
    }

    /// <summary>A key was deleted; false when it is none of the directory's.</summary>
    public bool Remove(ReadOnlySpan<byte> key)
    {
        DirectoryKey parsed = Parse(key);
        switch (parsed.Kind)
        {
            case DirectoryKind.Cluster:
                _cluster = null;
                break;
            case DirectoryKind.Counters:
                _counters = IdCounters.First;
                break;
            case DirectoryKind.Node:
                _nodes.Remove(new NodeId(parsed.Number));
                break;
            case DirectoryKind.Keyspace:
                _keyspaces.Remove(new KeyspaceId((uint)parsed.Number));
                break;
            case DirectoryKind.Group:
                _groups.Remove(new GroupId((uint)parsed.Number));
                break;
            default:
                return false;
        }

        _view = null;
        return true;
    }

    private void RemoveRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        DirectoryKey[] keys =
        [
            DirectoryKey.Cluster, DirectoryKey.Counters, .. _nodes.Keys.Select(id => DirectoryKey.Of(id)), .. _keyspaces.Keys.Select(id => DirectoryKey.Of(id)),
            .. _groups.Keys.Select(id => DirectoryKey.Of(id)),
        ];
        foreach (DirectoryKey key in keys)
        {
            byte[] bytes = key.ToBytes();
            if (start.SequenceCompareTo(bytes) <= 0 && (end.IsEmpty || end.SequenceCompareTo(bytes) > 0))
                Remove(bytes);
        }
    }

    private static DirectoryKey Parse(ReadOnlySpan<byte> bytes) =>
        DirectoryKey.TryParse(bytes, out DirectoryKey key)
            ? key
            : throw new CorruptionException($"the directory holds the key {Convert.ToHexStringLower(bytes)}, which is none");

    private static StorageException Unreadable(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        string name = $"the directory's record {Convert.ToHexStringLower(key)}";
        uint version = DirectoryCodec.VersionOf(value);
        uint known = DirectoryCodec.VersionKnown(Parse(key).Kind);
        return version > known
            ? new FormatTooNewException(name, version, known)
            : new CorruptionException($"{name} cannot be read");
    }
}
