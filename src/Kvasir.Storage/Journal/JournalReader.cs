using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>
/// Reads records of an open journal again, from a place on, beside the writer that appends, trims and recycles. What it
/// serves was handed to the system, durable or not, and has the checksum of its place; a segment that is let go while it
/// is read ends the reading (<see cref="IsTrimmed"/>). One thread at a time.
/// </summary>
/// <remarks>
/// Many readings may go over the same stretch, each for other parts of its records: what was read last is kept, until
/// <see cref="Forget"/>. A place never gets another content, so it stays right; checksums are looked at each time.
/// </remarks>
public sealed class JournalReader : IDisposable
{
    private const int WindowBytes = 64 << 10;

    // Of all windows; one record always fits.
    private const long BytesMax = 8 << 20;

    // A window that one large record needed is not kept for the next reading.
    private const int KeptBytesMax = 1 << 20;

    private static readonly ReadWindow s_nothing = new(0);

    private readonly JournalWriter _journal;
    private readonly uint _seed;
    private readonly List<ReadWindow> _windows = [];
    private long _windowBytes;
    private ReadWindow _window = s_nothing;
    private long _uses;
    private IFile? _file;
    private bool _isSought;
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
    public ReadOnlySpan<byte> Payload => _window.From(Start.Value, JournalFormat.RecordHeaderBytes + _payloadLength)[JournalFormat.RecordHeaderBytes..];

    /// <summary>The number of the segment that it was in last; zero for none.</summary>
    public ulong Segment => _segment.Sequence;

    /// <summary>Where that segment ended when it was looked at.</summary>
    public LogPosition SegmentEnd => new(_segment.EndPosition);

    /// <summary>How often it went to a file, and how many bytes came from there.</summary>
    public (long Times, long Bytes) Readings { get; private set; }

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
        if (!TryEnter(segment, start.Value))
            return false;
        _next = start.Value;
        return _isSought = true;
    }

    /// <summary>The next record; false at the end of what was handed to the system, or when it was trimmed.</summary>
    public bool MoveNext()
    {
        IsTrimmed = false;
        Check.That(_isSought, $"a place must be sought first");
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
        _isSought = false;
        _window = s_nothing;
        for (int i = _windows.Count - 1; i >= 0; i--)
        {
            if (_windows[i].Capacity > KeptBytesMax)
                Drop(_windows[i]);
        }
    }

    /// <summary>Lets go of what was read, too.</summary>
    public void Forget()
    {
        Close();
        _windows.Clear();
        _windowBytes = 0;
    }

    public void Dispose() => Forget();

    /// <summary>Behind the segment's end: it has grown, or there is a next one.</summary>
    private bool TryGoOn()
    {
        if (!_journal.TryFindReadable(_segment.EndPosition, out RetainedSegment next))
            return false;

        // Nothing lies between them while this one is there; segments without a record may.
        if (!_journal.IsRetained(_segment.Sequence))
            return Trimmed();
        bool isNew = next.Sequence != _segment.Sequence;
        if (!TryEnter(next, isNew ? next.BasePosition : _next))
            return false;
        if (isNew)
            _next = next.BasePosition;
        return true;
    }

    /// <summary>From now on in this segment, as it is now; its file is opened unless what is wanted of it is here.</summary>
    private bool TryEnter(in RetainedSegment segment, ulong place)
    {
        if (segment.Sequence != _segment.Sequence)
        {
            _file?.Dispose();
            _file = null;
        }

        _segment = segment;
        return _file is not null || TryFind(place, JournalFormat.RecordHeaderBytes) || TryOpen();
    }

    private bool TryOpen()
    {
        try
        {
            _file = _journal.OpenSegment(_segment.Sequence);
            return true;
        }
        catch (FileMissingException) when (!_journal.IsRetained(_segment.Sequence))
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
        ReadOnlySpan<byte> header = _window.From(_next, JournalFormat.RecordHeaderBytes);
        length = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        kind = (JournalEntryKind)header[8];
        if (length < 0 || (ulong)length > left - JournalFormat.RecordHeaderBytes)
            return Damaged();
        int total = JournalFormat.RecordHeaderBytes + length;
        if (!TryFill(total))
            return false;
        ReadOnlySpan<byte> entry = _window.From(_next, total);
        return JournalFormat.ChecksumOf(_seed, _next, entry[4..]) == BinaryPrimitives.ReadUInt32LittleEndian(entry) || Damaged();
    }

    /// <summary>Makes the window hold this many bytes from the next entry on, all of them before the segment's end.</summary>
    private bool TryFill(int count)
    {
        if (TryFind(_next, count))
            return true;
        if (_file is null && !TryOpen())
            return false;
        int wanted = (int)Math.Min((ulong)Math.Max(count, WindowBytes), _segment.EndPosition - _next);
        _window = Room(Math.Max(wanted, WindowBytes));
        int read = _file!.Read(_window.Empty(wanted), JournalFormat.SegmentHeaderBytes + (long)(_next - _segment.BasePosition));
        Readings = (Readings.Times + 1, Readings.Bytes + read);

        // Asked after the reading: what was let go before it may have been overwritten.
        if (!_journal.IsRetained(_segment.Sequence))
            return Trimmed();
        _window.Filled(_next, read, ++_uses);
        return read >= count || Damaged();
    }

    /// <summary>A place lies in one segment only, so it names the content.</summary>
    private bool TryFind(ulong place, int count)
    {
        if (_window.Holds(place, count))
            return true;
        foreach (ReadWindow window in _windows)
        {
            if (!window.Holds(place, count))
                continue;
            window.UsedAt = ++_uses;
            _window = window;
            return true;
        }

        return false;
    }

    /// <summary>A window for so many bytes, in the place of those that were not used for longest.</summary>
    private ReadWindow Room(int bytes)
    {
        ReadWindow? spare = null;
        while (_windowBytes + bytes > BytesMax && _windows.Count > 0)
        {
            spare = _windows[0];
            foreach (ReadWindow window in _windows)
                spare = window.UsedAt < spare.UsedAt ? window : spare;
            Drop(spare);
        }

        // All but those of large records have one size.
        ReadWindow room = spare?.Capacity == bytes ? spare : new ReadWindow(bytes);
        _windows.Add(room);
        _windowBytes += room.Capacity;
        return room;
    }

    private void Drop(ReadWindow window)
    {
        _windows.Remove(window);
        _windowBytes -= window.Capacity;
    }

    private bool Trimmed()
    {
        Close();
        IsTrimmed = true;
        return false;
    }

    /// <summary>The record is not what it should be, though its checksum is right: as if it were not.</summary>
    public CorruptionException Refuse(string detail)
    {
        string path = _journal.PathOf(_segment.Sequence);
        long offset = JournalFormat.SegmentHeaderBytes + (long)(Start.Value - _segment.BasePosition);
        Forget();
        return new CorruptionException(path, offset, detail);
    }

    private bool Damaged()
    {
        if (!_journal.IsRetained(_segment.Sequence) || (_file is null && !TryOpen()))
            return Trimmed();
        string path = _file!.Path;
        long offset = JournalFormat.SegmentHeaderBytes + (long)(_next - _segment.BasePosition);
        Forget();
        throw new CorruptionException(path, offset, $"the entry at position {_next} is not what was written there");
    }

    /// <summary>Bytes of the journal from one place on.</summary>
    private sealed class ReadWindow(int capacity)
    {
        private readonly byte[] _bytes = new byte[capacity];
        private ulong _start;
        private int _length;

        public int Capacity => _bytes.Length;

        public long UsedAt { get; set; }

        public bool Holds(ulong place, int count) => place >= _start && place + (ulong)count <= _start + (ulong)_length;

        public ReadOnlySpan<byte> From(ulong place, int count) => _bytes.AsSpan((int)(place - _start), count);

        /// <summary>Holds nothing until it is filled.</summary>
        public Span<byte> Empty(int count)
        {
            _length = 0;
            return _bytes.AsSpan(0, count);
        }

        public void Filled(ulong start, int length, long usedAt) => (_start, _length, UsedAt) = (start, length, usedAt);
    }
}
