using Kvasir.Primitives;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.BTree;

namespace Kvasir.Simulation.Tests.Workloads;

/// <summary>The workload that attacks a node over the LSM engine, over the B+tree.</summary>
public sealed class BTreeWorkloadTests
{
    [Fact]
    public void CrashesOfANodeKeepThePromises()
    {
        long crashPoints = 0;
        for (ulong seed = 1; crashPoints < 3_000; seed++)
            crashPoints += DiskWorkload.Run(new DiskWorkloadOptions { Seed = seed, Engine = BTreeEngineFactory.DrawTiny(new SeededRandom(seed)) }).CrashPoints;
    }
}
