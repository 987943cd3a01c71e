using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>Reads the records of a segment one behind the other; throws where it is damaged.</summary>
internal sealed class SegmentScanner
{
    public const int PartBytes = 1 << 20;

    private readonly SegmentFile _file;
    private readonly ulong _identity;
    private readonly SegmentFacts _segment;
    private byte[] _part;
    private long _partAt;
    private int _partLength;
    private int _size;
    private long _peekAt;

    public SegmentScanner(SegmentFile file, ulong identity, int partBytes)
    {
        _file = file;
        _identity = identity;
        _segment = file.Facts;
        _part = new byte[Math.Min(partBytes, _segment.Bytes)];
        Offset = 0;
    }

    /// <summary>Of the current record.</summary>
    public long Offset { get; private set; }

    /// <summary>Of the current record.</summary>
    public int Size => _size;

    /// <summary>Bytes that were gone over.</summary>
    public long End => Offset + _size;

    /// <summary>The record once more.</summary>
    public SegmentRecord Current => SegmentFormat.ReadRecord(Read(Offset, _size));

    public bool MoveNext(out SegmentRecord record)
    {
        if (Offset == 0)
            SegmentFormat.CheckSegmentHeader(Read(0, SegmentFormat.HeaderBytes), _file.Path, _identity, _segment.Number);
        Offset = Offset == 0 ? SegmentFormat.HeaderBytes : End;
        _size = 0;
        record = default;
        if (Offset == _segment.Bytes)
            return false;
        long size = SegmentFormat.SizeByHeader(Read(Offset, SegmentFormat.RecordHeaderBytes));
        if (size < 0 || size > _segment.Bytes - Offset)
            throw new CorruptionException(_file.Path, Offset, "not a record");
        _size = (int)size;
        if (!SegmentFormat.TryReadRecord(Read(Offset, _size), _identity, _segment.Number, Offset, out record))
            throw new CorruptionException(_file.Path, Offset, "record checksum");
        return true;
    }

    /// <summary>
    /// The key of the record behind the one that this gave before, or behind the current one, as long as what was read last has it; its
    /// checksum is not looked at yet.
    /// </summary>
    public bool TryPeek(out ReadOnlySpan<byte> key, out long offset)
    {
        key = default;
        offset = _peekAt = Math.Max(_peekAt, End);
        long end = _partAt + _partLength;
        ReadOnlySpan<byte> rest = _peekAt < _partAt || _peekAt > end ? default : _part.AsSpan((int)(_peekAt - _partAt), (int)(end - _peekAt));
        if (rest.Length < SegmentFormat.RecordHeaderBytes)
            return false;
        long size = SegmentFormat.SizeByHeader(rest);
        if (size < 0 || size > rest.Length)
            return false;
        key = SegmentFormat.ReadRecord(rest).Key;
        _peekAt += size;
        return true;
    }

    private ReadOnlySpan<byte> Read(long offset, int count)
    {
        if (count > _segment.Bytes - offset)
            throw new CorruptionException(_file.Path, offset, "the file ends in the middle of a record");
        if (offset < _partAt || offset + count > _partAt + _partLength)
        {
            if (count > _part.Length)
                _part = new byte[count];
            _partAt = offset;
            int wanted = (int)Math.Min(_part.Length, _segment.Bytes - offset);
            _partLength = _file.Read(_part.AsSpan(0, wanted), offset);
            if (_partLength < count)
                throw new CorruptionException(_file.Path, offset, "the file ends early");
        }

        return _part.AsSpan((int)(offset - _partAt), count);
    }
}
