using Kvasir.Primitives;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>A bit for each place of a segment at which a record may begin: those that were dead when the merge began. For one thread.</summary>
internal sealed unsafe class DeadMarks : IDisposable
{
    private readonly long _words;
    private ulong* _marks;

    public DeadMarks(long segmentBytes)
    {
        _words = (segmentBytes / SegmentFormat.UnitBytes / 64) + 1;
        _marks = (ulong*)BulkMemory.AllocateZeroed(_words * sizeof(ulong));
    }

    public void Add(uint offsetUnits)
    {
        Check.That(offsetUnits / 64 < _words);
        _marks[offsetUnits / 64] |= 1UL << (int)(offsetUnits % 64);
    }

    public bool Has(long offset)
    {
        long unit = offset / SegmentFormat.UnitBytes;
        return (_marks[unit / 64] & (1UL << (int)(unit % 64))) != 0;
    }

    public void Dispose()
    {
        if (_marks != null)
            BulkMemory.Free(_marks, _words * sizeof(ulong));
        _marks = null;
    }
}
