using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Engines;

/// <summary>Makes or opens the engine of one folder. How an engine is handed to rooms that must not name it.</summary>
public interface IEngineFactory
{
    /// <summary>The word that keyspaces use: <c>lsm</c>, <c>log</c>, <c>btree</c>.</summary>
    string Name { get; }

    /// <summary>
    /// Opens the engine in <paramref name="folder"/>, making it when the folder is empty. Fails closed: a file that is
    /// missing or damaged stops the opening with its name.
    /// </summary>
    IStorageEngine Open(string folder, EngineEnvironment environment);

    /// <summary>
    /// What every folder has in which an engine was ever opened, and <paramref name="folder"/> has not: its path; null when
    /// it is there. For owners who know that there was an engine, and for whom a new one would hide a loss.
    /// </summary>
    string? FindMissing(IFileSystem files, string folder);

    /// <summary>
    /// Up to where the files in <paramref name="folder"/> hold the log, without opening the engine or changing anything;
    /// zero where there are none. Throws where what says so is damaged.
    /// </summary>
    LogPosition ReadFlushedPosition(IFileSystem files, string folder);

    /// <summary>
    /// A checkpoint costs hardly anything, so that its files may be copied to another node in the place of what is in them; those of
    /// which <see cref="VerifyFile"/> finds nothing, and which can be opened together, are whole.
    /// </summary>
    bool ShipsFiles => false;

    /// <summary>Damage in one file of an engine, which is not open; empty when all is well with it by itself. Reads all of it.</summary>
    IReadOnlyList<DamageFinding> VerifyFile(IFileSystem files, string path) => [];

    /// <summary>What an engine that this factory makes will not take, for whoever must know before there is one.</summary>
    EngineLimits LimitsIn(MemoryBudget memory) => EngineLimits.None;
}

/// <param name="KeyBytesMax">As <see cref="IStorageEngine.KeyBytesMax"/>.</param>
/// <param name="ValueBytesMax">As <see cref="IStorageEngine.ValueBytesMax"/>.</param>
/// <param name="KeysMax">How many keys it has room for, roughly.</param>
public readonly record struct EngineLimits(int KeyBytesMax, int ValueBytesMax, long KeysMax)
{
    public static readonly EngineLimits None = new(int.MaxValue, int.MaxValue, long.MaxValue);
}

/// <summary>What an engine shares with the other engines of its process.</summary>
/// <param name="Files">The disk.</param>
/// <param name="Scheduler">Time, background jobs, waiting.</param>
/// <param name="Memory">The one budget for memtables and caches.</param>
public sealed record EngineEnvironment(IFileSystem Files, IScheduler Scheduler, MemoryBudget Memory)
{
    /// <summary>
    /// Called when the engine could flush something that is not stable yet: whoever owns the log should make it durable
    /// soon, even if nobody else waits for it. Any thread; must not block.
    /// </summary>
    public Action? StabilityWanted { get; init; }

    /// <summary>
    /// Whose engine it is to be. One that says that it is somebody else's is not opened; one that says nothing becomes this owner's. With
    /// none nothing is compared.
    /// </summary>
    public EngineOwner Owner { get; init; }

    /// <summary>
    /// Called when an engine comes near a limit at which it would refuse writes, with a sentence for the log; not again until it was
    /// well away from it. Any thread; must not block.
    /// </summary>
    public Action<string>? LimitNears { get; init; }

    /// <summary>
    /// The owner asks for <see cref="IStorageEngine.KeysLeft"/> before it writes, and refuses by itself: what comes is in the log, or will
    /// be, and is taken though it is beyond the limit.
    /// </summary>
    public bool TakesAll { get; init; }

    /// <summary>The engine keeps a <see cref="StateDigest"/> of what it publishes.</summary>
    public bool KeepsDigest { get; init; }

    /// <summary>
    /// Of the time that it is given, a time not after it, both in Unix milliseconds: values whose deadline lies at or before that
    /// may go with a flush or a compaction, and nobody hears of it. Later ones stay, hidden, for the owner to find, delete and tell
    /// of. Null: the owner does not, and whatever has expired may go. Any thread.
    /// </summary>
    public Func<long, long>? ExpiryHorizon { get; init; }

    /// <summary>The horizon as of now.</summary>
    internal long ExpiryHorizonMs
    {
        get
        {
            long nowMs = Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();
            return ExpiryHorizon is null ? nowMs : Math.Min(ExpiryHorizon(nowMs), nowMs);
        }
    }
}
