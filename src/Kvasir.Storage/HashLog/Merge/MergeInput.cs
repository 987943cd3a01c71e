using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.HashLog.Merge;

/// <summary>A segment that a merge reads, at one of its records.</summary>
internal sealed class MergeInput(SegmentFile segment, int partBytes)
{
    private readonly SegmentScanner _scanner = segment.Scan(partBytes);

    /// <summary>Of the record's key.</summary>
    public ulong Token { get; private set; }

    /// <summary>Of the record.</summary>
    public ulong Location => Index.Location.OnDisk(
        segment.Slot, (uint)(_scanner.Offset / SegmentFormat.UnitBytes), (uint)(_scanner.Size / SegmentFormat.UnitBytes));

    public int RecordBytes => _scanner.Size;

    /// <summary>Good until the next move.</summary>
    public SegmentRecord Record => _scanner.Current;

    public bool MoveNext()
    {
        if (!_scanner.MoveNext(out SegmentRecord record))
            return false;
        Token = StableHash.Hash64(record.Key);
        return true;
    }
}
