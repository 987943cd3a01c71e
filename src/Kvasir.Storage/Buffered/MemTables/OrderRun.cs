using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// Keys of a memtable in ascending order: an array of nodes beside an array of eight bytes of each key, taken after the
/// part that all keys of the run share, so that most comparisons stay inside the array. Immutable once built.
/// Reference-counted, since iterators outlive the run's place in its memtable.
/// </summary>
internal sealed unsafe class OrderRun
{
    private readonly MemoryBudget _budget;
    private ReferenceCount _references = new(1);

    public OrderRun(MemoryBudget budget, int count)
    {
        _budget = budget;
        Count = count;
        Prefixes = (ulong*)BulkMemory.Allocate(Bytes);
        Nodes = (KeyNode**)(Prefixes + count);
        budget.AddWrite(Bytes);
    }

    public int Count { get; }

    /// <summary>Length of the part that all keys share, and that <see cref="Prefixes"/> leave out.</summary>
    public int SharedLength { get; set; }

    public ulong* Prefixes { get; }

    public KeyNode** Nodes { get; }

    public Span<ulong> PrefixSpan => new(Prefixes, Count);

    public Span<nint> NodeSpan => new(Nodes, Count);

    private long Bytes => (long)Math.Max(Count, 1) * 16;

    public ReadOnlySpan<byte> KeyAt(int index) => KeyNode.Key(Nodes[index]);

    public void AddReference() => _references.Add();

    public void Release()
    {
        if (!_references.Release())
            return;
        BulkMemory.Free(Prefixes, Bytes);
        _budget.AddWrite(-Bytes);
    }

    /// <summary>Index of the first key at or after <paramref name="key"/>; <see cref="Count"/> when there is none.</summary>
    public int LowerBound(ReadOnlySpan<byte> key)
    {
        if (Count == 0)
            return 0;
        int shared = key.CommonPrefixLength(KeyAt(0)[..SharedLength]);
        if (shared < SharedLength)
            return key.Length == shared || key[shared] < KeyAt(0)[shared] ? 0 : Count;
        ulong prefix = PrefixOf(key, SharedLength);
        int low = 0, high = Count;
        while (low < high)
        {
            int middle = (int)(((uint)low + (uint)high) >> 1);
            ulong other = Prefixes[middle];
            bool before = other < prefix
                || (other == prefix && KeyAt(middle)[SharedLength..].SequenceCompareTo(key[SharedLength..]) < 0);
            if (before)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    /// <summary>Eight bytes of the key from <paramref name="start"/> on, big-endian, filled up with zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong PrefixOf(ReadOnlySpan<byte> key, int start)
    {
        int length = key.Length - start;
        if (length >= 8)
            return BinaryPrimitives.ReadUInt64BigEndian(key[start..]);
        ulong prefix = 0;
        for (int i = 0; i < length; i++)
            prefix |= (ulong)key[start + i] << (56 - (8 * i));
        return prefix;
    }

    public void LoadPrefixes()
    {
        for (int i = 0; i < Count; i++)
            Prefixes[i] = PrefixOf(KeyAt(i), SharedLength);
    }
}
