using System.Globalization;
using System.Numerics;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Directory;

/// <summary>
/// Which choices of a keyspace go together, and which of those there are by now. What can never work is refused with the
/// reason, before what only does not exist yet.
/// </summary>
internal static class KeyspaceRules
{
    public const int ReplicasMax = 7;
    public const string SystemName = "system";

    public static string NameOfDatabase(int database) => "db" + database.ToString(CultureInfo.InvariantCulture);

    /// <summary>Why there can be no such keyspace, or null.</summary>
    public static string? Refusal(KeyspaceRequest request) =>
        OfName(request.Name) ?? OfWords(request) ?? OfCombination(request) ?? RefusalOfNumbers(request) ?? NotYet(request);

    /// <summary>The record for what was not refused.</summary>
    public static KeyspaceRecord Record(KeyspaceId id, KeyspaceRequest request)
    {
        bool known = TryPartitioning(request.Partitioning, out KeyspacePartitioning partitioning);
        known &= TryReplication(request.Replication, out KeyspaceReplication replication);
        known &= TryConflicts(request.Conflicts, out KeyspaceConflicts conflicts);
        known &= TryDurability(request.Durability, out Durability durability);
        Check.That(known);
        return new KeyspaceRecord
        {
            Id = id,
            Name = request.Name,
            Engine = request.Engine,
            Partitioning = partitioning,
            Shards = request.Shards,
            Replication = replication,
            Replicas = request.Replicas,
            Durability = durability,
            Conflicts = conflicts,
        };
    }

    private static string? OfName(string name)
    {
        bool fits = name.Length is > 0 and <= DirectoryCodec.NameLengthMax && char.IsAsciiLetterLower(name[0])
            && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_');
        if (!fits)
            return $"a keyspace's name begins with a lower-case letter and has lower-case letters, digits, '-' and '_', {DirectoryCodec.NameLengthMax} at most";
        if (name == SystemName)
            return "the name 'system' is the cluster's own";
        if (name.StartsWith("db", StringComparison.Ordinal) && name.Length > 2 && name.AsSpan(2).IndexOfAnyExceptInRange('0', '9') < 0)
            return $"the name '{name}' is kept for the database that SELECT knows by its number";
        return null;
    }

    private static string? OfWords(KeyspaceRequest request)
    {
        if (request.Engine is not ("lsm" or "log" or "btree"))
            return $"there is no engine '{request.Engine}': it is lsm, log or btree";
        if (!TryPartitioning(request.Partitioning, out _))
            return $"there is no partitioning '{request.Partitioning}': it is range, static or ring";
        if (!TryReplication(request.Replication, out _))
            return $"there is no replication '{request.Replication}': it is raft, quorum or multileader";
        if (!TryConflicts(request.Conflicts, out _))
            return $"there is no rule for conflicts '{request.Conflicts}': it is none, lww, siblings or crdt";
        if (!TryDurability(request.Durability, out _))
            return $"there is no durability '{request.Durability}': it is sync, interval or none";
        return null;
    }

    private static string? OfCombination(KeyspaceRequest request) => request switch
    {
        { Partitioning: "range", Engine: "log" } =>
            "partitioning range needs an engine that keeps keys in order: lsm or btree, not log",
        { Replication: "raft", Partitioning: "ring" } =>
            "replication raft needs shards or ranges, each a group that agrees on one order: partitioning static or range, not ring",
        { Replication: "raft", Conflicts: not "none" } =>
            "replication raft puts all writes in one order, so there are no conflicts to resolve: conflicts none",
        { Replication: "raft", Durability: not "sync" } =>
            "replication raft counts copies that are on stable storage; a copy that could be lost again would break what was promised: durability sync",
        { Replication: "quorum", Partitioning: not "ring" } =>
            "replication quorum finds its copies on a ring: partitioning ring",
        { Replication: "quorum", Conflicts: "none" } =>
            "replication quorum takes writes in several places at once, so it must be said what becomes of conflicts: lww, siblings or crdt",
        { Replication: "multileader", Partitioning: "ring" } =>
            "replication multileader needs shards or ranges inside each region: partitioning static or range, not ring",
        { Replication: "multileader", Conflicts: "none" or "siblings" } =>
            "replication multileader takes writes in each region, and all must come to the same value by themselves: conflicts lww or crdt",
        _ => null,
    };

    public static string? RefusalOfNumbers(KeyspaceRequest request)
    {
        if (request.Partitioning == "static" && (request.Shards is < 1 or > DirectoryCodec.ShardsMax || !BitOperations.IsPow2(request.Shards)))
            return $"shards {request.Shards} is no power of two from 1 to {DirectoryCodec.ShardsMax}";
        if (request.Replicas is < 1 or > ReplicasMax)
            return $"replicas {request.Replicas} is not in 1 to {ReplicasMax}";
        if (request.Replication == "raft" && request.Replicas % 2 == 0)
            return $"replicas {request.Replicas} outlives no more failures than {request.Replicas - 1}, since a majority is needed: give an odd number";
        return null;
    }

    private static string? NotYet(KeyspaceRequest request)
    {
        if (request.Replication != "raft")
            return $"replication {request.Replication} is not there yet: raft is";
        if (request.Partitioning == "range")
            return "partitioning range is not there yet: static is";
        return request.Engine == "lsm" ? null : $"engine {request.Engine} is not there yet: lsm is";
    }

    private static bool TryPartitioning(string word, out KeyspacePartitioning partitioning)
    {
        partitioning = word switch
        {
            "range" => KeyspacePartitioning.Range,
            "static" => KeyspacePartitioning.Static,
            "ring" => KeyspacePartitioning.Ring,
            _ => 0,
        };
        return partitioning != 0;
    }

    private static bool TryReplication(string word, out KeyspaceReplication replication)
    {
        replication = word switch
        {
            "raft" => KeyspaceReplication.Raft,
            "quorum" => KeyspaceReplication.Quorum,
            "multileader" => KeyspaceReplication.MultiLeader,
            _ => 0,
        };
        return replication != 0;
    }

    private static bool TryConflicts(string word, out KeyspaceConflicts conflicts)
    {
        conflicts = word switch
        {
            "none" => KeyspaceConflicts.None,
            "lww" => KeyspaceConflicts.LastWriteWins,
            "siblings" => KeyspaceConflicts.Siblings,
            "crdt" => KeyspaceConflicts.Crdt,
            _ => 0,
        };
        return conflicts != 0;
    }

    private static bool TryDurability(string word, out Durability durability)
    {
        durability = word switch
        {
            "interval" => Durability.Interval,
            "none" => Durability.None,
            _ => Durability.Sync,
        };
        return word is "sync" or "interval" or "none";
    }
}
