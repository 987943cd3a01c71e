using System.Globalization;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Store;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Long random histories beside a sorted map, with settings, keys and values that the seed draws: see <see cref="ModelWorkload"/>.</summary>
public sealed class ModelTests
{
    private static readonly string[] s_ofAll =
    [
        "KiB flushed", "checkpoints opened, compared, emptied", "clean stops and starts", "iterators opened", "steps of iterators", "point reads",
        "mutations", "ranges compacted", "ranges deleted", "settings changed", "snapshots compared in full", "statistics and sizes looked at", "sweeps",
    ];

    private static readonly string[] s_ofEngines = ["log records given again", "publications discarded", "rows ingested"];

    private static readonly string[] s_ofInterruptions = ["interruptions of background work", "jobs inside other jobs"];

    [Theory, EveryEngine]
    public void HistoriesBelowALogAgreeWithTheModel(string engine, DiskKind disk) =>
        Run(engine, disk, ConformanceTable.BelowALog, ModelSubjectKind.Engine, durability: null);

    [Theory, EveryEngineAndDurability]
    public void HistoriesOfAStoreAgreeWithTheModel(string engine, DiskKind disk, WriteDurability durability) =>
        Run(engine, disk, durability.ToString().ToLower(CultureInfo.InvariantCulture), ModelSubjectKind.Store, durability);

    private static void Run(string engine, DiskKind disk, string mode, ModelSubjectKind subject, WriteDurability? durability)
    {
        // Every write to a real disk with durability sync waits for it.
        int operations = disk == DiskKind.Simulated ? 12_500 : durability == WriteDurability.Sync ? 1000 : 2500;
        int seeds = (disk == DiskKind.Simulated && subject == ModelSubjectKind.Engine ? 16 : disk == DiskKind.Simulated ? 8 : 1) * ConformanceTable.Scale;
        DiskWorkloadCoverage coverage = new();
        long done = 0;
        for (ulong seed = 1; seed <= (ulong)seeds; seed++)
        {
            using var real = new TestDisk(DiskKind.Real);
            ModelWorkloadResult result = ModelWorkload.Run(new ModelWorkloadOptions
            {
                Seed = seed,
                Operations = operations,
                Engine = EngineUnderTest.Named(engine).Draw,
                Subject = subject,
                Durability = durability,
                Disk = disk == DiskKind.Real ? (real.Files, real.Root) : null,
            });
            coverage.Add(result.Coverage);
            done += result.Operations;
        }

        ConformanceTable.AddModel(engine, mode, disk, done);

        // A workload that has stopped doing one of these would pass as well.
        if (disk == DiskKind.Real)
            return;
        string[] wanted =
        [
            .. s_ofAll,
            .. subject == ModelSubjectKind.Engine ? s_ofEngines : [],
            .. EngineUnderTest.Named(engine).IsInterruptible ? s_ofInterruptions : [],
        ];
        Assert.DoesNotContain(wanted, what => coverage.Counts.GetValueOrDefault(what) == 0);
        Assert.Contains(coverage.Counts, c => c.Key.StartsWith("crashes with", StringComparison.Ordinal) && c.Value > 0);
    }
}
