using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>
/// The pages that a write transaction has made, by number, each a block of native memory: a hash table with linear probing.
/// Page 0 is a meta page and never in it, so it marks an empty place.
/// </summary>
internal sealed unsafe class DirtyPages
{
    private const int PlacesMin = 64;

    private DirtyPage[] _places = new DirtyPage[PlacesMin];

    public int Count { get; private set; }

    public byte* Find(uint number)
    {
        DirtyPage[] places = _places;
        for (uint at = Hash(number); ; at++)
        {
            ref DirtyPage place = ref places[at & (uint)(places.Length - 1)];
            if (place.Number == number)
                return (byte*)place.Memory;
            if (place.Number == 0)
                return null;
        }
    }

    public void Add(uint number, byte* memory, uint run)
    {
        Check.That(number != 0 && Find(number) is null, $"page {number} is dirty already");
        if (Count * 2 >= _places.Length)
            Grow();
        Place(new DirtyPage(number, run, (nint)memory));
        Count++;
    }

    public DirtyPage Remove(uint number)
    {
        uint mask = (uint)(_places.Length - 1);
        uint at = Hash(number) & mask;
        while (_places[at].Number != number)
        {
            Check.That(_places[at].Number != 0, $"page {number} is not dirty");
            at = (at + 1) & mask;
        }

        DirtyPage found = _places[at];
        _places[at] = default;
        Count--;

        // What follows may have been pushed beyond the place that is now empty.
        for (at = (at + 1) & mask; _places[at].Number != 0; at = (at + 1) & mask)
        {
            DirtyPage moved = _places[at];
            _places[at] = default;
            Place(moved);
        }

        return found;
    }

    /// <summary>All of them, in no order.</summary>
    public void AppendTo(List<DirtyPage> pages)
    {
        pages.EnsureCapacity(pages.Count + Count);
        foreach (DirtyPage place in _places)
        {
            if (place.Number != 0)
                pages.Add(place);
        }
    }

    public void Clear()
    {
        if (_places.Length > 1 << 16)
            _places = new DirtyPage[PlacesMin];
        else if (Count != 0)
            Array.Clear(_places);
        Count = 0;
    }

    private static uint Hash(uint number) => (number * 0x9E3779B1) >> 7;

    private void Place(DirtyPage page)
    {
        uint at = Hash(page.Number);
        while (_places[at & (uint)(_places.Length - 1)].Number != 0)
            at++;
        _places[at & (uint)(_places.Length - 1)] = page;
    }

    private void Grow()
    {
        DirtyPage[] old = _places;
        _places = new DirtyPage[old.Length * 2];
        foreach (DirtyPage page in old)
        {
            if (page.Number != 0)
                Place(page);
        }
    }
}

/// <param name="Number">First page.</param>
/// <param name="Run">Pages side by side that the block holds.</param>
/// <param name="Memory">The block.</param>
internal readonly record struct DirtyPage(uint Number, uint Run, nint Memory);
