using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>Where things lie in a node's folder, and what its identity says: for tools that look without opening it.</summary>
public static class NodeInspector
{
    public static string IdentityPath(string folder) => folder + "/" + IdentityFile.Name;

    public static string JournalFolder(string folder) => folder + "/" + KvasirNode.JournalFolder;

    /// <summary>Where a running server puts its checkpoints, each in a folder of its own.</summary>
    public static string CheckpointsFolder(string folder) => folder + "/checkpoints";

    /// <summary>The file whose lock says that a process has the folder open.</summary>
    public static string LockPath(string folder) => folder + "/LOCK";

    /// <summary>Folders of the keyspaces that are there, in order.</summary>
    public static IReadOnlyList<string> ListKeyspaces(IFileSystem files, string folder) => KeyspaceFolders.List(files, folder);

    /// <summary>Folders of the keyspaces that must be there. Throws when the identity is damaged.</summary>
    public static IReadOnlyList<string> RequiredKeyspaces(IFileSystem files, string folder) =>
        [.. KeyspaceFolders.PathsOf(folder, CountDatabases(files, folder))];

    /// <summary>How many databases the folder has, 0 while its first start was not completed. Throws when the identity is damaged.</summary>
    public static int CountDatabases(IFileSystem files, string folder) =>
        KeyspaceFolders.CountDatabases(files, folder, IdentityFile.Read(files, IdentityPath(folder)));

    /// <summary>
    /// What the journal must be; <paramref name="flushedOf"/> says of a keyspace's folder up to where its files hold the
    /// journal. Throws when the identity is damaged.
    /// </summary>
    public static JournalOptions ExpectedJournal(IFileSystem files, string folder, Func<string, LogPosition> flushedOf)
    {
        NodeIdentity identity = IdentityFile.Read(files, IdentityPath(folder));
        LogPosition reached = LogPosition.Zero;
        if (identity is { HasJournal: true, HasUnsynced: false })
        {
            foreach (string keyspace in ListKeyspaces(files, folder))
                reached = new LogPosition(Math.Max(reached.Value, flushedOf(keyspace).Value));
        }

        FlushedMarks marks = FlushedFile.Open(files, folder, identity.JournalId).Marks;
        return new JournalOptions
        {
            MustExist = identity.HasJournal,
            JournalId = identity.JournalId,
            MustReach = KvasirNode.MustReach(identity, reached, marks),
        };
    }

    /// <summary>
    /// Keyspaces whose files hold less than they did before the journal let go of it; <paramref name="flushedOf"/> as with
    /// <see cref="ExpectedJournal"/>. Throws where what tells of it is damaged.
    /// </summary>
    public static IReadOnlyList<DamageFinding> VerifyFlushed(IFileSystem files, string folder, Func<string, LogPosition> flushedOf)
    {
        NodeIdentity identity = IdentityFile.Read(files, IdentityPath(folder));
        FlushedMarks marks = FlushedFile.Open(files, folder, identity.JournalId).Marks;
        List<DamageFinding> findings = [];
        int stream = 0;
        foreach (string keyspace in KeyspaceFolders.PathsOf(folder, Math.Max(0, marks.Flushed.Count - 1)))
        {
            if (marks.Missing(stream++, flushedOf(keyspace)) is { } missing)
                findings.Add(new DamageFinding(keyspace, 0, missing));
        }

        return findings;
    }

    /// <summary>Whose the engine in each required folder is. Throws when the identity is damaged.</summary>
    public static IReadOnlyDictionary<string, EngineOwner> OwnersOfKeyspaces(IFileSystem files, string folder)
    {
        NodeIdentity identity = IdentityFile.Read(files, IdentityPath(folder));
        var owners = new SortedDictionary<string, EngineOwner>(StringComparer.Ordinal);
        foreach (string keyspace in RequiredKeyspaces(files, folder))
            owners.Add(keyspace, KvasirNode.OwnerOf(identity, owners.Count));
        return owners;
    }

    /// <summary>The identity file's one part; throws where it is damaged.</summary>
    public static InspectedPart Inspect(IFileSystem files, string path)
    {
        NodeIdentity identity = IdentityFile.Read(files, path);
        return new InspectedPart(0, files.FileLength(path), "node",
        [
            new("identity", identity.Id.ToString("x16", System.Globalization.CultureInfo.InvariantCulture)),
            new("has journal", identity.HasJournal ? "yes" : "no"),
            new("journal", identity.JournalId.ToString("x16", System.Globalization.CultureInfo.InvariantCulture)),
            new("unsynced writes", identity.HasUnsynced ? "yes" : "no"),
            new("databases", identity.DatabaseCount.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        ]);
    }
}
