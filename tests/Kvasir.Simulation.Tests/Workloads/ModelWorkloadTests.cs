using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Lsm;

namespace Kvasir.Simulation.Tests.Workloads;

public sealed class ModelWorkloadTests
{
    private static readonly string[] s_covered =
    [
        "KiB flushed", "KiB compacted", "checkpoints opened, compared, emptied", "clean stops and starts",
        "closed with 1 levels of tables", "closed with 3 levels of tables", "closed with 4 levels of tables",
        "crashes with LoseSubset", "crashes with LoseUnsynced", "crashes with ProcessKill", "crashes with TearBytes", "crashes with TearSectors",
        "interruptions of background work", "jobs inside other jobs", "iterators opened", "steps of iterators", "point reads",
        "log records given again", "publications discarded", "ranges compacted", "ranges deleted", "rows ingested", "settings changed",
        "snapshots compared in full", "statistics and sizes looked at", "sweeps",
    ];

    [Fact]
    public void ThreeHundredThousandOperationsAgreeWithTheModel()
    {
        DiskWorkloadCoverage coverage = new();
        for (ulong seed = 1; seed <= 12; seed++)
            coverage.Add(ModelWorkload.Run(Options(seed) with { Operations = 25_000 }).Coverage);

        // A workload that has stopped doing one of these would pass as well.
        foreach (string what in s_covered)
            Assert.True(coverage.Counts.GetValueOrDefault(what) > 0, $"it never came to: {what}");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void SameSeedSameRun(ulong seed) => Assert.Equal(ModelWorkload.Run(Options(seed)), ModelWorkload.Run(Options(seed)));

    private static ModelWorkloadOptions Options(ulong seed) => new()
    {
        Seed = seed,
        Operations = 10_000,
        Engine = static random => new LsmEngineFactory(LsmOptions.DrawTiny(random)),
    };
}
