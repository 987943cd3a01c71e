using System.Globalization;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Which keyspaces a node's folder must have. All of them are made before the identity or the table says so, and none is
/// taken away before the table says that: one that is missing is a loss, never a keyspace that nobody has written to.
/// </summary>
internal static class KeyspaceFolders
{
    public const string SystemName = "system";
    private const string DatabasePrefix = "db";

    public static string NameOf(int database) => DatabasePrefix + database.ToString(CultureInfo.InvariantCulture);

    /// <summary>How many databases the folder has; 0 while its first start was not completed.</summary>
    public static int CountDatabases(IFileSystem files, string folder, NodeIdentity identity)
    {
        if (identity.DatabaseCount != 0 || !identity.HasJournal)
            return identity.DatabaseCount;

        // Made before the number was recorded: the last one that is there tells.
        int count = 1;
        foreach (string path in List(files, folder))
        {
            string name = path[(path.LastIndexOf('/') + 1)..];
            if (name.StartsWith(DatabasePrefix, StringComparison.Ordinal)
                && int.TryParse(name.AsSpan(DatabasePrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int database))
                count = Math.Max(count, database + 1);
        }

        return count;
    }

    /// <summary>What must be there of so many databases, the system keyspace, and keyspaces with names of their own.</summary>
    public static IReadOnlyList<KeyspaceEntry> Required(KeyspaceTable table, int databases) =>
        databases == 0 ? [] : [.. Enumerable.Range(0, databases + 1).Select(i => table.OfNumbered((uint)i)), .. table.Named];

    /// <summary>Why the table cannot be the one that belongs to these marks; null when it can.</summary>
    public static string? FindUnknown(KeyspaceTable table, FlushedMarks marks)
    {
        foreach ((uint stream, _) in marks.Others)
        {
            if (!table.WasMade(stream))
                return string.Create(CultureInfo.InvariantCulture, $"{FlushedFile.Name} tells of keyspace number {stream}, of which it does not know: it is an older copy");
        }

        return null;
    }

    public static string PathOf(string folder, KeyspaceEntry entry) => folder + "/" + KvasirNode.KeyspacesFolder + "/" + entry.Folder;

    /// <summary>The folders that are there, in order; but those that are what is left of keyspaces that were dropped.</summary>
    public static IReadOnlyList<string> List(IFileSystem files, string folder, KeyspaceTable? table = null)
    {
        string keyspaces = folder + "/" + KvasirNode.KeyspacesFolder;
        if (!files.FolderExists(keyspaces))
            return [];
        return [.. files.ListFolders(keyspaces).Where(name => table?.IsLeftOver(name) != true).Select(name => keyspaces + "/" + name)];
    }

    /// <summary>Removes what a crash left of keyspaces that were dropped, or never came to be.</summary>
    public static void RemoveLeftOvers(IFileSystem files, string folder, KeyspaceTable table)
    {
        string keyspaces = folder + "/" + KvasirNode.KeyspacesFolder;
        if (!files.FolderExists(keyspaces))
            return;
        foreach (string name in files.ListFolders(keyspaces).Where(table.IsLeftOver).ToArray())
            FolderTree.Remove(files, keyspaces + "/" + name);
    }
}
