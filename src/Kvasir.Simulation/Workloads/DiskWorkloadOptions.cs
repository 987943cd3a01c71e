using System.Globalization;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Workloads;

/// <summary>How a disk workload runs.</summary>
public sealed record DiskWorkloadOptions
{
    public required ulong Seed { get; init; }

    /// <summary>The engine under test, with options small enough that a few hundred writes flush and compact.</summary>
    public required IEngineFactory Engine { get; init; }

    /// <summary>Engines that keyspaces are moved to while all goes on; with none, none is.</summary>
    public IReadOnlyList<IEngineFactory> Others { get; init; } = [];

    /// <summary>Transactions, reopenings, flushes, checkpoints, checks in one run.</summary>
    public int Steps { get; init; } = 120;

    /// <summary>One crash is tried in this many disk operations: 1 for all.</summary>
    public int CrashEvery { get; init; } = 1;

    /// <summary>What goes wrong beside crashes.</summary>
    public DiskWorkloadFaults Faults { get; init; } = DiskWorkloadFaults.All;

    /// <summary>Says what is damaged in a folder, as <c>kvasir verify</c> does; left out where nobody knows the engine's files.</summary>
    public Func<IFileSystem, string, IReadOnlyList<DamageFinding>>? Verify { get; init; }

    /// <summary>The command line that runs exactly this seed again.</summary>
    public string ReplayCommand =>
        string.Create(CultureInfo.InvariantCulture, $"./kvasir simulate disk --seed {Seed} --steps {Steps} --crash-every {CrashEvery}")
        + (Engine.Name == "lsm" ? "" : $" --engine {Engine.Name}")
        + (Faults == DiskWorkloadFaults.All ? "" : $" --faults {FaultNames.Format(Faults)}");
}

/// <summary>What goes wrong in a disk workload beside crashes; each can be left out to corner a failure.</summary>
[Flags]
public enum DiskWorkloadFaults
{
    None = 0,

    /// <summary>The disk fills up for a while (ENOSPC).</summary>
    Full = 1,

    /// <summary>Writes, syncs and names fail for a while (EIO).</summary>
    Failed = 2,

    /// <summary>Reads fail for a while (EIO).</summary>
    Reads = 4,

    /// <summary>Bits flip: in what reads return for a while, and at rest between a stop and a start.</summary>
    Flips = 8,

    /// <summary>Files are cut, grown, emptied, removed or exchanged at rest.</summary>
    Files = 16,

    /// <summary>Operations take time, now and then seconds.</summary>
    Slow = 32,

    /// <summary>Crashes and faults while a crashed disk is recovered, and again while that is.</summary>
    Recovery = 64,

    /// <summary>Transactions and views begin in the middle of flushes, compactions, commits and checkpoints.</summary>
    Interleave = 128,

    /// <summary>Some runs with durability <c>interval</c> or <c>none</c>.</summary>
    Weak = 256,

    All = 511,
}

/// <summary>What a run did.</summary>
/// <param name="Seed">Replays it.</param>
/// <param name="Operations">Disk operations of the run itself.</param>
/// <param name="CrashPoints">Crashes that were recovered from and checked.</param>
/// <param name="Transactions">Transactions committed.</param>
/// <param name="Failures">Times that a bad disk kept the node from writing.</param>
/// <param name="Fingerprint">Digest of everything that happened: equal for two runs of one seed.</param>
/// <param name="Coverage">How often each thing happened that the workload is there for.</param>
public sealed record DiskWorkloadResult(
    ulong Seed, long Operations, long CrashPoints, long Transactions, long Failures, ulong Fingerprint, DiskWorkloadCoverage Coverage);

/// <summary>Counts of what happened, by name.</summary>
public sealed class DiskWorkloadCoverage : IEquatable<DiskWorkloadCoverage>
{
    private readonly SortedDictionary<string, long> _counts = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, long> Counts => _counts;

    public void Add(string what, long count = 1) => _counts[what] = _counts.GetValueOrDefault(what) + count;

    public void Add(DiskWorkloadCoverage other)
    {
        foreach ((string what, long count) in other._counts)
            Add(what, count);
    }

    public bool Equals(DiskWorkloadCoverage? other) => other is not null && _counts.SequenceEqual(other._counts);

    public override bool Equals(object? obj) => Equals(obj as DiskWorkloadCoverage);

    public override int GetHashCode() => _counts.Count;
}

/// <summary>A promise was broken. The message says which, and how to see it again.</summary>
public sealed class WorkloadFailedException : Exception
{
    public WorkloadFailedException() { }

    public WorkloadFailedException(string message) : base(message) { }

    public WorkloadFailedException(string message, Exception? inner) : base(message, inner) { }
}
