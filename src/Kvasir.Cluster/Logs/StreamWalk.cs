using Kvasir.Cluster.Conversions;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Logs;

/// <summary>Reads the writes of one replica from the journal, beside those who append, trim and recycle it.</summary>
/// <param name="journal">One that keeps what lies behind the place.</param>
/// <param name="stream">The replica's.</param>
/// <param name="after">The position of a record that was durable, or of the journal's end then.</param>
internal sealed class StreamWalk(JournalWriter journal, uint stream, LogPosition after) : IWriteFeed
{
    private readonly JournalReader _reader = journal.CreateReader();
    private bool _isSought;

    // A record that was handed to the system, and is not durable yet.
    private bool _isHeld;

    public LogPosition ReadUpTo { get; private set; } = after;

    public long BytesRead => (long)ReadUpTo.Value;

    public long BytesBehind => (long)(journal.AppendedPosition.Value - ReadUpTo.Value);

    public bool TryNext(out ReadOnlySpan<byte> batch)
    {
        batch = default;
        if (!_isHeld && !TryMove())
            return false;
        _isHeld = _reader.Position > journal.DurablePosition;
        if (_isHeld)
            return false;
        ReadUpTo = _reader.Position;
        JournalPayloadReader entries = new(_reader.Payload);
        while (entries.MoveNext())
        {
            if (entries.StreamId != stream)
                continue;
            Check.That(batch.IsEmpty, $"the record at position {ReadUpTo} has two parts of keyspace number {stream}");
            batch = entries.Bytes;
        }

        Check.That(!entries.Malformed, $"the record at position {ReadUpTo} is no list of entries");
        return true;
    }

    public void Dispose() => _reader.Dispose();

    // The reader goes on from where it is, over places that were dropped, too: sought is the first only.
    private bool TryMove()
    {
        _isSought = _isSought || _reader.TrySeek(ReadUpTo);
        if (_isSought && _reader.MoveNext())
            return true;
        return _reader.IsTrimmed ? throw new StorageException("the journal has let go of writes that were not copied yet") : false;
    }
}
