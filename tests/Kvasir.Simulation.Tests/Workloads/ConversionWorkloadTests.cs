using Kvasir.Primitives;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Simulation.Tests.Workloads;

/// <summary>The workload that crashes a node at every operation of its disk, while its keyspaces move from engine to engine.</summary>
public sealed class ConversionWorkloadTests
{
    internal static readonly LsmEngineFactory s_lsm = new(LsmOptions.Tiny);
    internal static readonly HashLogEngineFactory s_log = new(HashLogOptions.Tiny);

    private static readonly string[] s_covered =
    [
        "conversions from lsm to log", "conversions from lsm to btree", "conversions from log to lsm", "conversions from log to btree",
        "conversions from btree to lsm", "conversions from btree to log", "conversions: Aborted", "conversions ended by a stop",
        "crashes before Rename of the table of keyspaces", "crashes before Write of the table of keyspaces", "checkpoints opened and compared",
        "databases swapped", "everything deleted, in all databases", "transactions inside background work",
    ];

    [Fact]
    public void CrashesAtEveryOperationOfTheDiskKeepThePromises() => DiskWorkloadRuns.AssertCrashesKeepThePromises(Options, 6_000, s_covered);

    [Fact]
    public void SameSeedSameRun() => Assert.Equal(DiskWorkload.Run(Options(3)), DiskWorkload.Run(Options(3)));

    [Fact]
    public void DisksThatFillUpAndFailKeepThePromises()
    {
        DiskWorkloadCoverage coverage = DiskWorkloadRuns.AssertBadDisksKeepThePromises(Options, seeds: 20, failuresMin: 10);
        Assert.True(coverage.Counts.GetValueOrDefault("conversions: Failed") > 2, "hardly a conversion failed");
        Assert.True(Done(coverage) > 5, "hardly a conversion came to its end");
    }

    private static long Done(DiskWorkloadCoverage coverage) =>
        coverage.Counts.Where(c => c.Key.StartsWith("conversions from ", StringComparison.Ordinal)).Sum(c => c.Value);

    internal static DiskWorkloadOptions Options(ulong seed)
    {
        SeededRandom random = new(seed);
        List<IEngineFactory> engines =
        [
            s_lsm,
            s_log,
            new BTreeEngineFactory(
                new BufferOptions { MemTableBytes = 4L << 10 << random.Next(4), FrozenMemTablesMax = random.Next(1, 5) },
                new BTreeOptions { PageBytes = 4096, UseMap = random.OneIn(2), MapBytesMin = 1 << 20, CachedPages = random.Next(8, 64) }),
        ];
        IEngineFactory first = engines[random.Next(engines.Count)];
        engines.Remove(first);
        return new DiskWorkloadOptions { Seed = seed, Engine = first, Others = engines, Steps = 250, CrashEvery = 3 };
    }
}
