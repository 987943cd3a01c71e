using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// Checks everything that lies in the folder of a table store: CURRENT, the manifest, and every byte of every table that
/// it names. Reads only; the store should not be open.
/// </summary>
public static class TableVerifier
{
    /// <summary>Whether a table store lies, or lay, in the folder.</summary>
    public static bool Knows(IFileSystem files, string folder) =>
        files.ListFiles(folder).Any(n => n == TableFiles.CurrentName || TableFiles.TryParseManifest(n, out _) || TableFiles.TryParseTable(n, out _));

    /// <summary>
    /// All damage found; empty when all is well. <paramref name="progress"/> hears of each file that was checked, with
    /// its bytes. Without <paramref name="mustExist"/> the folder may be one whose first opening was not completed. A folder
    /// that says that it is another's than <paramref name="owner"/>'s is damage, too. What
    /// is found of a file is in <paramref name="findings"/> when <paramref name="progress"/> hears of it.
    /// </summary>
    public static IReadOnlyList<DamageFinding> Verify(
        IFileSystem files, string folder, Action<string, long>? progress = null, bool mustExist = true, EngineOwner owner = default,
        List<DamageFinding>? findings = null)
    {
        findings ??= [];
        ManifestState state;
        string current = TableFiles.Join(folder, TableFiles.CurrentName);
        try
        {
            if (!mustExist && !files.FileExists(current))
            {
                ManifestLog.RefuseUnlessNew(folder, files.ListFiles(folder));
                return findings;
            }

            state = ManifestLog.Load(files, folder);
            if (ManifestLog.FindOtherOwner(files, folder, state, owner) is { } stranger)
                findings.Add(stranger);
            foreach (string path in new[] { current, TableFiles.ManifestPath(folder, ManifestFormat.ReadCurrent(files, folder)) })
                progress?.Invoke(path, files.FileLength(path));
        }
        catch (StorageException e)
        {
            findings.Add(DamageFinding.Of(e, current));
            return findings;
        }

        foreach (ManifestTable table in state.Tables)
        {
            string path = TableFiles.TablePath(folder, table.Number);
            VerifyTable(files, path, table, findings);
            progress?.Invoke(path, table.SizeBytes);
        }

        CheckLevels(folder, state, findings);
        return findings;
    }

    /// <summary>Up to where the tables hold the log, as the manifest says; zero where it cannot be read.</summary>
    public static LogPosition FlushedPosition(IFileSystem files, string folder)
    {
        try
        {
            return ManifestLog.Load(files, folder).FlushedPosition;
        }
        catch (StorageException)
        {
            return LogPosition.Zero;
        }
    }

    /// <summary>Checks one table file on its own.</summary>
    public static IReadOnlyList<DamageFinding> VerifyTable(IFileSystem files, string path)
    {
        var findings = new List<DamageFinding>();
        try
        {
            using IFile file = files.Open(path, FileOpenMode.Read);
            ulong number = SSTableFormat.ReadHeader(file);
            new TableCheck(files, path, findings).Run(number);
        }
        catch (StorageException e)
        {
            findings.Add(DamageFinding.Of(e, path));
        }

        return findings;
    }

    private static void VerifyTable(IFileSystem files, string path, ManifestTable table, List<DamageFinding> findings)
    {
        if (!files.FileExists(path))
        {
            findings.Add(new DamageFinding(path, 0, $"{path} is missing"));
            return;
        }

        TableProperties? properties = new TableCheck(files, path, findings).Run(table.Number);
        if (properties is null)
            return;
        if (!properties.IsSameAs(table.Properties) || files.FileLength(path) != table.SizeBytes)
            findings.Add(new DamageFinding(path, 0, $"{path} is not what the manifest says of it"));
    }

    private static void CheckLevels(string folder, ManifestState state, List<DamageFinding> findings)
    {
        foreach (IGrouping<int, ManifestTable> level in state.Tables.Where(t => t.Level > 0).GroupBy(t => t.Level))
        {
            KeyBounds? before = null;
            foreach (ManifestTable table in level.OrderBy(t => t.Properties.SmallestKey, KeyOrder.Instance))
            {
                var bounds = new KeyBounds(table.Properties.SmallestKey, table.Properties.LargestKey, table.Properties.LargestInclusive);
                if (before is { } previous && !previous.EndsBefore(bounds.Start))
                    findings.Add(new DamageFinding(TableFiles.TablePath(folder, table.Number), 0, $"table {table.Number} overlaps its neighbour on level {level.Key}"));
                before = bounds;
            }
        }
    }
}
