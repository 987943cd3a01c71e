using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>Something wrong in a journal.</summary>
public sealed record JournalFinding(string File, long Offset, string Detail);

/// <summary>Checks a journal folder without opening it for writing, and never throws for what it finds.</summary>
public static class JournalVerifier
{
    /// <summary>
    /// What a start would refuse. A torn tail is none of it. Nobody may have the journal open.
    /// <paramref name="expected"/>: what its owner knows of it. <paramref name="replay"/>: is given every record, and may throw what
    /// is wrong with it.
    /// </summary>
    public static IReadOnlyList<JournalFinding> Verify(
        IFileSystem files, string folder, JournalOptions? expected = null, JournalReplayHandler? replay = null)
    {
        expected ??= new JournalOptions();
        List<JournalFinding> findings = [];
        if (!files.FolderExists(folder))
            return [new JournalFinding(folder, 0, "the folder is missing")];
        var segments = new SegmentFolder(files, folder);
        List<ulong> sequences = SegmentFolder.ListSegments(files, folder);

        if (expected.MustExist && sequences.Count == 0)
            return [new JournalFinding(folder, 0, "the folder holds no journal segment, though a journal was there")];

        // Every segment by itself, so that one finding does not hide the next; then all together, as a start would.
        ulong? before = null;
        foreach (ulong sequence in sequences)
        {
            if (before is { } previous && sequence != previous + 1)
                findings.Add(new JournalFinding(segments.PathOf(previous + 1), 0, "the segment is missing"));
            before = sequence;
            CheckHeader(files, segments.PathOf(sequence), findings);
        }

        if (findings.Count > 0 || sequences.Count == 0)
            return findings;
        try
        {
            var recovery = new JournalRecovery(files, segments);
            recovery.Examine(sequences, LogPosition.Zero, expected);
            recovery.Replay(LogPosition.Zero, replay ?? (static (_, _) => { }));
        }
        catch (CorruptionException exception)
        {
            findings.Add(new JournalFinding(exception.Path ?? folder, exception.Offset, exception.Message));
        }
        catch (StorageException exception)
        {
            findings.Add(new JournalFinding(folder, 0, exception.Message));
        }

        return findings;
    }

    private static void CheckHeader(IFileSystem files, string path, List<JournalFinding> findings)
    {
        try
        {
            using IFile file = files.Open(path, FileOpenMode.Read);
            SegmentHeader.Read(file);
        }
        catch (StorageException exception)
        {
            findings.Add(new JournalFinding(path, 0, exception.Message));
        }
    }
}

/// <summary>One entry of a segment file, for people.</summary>
/// <param name="Offset">Where it begins in the file.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Position">A record's position; the place after a mark.</param>
/// <param name="Payload">A record's content.</param>
/// <param name="Mark">A mark's.</param>
public sealed record JournalEntry(
    long Offset, JournalEntryKind Kind, LogPosition Position, ReadOnlyMemory<byte> Payload, JournalMark? Mark);

/// <summary>Shows one segment file entry by entry: for <c>kvasir inspect</c>.</summary>
public static class JournalInspector
{
    /// <summary>The header in a line. Throws for a file that is no segment.</summary>
    public static string Describe(IFileSystem files, string path)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        SegmentHeader header = SegmentHeader.Read(file);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"journal {header.JournalId:x16} segment {header.Sequence}, positions from {header.BasePosition}, "
            + $"segment before ends at {header.PreviousEnd}, segments needed from {header.OldestSegment}, {file.Length} bytes");
    }

    /// <summary>
    /// The valid entries; returns the offset at which they end, which alone does not say whether by a torn tail or by
    /// damage: <see cref="JournalVerifier"/> does.
    /// </summary>
    public static long Walk(IFileSystem files, string path, Action<JournalEntry> visit)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        using var scanner = new SegmentScanner(file, SegmentHeader.Read(file));
        while (scanner.MoveNext())
        {
            bool isRecord = scanner.Kind == JournalEntryKind.Record;
            visit(new JournalEntry(
                scanner.Offset,
                scanner.Kind,
                scanner.Position,
                isRecord ? scanner.Payload.ToArray() : default(ReadOnlyMemory<byte>),
                isRecord ? null : scanner.Mark));
        }

        return scanner.EndOffset;
    }
}
