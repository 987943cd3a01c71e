using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Administration;

/// <summary>What one node says of its cluster (the command STATUS): the directory as it has it, and its own replicas.</summary>
internal sealed record NodeAnswer
{
    public string? Cluster { get; init; }

    public long Node { get; init; }

    /// <summary>The node that leads the directory, as far as this one knows; 0: nobody.</summary>
    public long DirectoryLeader { get; init; }

    /// <summary>What the directory finds wrong, in its own words.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    public required IReadOnlyList<NodeEntry> Nodes { get; init; }

    public required IReadOnlyList<KeyspaceEntry> Keyspaces { get; init; }

    public required IReadOnlyList<GroupEntry> Groups { get; init; }

    public required IReadOnlyList<ReplicaEntry> Replicas { get; init; }

    public static NodeAnswer From(RespReply reply)
    {
        ReplyFields fields = new(reply);
        return new NodeAnswer
        {
            Cluster = fields.Text("cluster"),
            Node = fields.Number("node") ?? 0,
            DirectoryLeader = fields.Number("directory-leader") ?? 0,
            Problems = fields.Texts("problems"),
            Nodes = [.. fields.Maps("nodes").Select(NodeEntry.From)],
            Keyspaces = [.. fields.Maps("keyspaces").Select(KeyspaceEntry.From)],
            Groups = [.. fields.Maps("groups").Select(GroupEntry.From)],
            Replicas = [.. fields.Maps("replicas").Select(ReplicaEntry.From)],
        };
    }
}

/// <summary>A node, as the directory knows it.</summary>
internal sealed record NodeEntry(long Id, string? State, bool? IsReachable, string? Peer, string? Resp, string? Http, string? Locality)
{
    public static NodeEntry From(ReplyFields f) =>
        new(f.Number("id") ?? 0, f.Text("state"), f.Flag("reachable"), f.Text("peer"), f.Text("resp"), f.Text("http"), f.Text("locality"));
}

internal sealed record KeyspaceEntry(
    string Name, string? Engine, string? Partitioning, long? Shards, string? Replication, long? Replicas, string? Durability)
{
    /// <summary>Of what its keys may take in memory, where a server that is alone tells.</summary>
    public long? IndexPercent { get; init; }

    /// <summary>While it is converted: the engine that all copies shall have.</summary>
    public string? MovesTo { get; init; }

    /// <summary>Its engine; while it is converted, from which to which.</summary>
    public string? Engines => MovesTo is null || MovesTo == Engine ? Engine : $"{Engine} to {MovesTo}";

    public static KeyspaceEntry From(ReplyFields f) => new(
        f.Text("name") ?? "", f.Text("engine"), f.Text("partitioning"), f.Number("shards"), f.Text("replication"), f.Number("replicas"), f.Text("durability"))
    {
        IndexPercent = f.Number("index-percent"),
        MovesTo = f.Text("moves-to"),
    };
}

/// <param name="Id">Of the Raft group.</param>
/// <param name="Keyspace">Whose shard it is.</param>
/// <param name="Shard">From 0.</param>
/// <param name="Epoch">Counts the changes of its replicas.</param>
/// <param name="Replicas">The nodes that the directory wants them on.</param>
internal sealed record GroupEntry(long Id, string Keyspace, long Shard, long? Epoch, IReadOnlyList<long> Replicas)
{
    public static GroupEntry From(ReplyFields f) =>
        new(f.Number("id") ?? 0, f.Text("keyspace") ?? "", f.Number("shard") ?? 0, f.Number("epoch"), f.Numbers("replicas"));
}

/// <summary>A replica on the node that was asked.</summary>
internal sealed record ReplicaEntry(long Group, string? Role, long Term, long Leader, IReadOnlyList<long> Voters, IReadOnlyList<long> Learners)
{
    public long? CommitIndex { get; init; }

    public long? AppliedIndex { get; init; }

    public long? LagEntries { get; init; }

    public long? LagBytes { get; init; }

    /// <summary>Null when the node does not know.</summary>
    public long? LagMilliseconds { get; init; }

    /// <summary>Of a leader: how far the others are behind it.</summary>
    public IReadOnlyList<FollowerEntry> Followers { get; init; } = [];

    public bool? HasLease { get; init; }

    public string? Disk { get; init; }

    /// <summary>Of what its keys may take in memory.</summary>
    public long? IndexPercent { get; init; }

    /// <summary>The snapshot that is on its way to it.</summary>
    public SnapshotEntry? Snapshot { get; init; }

    /// <summary>Why the last snapshot for it came to nothing.</summary>
    public string? SnapshotFailure { get; init; }

    public bool Leads => Role == "leader";

    public static ReplicaEntry From(ReplyFields f) => new(
        f.Number("group") ?? 0, f.Text("role"), f.Number("term") ?? 0, f.Number("leader") ?? 0, f.Numbers("voters"), f.Numbers("learners"))
    {
        CommitIndex = f.Number("commit"),
        AppliedIndex = f.Number("applied"),
        LagEntries = f.Number("lag-entries"),
        LagBytes = f.Number("lag-bytes"),
        LagMilliseconds = f.Number("lag-ms") is { } ms and >= 0 ? ms : null,
        Followers = [.. f.Maps("followers").Select(FollowerEntry.From)],
        HasLease = f.Flag("lease"),
        Disk = f.Text("disk"),
        IndexPercent = f.Number("index-percent"),
        Snapshot = f.Number("snapshot-from") is null ? null : SnapshotEntry.From("receiving", f),
        SnapshotFailure = f.Text("snapshot-failure"),
    };
}

/// <summary>Another node's copy, as the leader of its shard knows it.</summary>
internal sealed record FollowerEntry(long Node, long? LagEntries, long? LagBytes, long? LagMilliseconds, SnapshotEntry? Snapshot)
{
    public static FollowerEntry From(ReplyFields f) => new(
        f.Number("node") ?? 0, f.Number("lag-entries"), f.Number("lag-bytes"), f.Number("lag-ms"),
        f.Text("snapshot") is { } stage ? SnapshotEntry.From(stage, f) : null);
}

/// <summary>A snapshot for a copy that cannot be brought up by entries.</summary>
/// <param name="Stage">waiting, preparing, sending, refused; or receiving, as the copy has it.</param>
/// <param name="Bytes">What has left, or come.</param>
/// <param name="Total">Of so many, where that is known.</param>
internal sealed record SnapshotEntry(string Stage, long? Bytes, long? Total)
{
    /// <summary>The last one came to nothing where it arrived.</summary>
    public bool IsRefused => Stage == "refused";

    public static SnapshotEntry From(string stage, ReplyFields f) => new(stage, f.Number("snapshot-bytes"), f.Number("snapshot-total"));
}
