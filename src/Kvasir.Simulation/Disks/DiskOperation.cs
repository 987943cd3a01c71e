namespace Kvasir.Simulation.Disks;

/// <summary>One call that reached a simulated disk. Numbers count from 1.</summary>
public readonly record struct DiskOperation(long Number, DiskOperationKind Kind, string Path, long Offset, int Length);

public enum DiskOperationKind
{
    Open,
    Create,
    Read,
    Write,
    Sync,
    SetLength,
    Allocate,
    Delete,
    Rename,
    HardLink,
    CreateFolder,
    DeleteFolder,
    SyncFolder,
    Lock,

    /// <summary>Existence, length, listing.</summary>
    Look,

    /// <summary>Only the making of a map; what is read through it is no operation.</summary>
    Map,
}

/// <summary>What a simulated disk does instead of the operation.</summary>
public enum DiskFault
{
    None,

    /// <summary>ENOSPC. A write may have got part of its bytes down.</summary>
    Full,

    /// <summary>
    /// EIO. A write may have got part of its bytes down; after a sync the dirty pages are kept, or marked clean without
    /// having been written, as kernels do.
    /// </summary>
    Failed,

    /// <summary>A read succeeds with one bit flipped.</summary>
    FlipBit,

    /// <summary>The power goes before the operation: this call and every later one throw.</summary>
    Crash,
}

/// <summary>What is lost when a simulated machine stops.</summary>
public enum CrashKind
{
    /// <summary>Only the process died: the page cache survives.</summary>
    ProcessKill,

    /// <summary>Everything unsynced is lost.</summary>
    LoseUnsynced,

    /// <summary>Any subset of the unsynced writes and directory changes is lost.</summary>
    LoseSubset,

    /// <summary>As <see cref="LoseSubset"/>, and each write that survives does so sector by sector.</summary>
    TearSectors,

    /// <summary>As <see cref="LoseSubset"/>, and writes that survive may be cut at any byte.</summary>
    TearBytes,
}

/// <summary>Thrown through the code under test at the instant the simulated machine stops.</summary>
public sealed class SimulatedCrashException : Exception
{
    public SimulatedCrashException() : base("the simulated machine stopped") { }

    public SimulatedCrashException(string message) : base(message) { }

    public SimulatedCrashException(string message, Exception inner) : base(message, inner) { }
}
