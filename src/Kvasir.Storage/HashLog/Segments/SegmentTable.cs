using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog.Index;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>
/// The open segments by the number that locations name them with. A number is given again only after nobody can hold a location
/// of the segment that had it.
/// </summary>
internal sealed class SegmentTable(MemoryBudget budget)
{
    private readonly Lock _lock = new();
    private readonly Queue<(int Slot, ulong Sequence)> _free = new();
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

    /// <param name="segment">Its place is given to it.</param>
    /// <param name="inMemoryFrom">No record with a smaller sequence number is in memory.</param>
    public void Add(SegmentFile segment, ulong inMemoryFrom)
    {
        lock (_lock)
        {
            bool reuses = _free.TryPeek(out (int Slot, ulong Sequence) freed) && freed.Sequence < inMemoryFrom;
            int slot = reuses ? _free.Dequeue().Slot : _next++;
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

    /// <summary>
    /// No reader can come to it any more. What is in memory, and was at this sequence number, may still name it, below what is read: its
    /// number waits for that to go.
    /// </summary>
    public void Remove(SegmentFile segment, ulong sequence)
    {
        lock (_lock)
        {
            Check.That(_slots[segment.Slot] == segment);
            _slots[segment.Slot] = null;
            _free.Enqueue((segment.Slot, sequence));
        }
    }

    /// <summary>The record at a location is garbage from now on.</summary>
    public void AddDead(ulong location) => this[location].AddDead(Location.Length(location));

    /// <summary>
    /// The same, noted for the next merge of its segment: a newer version of its key is in the files. By whoever opens the engine, then by the
    /// job that flushes, which keeps the segment from being closed meanwhile (<see cref="Readers.ReclamationEpoch"/>).
    /// </summary>
    public void NoteDead(ulong location)
    {
        SegmentFile segment = this[location];
        segment.AddDead(Location.Length(location));
        segment.NoteDead((uint)(Location.Offset(location) / Location.UnitBytes), budget);
    }
}
