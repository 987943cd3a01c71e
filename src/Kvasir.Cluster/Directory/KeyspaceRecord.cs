using System.Globalization;
using Kvasir.Cluster.Keyspaces;

namespace Kvasir.Cluster.Directory;

/// <summary>How a key finds its part of a keyspace. Persisted: numbers are never changed or reused.</summary>
public enum KeyspacePartitioning : byte
{
    Range = 1,
    Static = 2,
    Ring = 3,
}

/// <summary>How copies agree. Persisted: numbers are never changed or reused.</summary>
public enum KeyspaceReplication : byte
{
    Raft = 1,
    Quorum = 2,
    MultiLeader = 3,
}

/// <summary>What concurrent writes become. Persisted: numbers are never changed or reused.</summary>
public enum KeyspaceConflicts : byte
{
    None = 1,
    LastWriteWins = 2,
    Siblings = 3,
    Crdt = 4,
}

/// <summary>A keyspace and its choices.</summary>
public sealed record KeyspaceRecord
{
    public required KeyspaceId Id { get; init; }

    public required string Name { get; init; }

    /// <summary>The index that SELECT knows it by, or null.</summary>
    public int? Database { get; init; }

    /// <summary>The word of an engine factory; while it moves to another, that of the one that it had.</summary>
    public required string Engine { get; init; }

    /// <summary>The move to another engine that is under way, or the last one; null where there was none.</summary>
    public KeyspaceMove? Move { get; init; }

    public required KeyspacePartitioning Partitioning { get; init; }

    /// <summary>A power of two.</summary>
    public required int Shards { get; init; }

    public required KeyspaceReplication Replication { get; init; }

    /// <summary>Copies that are promised of each shard, where there are nodes for them.</summary>
    public required int Replicas { get; init; }

    public required Durability Durability { get; init; }

    public required KeyspaceConflicts Conflicts { get; init; }

    public bool IsSystem => Id == KeyspaceId.System;

    /// <summary>It is under way from one engine to another, or back: copies have one or the other.</summary>
    public bool IsMoving => Move is { IsUnderWay: true };

    /// <summary>What every copy shall have.</summary>
    public string EngineWanted => Move is { IsUnderWay: true } move ? move.Wanted : Engine;

    /// <summary>The choices in the words that they are made in, in the order that people read them.</summary>
    public IReadOnlyList<(string Choice, string Value)> Choices =>
    [
        ("engine", Engine),
        ("partitioning", WordOf(Partitioning)),
        ("shards", Shards.ToString(CultureInfo.InvariantCulture)),
        ("replication", WordOf(Replication)),
        ("replicas", Replicas.ToString(CultureInfo.InvariantCulture)),
        ("durability", WordOf(Durability)),
        ("conflicts", WordOf(Conflicts)),
    ];

    /// <summary>What a copy of one of its shards is made with.</summary>
    public KeyspaceOptions ToOptions() => new() { Name = Name, Engine = EngineWanted, Durability = Durability };

    private static string WordOf<TChoice>(TChoice choice) where TChoice : struct, Enum =>
        choice is KeyspaceConflicts.LastWriteWins ? "lww" : choice.ToString().ToLowerInvariant();
}
