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

    public static string TablePath(string folder) => KeyspaceTableFile.PathIn(folder);

    /// <summary>Folders of the keyspaces that are there, in order; but what is left of some that were dropped.</summary>
    public static IReadOnlyList<string> ListKeyspaces(IFileSystem files, string folder)
    {
        KeyspaceTable? table = null;
        try
        {
            table = ReadTable(files, folder);
        }
        catch (StorageException)
        {
            // Whoever asks for what must be there is told.
        }

        return KeyspaceFolders.List(files, folder, table);
    }

    /// <summary>Folders of the keyspaces that must be there. Throws when what says so is damaged.</summary>
    public static IReadOnlyList<string> RequiredKeyspaces(IFileSystem files, string folder) =>
        [.. Required(files, folder).Select(e => KeyspaceFolders.PathOf(folder, e))];

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
        if (identity.HasFlushed && !files.FileExists(FlushedFile.PathIn(folder)))
            findings.Add(new DamageFinding(FlushedFile.PathIn(folder), 0, "the file is missing"));
        KeyspaceTable table = ReadTable(files, folder);
        foreach (KeyspaceEntry entry in KeyspaceFolders.Required(table, Math.Max(0, marks.Flushed.Count - 1)))
        {
            string keyspace = KeyspaceFolders.PathOf(folder, entry);
            if (marks.Missing(entry.Stream, flushedOf(keyspace)) is { } missing)
                findings.Add(new DamageFinding(keyspace, 0, missing));
        }

        if (KeyspaceFolders.FindUnknown(table, marks) is { } unknown)
            findings.Add(new DamageFinding(TablePath(folder), 0, unknown));
        return findings;
    }

    /// <summary>Whose the engine in each required folder is. Throws when the identity is damaged.</summary>
    public static IReadOnlyDictionary<string, EngineOwner> OwnersOfKeyspaces(IFileSystem files, string folder)
    {
        NodeIdentity identity = IdentityFile.Read(files, IdentityPath(folder));
        var owners = new SortedDictionary<string, EngineOwner>(StringComparer.Ordinal);
        foreach (KeyspaceEntry entry in Required(files, folder))
            owners.Add(KeyspaceFolders.PathOf(folder, entry), KvasirNode.OwnerOf(identity, entry.Stream));
        return owners;
    }

    /// <summary>The parts of a table of keyspaces; throws where it is damaged.</summary>
    public static IReadOnlyList<InspectedPart> InspectTable(IFileSystem files, string path) => KeyspaceTableFile.Inspect(files, path);

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
            new("keyspaces file", identity.HasKeyspaceTable ? "yes" : "no"),
            new("flushed file", identity.HasFlushed ? "yes" : "no"),
            new("databases", identity.DatabaseCount.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        ]);
    }

    private static IReadOnlyList<KeyspaceEntry> Required(IFileSystem files, string folder) =>
        KeyspaceFolders.Required(ReadTable(files, folder), CountDatabases(files, folder));

    // What the engine is called does not matter to those who look at its files.
    private static KeyspaceTable ReadTable(IFileSystem files, string folder) =>
        KeyspaceTableFile.Read(files, folder, IdentityFile.Read(files, IdentityPath(folder)), "");
}
