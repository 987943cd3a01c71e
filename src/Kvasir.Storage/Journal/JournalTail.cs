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

    public static JournalTail Recover(
        IFileSystem files,
        SegmentFolder folder,
        string path,
        JournalOptions options,
        TimeProvider time,
        LogPosition replayAfter,
        JournalReplayHandler replay)
    {
        List<ulong> sequences = folder.Open();
        if (sequences.Count == 0)
        {
            if (options.MustExist)
                throw new FileMissingException($"{path} holds no journal segment, though a journal was there", inner: null);
            return Create(folder, path, options, time, new LogPosition(Math.Max(replayAfter.Value, options.BeginAfter.Value)));
        }

        var recovery = new JournalRecovery(files, folder);
        recovery.Examine(sequences, replayAfter);
        SecureTail(files, folder, path, recovery);
        recovery.Replay(replayAfter, replay);

        List<RetainedSegment> retained = [.. recovery.Segments];
        RetainedSegment last = retained[^1];
        SegmentHeader header = recovery.LastHeader;
        ulong begin = Math.Max(last.EndPosition, options.BeginAfter.Value);
        if (recovery.ClosedCleanly && begin == last.EndPosition)
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

        return new JournalTail(header.JournalId, StartSegment(folder, options, next), retained, recovery.OldestRequired);
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
        ulong sequence = recovery.LastHeader.Sequence;
        using IFile file = files.Open(folder.PathOf(sequence), FileOpenMode.ReadWrite);
        ulong secured = Math.Clamp(recovery.Durable.Value, recovery.LastHeader.BasePosition, recovery.EndPosition);
        long offset = recovery.EndOffset - (long)(recovery.EndPosition - secured);
        byte[] buffer = new byte[(int)Math.Min(CopyBytes, recovery.EndOffset - offset)];
        while (offset < recovery.EndOffset)
        {
            int count = (int)Math.Min(buffer.Length, recovery.EndOffset - offset);
            Check.That(file.Read(buffer.AsSpan(0, count), offset) == count);
            file.Write(buffer.AsSpan(0, count), offset);
            offset += count;
        }

        file.Sync(SyncMode.Full);
        files.SyncFolder(path);
    }
}
