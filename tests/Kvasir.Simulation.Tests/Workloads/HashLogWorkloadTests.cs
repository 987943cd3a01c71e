using Kvasir.Cluster.Nodes;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Journal;

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
    public void CrashesAtEveryOperationOfTheDiskKeepThePromises()
    {
        long crashPoints = 0;
        DiskWorkloadCoverage coverage = new();
        for (ulong seed = 1; crashPoints < 12_000 || (crashPoints < 60_000 && Missing(coverage).Any()); seed++)
        {
            DiskWorkloadResult result = DiskWorkload.Run(Disk(seed));
            crashPoints += result.CrashPoints;
            coverage.Add(result.Coverage);
        }

        Assert.Empty(Missing(coverage));
    }

    [Fact]
    public void DisksThatFillUpAndFailKeepThePromises()
    {
        long failures = 0;
        for (ulong seed = 1; seed <= 30; seed++)
            failures += DiskWorkload.Run(Disk(seed) with { Steps = 400, CrashEvery = 40 }).Failures;
        Assert.True(failures > 20, $"a bad disk was noticed {failures} times");
    }

    private static IEnumerable<string> Missing(DiskWorkloadCoverage coverage) =>
        s_diskCovered.Where(what => coverage.Counts.GetValueOrDefault(what) == 0);

    private static ModelWorkloadOptions Model(ulong seed) => new()
    {
        Seed = seed,
        Operations = 10_000,
        Engine = static random => new HashLogEngineFactory(HashLogOptions.DrawTiny(random)),
    };

    private static DiskWorkloadOptions Disk(ulong seed) =>
        new() { Seed = seed, Engine = new HashLogEngineFactory(HashLogOptions.Tiny), Verify = Verify };

    private static List<DamageFinding> Verify(IFileSystem files, string folder)
    {
        List<DamageFinding> findings = [];
        JournalOptions expected = new();
        IReadOnlyDictionary<string, EngineOwner> owners = new SortedDictionary<string, EngineOwner>(StringComparer.Ordinal);
        try
        {
            owners = NodeInspector.OwnersOfKeyspaces(files, folder);
            findings.AddRange(NodeInspector.VerifyFlushed(files, folder, keyspace => LogVerifier.FlushedPosition(files, keyspace)));
            expected = NodeInspector.ExpectedJournal(files, folder, keyspace => LogVerifier.FlushedPosition(files, keyspace));
        }
        catch (StorageException e)
        {
            findings.Add(new DamageFinding(NodeInspector.IdentityPath(folder), 0, e.Message));
        }

        foreach (JournalFinding finding in JournalVerifier.Verify(files, NodeInspector.JournalFolder(folder), expected))
            findings.Add(new DamageFinding(finding.File, finding.Offset, finding.Detail));
        foreach (string keyspace in NodeInspector.ListKeyspaces(files, folder))
            findings.AddRange(LogVerifier.Verify(files, keyspace, owner: owners.GetValueOrDefault(keyspace)));
        return findings;
    }
}
