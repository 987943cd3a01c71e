using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Store;

namespace Kvasir.Simulation.Workloads;

/// <summary>How a model workload runs.</summary>
public sealed record ModelWorkloadOptions
{
    public required ulong Seed { get; init; }

    /// <summary>Mutations, reads, steps of iterators and whatever else there is, one by one.</summary>
    public long Operations { get; init; } = 100_000;

    /// <summary>
    /// An engine with settings drawn from the seed, so small that a few hundred writes flush and compact. Asked
    /// again at some reopenings, since settings may change between two starts.
    /// </summary>
    public required Func<SeededRandom, IEngineFactory> Engine { get; init; }

    /// <summary>Null: an engine for even seeds, an embedded store for odd ones.</summary>
    public ModelSubjectKind? Subject { get; init; }

    /// <summary>Of all writes to an embedded store; null: each write has one of its own.</summary>
    public WriteDurability? Durability { get; init; }

    /// <summary>A disk and a folder on it that is there; null for an imagined disk, which alone crashes and interrupts.</summary>
    public (IFileSystem Files, string Folder)? Disk { get; init; }

    /// <summary>The command line that runs exactly this seed again.</summary>
    public string ReplayCommand =>
        string.Create(CultureInfo.InvariantCulture, $"./kvasir simulate model --seed {Seed} --operations {Operations}")
        + (Engine(new SeededRandom(Seed)).Name is var name && name == "lsm" ? "" : $" --engine {name}");
}

public enum ModelSubjectKind
{
    /// <summary>Below a log that the workload imagines.</summary>
    Engine,

    /// <summary>With a journal of its own.</summary>
    Store,
}

/// <summary>What a run did.</summary>
/// <param name="Seed">Replays it.</param>
/// <param name="Operations">As many as asked for, or a few more.</param>
/// <param name="Fingerprint">Digest of everything that happened: equal for two runs of one seed.</param>
/// <param name="Coverage">How often each thing happened that the workload is there for.</param>
public sealed record ModelWorkloadResult(ulong Seed, long Operations, ulong Fingerprint, DiskWorkloadCoverage Coverage);
