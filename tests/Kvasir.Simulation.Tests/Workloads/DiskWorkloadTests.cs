using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Simulation.Tests.Workloads;

public sealed class DiskWorkloadTests
{
    private static readonly string[] s_covered =
    [
        "KiB flushed", "KiB compacted", "checkpoints opened and compared", "clean stops and starts", "snapshots held", "iterators held",
        "crashes inside a recovery", "crashes before Write of a journal segment", "crashes before Write of a table",
        "crashes before Write of a manifest", "crashes before HardLink of a table of a checkpoint",
        "databases swapped", "everything deleted, in all databases", "ranges deleted", "ranges deleted, to the end",
        "keys moved to another database", "keys copied to another database", "keys put that expire",
        "journal segments deleted", "transactions inside background work", "views taken inside background work",
        "faults: an operation takes seconds", "damage: a bit flipped in a table: refused at the start",
        "damage: a table removed: refused at the start", "damage: a journal segment removed: refused at the start",
        "recoveries on a disk with failing reads: refused", "recoveries on a disk with failing writes: refused",
    ];

    [Fact]
    public void TwentyThousandCrashPointsKeepThePromises() => DiskWorkloadRuns.AssertCrashesKeepThePromises(Options, 20_000, s_covered);

    [Fact]
    public void DisksThatFillUpAndFailKeepThePromises() => DiskWorkloadRuns.AssertBadDisksKeepThePromises(Options, seeds: 15, failuresMin: 10);

    [Fact]
    public void SameSeedSameRun()
    {
        Assert.Equal(DiskWorkload.Run(Options(7)), DiskWorkload.Run(Options(7)));
    }

    private static DiskWorkloadOptions Options(ulong seed) => new()
    {
        Seed = seed,
        Engine = new LsmEngineFactory(LsmOptions.Tiny),
        Verify = static (files, folder) => DiskWorkloadRuns.Verify(
            files, folder, TableVerifier.FlushedPosition, (keyspace, owner) => TableVerifier.Verify(files, keyspace, owner: owner)),
    };
}
