using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Index;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>
/// The open segments by the number that locations name them with. A number is given again only after nobody can hold a location
/// of the segment that had it.
/// </summary>
internal sealed class SegmentTable
{
    private readonly Lock _lock = new();
    private readonly Stack<int> _free = new();
    private SegmentFile?[] _slots = new SegmentFile?[16];
    private int _next = 1;

    public SegmentFile this[ulong location]
    {
        get
        {
            SegmentFile? segment = Volatile.Read(ref _slots)[Location.Slot(location)];
            Check.That(segment is not null, $"a location names segment {Location.Slot(location)}, which is not open");
            return segment;
        }
    }

    public void Add(SegmentFile segment)
    {
        lock (_lock)
        {
            int slot = _free.TryPop(out int freed) ? freed : _next++;
            Check.That(slot < Location.SlotsMax, $"more than {Location.SlotsMax} segments are open");
            if (slot >= _slots.Length)
            {
                var grown = new SegmentFile?[_slots.Length * 2];
                _slots.CopyTo(grown, 0);
                Volatile.Write(ref _slots, grown);
            }

            segment.Slot = slot;
            Volatile.Write(ref _slots[slot], segment);
        }
    }

    /// <summary>No reader can come to it any more.</summary>
    public void Remove(SegmentFile segment)
    {
        lock (_lock)
        {
            Check.That(_slots[segment.Slot] == segment);
            _slots[segment.Slot] = null;
            _free.Push(segment.Slot);
        }
    }

    /// <summary>The record at a location is garbage from now on.</summary>
    public void AddDead(ulong location) => this[location].AddDead(Location.Length(location));
}
