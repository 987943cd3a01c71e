using System.Globalization;
using System.Text;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog;

/// <summary>Tells the parts of a hash log's files, for <c>kvasir inspect</c>.</summary>
public static class LogInspector
{
    private const int BytesShown = 40;

    /// <summary>Whether the name is that of a manifest, a segment or a hint file of a hash log.</summary>
    public static bool Knows(string path)
    {
        string name = Path.GetFileName(path);
        return name == LogFiles.ManifestName || LogFiles.TryParseSegment(name, out _) || LogFiles.TryParseHint(name, out _);
    }

    /// <summary>Throws where the file is damaged. Segments and hint files are read with the manifest beside them.</summary>
    public static IEnumerable<InspectedPart> Inspect(IFileSystem files, string path, bool entries = false)
    {
        string folder = Path.GetDirectoryName(path) ?? "";
        string name = Path.GetFileName(path);
        LogState state = ManifestStore.Load(files, folder);
        if (name == LogFiles.ManifestName)
            return Manifest(state);
        bool isSegment = LogFiles.TryParseSegment(name, out ulong number);
        if (!isSegment && !LogFiles.TryParseHint(name, out number))
            throw new CorruptionException(path, 0, "not the name of a segment or of a hint file");
        SegmentFacts facts = state.Segments.FirstOrDefault(s => s.Number == number)
            ?? throw new CorruptionException(path, 0, "the manifest does not name it: it is left over, and goes with the next start");
        return isSegment ? Segment(files, folder, state.Identity, facts, entries) : Hint(files, folder, state.Identity, facts, entries);
    }

    private static IEnumerable<InspectedPart> Manifest(LogState state)
    {
        yield return Part(0, ManifestFormat.HeaderBytes, "header", ("version", ManifestFormat.Version),
            ("identity", state.Identity.ToString("x16", CultureInfo.InvariantCulture)), ("owner", state.Owner.IsNone ? "(none)" : state.Owner),
            ("flushed position", state.FlushedPosition), ("flushed sequence", state.FlushedSequence), ("digest", state.Digest),
            ("next file number", state.NextFileNumber));
        long at = ManifestFormat.HeaderBytes;
        foreach (SegmentFacts segment in state.Segments)
        {
            yield return Part(at, ManifestFormat.SegmentBytes, "segment", Facts(segment));
            at += ManifestFormat.SegmentBytes;
        }

        foreach (RangeDeletion range in state.Ranges.All)
        {
            yield return Part(at, 0, "range deletion", ("sequence", range.Sequence), ("start", Show(range.Start)),
                ("end", range.End is null ? "(none)" : Show(range.End)));
        }
    }

    private static IEnumerable<InspectedPart> Segment(IFileSystem files, string folder, ulong identity, SegmentFacts facts, bool entries)
    {
        yield return Part(0, SegmentFormat.HeaderBytes, "header", Facts(facts));
        using SegmentFile segment = SegmentFile.Open(files, new SegmentHandles(files, openMax: 1), folder, identity, facts);
        SegmentScanner scanner = segment.Scan();
        long count = 0;
        while (NextPart(scanner, out InspectedPart? part))
        {
            count++;
            if (entries)
                yield return part;
        }

        yield return Part(SegmentFormat.HeaderBytes, facts.Bytes - SegmentFormat.HeaderBytes, "records", ("count", count));
    }

    private static IEnumerable<InspectedPart> Hint(IFileSystem files, string folder, ulong identity, SegmentFacts facts, bool entries)
    {
        HintEntry[] hints = HintFile.Read(files, folder, identity, facts);
        yield return Part(0, SegmentFormat.HeaderBytes, "header", ("segment", facts.Number), ("entries", hints.Length));
        for (int i = 0; entries && i < hints.Length; i++)
        {
            yield return Part(SegmentFormat.HeaderBytes + (i * SegmentFormat.HintEntryBytes), SegmentFormat.HintEntryBytes, "entry",
                ("token", hints[i].Token.ToString("x16", CultureInfo.InvariantCulture)), ("check", hints[i].Check.ToString("x8", CultureInfo.InvariantCulture)),
                ("offset", (long)hints[i].OffsetUnits * SegmentFormat.UnitBytes), ("length", hints[i].Bytes), ("kind", hints[i].Kind),
                ("superseded", hints[i].IsSuperseded));
        }
    }

    private static bool NextPart(SegmentScanner scanner, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out InspectedPart? part)
    {
        part = null;
        if (!scanner.MoveNext(out SegmentRecord record))
            return false;
        part = Part(scanner.Offset, scanner.Size, "record", ("kind", record.Kind), ("sequence", record.Sequence), ("superseded", record.IsSuperseded),
            ("expires at ms", record.ExpiresAtMs), ("key", Show(record.Key)), ("value", Show(record.Value)), ("value bytes", record.Value.Length));
        return true;
    }

    private static (string Name, object Value)[] Facts(SegmentFacts s) =>
    [
        ("segment", s.Number), ("bytes", s.Bytes), ("rank", s.Rank), ("smallest sequence", s.SmallestSequence),
        ("largest sequence", s.LargestSequence), ("cleaned to", s.CleanedTo), ("entries", s.Entries), ("tombstones", s.Tombstones),
        ("expiring bytes", s.ExpiringBytes), ("last deadline ms", s.LastDeadlineMs),
    ];

    private static string Show(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> shown = bytes.Length > BytesShown ? bytes[..BytesShown] : bytes;
        string text = shown.IndexOfAnyExceptInRange((byte)' ', (byte)'~') < 0 ? Encoding.ASCII.GetString(shown) : Convert.ToHexStringLower(shown);
        return shown.Length < bytes.Length ? text + "..." : text;
    }

    private static InspectedPart Part(long offset, long length, string kind, params (string Name, object Value)[] fields) => new(
        offset, length, kind,
        [.. fields.Select(f => KeyValuePair.Create(f.Name, Convert.ToString(f.Value, CultureInfo.InvariantCulture) ?? ""))]);
}
