namespace Kvasir.Cli.Bench.Engines;

/// <summary>What <c>kvasir bench engine</c> was asked to do; the words and shapes are those of RocksDB's db_bench.</summary>
internal sealed record EngineBenchOptions
{
    public required string Engine { get; init; }

    public required IReadOnlyList<EngineWorkload> Workloads { get; init; }

    /// <summary>Size of the key space, and operations of each thread unless <see cref="Reads"/> or the like say otherwise.</summary>
    public long Keys { get; init; }

    public int KeyBytes { get; init; } = 16;

    public int ValueBytes { get; init; } = 100;

    public int Threads { get; init; } = 1;

    /// <summary>Mutations in one atomic write.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Each write waits until it is on stable storage.</summary>
    public bool Sync { get; init; }

    public int CacheMebibytes { get; init; }

    public int MemTableMebibytes { get; init; } = 64;

    /// <summary>What the index of the engine <c>log</c> may take; 0 for what suits the memory.</summary>
    public int IndexMebibytes { get; init; }

    /// <summary>The engine <c>btree</c> reads pages through a cache of its own instead of a map.</summary>
    public bool PositionalReads { get; init; }

    public ulong Seed { get; init; } = 1;

    /// <summary>Null for a temporary folder that is removed afterwards.</summary>
    public string? Folder { get; init; }

    public bool UseExisting { get; init; }

    /// <summary>Reads of each thread; 0 for as many as keys.</summary>
    public long Reads { get; init; }

    /// <summary>Writes of each thread; 0 for as many as keys.</summary>
    public long Writes { get; init; }

    /// <summary>Run for this long instead of a number of operations; zero for the number.</summary>
    public TimeSpan Duration { get; init; }

    /// <summary>After each workload flush, and wait until compaction has caught up; the wait is not measured as work.</summary>
    public bool Settle { get; init; }
}

internal enum EngineWorkload
{
    FillSeq,
    FillRandom,
    Overwrite,
    ReadRandom,
    ReadMissing,
    ReadWhileWriting,
    SeekRandom,
    DeleteRandom,
}
