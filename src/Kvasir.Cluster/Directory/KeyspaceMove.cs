namespace Kvasir.Cluster.Directory;

/// <summary>How far a keyspace is that moves to another engine, or moved last. Persisted: numbers are never changed or reused.</summary>
public enum KeyspaceMoveState : byte
{
    /// <summary>All copies shall have the new engine.</summary>
    Moving = 1,

    /// <summary>Somebody wanted it to end: all copies shall have the engine that they had.</summary>
    Aborting = 2,

    /// <summary>As <see cref="Aborting"/>, because it cannot be.</summary>
    Failing = 3,

    Done = 4,

    Aborted = 5,

    Failed = 6,
}

/// <summary>
/// A keyspace's move from one engine to another: the one that is under way, or the last one. While it is under way copies of the keyspace
/// have one or the other.
/// </summary>
public sealed record KeyspaceMove
{
    public required string From { get; init; }

    public required string To { get; init; }

    public required KeyspaceMoveState State { get; init; }

    /// <summary>Grows with each change of what is wanted, from 1, in the life of the keyspace: a report of another number is of yesterday.</summary>
    public required ulong Number { get; init; }

    /// <summary>Why it came to nothing; empty where it did not.</summary>
    public string Reason { get; init; } = "";

    /// <summary>By the clock of whoever led the directory, in Unix milliseconds.</summary>
    public long BeganAtMs { get; init; }

    /// <summary>0 while it is under way.</summary>
    public long EndedAtMs { get; init; }

    /// <summary>Of its end: how many copies there were.</summary>
    public int Copies { get; init; }

    /// <summary>Of its end: how many of them told that both engines had the same. Who was started again since, or was made in the new engine, does not.</summary>
    public int Compared { get; init; }

    /// <summary>Of its end: rows that all copies have copied, as far as they told.</summary>
    public long Rows { get; init; }

    /// <summary>Of its end: bytes of those.</summary>
    public long Bytes { get; init; }

    public bool IsUnderWay => State <= KeyspaceMoveState.Failing;

    /// <summary>Copies go back to what they had.</summary>
    public bool IsWithdrawn => State is KeyspaceMoveState.Aborting or KeyspaceMoveState.Failing;

    /// <summary>What all copies shall have, or had at the end.</summary>
    public string Wanted => State is KeyspaceMoveState.Moving or KeyspaceMoveState.Done ? To : From;
}
