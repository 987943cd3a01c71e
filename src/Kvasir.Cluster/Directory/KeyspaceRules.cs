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

    private static readonly Choice<string>[] s_engines =
        [new("lsm", "lsm", Places.All), new("log", "log", Places.All), new("btree", "btree", Places.All)];

    private static readonly Choice<KeyspacePartitioning>[] s_partitionings =
    [
        new("range", KeyspacePartitioning.Range, Places.None), new("static", KeyspacePartitioning.Static, Places.All),
        new("ring", KeyspacePartitioning.Ring, Places.None),
    ];

    private static readonly Choice<KeyspaceReplication>[] s_replications =
    [
        new("raft", KeyspaceReplication.Raft, Places.All), new("quorum", KeyspaceReplication.Quorum, Places.None),
        new("multileader", KeyspaceReplication.MultiLeader, Places.None),
    ];

    private static readonly Choice<KeyspaceConflicts>[] s_conflicts =
    [
        new("none", KeyspaceConflicts.None, Places.All), new("lww", KeyspaceConflicts.LastWriteWins, Places.None),
        new("siblings", KeyspaceConflicts.Siblings, Places.None), new("crdt", KeyspaceConflicts.Crdt, Places.None),
    ];

    private static readonly Choice<Durability>[] s_durabilities =
    [
        new("sync", Durability.Sync, Places.All), new("interval", Durability.Interval, Places.Alone), new("none", Durability.None, Places.Alone),
    ];

    /// <summary>Where a choice can be had by now.</summary>
    [Flags]
    private enum Places
    {
        None = 0,
        Cluster = 1,
        Alone = 2,
        All = 3,
    }

    public static string NameOfDatabase(int database) => "db" + database.ToString(CultureInfo.InvariantCulture);

    /// <summary>Why there can be no such keyspace, or null.</summary>
    public static string? Refusal(KeyspaceRequest request) =>
        OfName(request.Name) ?? OfWords(request, Places.Cluster) ?? OfCombination(request) ?? RefusalOfNumbers(request) ?? NotYet(request);

    /// <summary>The same on a node that is alone: it has one copy of one shard, and every durability.</summary>
    public static string? RefusalAlone(KeyspaceRequest request) =>
        OfName(request.Name) ?? OfWords(request, Places.Alone) ?? request switch
        {
            { Partitioning: "range", Engine: "log" } => OfCombination(request),
            { Partitioning: not "static" } => $"a node that is alone has all keys in one place: partitioning static, not {request.Partitioning}",
            { Shards: not 1 } => $"a node that is alone has all keys in one place: shards 1, not {request.Shards}",
            { Replication: not "raft" } or { Replicas: not 1 } => "a node that is alone has no others to keep copies: replicas 1",
            { Conflicts: not "none" } => "a node that is alone puts all writes in one order, so there are no conflicts to resolve: conflicts none",
            _ => null,
        };

    public static Durability DurabilityOf(KeyspaceRequest request) => Of(s_durabilities, request.Durability);

    /// <summary>The record for what was not refused.</summary>
    public static KeyspaceRecord Record(KeyspaceId id, KeyspaceRequest request) => new()
    {
        Id = id,
        Name = request.Name,
        Engine = request.Engine,
        Partitioning = Of(s_partitionings, request.Partitioning),
        Shards = request.Shards,
        Replication = Of(s_replications, request.Replication),
        Replicas = request.Replicas,
        Durability = Of(s_durabilities, request.Durability),
        Conflicts = Of(s_conflicts, request.Conflicts),
    };

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

    // Of the words that there will be, only those are named that can be had.
    private static string? OfWords(KeyspaceRequest request, Places place) =>
        UnknownEngine(request.Engine)
        ?? Unknown(s_partitionings, "partitioning", request.Partitioning, place)
        ?? Unknown(s_replications, "replication", request.Replication, place)
        ?? Unknown(s_conflicts, "rule for conflicts", request.Conflicts, place)
        ?? Unknown(s_durabilities, "durability", request.Durability, place);

    private static string? UnknownEngine(string engine) => Unknown(s_engines, "engine", engine, Places.All);

    /// <summary>With what does not exist yet of it said, too: whoever mends one choice should not meet the next refusal.</summary>
    private static string? OfCombination(KeyspaceRequest request) =>
        WhyNever(request) is { } why ? NotYet(request) is { } notYet ? $"{why}; {notYet}" : why : null;

    private static string? WhyNever(KeyspaceRequest request) => request switch
    {
        { Partitioning: "range", Engine: "log" } =>
            "partitioning range needs an engine that keeps keys in order, and log finds them by their hashes",
        { Replication: "raft", Partitioning: "ring" } =>
            "replication raft needs shards or ranges, each a group that agrees on one order, and a ring has none: partitioning static",
        { Replication: "raft", Conflicts: not "none" } =>
            "replication raft puts all writes in one order, so there are no conflicts to resolve: conflicts none",
        { Replication: "raft", Durability: not "sync" } =>
            "replication raft counts copies that are on stable storage; a copy that could be lost again would break what was promised: durability sync",
        { Replication: "quorum", Partitioning: not "ring" } =>
            "replication quorum finds its copies on a ring, and not by shards or ranges",
        { Replication: "quorum", Conflicts: "none" } =>
            "replication quorum takes writes in several places at once, so it must be said what becomes of conflicts",
        { Replication: "multileader", Partitioning: "ring" } =>
            "replication multileader needs shards or ranges inside each region, and no ring",
        { Replication: "multileader", Conflicts: "none" or "siblings" } =>
            "replication multileader takes writes in each region, and all must come to the same value by themselves",
        _ => null,
    };

    public static string? RefusalOfNumbers(KeyspaceRequest request)
    {
        if (request.Partitioning == "static" && (request.Shards is < 1 or > DirectoryCodec.ShardsMax || !BitOperations.IsPow2(request.Shards)))
            return RefusalOfShards(request.Shards.ToString(CultureInfo.InvariantCulture));
        if (request.Replicas is < 1 or > ReplicasMax)
            return RefusalOfReplicas(request.Replicas.ToString(CultureInfo.InvariantCulture));
        if (request.Replication == "raft" && request.Replicas % 2 == 0)
            return $"replicas {request.Replicas} outlives no more failures than {request.Replicas - 1}, since a majority is needed: give an odd number";
        return null;
    }

    public static string RefusalOfShards(string number) => $"shards {number} is no power of two from 1 to {DirectoryCodec.ShardsMax}";

    public static string RefusalOfReplicas(string number) => $"replicas {number} is not in 1 to {ReplicasMax}";

    /// <summary>Why a keyspace with that partitioning cannot have the engine, or null.</summary>
    public static string? RefusalOfEngine(string engine, KeyspacePartitioning partitioning) =>
        UnknownEngine(engine)
        ?? (partitioning == KeyspacePartitioning.Range && engine == "log" ? OfCombination(new KeyspaceRequest { Name = "", Partitioning = "range", Engine = "log" }) : null);

    private static string? NotYet(KeyspaceRequest request)
    {
        if (request.Replication != "raft")
            return $"replication {request.Replication} is not there yet: raft is";
        return request.Partitioning == "range" ? "partitioning range is not there yet: static is" : null;
    }

    private static string? Unknown<T>(Choice<T>[] choices, string what, string asked, Places place)
    {
        if (choices.Any(c => c.Word == asked))
            return null;
        string[] there = [.. choices.Where(c => (c.There & place) != 0).Select(static c => c.Word)];
        string others = there.Length == 1 ? "" : string.Join(", ", there[..^1]) + " or ";
        return $"there is no {what} '{asked}': it is {others}{there[^1]}";
    }

    private static T Of<T>(Choice<T>[] choices, string word) => choices.Single(c => c.Word == word).Meaning;

    private readonly record struct Choice<T>(string Word, T Meaning, Places There);
}
