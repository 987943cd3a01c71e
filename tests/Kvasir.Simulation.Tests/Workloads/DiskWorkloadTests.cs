using Kvasir.Cluster.Nodes;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Simulation.Tests.Workloads;

public sealed class DiskWorkloadTests
{
    private static readonly string[] s_covered =
    [
        "KiB flushed", "KiB compacted", "checkpoints opened and compared", "clean stops and starts", "snapshots held", "iterators held",
        "crashes inside a recovery", "crashes before Write of a journal segment", "crashes before Write of a table",
        "crashes before Write of a manifest", "crashes before HardLink of a table of a checkpoint",
        "databases swapped", "everything deleted, in all databases", "ranges deleted", "ranges deleted, to the end",
        "keys moved to another database", "keys copied to another database", "keys put that expire",
        "journal segments deleted", "transactions inside background work", "views taken inside background work",
        "faults: an operation takes seconds", "damage: a bit flipped in a table: refused at the start",
        "damage: a table removed: refused at the start", "damage: a journal segment removed: refused at the start",
        "recoveries on a disk with failing reads: refused", "recoveries on a disk with failing writes: refused",
    ];

    [Fact]
    public void TwentyThousandCrashPointsKeepThePromises()
    {
        long crashPoints = 0;
        DiskWorkloadCoverage coverage = new();
        for (ulong seed = 1; crashPoints < 20_000 || (crashPoints < 60_000 && Missing(coverage).Any()); seed++)
        {
            DiskWorkloadResult result = DiskWorkload.Run(Options(seed));
            crashPoints += result.CrashPoints;
            coverage.Add(result.Coverage);
        }

        // A workload that has stopped doing one of these would pass as well.
        Assert.Empty(Missing(coverage));
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

    private static IEnumerable<string> Missing(DiskWorkloadCoverage coverage) =>
        s_covered.Where(what => coverage.Counts.GetValueOrDefault(what) == 0);

    private static DiskWorkloadOptions Options(ulong seed) =>
        new() { Seed = seed, Engine = new LsmEngineFactory(LsmOptions.Tiny), Verify = Verify };

    private static List<DamageFinding> Verify(IFileSystem files, string folder)
    {
        List<DamageFinding> findings = [];
        JournalOptions expected = new();
        IReadOnlyDictionary<string, EngineOwner> owners = new SortedDictionary<string, EngineOwner>(StringComparer.Ordinal);
        try
        {
            owners = NodeInspector.OwnersOfKeyspaces(files, folder);
            findings.AddRange(NodeInspector.VerifyFlushed(files, folder, keyspace => TableVerifier.FlushedPosition(files, keyspace)));
            expected = NodeInspector.ExpectedJournal(files, folder, keyspace => TableVerifier.FlushedPosition(files, keyspace));
        }
        catch (StorageException e)
        {
            findings.Add(new DamageFinding(NodeInspector.IdentityPath(folder), 0, e.Message));
        }

        foreach (JournalFinding finding in JournalVerifier.Verify(files, NodeInspector.JournalFolder(folder), expected))
            findings.Add(new DamageFinding(finding.File, finding.Offset, finding.Detail));
        foreach (string keyspace in NodeInspector.ListKeyspaces(files, folder))
            findings.AddRange(TableVerifier.Verify(files, keyspace, owner: owners.GetValueOrDefault(keyspace)));
        return findings;
    }
}
