using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Workloads;

/// <summary>How a disk workload runs.</summary>
public sealed record DiskWorkloadOptions
{
    public required ulong Seed { get; init; }

    /// <summary>The engine under test, with options small enough that a few hundred writes flush and compact.</summary>
    public required IEngineFactory Engine { get; init; }

    /// <summary>Transactions, reopenings, flushes, checkpoints, checks in one run.</summary>
    public int Steps { get; init; } = 120;

    /// <summary>One crash is tried in this many disk operations: 1 for all.</summary>
    public int CrashEvery { get; init; } = 1;

    /// <summary>Lets the disk fill up (ENOSPC) or fail (EIO) for a while, too.</summary>
    public bool Faults { get; init; } = true;
}

/// <summary>What a run did.</summary>
/// <param name="Seed">Replays it.</param>
/// <param name="Operations">Disk operations of the run itself.</param>
/// <param name="CrashPoints">Crashes that were recovered from and checked.</param>
/// <param name="Transactions">Transactions committed.</param>
/// <param name="Failures">Times that a bad disk kept the node from writing.</param>
/// <param name="Fingerprint">Digest of everything that happened: equal for two runs of one seed.</param>
public sealed record DiskWorkloadResult(
    ulong Seed, long Operations, long CrashPoints, long Transactions, long Failures, ulong Fingerprint);

/// <summary>A promise was broken. The message says which, and how to see it again.</summary>
public sealed class WorkloadFailedException : Exception
{
    public WorkloadFailedException() { }

    public WorkloadFailedException(string message) : base(message) { }

    public WorkloadFailedException(string message, Exception? inner) : base(message, inner) { }
}
