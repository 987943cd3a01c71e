using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Lsm;

namespace Kvasir.Simulation.Tests.Workloads;

public sealed class DiskWorkloadTests
{
    [Fact]
    public void TwentyThousandCrashPointsKeepThePromises()
    {
        long crashPoints = 0;
        for (ulong seed = 1; crashPoints < 20_000; seed++)
            crashPoints += DiskWorkload.Run(Options(seed)).CrashPoints;
    }

    [Fact]
    public void SameSeedSameRun()
    {
        Assert.Equal(DiskWorkload.Run(Options(7)), DiskWorkload.Run(Options(7)));
    }

    private static DiskWorkloadOptions Options(ulong seed) =>
        new() { Seed = seed, Engine = new LsmEngineFactory(LsmOptions.Tiny) };
}
