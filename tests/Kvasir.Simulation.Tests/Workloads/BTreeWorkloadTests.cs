using Kvasir.Primitives;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Tests.Workloads;

/// <summary>The workloads that attack the LSM engine, over the B+tree.</summary>
public sealed class BTreeWorkloadTests
{
    private static readonly string[] s_covered =
    [
        "checkpoints opened, compared, emptied", "clean stops and starts", "crashes with LoseSubset", "crashes with LoseUnsynced",
        "crashes with ProcessKill", "crashes with TearBytes", "crashes with TearSectors", "iterators opened", "steps of iterators", "point reads",
        "log records given again", "publications discarded", "ranges compacted", "ranges deleted", "rows ingested", "snapshots compared in full", "sweeps",
    ];

    [Fact]
    public void AHundredThousandOperationsAgreeWithTheModel()
    {
        DiskWorkloadCoverage coverage = new();
        for (ulong seed = 1; seed <= 8; seed++)
        {
            coverage.Add(ModelWorkload.Run(new ModelWorkloadOptions
            {
                Seed = seed,
                Operations = 12_500,
                Engine = static random => Draw(random),
            }).Coverage);
        }

        foreach (string what in s_covered)
            Assert.True(coverage.Counts.GetValueOrDefault(what) > 0, $"it never came to: {what}");
    }

    [Fact]
    public void CrashesOfANodeKeepThePromises()
    {
        long crashPoints = 0;
        for (ulong seed = 1; crashPoints < 5_000; seed++)
            crashPoints += DiskWorkload.Run(new DiskWorkloadOptions { Seed = seed, Engine = Draw(new SeededRandom(seed)) }).CrashPoints;
    }

    private static IEngineFactory Draw(SeededRandom random) => new BTreeEngineFactory(
        new BufferOptions { MemTableBytes = 2L << 10 << random.Next(6), FrozenMemTablesMax = random.Next(1, 5), CachesRows = random.OneIn(2) },
        new BTreeOptions { PageBytes = 4096 << random.Next(2), UseMap = random.OneIn(2), MapBytesMin = 1 << 20, CachedPages = random.Next(8, 64) });
}
