using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Transport;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>STATUS: the cluster as this node knows it, and this node's own replicas. Asks nobody, waits for nothing.</summary>
internal static class StatusPage
{
    public static void Write(CommandContext context)
    {
        IClusterTopology topology = context.Node.Clustered!.Topology;
        RespWriter reply = context.Reply;
        reply.MapHeader(9);
        Field(reply, "cluster", topology.ClusterId.ToString("x16", System.Globalization.CultureInfo.InvariantCulture));
        Field(reply, "node", (long)context.Node.Clustered.Self.Value);
        Field(reply, "directory-leader", (long)topology.DirectoryLeader.Value);
        reply.BulkString("nodes"u8);
        WriteNodes(reply, topology);
        reply.BulkString("keyspaces"u8);
        reply.ArrayHeader(topology.Keyspaces.Count);
        foreach (KeyspaceDescription keyspace in topology.Keyspaces)
            Write(reply, keyspace);
        reply.BulkString("groups"u8);
        reply.ArrayHeader(topology.Groups.Count);
        foreach (GroupDescription group in topology.Groups)
            Write(reply, group);
        reply.BulkString("replicas"u8);
        reply.ArrayHeader(topology.Replicas.Count);
        foreach (ReplicaDescription replica in topology.Replicas)
            Write(reply, replica);
        DirectoryHealth? health = topology.Health;
        Field(reply, "health", health?.Word ?? "unknown");
        reply.BulkString("problems"u8);
        reply.ArrayHeader(health?.Problems.Length ?? 0);
        foreach (string problem in health?.Problems ?? [])
            reply.BulkString(problem);
    }

    public static void WriteNodes(RespWriter reply, IClusterTopology topology)
    {
        reply.ArrayHeader(topology.Nodes.Count);
        foreach (NodeDescription node in topology.Nodes)
        {
            reply.MapHeader(7);
            Field(reply, "id", (long)node.Id.Value);
            Field(reply, "state", node.State);
            Field(reply, "reachable", node.Reachable ? 1 : 0);
            Field(reply, "peer", node.Peer);
            Field(reply, "resp", node.Resp);
            Field(reply, "http", node.Http);
            Field(reply, "locality", node.Locality);
        }
    }

    public static void Write(RespWriter reply, KeyspaceDescription keyspace)
    {
        reply.MapHeader(8 + (keyspace.IndexPercent is null ? 0 : 1) + (keyspace.MovesTo is null ? 0 : 1));
        Field(reply, "name", keyspace.Name);
        Field(reply, "database", keyspace.Database);
        Field(reply, "engine", keyspace.Engine);
        Field(reply, "partitioning", keyspace.Partitioning);
        Field(reply, "shards", keyspace.Shards);
        Field(reply, "replication", keyspace.Replication);
        Field(reply, "replicas", keyspace.Replicas);
        Field(reply, "durability", keyspace.Durability);
        if (keyspace.IndexPercent is { } percent)
            Field(reply, "index-percent", percent);
        if (keyspace.MovesTo is { } engine)
            Field(reply, "moves-to", engine);
    }

    private static void Write(RespWriter reply, GroupDescription group)
    {
        reply.MapHeader(6);
        Field(reply, "id", group.Id.Value);
        Field(reply, "keyspace", group.Keyspace);
        Field(reply, "shard", group.Shard);
        Field(reply, "epoch", (long)group.Epoch);
        Field(reply, "leader", (long)group.Leader.Value);
        Field(reply, "replicas", group.Replicas);
    }

    private static void Write(RespWriter reply, ReplicaDescription replica)
    {
        bool leads = replica.Role == "leader";
        reply.MapHeader(15 + (leads ? 1 : 0) + (replica.IndexPercent is null ? 0 : 1)
            + (replica.Snapshot is { } coming ? 2 + (coming.Total is null ? 0 : 1) : 0) + (replica.SnapshotFailure is null ? 0 : 1));
        Field(reply, "group", replica.Group.Value);
        Field(reply, "role", replica.Role);
        Field(reply, "term", (long)replica.Term);
        Field(reply, "leader", (long)replica.Leader.Value);
        Field(reply, "voters", replica.Voters);
        Field(reply, "learners", replica.Learners);
        Field(reply, "commit", (long)replica.Commit);
        Field(reply, "applied", (long)replica.Applied);
        Field(reply, "last", (long)replica.Last);
        Field(reply, "lag-entries", (long)(replica.Commit - Math.Min(replica.Applied, replica.Commit)));
        Field(reply, "lag-bytes", replica.LagBytes);
        Field(reply, "lag-ms", replica.LagMs);
        Field(reply, "lease", replica.HasLease ? 1 : 0);
        Field(reply, "disk", replica.Disk);
        Field(reply, "engine", replica.Engine);
        if (replica.IndexPercent is { } percent)
            Field(reply, "index-percent", percent);
        if (replica.Snapshot is { } snapshot)
        {
            Field(reply, "snapshot-from", (long)snapshot.From.Value);
            WriteBytes(reply, snapshot.Bytes, snapshot.Total);
        }

        if (replica.SnapshotFailure is { } failure)
            Field(reply, "snapshot-failure", failure);
        if (leads)
            Write(reply, replica.Followers);
    }

    private static void Write(RespWriter reply, IReadOnlyList<FollowerLag> followers)
    {
        reply.BulkString("followers"u8);
        reply.ArrayHeader(followers.Count);
        foreach (FollowerLag follower in followers)
        {
            reply.MapHeader(4 + (follower.Snapshot is { } going ? 2 + (going.Total is null ? 0 : 1) : 0));
            Field(reply, "node", (long)follower.Node.Value);
            Field(reply, "lag-entries", (long)follower.Entries);
            Field(reply, "lag-bytes", follower.Bytes);
            Field(reply, "lag-ms", follower.Ms);
            if (follower.Snapshot is not { } snapshot)
                continue;
            Field(reply, "snapshot", snapshot.Stage.ToString().ToLowerInvariant());
            WriteBytes(reply, snapshot.Bytes, snapshot.Total);
        }
    }

    private static void WriteBytes(RespWriter reply, long bytes, long? total)
    {
        Field(reply, "snapshot-bytes", bytes);
        if (total is { } known)
            Field(reply, "snapshot-total", known);
    }

    private static void Field(RespWriter reply, string name, string value)
    {
        reply.BulkString(name);
        reply.BulkString(value);
    }

    private static void Field(RespWriter reply, string name, long value)
    {
        reply.BulkString(name);
        reply.Integer(value);
    }

    private static void Field(RespWriter reply, string name, IReadOnlyList<NodeId> nodes)
    {
        reply.BulkString(name);
        reply.ArrayHeader(nodes.Count);
        foreach (NodeId node in nodes)
            reply.Integer((long)node.Value);
    }
}
