using Kvasir.Primitives;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Tests.Workloads;

/// <summary>The workload that attacks a node over the LSM engine, over the B+tree.</summary>
public sealed class BTreeWorkloadTests
{
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
