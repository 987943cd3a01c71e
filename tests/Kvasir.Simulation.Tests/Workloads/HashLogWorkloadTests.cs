using Kvasir.Simulation.Workloads;
using Kvasir.Storage.HashLog;

namespace Kvasir.Simulation.Tests.Workloads;

/// <summary>The workloads of the other engines, on the one that keeps no order.</summary>
public sealed class HashLogWorkloadTests
{
    private static readonly string[] s_diskCovered =
    [
        "KiB flushed", "KiB compacted", "checkpoints opened and compared", "clean stops and starts", "snapshots held", "iterators held",
        "crashes inside a recovery", "crashes before Write of a log segment", "crashes before Write of a hint file",
        "crashes before Rename of a manifest", "crashes before HardLink of a log segment of a checkpoint",
        "everything deleted, in all databases", "ranges deleted", "transactions inside background work", "views taken inside background work",
        "damage: a bit flipped in a log segment: refused at the start", "damage: a log segment removed: refused at the start",
        "recoveries on a disk with failing reads: refused", "recoveries on a disk with failing writes: refused",
    ];

    [Theory]
    [InlineData(2)]
    [InlineData(85)]
    public void SameSeedSameRun(ulong seed) => Assert.Equal(ModelWorkload.Run(Model(seed)), ModelWorkload.Run(Model(seed)));

    [Fact]
    public void CrashesAtEveryOperationOfTheDiskKeepThePromises() => DiskWorkloadRuns.AssertCrashesKeepThePromises(Disk, 12_000, s_diskCovered);

    [Fact]
    public void DisksThatFillUpAndFailKeepThePromises() => DiskWorkloadRuns.AssertBadDisksKeepThePromises(Disk, seeds: 15, failuresMin: 10);

    private static ModelWorkloadOptions Model(ulong seed) => new()
    {
        Seed = seed,
        Operations = 10_000,
        Engine = static random => new HashLogEngineFactory(HashLogOptions.DrawTiny(random)),
    };

    private static DiskWorkloadOptions Disk(ulong seed) => new()
    {
        Seed = seed,
        Engine = new HashLogEngineFactory(HashLogOptions.Tiny),
        Verify = static (files, folder) => DiskWorkloadRuns.Verify(
            files, folder, LogVerifier.FlushedPosition, (keyspace, owner) => LogVerifier.Verify(files, keyspace, owner: owner)),
    };
}
