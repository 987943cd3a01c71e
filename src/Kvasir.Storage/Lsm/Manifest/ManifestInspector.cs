using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Manifest;

/// <summary>Tells the parts of a manifest or of CURRENT, for <c>kvasir inspect</c>.</summary>
public static class ManifestInspector
{
    /// <summary>Whether the name is that of a manifest, or of CURRENT.</summary>
    public static bool Knows(string path)
    {
        string name = Path.GetFileName(path);
        return name == TableFiles.CurrentName || TableFiles.TryParseManifest(name, out _);
    }

    /// <summary>Header and edits, the torn end left out. Throws where the file is damaged.</summary>
    public static IEnumerable<InspectedPart> Inspect(IFileSystem files, string path)
    {
        string folder = Path.GetDirectoryName(path) ?? "";
        if (Path.GetFileName(path) == TableFiles.CurrentName)
        {
            ulong current = ManifestFormat.ReadCurrent(files, folder);
            yield return TableInspector.Part(0, ManifestFormat.HeaderBytes, "current", ("manifest", TableFiles.ManifestName(current)));
            yield break;
        }

        if (!TableFiles.TryParseManifest(Path.GetFileName(path), out ulong number))
            throw new CorruptionException(path, 0, "not the name of a manifest");
        List<ManifestRecord> records = ManifestReader.Read(files, folder, number);
        yield return TableInspector.Part(0, ManifestFormat.HeaderBytes, "header", ("manifest", number), ("version", ManifestFormat.Version));
        foreach (ManifestRecord record in records)
        {
            TableSetEdit edit = record.Edit;
            var fields = new List<(string, object)>();
            if (edit.FlushedPosition is { } position)
                fields.Add(("flushed position", position));
            if (!edit.Digest.IsUnknown)
                fields.Add(("digest", edit.Digest));
            if (!edit.Owner.IsNone)
                fields.Add(("owner", edit.Owner));
            if (edit.LastSequence is { } sequence)
                fields.Add(("last sequence", sequence));
            if (edit.NextFileNumber is { } next)
                fields.Add(("next file number", next));
            foreach ((int level, ulong table) in edit.Removed)
                fields.Add(("removes", $"table {table} of level {level}"));
            foreach (ManifestTable table in edit.Added)
            {
                string largest = table.Properties.LargestKey is null ? "(none)" : TableInspector.Show(table.Properties.LargestKey);
                fields.Add(("adds", $"table {table.Number} to level {table.Level}: {table.SizeBytes} bytes, {table.Properties.EntryCount} entries, "
                    + $"{TableInspector.Show(table.Properties.SmallestKey)} .. {largest}"));
            }

            yield return TableInspector.Part(record.Offset, 0, "edit", [.. fields]);
        }
    }
}
