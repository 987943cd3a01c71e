using System.Globalization;
using System.Text;
using Kvasir.Cli.CommandLine;
using Kvasir.Cluster.Nodes;
using Kvasir.Storage.BTree.Sorted;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.Tables;
using Kvasir.Storage.Store;

namespace Kvasir.Cli.DataFiles;

/// <summary>Tells the parts of any file of ours, whichever room wrote it.</summary>
internal static class FileParts
{
    private const int ValueBytesShown = 64;

    public static IEnumerable<InspectedPart> Of(IFileSystem files, string path, bool entries)
    {
        if (!files.FileExists(path))
            throw new UsageException(files.FolderExists(path) ? $"{path} is a folder; kvasir verify looks at folders" : $"there is no file {path}");
        if (TableInspector.Knows(path))
            return TableInspector.Inspect(files, path, entries);
        if (LogInspector.Knows(path))
            return LogInspector.Inspect(files, path, entries);
        if (ManifestInspector.Knows(path))
            return ManifestInspector.Inspect(files, path);
        if (path.EndsWith(".segment", StringComparison.Ordinal))
            return Segment(files, path, entries);
        string name = Path.GetFileName(path);
        if (name == Path.GetFileName(NodeInspector.IdentityPath("")))
            return [NodeInspector.Inspect(files, path)];
        if (name == Path.GetFileName(ClusterInspector.MembershipPath("")))
            return [ClusterInspector.InspectMembership(files, path)];
        if (name == Path.GetFileName(ClusterInspector.PeersPath("")))
            return [ClusterInspector.InspectPeers(files, path)];
        if (name == Path.GetFileName(NodeInspector.TablePath("")))
            return NodeInspector.InspectTable(files, path);
        if (name == Path.GetFileName(StoreInspector.IdentityPath("")))
            return [StoreInspector.Inspect(files, path)];
        if (name == FlushedFile.Name)
            return [FlushedFile.Inspect(files, path)];
        if (TreeInspector.Knows(files, path))
            return TreeInspector.Inspect(files, path, entries);
        throw new UsageException($"{path} is no file that Kvasir knows (journal segment, SSTable, manifest, CURRENT, HASHLOG and its segments and hint files, B+tree, NODE, STORE, KEYSPACES, FLUSHED, CLUSTER, PEERS)");
    }

    private static List<InspectedPart> Segment(IFileSystem files, string path, bool entries)
    {
        var parts = new List<InspectedPart> { new(0, 0, "header", [new("says", JournalInspector.Describe(files, path))]) };
        bool isOfGroups = ClusterInspector.IsOfCluster(files, Path.GetDirectoryName(Path.GetDirectoryName(path)) ?? "");
        long end = JournalInspector.Walk(files, path, entry =>
        {
            var fields = new List<KeyValuePair<string, string>> { new("position", entry.Position.ToString()) };
            if (entry.Mark is { } mark)
            {
                fields.Add(new("durable", mark.Durable.ToString()));
                fields.Add(new("oldest segment", mark.OldestSegment.ToString(CultureInfo.InvariantCulture)));
            }

            parts.Add(new InspectedPart(entry.Offset, entry.Payload.Length, entry.Kind.ToString().ToLowerInvariant(), fields));
            if (entry.Mark is null && isOfGroups)
                parts.AddRange(ClusterInspector.Sections(entry.Offset, entry.Payload.Span, entries));
            else if (entry.Mark is null)
                Operations(entry, entries, fields, parts);
        });
        parts.Add(new InspectedPart(end, files.FileLength(path) - end, "end of entries", []));
        return parts;
    }

    /// <summary>What a record does to which keyspace: counts, or with <paramref name="entries"/> every operation.</summary>
    private static void Operations(
        JournalEntry entry, bool entries, List<KeyValuePair<string, string>> fields, List<InspectedPart> parts)
    {
        var payload = new JournalPayloadReader(entry.Payload.Span);
        int operations = 0;
        var streams = new SortedSet<uint>();
        while (payload.MoveNext())
        {
            streams.Add(payload.StreamId);
            var batch = new BatchReader(payload.Bytes);
            while (batch.MoveNext())
            {
                operations++;
                if (!entries)
                    continue;
                var told = new List<KeyValuePair<string, string>>
                {
                    new("stream", payload.StreamId.ToString(CultureInfo.InvariantCulture)),
                    new(batch.Kind == BatchOperationKind.DeleteRange ? "start" : "key", Show(batch.Key)),
                };
                if (batch.Kind == BatchOperationKind.DeleteRange)
                    told.Add(new("end", batch.Value.IsEmpty ? "(none)" : Show(batch.Value)));
                else if (batch.Kind != BatchOperationKind.Delete)
                    told.Add(new("value", Show(batch.Value)));
                if (batch.ExpiresAtMs != 0)
                    told.Add(new("expires at ms", batch.ExpiresAtMs.ToString(CultureInfo.InvariantCulture)));
                parts.Add(new InspectedPart(entry.Offset, 0, batch.Kind.ToString().ToLowerInvariant(), told));
            }
        }

        fields.Add(new("streams", string.Join(' ', streams)));
        fields.Add(new("operations", operations.ToString(CultureInfo.InvariantCulture)));
        if (payload.Malformed)
            fields.Add(new("content", "not a list of batches"));
    }

    private static string Show(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        foreach (byte b in bytes[..Math.Min(bytes.Length, ValueBytesShown)])
        {
            if (b is >= 0x20 and < 0x7F and not (byte)'\\')
                text.Append((char)b);
            else
                text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
        }

        if (bytes.Length > ValueBytesShown)
            text.Append(CultureInfo.InvariantCulture, $"... ({bytes.Length} bytes)");
        return text.ToString();
    }
}
