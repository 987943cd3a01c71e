using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>
/// Reads records of an open journal again, from a place on, beside the writer that appends, trims and recycles. What it
/// serves was handed to the system, durable or not, and has the checksum of its place; a segment that is let go while it
/// is read ends the reading (<see cref="IsTrimmed"/>). One thread at a time.
/// </summary>
public sealed class JournalReader : IDisposable
{
    private const int WindowBytes = 64 << 10;

    // A window that one large record needed is not kept for the next reading.
    private const int KeptBytesMax = 1 << 20;

    private readonly JournalWriter _journal;
    private readonly uint _seed;
    private byte[] _window = [];
    private ulong _windowStart;
    private int _windowLength;
    private IFile? _file;
    private RetainedSegment _segment;
    private ulong _next;
    private int _payloadLength;

    internal JournalReader(JournalWriter journal, uint seed)
    {
        _journal = journal;
        _seed = seed;
    }

    /// <summary>The logical place of the record's first byte: what <see cref="TrySeek"/> takes.</summary>
    public LogPosition Start { get; private set; }

    /// <summary>The record's position, just after it.</summary>
    public LogPosition Position { get; private set; }

    /// <summary>Valid until the next move.</summary>
    public ReadOnlySpan<byte> Payload =>
        _window.AsSpan((int)(Start.Value - _windowStart) + JournalFormat.RecordHeaderBytes, _payloadLength);

    /// <summary>The last call failed because the journal has let go of the place, not because its end was reached.</summary>
    public bool IsTrimmed { get; private set; }

    /// <summary>Where a record of this position begins whose payload has this many bytes.</summary>
    public static LogPosition StartOf(LogPosition position, int payloadLength) =>
        new(position.Value - (ulong)(JournalFormat.RecordHeaderBytes + payloadLength));

    /// <summary>
    /// Goes to the record that begins at <paramref name="start"/>, for the next <see cref="MoveNext"/>. False when the
    /// journal does not hold that place any more, or has not handed it to the system yet.
    /// </summary>
    public bool TrySeek(LogPosition start)
    {
        IsTrimmed = false;
        if (!_journal.TryFindReadable(start.Value, out RetainedSegment segment))
            return false;
        if (segment.BasePosition > start.Value)
            return Trimmed();
        if (!TryOpen(segment))
            return false;
        _next = start.Value;
        return true;
    }

    /// <summary>The next record; false at the end of what was handed to the system, or when it was trimmed.</summary>
    public bool MoveNext()
    {
        IsTrimmed = false;
        Check.That(_file is not null, $"a place must be sought first");
        while (true)
        {
            while (_next >= _segment.EndPosition)
            {
                if (!TryGoOn())
                    return false;
            }

            if (!TryReadEntry(out JournalEntryKind kind, out int length))
                return false;
            Start = new LogPosition(_next);
            _payloadLength = length;
            _next += (ulong)(JournalFormat.RecordHeaderBytes + length);
            Position = new LogPosition(_next);
            if (kind == JournalEntryKind.Record)
                return true;
        }
    }

    /// <summary>Lets go of the file. The reader can be used again.</summary>
    public void Close()
    {
        _file?.Dispose();
        _file = null;
        _windowLength = 0;
        if (_window.Length > KeptBytesMax)
            _window = [];
    }

    public void Dispose() => Close();

    /// <summary>Behind the segment's end: it has grown, or there is a next one.</summary>
    private bool TryGoOn()
    {
        if (!_journal.TryFindReadable(_segment.EndPosition, out RetainedSegment next))
            return false;

        // Nothing lies between them while this one is there; segments without a record may.
        if (!_journal.IsRetained(_segment.Sequence))
            return Trimmed();
        bool isNew = next.Sequence != _segment.Sequence;
        if (!TryOpen(next))
            return false;
        if (isNew)
            _next = next.BasePosition;
        return true;
    }

    private bool TryOpen(in RetainedSegment segment)
    {
        if (_file is not null && segment.Sequence == _segment.Sequence)
        {
            _segment = segment;
            return true;
        }

        _file?.Dispose();
        _file = null;
        _windowLength = 0;
        _segment = segment;
        try
        {
            _file = _journal.OpenSegment(segment.Sequence);
            return true;
        }
        catch (FileMissingException) when (!_journal.IsRetained(segment.Sequence))
        {
            return Trimmed();
        }
    }

    private bool TryReadEntry(out JournalEntryKind kind, out int length)
    {
        kind = default;
        length = 0;
        ulong left = _segment.EndPosition - _next;
        if (left < JournalFormat.RecordHeaderBytes)
            return Damaged();
        if (!TryFill(JournalFormat.RecordHeaderBytes))
            return false;
        ReadOnlySpan<byte> header = _window.AsSpan((int)(_next - _windowStart), JournalFormat.RecordHeaderBytes);
        length = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        kind = (JournalEntryKind)header[8];
        if (length < 0 || (ulong)length > left - JournalFormat.RecordHeaderBytes)
            return Damaged();
        int total = JournalFormat.RecordHeaderBytes + length;
        if (!TryFill(total))
            return false;
        ReadOnlySpan<byte> entry = _window.AsSpan((int)(_next - _windowStart), total);
        return JournalFormat.ChecksumOf(_seed, _next, entry[4..]) == BinaryPrimitives.ReadUInt32LittleEndian(entry) || Damaged();
    }

    /// <summary>Makes the window hold this many bytes from the next entry on, all of them before the segment's end.</summary>
    private bool TryFill(int count)
    {
        Check.That(_file is not null);
        if (_next >= _windowStart && _next + (ulong)count <= _windowStart + (ulong)_windowLength)
            return true;
        int wanted = (int)Math.Min((ulong)Math.Max(count, WindowBytes), _segment.EndPosition - _next);
        if (_window.Length < wanted)
            _window = new byte[wanted];
        _windowLength = 0;
        int read = _file.Read(_window.AsSpan(0, wanted), JournalFormat.SegmentHeaderBytes + (long)(_next - _segment.BasePosition));

        // Asked after the reading: what was let go before it may have been overwritten.
        if (!_journal.IsRetained(_segment.Sequence))
            return Trimmed();
        _windowStart = _next;
        _windowLength = read;
        return read >= count || Damaged();
    }

    private bool Trimmed()
    {
        Close();
        IsTrimmed = true;
        return false;
    }

    private bool Damaged()
    {
        Check.That(_file is not null);
        if (!_journal.IsRetained(_segment.Sequence))
            return Trimmed();
        string path = _file.Path;
        long offset = JournalFormat.SegmentHeaderBytes + (long)(_next - _segment.BasePosition);
        Close();
        throw new CorruptionException(path, offset, $"the entry at position {_next} is not what was written there");
    }
}
