using Kvasir.Cluster.Keyspaces;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <summary>Settings of one node.</summary>
public sealed record NodeOptions
{
    /// <summary>The data folder: made when missing, refused when another process has it.</summary>
    public required string Folder { get; init; }

    /// <summary>Databases of the Redis protocol, each a keyspace <c>db0</c>, <c>db1</c>, ...</summary>
    public int DatabaseCount { get; init; } = 16;

    /// <summary>The engine of a new folder's databases, by its factory's name; null for the first that there is. A folder stays with its own.</summary>
    public string? Engine { get; init; }

    public Durability Durability { get; init; } = Durability.Sync;

    /// <summary>Databases whose durability differs from <see cref="Durability"/>, by index.</summary>
    public IReadOnlyDictionary<int, Durability> DatabaseDurability { get; init; } = new Dictionary<int, Durability>();

    /// <summary>With <see cref="Durability.Interval"/>: the longest time between two syncs.</summary>
    public TimeSpan SyncInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// With <see cref="Durability.Interval"/> and <see cref="Durability.None"/>: the longest time that an answered write
    /// stays in the process before the system has it, and so survives the process.
    /// </summary>
    public TimeSpan WriteInterval { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Memtables and caches of all keyspaces together.</summary>
    public long MemoryBytes { get; init; } = 1L << 30;

    /// <summary>Journal kept for replay before the engine that holds it back is told to flush.</summary>
    public long JournalBytesMax { get; init; } = 512L << 20;

    /// <summary>
    /// Bytes of the disk that are kept for deletions on a full disk, and for a start on one; 0 for none. Where they cannot be
    /// had, writes that take space are refused.
    /// </summary>
    public long ReserveBytes { get; init; }

    /// <summary>What a conversion to another engine reads of the keyspace, at most: the rest is for those who are served.</summary>
    public long ConversionBytesPerSecond { get; init; } = 64L << 20;

    public JournalOptions Journal { get; init; } = new();

    /// <summary>Is told what people should know before it becomes a failure. Any thread; must not block.</summary>
    public Action<string>? Warner { get; init; }
}

/// <summary>The world a node lives in: the machine's, or an imagined one.</summary>
/// <param name="Files">The disk.</param>
/// <param name="Scheduler">Time, background jobs, waiting.</param>
/// <param name="Engines">The engines that keyspaces may choose from; the first is that of folders which say nothing of it.</param>
/// <param name="Seed">Where the node's identity and other chance come from.</param>
public sealed record NodeEnvironment(
    IFileSystem Files,
    IScheduler Scheduler,
    IReadOnlyList<IEngineFactory> Engines,
    ulong Seed);
