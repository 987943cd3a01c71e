using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Directory;

/// <summary>A view with changes that are being decided on, and the list of them. Each record is written once, as it ends up.</summary>
internal sealed class DirectoryDraft
{
    private readonly DirectoryRecords _records;
    private readonly SortedDictionary<(DirectoryKind, ulong), DirectoryChange> _changes = [];

    public DirectoryDraft(DirectoryView view) => _records = new DirectoryRecords(view);

    /// <summary>With the changes so far.</summary>
    public DirectoryView View => _records.View;

    public DirectoryDecision Grant() => DirectoryDecision.Grant([.. _changes.Values]);

    public void Put(ClusterRecord cluster) => Change(DirectoryKey.Cluster, DirectoryCodec.Write(cluster));

    public void Put(IdCounters counters) => Change(DirectoryKey.Counters, DirectoryCodec.Write(counters));

    public void Put(NodeRecord node) => Change(DirectoryKey.Of(node.Id), DirectoryCodec.Write(node));

    public void Put(KeyspaceRecord keyspace) => Change(DirectoryKey.Of(keyspace.Id), DirectoryCodec.Write(keyspace));

    public void Put(GroupRecord group) => Change(DirectoryKey.Of(group.Id), DirectoryCodec.Write(group));

    public void Delete(KeyspaceId id) => Change(DirectoryKey.Of(id), null);

    public void Delete(GroupId id) => Change(DirectoryKey.Of(id), null);

    public NodeId TakeNodeId()
    {
        NodeId id = View.Counters.NextNode;
        Put(View.Counters with { NextNode = new NodeId(id.Value + 1) });
        return id;
    }

    public KeyspaceId TakeKeyspaceId()
    {
        KeyspaceId id = View.Counters.NextKeyspace;
        Put(View.Counters with { NextKeyspace = new KeyspaceId(checked(id.Value + 1)) });
        return id;
    }

    /// <summary>The first of so many that follow one another.</summary>
    public GroupId TakeGroupIds(int count)
    {
        GroupId id = View.Counters.NextGroup;
        Put(View.Counters with { NextGroup = new GroupId(checked(id.Value + (uint)count)) });
        return id;
    }

    private void Change(DirectoryKey key, byte[]? value)
    {
        byte[] bytes = key.ToBytes();
        if (value is null)
            _records.Remove(bytes);
        else
            _records.Apply(bytes, value);
        _changes[(key.Kind, key.Number)] = new DirectoryChange(bytes, value);
    }
}
