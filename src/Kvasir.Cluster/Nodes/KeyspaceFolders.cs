using System.Globalization;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Which keyspaces a node's folder must have. All of them are made before the identity says so, and none is ever taken
/// away: one that is missing is a loss, never a keyspace that nobody has written to.
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

    /// <summary>The folders of the system keyspace and of so many databases.</summary>
    public static IEnumerable<string> PathsOf(string folder, int databases)
    {
        if (databases == 0)
            yield break;
        string keyspaces = folder + "/" + KvasirNode.KeyspacesFolder + "/";
        yield return keyspaces + SystemName;
        for (int i = 0; i < databases; i++)
            yield return keyspaces + NameOf(i);
    }

    /// <summary>The folders that are there, in order.</summary>
    public static IReadOnlyList<string> List(IFileSystem files, string folder)
    {
        string keyspaces = folder + "/" + KvasirNode.KeyspacesFolder;
        return files.FolderExists(keyspaces) ? [.. files.ListFolders(keyspaces).Select(name => keyspaces + "/" + name)] : [];
    }
}
