using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>
/// Where a writer goes on. After an orderly close that is behind the closing mark. After anything else it is a new
/// segment: behind the end of the old one there may be whole records of a torn group, which must never come back
/// to life behind new ones; the new segment's header states where the old one ends, and nobody reads beyond it.
/// </summary>
internal sealed record JournalTail(
    ulong JournalId, ActiveSegment Segment, List<RetainedSegment> Retained, ulong OldestNeeded)
{
    private const int CopyBytes = 1 << 20;

    /// <summary>Where the next record begins.</summary>
    public ulong Begin { get; private init; } = Segment.EndPosition;

    /// <summary>There is no room for the new segment: the old one is only there to be followed by it.</summary>
    public DiskFullException? Full { get; private init; }

    public static JournalTail Recover(
        IFileSystem files,
        SegmentFolder folder,
        string path,
        JournalOptions options,
        TimeProvider time,
        LogPosition replayAfter,
        JournalReplayHandler replay)
    {
        // Not made anew first: whoever puts it back would put it inside.
        if (options.MustExist && !files.FolderExists(path))
            throw new FileMissingException($"{path} is missing, though a journal was there", inner: null);
        List<ulong> sequences = folder.Open();
        if (sequences.Count == 0)
        {
            if (options.MustExist)
                throw new FileMissingException($"{path} holds no journal segment, though a journal was there", inner: null);
            return Create(folder, path, options, time, new LogPosition(Math.Max(replayAfter.Value, options.BeginAfter.Value)));
        }

        var recovery = new JournalRecovery(files, folder);
        recovery.Examine(sequences, replayAfter, options);
        SecureTail(files, folder, path, recovery);
        recovery.Replay(replayAfter, replay);

        List<RetainedSegment> retained = [.. recovery.Segments];
        RetainedSegment last = retained[^1];
        SegmentHeader header = recovery.LastHeader;
        ulong begin = Math.Max(last.EndPosition, options.BeginAfter.Value);
        if (recovery.ClosedCleanly && begin == last.EndPosition && ActiveSegment.CanContinue(recovery.EndOffset, last.FileLength))
        {
            retained.RemoveAt(retained.Count - 1);
            IFile file = files.Open(folder.PathOf(last.Sequence), FileOpenMode.ReadWrite);
            return new JournalTail(
                header.JournalId, new ActiveSegment(file, header, recovery.EndOffset), retained, recovery.OldestRequired);
        }

        SegmentHeader next;
        if (last.EndPosition == last.BasePosition)
        {
            // Nothing in it counted. Its place is taken over rather than kept as an empty link, so that a process that
            // dies again and again at its start does not fill the disk; one position is skipped, so that nothing torn
            // in the old file fits the new header.
            retained.RemoveAt(retained.Count - 1);
            next = header with { BasePosition = Math.Max(header.BasePosition + 1, begin), OldestSegment = recovery.OldestRequired };
        }
        else
        {
            next = new SegmentHeader(
                header.JournalId, last.Sequence + 1, begin, last.EndPosition, recovery.OldestRequired);
        }

        ActiveSegment segment;
        try
        {
            segment = StartSegment(folder, options, next);
        }
        catch (DiskFullException full) when (options.OpensOnFullDisk)
        {
            // Nothing has changed since the end was made durable, so a crash finds what this start found. The segment keeps its place
            // even where nothing in it counted: the next one has a position of its own then, too.
            IFile left = files.Open(folder.PathOf(last.Sequence), FileOpenMode.ReadWrite);
            return new JournalTail(
                header.JournalId, ActiveSegment.Left(left, header, recovery.EndOffset), [.. recovery.Segments.SkipLast(1)], recovery.OldestRequired)
            {
                Begin = next.BasePosition,
                Full = full,
            };
        }

        if (next.Sequence != last.Sequence)
        {
            using IFile file = files.Open(folder.PathOf(last.Sequence), FileOpenMode.ReadWrite);
            var mark = new JournalMark(new LogPosition(last.EndPosition), recovery.OldestRequired);
            ActiveSegment.MarkContinued(file, recovery.EndOffset, mark, JournalFormat.SeedOf(header.JournalId), last.EndPosition);
        }

        return new JournalTail(header.JournalId, segment, retained, recovery.OldestRequired);
    }

    private static JournalTail Create(
        SegmentFolder folder, string path, JournalOptions options, TimeProvider time, LogPosition replayAfter)
    {
        ulong id = StableHash.Hash64(System.Text.Encoding.UTF8.GetBytes(path), (ulong)time.GetUtcNow().UtcTicks);
        var header = new SegmentHeader(id, Sequence: 1, replayAfter.Value, replayAfter.Value, OldestSegment: 1);
        return new JournalTail(id, StartSegment(folder, options, header), [], OldestNeeded: 1);
    }

    private static ActiveSegment StartSegment(SegmentFolder folder, JournalOptions options, in SegmentHeader header)
    {
        if (!folder.HasSpare(options.FirstSegmentBytes))
            folder.MakeSpare(options.FirstSegmentBytes, written: true);
        return ActiveSegment.Start(folder, header, options.FirstSegmentBytes);
    }

    /// <summary>
    /// What recovery read may be in the page cache only: after a kill because it was never synced, after a failed sync
    /// because the system took the pages for clean although they did not reach the disk. It is written once more, since a
    /// sync alone would then write nothing, and synced, before the first record is replayed.
    /// </summary>
    private static void SecureTail(IFileSystem files, SegmentFolder folder, string path, JournalRecovery recovery)
    {
        using IFile file = files.Open(folder.PathOf(recovery.LastHeader.Sequence), FileOpenMode.ReadWrite);
        ulong secured = Math.Clamp(recovery.Durable.Value, recovery.LastHeader.BasePosition, recovery.EndPosition);
        long begin = recovery.EndOffset - (long)(recovery.EndPosition - secured);

        // Entry by entry, each with its checksum looked at: what is read wrong once must not be written back.
        using var scanner = new SegmentScanner(files.Open(file.Path, FileOpenMode.Read), recovery.LastHeader);
        BytesBuffer copy = new(4096);
        long copied = begin;
        while (scanner.EndOffset < recovery.EndOffset && scanner.MoveNext())
        {
            if (scanner.EndOffset <= begin)
                continue;
            copy.Append(scanner.Entry);
            if (copy.Length >= CopyBytes)
                copied = Write(file, copy, copied);
        }

        if (scanner.EndOffset != recovery.EndOffset)
            throw new CorruptionException(file.Path, scanner.EndOffset, "an entry was read differently before: the disk does not return what it holds");
        Write(file, copy, copied);
        file.Sync(SyncMode.Full);
        files.SyncFolder(path);
    }

    private static long Write(IFile file, BytesBuffer copy, long offset)
    {
        file.Write(copy.WrittenSpan, offset);
        offset += copy.Length;
        copy.Clear();
        return offset;
    }
}
