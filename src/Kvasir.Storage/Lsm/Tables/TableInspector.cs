using System.Globalization;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>Tells the parts of one SSTable file, for <c>kvasir inspect</c>.</summary>
public static class TableInspector
{
    /// <summary>Whether the name is that of an SSTable.</summary>
    public static bool Knows(string path) => TableFiles.TryParseTable(Path.GetFileName(path), out _);

    /// <summary>
    /// Header, properties, data blocks (with <paramref name="entries"/>: every entry of them), filter, range
    /// tombstones, index and footer. Throws where the file is damaged.
    /// </summary>
    public static IEnumerable<InspectedPart> Inspect(IFileSystem files, string path, bool entries = false)
    {
        IFile file = files.Open(path, FileOpenMode.Read);
        ulong number;
        try
        {
            number = SSTableFormat.ReadHeader(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }

        var cache = new BlockCache(new MemoryBudget(MemoryBudget.MinimumBytes));
        SSTableReader reader = SSTableReader.Open(file, number, fileId: 1, cache, verify: true);
        try
        {
            yield return Part(0, SSTableFormat.HeaderBytes, "header", ("table", number), ("version", SSTableFormat.Version));
            for (int block = 0; block < reader.BlockCount; block++)
            {
                foreach (InspectedPart part in Block(reader, block, entries))
                    yield return part;
            }

            SSTableFooter footer = reader.Footer;
            if (!footer.Filter.IsNone)
                yield return Part(footer.Filter.Offset, footer.Filter.Length, "filter");
            foreach (FragmentedTombstones.Fragment fragment in reader.Tombstones.Fragments)
            {
                yield return Part(
                    footer.Tombstones.Offset, footer.Tombstones.Length, "range tombstone", ("start", Show(fragment.Start)),
                    ("end", fragment.End is null ? "(none)" : Show(fragment.End)), ("sequences", string.Join(' ', fragment.Sequences)));
            }

            yield return Part(footer.Index.Offset, footer.Index.Length, "index", ("blocks", reader.BlockCount));
            yield return Properties(reader.Properties, footer.Properties);
            yield return Part(footer.FileLength - SSTableFormat.FooterBytes, SSTableFormat.FooterBytes, "footer", ("file length", footer.FileLength));
        }
        finally
        {
            reader.Release();
        }
    }

    /// <summary>Bytes as text, others than printable ASCII as \xNN.</summary>
    internal static string Show(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length);
        foreach (byte b in bytes)
        {
            if (b is >= 0x20 and < 0x7F and not (byte)'\\')
                text.Append((char)b);
            else
                text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
        }

        return text.ToString();
    }

    internal static InspectedPart Part(long offset, long length, string kind, params (string Name, object Value)[] fields) => new(
        offset, length, kind,
        [.. fields.Select(f => KeyValuePair.Create(f.Name, Convert.ToString(f.Value, CultureInfo.InvariantCulture) ?? ""))]);

    private static InspectedPart Properties(TableProperties p, BlockHandle handle) => Part(
        handle.Offset, handle.Length, "properties", ("entries", p.EntryCount), ("tombstones", p.TombstoneCount),
        ("range tombstones", p.RangeTombstoneCount), ("expiring", p.ExpiringCount), ("first deadline ms", p.FirstDeadlineMs),
        ("last deadline ms", p.LastDeadlineMs), ("raw key bytes", p.RawKeyBytes), ("raw value bytes", p.RawValueBytes),
        ("data blocks", p.DataBlockCount), ("smallest sequence", p.SmallestSequence), ("largest sequence", p.LargestSequence),
        ("compressed", p.Compressed), ("created at ms", p.CreatedAtMs), ("smallest key", Show(p.SmallestKey)),
        ("largest key", p.LargestKey is null ? "(none)" : Show(p.LargestKey)), ("largest inclusive", p.LargestInclusive), ("content checksum", p.ContentChecksum.ToString("x8", CultureInfo.InvariantCulture)));

    private static unsafe List<InspectedPart> Block(SSTableReader reader, int index, bool entries)
    {
        BlockHandle handle = reader.Handle(index);
        CachedBlock block = reader.LoadBlock(handle);
        try
        {
            var parts = new List<InspectedPart>();
            var cursor = new DataBlockCursor();
            cursor.Reset(block.Pointer, block.Length);
            string first = "";
            int count = 0;
            for (cursor.SeekToFirst(); cursor.Valid; cursor.Next())
            {
                if (count++ == 0)
                    first = Show(cursor.UserKey);
                if (!entries)
                    continue;
                parts.Add(Part(
                    handle.Offset, handle.Length, "entry", ("key", Show(cursor.UserKey)), ("sequence", cursor.Trailer.Sequence),
                    ("kind", cursor.Trailer.Kind), ("expires at ms", cursor.ExpiresAtMs), ("value bytes", cursor.Value.Length),
                    ("value", Show(cursor.Value[..Math.Min(64, cursor.Value.Length)]))));
            }

            if (cursor.Malformed)
                reader.ThrowMalformed(index);
            parts.Insert(0, Part(
                handle.Offset, handle.Length, "data block", ("entries", count), ("raw bytes", block.Length), ("first key", first)));
            return parts;
        }
        finally
        {
            block.Release();
        }
    }
}
