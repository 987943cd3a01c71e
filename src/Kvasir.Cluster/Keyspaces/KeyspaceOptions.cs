namespace Kvasir.Cluster.Keyspaces;

/// <summary>The choices of one keyspace. Immutable once created, but for durability.</summary>
public sealed record KeyspaceOptions
{
    public required string Name { get; init; }

    /// <summary>The word of an engine factory: <c>lsm</c>.</summary>
    public string Engine { get; init; } = "lsm";

    public Durability Durability { get; init; } = Durability.Sync;
}

/// <summary>When a write is answered; the strictest first.</summary>
public enum Durability
{
    /// <summary>After it is on stable storage. Loses nothing that was answered.</summary>
    Sync,

    /// <summary>
    /// Once the system has it; stable storage follows within the interval. A crash of the machine may lose the writes of
    /// the last interval (and of the sync under way); a crash of the process, none but those made during a sync.
    /// </summary>
    Interval,

    /// <summary>At once; stable storage follows when the system likes. A crash of the machine may lose more.</summary>
    None,
}
