using System.Globalization;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Cluster.Transport;

namespace Kvasir.Cluster.Administration;

/// <summary>What a node knows of its cluster, for those who ask. Never waits. Inside the mailbox.</summary>
public interface IClusterTopology
{
    /// <summary>The cluster's own number, drawn when it was founded; 0 while this node has not joined one.</summary>
    ulong ClusterId { get; }

    /// <summary>Who leads the directory, or nobody as far as this node knows.</summary>
    NodeId DirectoryLeader { get; }

    /// <summary>In the order of their numbers.</summary>
    IReadOnlyList<NodeDescription> Nodes { get; }

    /// <summary>In the order of their names, with digits as numbers: db2 comes before db10.</summary>
    IReadOnlyList<KeyspaceDescription> Keyspaces { get; }

    /// <summary>In the order of their numbers; with what this node believes of their leaders.</summary>
    IReadOnlyList<GroupDescription> Groups { get; }

    /// <summary>This node's own replicas, in the order of their groups.</summary>
    IReadOnlyList<ReplicaDescription> Replicas { get; }

    /// <summary>Whether the cluster keeps what it promises, as it was last looked at; null before that. Any thread.</summary>
    DirectoryHealth? Health => null;

    /// <summary>This node's replicas that are damaged, or differ from their leaders', and are stopped; in the order of their groups. Any thread.</summary>
    IReadOnlyList<StoppedReplica> Stopped => [];

    /// <summary>What this node sends and receives of snapshots. Any thread.</summary>
    SnapshotTotals Snapshots => default;

    /// <summary>The follower that is furthest behind, of all shards that this node leads, as they were last looked at. Any thread.</summary>
    FurthestBehind FurthestBehind => default;
}

/// <param name="Entries">The most that one lacks.</param>
/// <param name="Milliseconds">The longest that one has lacked any.</param>
public readonly record struct FurthestBehind(long Entries, long Milliseconds);

/// <param name="Group">Its shard.</param>
/// <param name="Difference">What it has, and what its leader has; null when its files are damaged.</param>
/// <param name="Reason">For people.</param>
public sealed record StoppedReplica(GroupId Group, StateDifference? Difference, string Reason);

/// <param name="Id">Its number.</param>
/// <param name="State">active, draining, decommissioned, down or joining.</param>
/// <param name="Reachable">Seen from here.</param>
/// <param name="Peer">Where other nodes reach it: host:port.</param>
/// <param name="Resp">Where clients reach it: host:port, or empty.</param>
/// <param name="Http">host:port, or empty.</param>
/// <param name="Locality">k=v,k=v</param>
public sealed record NodeDescription(NodeId Id, string State, bool Reachable, string Peer, string Resp, string Http, string Locality)
{
    /// <summary>Where clients reach it, as Redis Cluster says it: IPv6 without brackets. An empty host and port 0 for nowhere.</summary>
    public (string Host, int Port) RespAddress
    {
        get
        {
            int colon = Resp.LastIndexOf(':');
            return colon > 0 && int.TryParse(Resp.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port)
                ? (Resp[..colon].Trim('[', ']'), port)
                : ("", 0);
        }
    }
}

/// <param name="Name">Its name.</param>
/// <param name="Database">The index that SELECT knows it by.</param>
/// <param name="Engine">lsm.</param>
/// <param name="Partitioning">static.</param>
/// <param name="Shards">How many.</param>
/// <param name="Replication">raft.</param>
/// <param name="Replicas">How many copies are promised.</param>
/// <param name="Durability">sync.</param>
public sealed record KeyspaceDescription(
    string Name, int Database, string Engine, string Partitioning, int Shards, string Replication, int Replicas, string Durability)
{
    /// <summary>On a node that is alone, of an engine with every key in memory: how much of what they may take they do.</summary>
    public int? IndexPercent { get; init; }

    /// <summary>In a cluster, while it is on its way: the engine that all copies shall have. Some have it by now.</summary>
    public string? MovesTo { get; init; }
}

/// <param name="Id">Its number.</param>
/// <param name="Keyspace">Of which it is a shard.</param>
/// <param name="Shard">Which one.</param>
/// <param name="Epoch">Grows with every change of its replicas.</param>
/// <param name="Replicas">Where the directory wants its copies.</param>
/// <param name="Leader">As far as this node knows.</param>
public sealed record GroupDescription(GroupId Id, string Keyspace, int Shard, ulong Epoch, IReadOnlyList<NodeId> Replicas, NodeId Leader);

/// <param name="Node">Whose copy it is.</param>
/// <param name="Entries">That are committed, and that it is not known to have on its disk.</param>
/// <param name="Bytes">Of those that the leader's log still has, about.</param>
/// <param name="Ms">For how long it has lacked some of them.</param>
/// <param name="Snapshot">What is done about the snapshot that it needs; null where it needs none.</param>
public readonly record struct FollowerLag(NodeId Node, ulong Entries, long Bytes, long Ms, SnapshotDispatch? Snapshot);

/// <summary>One of this node's own replicas.</summary>
public sealed record ReplicaDescription
{
    public required GroupId Group { get; init; }

    /// <summary>leader, follower, candidate or learner.</summary>
    public required string Role { get; init; }

    public ulong Term { get; init; }

    public NodeId Leader { get; init; }

    public IReadOnlyList<NodeId> Voters { get; init; } = [];

    public IReadOnlyList<NodeId> Learners { get; init; } = [];

    public ulong Commit { get; init; }

    public ulong Applied { get; init; }

    public ulong Last { get; init; }

    /// <summary>Of the entries that are known to be committed, and are not applied, about.</summary>
    public long LagBytes { get; init; }

    /// <summary>How old what is applied may be; -1 when that is not known.</summary>
    public long LagMs { get; init; }

    /// <summary>Of a leader: what it knows of the other copies.</summary>
    public IReadOnlyList<FollowerLag> Followers { get; init; } = [];

    public bool HasLease { get; init; }

    /// <summary>The snapshot that is on its way to it.</summary>
    public SnapshotArrival? Snapshot { get; init; }

    /// <summary>Why the last snapshot for it came to nothing; null where that is not known, or one was installed since.</summary>
    public string? SnapshotFailure { get; init; }

    /// <summary>The engine that it has, which may be another than that of other copies while the keyspace is converted.</summary>
    public string Engine { get; init; } = "";

    /// <summary>Of what its keys may take in memory, where the engine has all of them there: from 80 on it is time to act.</summary>
    public int? IndexPercent { get; init; }

    /// <summary>ok, or what is wrong with it.</summary>
    public string Disk { get; init; } = "ok";
}
