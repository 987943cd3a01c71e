using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>Writes one segment and its hint file. Neither counts before a manifest names the segment.</summary>
internal sealed class SegmentWriter : IDisposable
{
    private const int BufferBytes = 256 << 10;
    private const long WriteBackBytes = 4 << 20;

    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly ulong _identity;
    private readonly IFile _file;
    private readonly BytesBuffer _buffer = new(BufferBytes + 4096);
    private readonly TokenList<HintEntry> _hints = new();
    private long _written;
    private long _writtenBack;
    private ulong _smallest = ulong.MaxValue;
    private ulong _largest;
    private long _tombstones;
    private long _expiringBytes;
    private long _lastDeadlineMs;

    public SegmentWriter(IFileSystem files, string folder, ulong identity, ulong number)
    {
        _files = files;
        _folder = folder;
        _identity = identity;
        Number = number;
        _file = files.Open(LogFiles.SegmentPath(folder, number), FileOpenMode.CreateNew);
        SegmentFormat.WriteSegmentHeader(_buffer.GetSpan(SegmentFormat.HeaderBytes), identity, number);
        _buffer.Advance(SegmentFormat.HeaderBytes);
    }

    public ulong Number { get; }

    /// <summary>Up to the end of what was added.</summary>
    public long Bytes => _written + _buffer.Length;

    public bool IsEmpty => _hints.Count == 0;

    /// <summary>The last entry is the record that was added last.</summary>
    public HintEntry Last => _hints.Items[^1];

    public void Add(ulong token, uint check, in SegmentRecord record)
    {
        long offset = Bytes;
        long size = SegmentFormat.SizeOf(record.Kind, record.Key.Length, record.Value.Length);
        Check.That(size <= Array.MaxLength && offset + size <= Location.SegmentBytesMax);
        SegmentFormat.WriteRecord(_buffer.GetSpan((int)size), record, _identity, Number, offset);
        _buffer.Advance((int)size);
        _hints.Add(new HintEntry(
            token, check, (uint)(offset / SegmentFormat.UnitBytes), (uint)(size / SegmentFormat.UnitBytes), record.Kind, record.IsSuperseded));
        _smallest = Math.Min(_smallest, record.Sequence);
        _largest = Math.Max(_largest, record.Sequence);
        if (record.Kind == RecordKind.Tombstone)
            _tombstones++;
        if (record.Kind == RecordKind.ExpiringValue)
        {
            _expiringBytes += size;
            _lastDeadlineMs = Math.Max(_lastDeadlineMs, record.ExpiresAtMs);
        }

        if (_buffer.Length >= BufferBytes)
            WriteOut();
    }

    /// <summary>Both files are whole and synced; their names are not yet.</summary>
    public SegmentFacts Finish(ulong rank, ulong cleanedTo)
    {
        WriteOut();
        _file.Sync(SyncMode.Data);
        HintFile.Write(_files, _folder, _identity, Number, _hints.Items);
        return new SegmentFacts
        {
            Number = Number,
            Bytes = _written,
            Rank = rank,
            SmallestSequence = _smallest,
            LargestSequence = _largest,
            CleanedTo = cleanedTo,
            Entries = _hints.Count,
            Tombstones = _tombstones,
            ExpiringBytes = _expiringBytes,
            LastDeadlineMs = _lastDeadlineMs,
        };
    }

    public void Dispose()
    {
        _file.Dispose();
        _hints.Dispose();
    }

    private void WriteOut()
    {
        _file.Write(_buffer.WrittenSpan, _written);
        _written += _buffer.Length;
        _buffer.ClearAndTrim(2 * BufferBytes);
        if (_written - _writtenBack >= WriteBackBytes)
        {
            _file.BeginWriteBack(_writtenBack, _written - _writtenBack);
            _writtenBack = _written;
        }
    }
}
