using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Simulation.Tests.Workloads;

/// <summary>Seed after seed of the disk workload, whichever engines it is over.</summary>
internal static class DiskWorkloadRuns
{
    // What is rare comes with this many, or not at all.
    private const long CrashPointsMax = 60_000;

    /// <summary>So many crash points at least, and more until all of <paramref name="covered"/> has happened: a workload that has stopped doing it would pass as well.</summary>
    public static void AssertCrashesKeepThePromises(Func<ulong, DiskWorkloadOptions> options, long crashPointsMin, IReadOnlyList<string> covered)
    {
        long crashPoints = 0;
        DiskWorkloadCoverage coverage = new();
        for (ulong seed = 1; crashPoints < crashPointsMin || (crashPoints < CrashPointsMax && Missing().Any()); seed++)
        {
            DiskWorkloadResult result = DiskWorkload.Run(options(seed));
            crashPoints += result.CrashPoints;
            coverage.Add(result.Coverage);
        }

        Assert.Empty(Missing());

        IEnumerable<string> Missing() => covered.Where(what => coverage.Counts.GetValueOrDefault(what) == 0);
    }

    /// <summary>Seeds 1 to <paramref name="seeds"/>, longer ones with fewer crashes; the disk must have been bad, and noticed, more than so many times.</summary>
    public static DiskWorkloadCoverage AssertBadDisksKeepThePromises(Func<ulong, DiskWorkloadOptions> options, ulong seeds, long failuresMin)
    {
        long failures = 0;
        DiskWorkloadCoverage coverage = new();
        for (ulong seed = 1; seed <= seeds; seed++)
        {
            DiskWorkloadResult result = DiskWorkload.Run(options(seed) with { Steps = 400, CrashEvery = 40 });
            failures += result.Failures;
            coverage.Add(result.Coverage);
        }

        Assert.True(failures > failuresMin, $"a bad disk was noticed {failures} times");
        return coverage;
    }

    /// <summary>What a check of a node's folder finds, whose keyspaces all have one engine.</summary>
    /// <param name="files">The disk.</param>
    /// <param name="folder">The node's.</param>
    /// <param name="flushedPosition">How far an engine's folder has the log.</param>
    /// <param name="verify">What is wrong with an engine's folder.</param>
    public static IReadOnlyList<DamageFinding> Verify(
        IFileSystem files, string folder, Func<IFileSystem, string, LogPosition> flushedPosition,
        Func<string, EngineOwner, IReadOnlyList<DamageFinding>> verify)
    {
        List<DamageFinding> findings = [];
        JournalOptions expected = new();
        IReadOnlyDictionary<string, EngineOwner> owners = new SortedDictionary<string, EngineOwner>(StringComparer.Ordinal);
        try
        {
            owners = NodeInspector.OwnersOfKeyspaces(files, folder);
            findings.AddRange(NodeInspector.VerifyFlushed(files, folder, keyspace => flushedPosition(files, keyspace)));
            expected = NodeInspector.ExpectedJournal(files, folder, keyspace => flushedPosition(files, keyspace));
        }
        catch (StorageException e)
        {
            findings.Add(new DamageFinding(NodeInspector.IdentityPath(folder), 0, e.Message));
        }

        foreach (JournalFinding finding in JournalVerifier.Verify(files, NodeInspector.JournalFolder(folder), expected))
            findings.Add(new DamageFinding(finding.File, finding.Offset, finding.Detail));
        foreach (string keyspace in NodeInspector.ListKeyspaces(files, folder))
            findings.AddRange(verify(keyspace, owners.GetValueOrDefault(keyspace)));
        return findings;
    }
}
