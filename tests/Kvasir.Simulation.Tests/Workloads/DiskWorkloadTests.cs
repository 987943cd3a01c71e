using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Lsm;

namespace Kvasir.Simulation.Tests.Workloads;

public sealed class DiskWorkloadTests
{
    [Fact]
    public void TwentyThousandCrashPointsKeepThePromises()
    {
        long crashPoints = 0, failures = 0;
        for (ulong seed = 1; crashPoints < 20_000; seed++)
        {
            DiskWorkloadResult result = DiskWorkload.Run(Options(seed));
            crashPoints += result.CrashPoints;
            failures += result.Failures;
        }

        Assert.True(failures > 10, $"a bad disk was noticed {failures} times");
    }

    [Fact]
    public void DisksThatFillUpAndFailKeepThePromises()
    {
        long failures = 0;
        for (ulong seed = 1; seed <= 60; seed++)
            failures += DiskWorkload.Run(Options(seed) with { Steps = 400, CrashEvery = 40 }).Failures;
        Assert.True(failures > 50, $"a bad disk was noticed {failures} times");
    }

    [Fact]
    public void SameSeedSameRun()
    {
        Assert.Equal(DiskWorkload.Run(Options(7)), DiskWorkload.Run(Options(7)));
    }

    private static DiskWorkloadOptions Options(ulong seed) =>
        new() { Seed = seed, Engine = new LsmEngineFactory(LsmOptions.Tiny) };
}
