using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>Hears every record of a journal that its user has not made durable elsewhere, in order.</summary>
public delegate void JournalReplayHandler(LogPosition position, ReadOnlySpan<byte> payload);

/// <summary>One segment that is there, and where its entries end.</summary>
internal readonly record struct RetainedSegment(ulong Sequence, ulong BasePosition, ulong EndPosition, long FileLength);

/// <summary>
/// Reads what a journal holds, and tells a torn tail from damage.
/// <para>
/// Every segment but the last was synced as a whole before its successor got a header, and that header says where it
/// ends: anything invalid before is damage. In the last segment, the first invalid entry is a torn tail, which nobody
/// was told is durable, unless a later mark states that something beyond it had been synced.
/// </para>
/// </summary>
internal sealed class JournalRecovery
{
    private readonly IFileSystem _files;
    private readonly SegmentFolder _folder;
    private readonly List<SegmentHeader> _headers = [];
    private readonly List<RetainedSegment> _segments = [];
    private ulong _oldestRequired;

    public JournalRecovery(IFileSystem files, SegmentFolder folder)
    {
        _files = files;
        _folder = folder;
    }

    /// <summary>What is there, oldest first.</summary>
    public IReadOnlyList<RetainedSegment> Segments => _segments;

    public SegmentHeader LastHeader { get; private set; }

    /// <summary>Where the last segment's valid entries end.</summary>
    public ulong EndPosition { get; private set; }

    public long EndOffset { get; private set; }

    /// <summary>Every segment from this one on must be there.</summary>
    public ulong OldestRequired => _oldestRequired;

    /// <summary>The last entry is the mark of an orderly close.</summary>
    public bool ClosedCleanly { get; private set; }

    /// <summary>The greatest position that a mark states to be durable.</summary>
    public LogPosition Durable { get; private set; }

    /// <summary>
    /// Checks all headers and the whole last segment: what is missing or damaged there stops the start before anything is
    /// replayed.
    /// </summary>
    public void Examine(IReadOnlyList<ulong> sequences, LogPosition replayAfter, JournalOptions expected)
    {
        for (int i = 1; i < sequences.Count; i++)
        {
            if (sequences[i] != sequences[i - 1] + 1)
                throw new FileMissingException(_folder.PathOf(sequences[i - 1] + 1));
        }

        for (int i = 0; i < sequences.Count; i++)
            _headers.Add(ReadHeader(sequences[i], i == 0 ? null : _headers[i - 1]));
        LastHeader = _headers[^1];
        if (expected.JournalId != 0 && LastHeader.JournalId != expected.JournalId)
        {
            throw new CorruptionException(
                _folder.PathOf(sequences[0]),
                16,
                $"this is journal {LastHeader.JournalId:x16}, and the one that belongs here is {expected.JournalId:x16}");
        }

        // Marks of earlier segments can require no more than the header after them.
        foreach (SegmentHeader header in _headers)
            _oldestRequired = Math.Max(_oldestRequired, header.OldestSegment);
        using (IFile file = _files.Open(_folder.PathOf(LastHeader.Sequence), FileOpenMode.Read))
        {
            using var scanner = new SegmentScanner(file, LastHeader);
            ScanMarks(scanner);
            if (!scanner.EndReadsTheSameAgain())
                throw new CorruptionException(file.Path, scanner.EndOffset, "the disk returns one thing now and another then for the same place");
            CheckTail(scanner, file.Path);
            EndOffset = scanner.EndOffset;
            EndPosition = scanner.PositionAt(scanner.EndOffset);
        }

        if (sequences[0] > _oldestRequired)
            throw new FileMissingException(_folder.PathOf(sequences[0] - 1));
        ulong due = Math.Max(replayAfter.Value, expected.MustReach.Value);
        if (EndPosition < due)
        {
            throw new CorruptionException(
                _folder.PathOf(LastHeader.Sequence),
                EndOffset,
                $"the journal ends at position {EndPosition}, but {due} was durable: it is an older copy, or lost its end");
        }
    }

    /// <summary>Reads all segments, oldest first.</summary>
    public void Replay(LogPosition replayAfter, JournalReplayHandler replay)
    {
        for (int i = 0; i < _headers.Count; i++)
        {
            ulong end = i == _headers.Count - 1 ? EndPosition : _headers[i + 1].PreviousEnd;
            using IFile file = _files.Open(_folder.PathOf(_headers[i].Sequence), FileOpenMode.Read);
            using var scanner = new SegmentScanner(file, _headers[i]);

            // What lies behind the end was dropped by an earlier recovery, or is a last mark.
            while (scanner.PositionAt(scanner.EndOffset) < end && scanner.MoveNext())
            {
                if (scanner.Kind == JournalEntryKind.Record && scanner.Position > replayAfter)
                    replay(scanner.Position, scanner.Payload);
            }

            if (scanner.PositionAt(scanner.EndOffset) != end)
            {
                throw new CorruptionException(
                    file.Path, scanner.EndOffset, $"an entry is damaged, though everything up to position {end} was durable");
            }

            _segments.Add(new RetainedSegment(_headers[i].Sequence, _headers[i].BasePosition, end, scanner.FileLength));
        }
    }

    private SegmentHeader ReadHeader(ulong sequence, SegmentHeader? before)
    {
        string path = _folder.PathOf(sequence);
        using IFile file = _files.Open(path, FileOpenMode.Read);
        SegmentHeader header = SegmentHeader.Read(file);
        if (header.Sequence != sequence)
            throw new CorruptionException(path, 24, $"the header is that of segment {header.Sequence}");
        if (before is { } previous && header.JournalId != previous.JournalId)
            throw new CorruptionException(path, 16, "the segment belongs to another journal");
        if (before is { } earlier && (header.PreviousEnd < earlier.BasePosition || header.BasePosition < header.PreviousEnd))
            throw new CorruptionException(path, 32, "the positions in the header do not follow the segment before");
        return header;
    }

    private void ScanMarks(SegmentScanner scanner)
    {
        while (scanner.MoveNext())
        {
            ClosedCleanly = scanner.Kind == JournalEntryKind.ClosingMark;
            if (scanner.Kind == JournalEntryKind.ContinuedMark)
                throw new FileMissingException(_folder.PathOf(LastHeader.Sequence + 1));
            if (scanner.Kind == JournalEntryKind.Record)
                continue;
            JournalMark mark = scanner.Mark;
            _oldestRequired = Math.Max(_oldestRequired, mark.OldestSegment);
            if (mark.Durable > Durable)
                Durable = mark.Durable;
        }
    }

    private static void CheckTail(SegmentScanner scanner, string path)
    {
        if (scanner.FindProofOfDurabilityAfterEnd() is { } proof)
        {
            throw new CorruptionException(
                path, scanner.EndOffset, $"an entry is damaged, though everything up to position {proof.Durable} was durable");
        }
    }
}
