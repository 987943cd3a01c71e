using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>Reads entries of one log from the journal, stretch by stretch.</summary>
internal sealed class EntryWalk(JournalWriter journal) : IDisposable
{
    private readonly JournalReader _reader = journal.CreateReader();
    private bool _isUsed;

    /// <summary>Why the last call gave less than was asked for; null where the disk is not to blame.</summary>
    public StorageException? Failure { get; private set; }

    /// <summary>The newest segment that could not be read.</summary>
    public UnreadableSegment? Unreadable { get; private set; }

    /// <summary>As <see cref="GroupJournal.TryRead"/>, for indexes that the log has.</summary>
    public bool TryRead(GroupLog log, LogIndex first, LogIndex last, long bytesMax, IEntrySink sink)
    {
        LogIndex next = first;
        long left = bytesMax;
        ulong? begin = null;
        _isUsed = true;
        Failure = null;
        try
        {
            while (next <= last && GoesOn() && log.Points.TryFind(next, out ulong start, out LogIndex end)
                && _reader.TrySeek(new LogPosition(start)))
            {
                begin ??= start;
                LogIndex stretchLast = LogIndex.Least(last, end.Previous);
                while (next <= stretchLast && GoesOn())
                {
                    if (!_reader.MoveNext())
                        return next > first;
                    next = Give(log.Id, next, stretchLast, ref left, sink, isFirst: next == first);
                }
            }

            return next > first;
        }
        catch (StorageException e)
        {
            Failure = e;
            if (Unreadable is not { } known || known.Number <= _reader.Segment)
                Unreadable = new UnreadableSegment(_reader.Segment, _reader.SegmentEnd.Value, e.Message);
            return next > first;
        }
        finally
        {
            _reader.Close();
        }

        // Who wants so many bytes and no more reads on another time, beside others who want what lies between.
        bool GoesOn() => next == first
            || (left > 0 && (bytesMax == long.MaxValue || _reader.Position.Value < begin + EntryPoints.SpanMax));
    }

    /// <summary>Gives memory back when nothing was read since the last time.</summary>
    public void Rest()
    {
        if (!_isUsed)
            _reader.Forget();
        _isUsed = false;
    }

    /// <summary>As <see cref="JournalReader.Readings"/>.</summary>
    public (long Times, long Bytes) Readings => _reader.Readings;

    public void Dispose() => _reader.Dispose();

    /// <summary>What the record has of the entries that are wanted; returns the next one that is.</summary>
    private LogIndex Give(GroupId group, LogIndex next, LogIndex last, ref long left, IEntrySink sink, bool isFirst)
    {
        var sections = new JournalPayloadReader(_reader.Payload);
        while (next <= last && sections.MoveNext())
        {
            if (sections.StreamId != group.Value || sections.Bytes.IsEmpty || sections.Bytes[0] != (byte)SectionKind.Entries)
                continue;
            var entries = new EntriesReader(sections.Bytes[1..]);
            if (entries.First > next)
                throw _reader.Refuse($"entry {next} of group {group} is not before {entries.First}, where it was written");
            while (next <= last && entries.MoveNext())
            {
                if (entries.Index < next)
                    continue;
                left -= entries.Bytes.Length;
                if (left < 0 && !isFirst)
                    return next;
                sink.Entry(entries.Index, entries.Term, entries.Kind, entries.Bytes);
                next = next.Next;
                isFirst = false;
            }

            if (entries.Malformed)
                throw _reader.Refuse($"the entries of group {group} make no sense");
        }

        return sections.Malformed ? throw _reader.Refuse("the record is no list of sections") : next;
    }
}
