using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// Finds the node of a key: open addressing with linear probing, outside the garbage-collected heap. A slot is one word,
/// the upper 16 bits of the hash above 48 bits of address, so a probe that fails rarely leaves the slot's cache line.
/// One writer; readers need no lock: a slot is written once, after what it points to, and a table that was outgrown
/// stays readable until the arena goes.
/// </summary>
internal sealed unsafe class HashIndex
{
    private const ulong AddressMask = (1UL << 48) - 1;
    private const int SlotsMin = 256;
    private const int PrefetchDistance = 16;
    private const int LineBytes = 64;

    private readonly NativeArena _arena;

    // Mask and slots must be read together, so they lie together: the mask in the first word, the slots after it.
    private nint _table;
    private int _count;
    private int _countMax;

    public HashIndex(NativeArena arena, int expectedKeys)
    {
        _arena = arena;
        ulong slots = SlotsMin;
        while (Limit(slots) < expectedKeys)
            slots *= 2;
        _table = (nint)NewTable(slots);
        _countMax = Limit(slots);
    }

    public int Count => Volatile.Read(ref _count);

    /// <summary>The node of <paramref name="key"/>, or null.</summary>
    public KeyNode* Find(ReadOnlySpan<byte> key, ulong hash)
    {
        ulong* table = (ulong*)Volatile.Read(ref _table);
        ulong mask = table[0];
        ulong* slots = table + 1;
        for (ulong i = hash & mask; ; i = (i + 1) & mask)
        {
            ulong slot = Volatile.Read(ref slots[i]);
            if (slot == 0)
                return null;
            if ((slot ^ hash) >> 48 != 0)
                continue;
            var node = (KeyNode*)(slot & AddressMask);
            if (node->KeyLength == key.Length && key.SequenceEqual(KeyNode.Key(node)))
                return node;
        }
    }

    /// <summary>Asks for the cache lines where a look-up of these hashes begins: their misses then overlap.</summary>
    public void PrefetchSlots(ReadOnlySpan<ulong> hashes)
    {
        if (!Sse.IsSupported)
            return;
        ulong* table = (ulong*)Volatile.Read(ref _table);
        ulong mask = table[0];
        foreach (ulong hash in hashes)
            Sse.Prefetch0(table + 1 + (hash & mask));
    }

    /// <summary>
    /// Asks for the nodes that these hashes seem to lead to, with what lies behind them, and puts their addresses into
    /// <paramref name="nodes"/> where there is a zero.
    /// </summary>
    public void PrefetchNodes(ReadOnlySpan<ulong> hashes, Span<nint> nodes)
    {
        if (!Sse.IsSupported)
            return;
        ulong* table = (ulong*)Volatile.Read(ref _table);
        ulong mask = table[0];
        for (int n = 0; n < hashes.Length; n++)
        {
            ulong hash = hashes[n];
            for (ulong i = hash & mask; nodes[n] == 0; i = (i + 1) & mask)
            {
                ulong slot = Volatile.Read(ref table[1 + i]);
                if (slot == 0)
                    break;
                if ((slot ^ hash) >> 48 != 0)
                    continue;
                byte* node = (byte*)(slot & AddressMask);
                nodes[n] = (nint)node;
                Sse.Prefetch0(node);
                Sse.Prefetch0(node + LineBytes);
                Sse.Prefetch0(node + (2 * LineBytes));
            }
        }
    }

    /// <summary>Adds a node whose key is not in the index.</summary>
    public void Add(KeyNode* node, ulong hash)
    {
        if (_count >= _countMax)
            Grow();
        Place((ulong*)_table, (ulong)node | (hash & ~AddressMask), hash);
        Volatile.Write(ref _count, _count + 1);
    }

    /// <summary>Up to <paramref name="sample"/> nodes from slots evenly spread: a random sample, since slots are hashed.</summary>
    public int Sample(Span<nint> sample)
    {
        ulong* table = (ulong*)Volatile.Read(ref _table);
        ulong slotCount = table[0] + 1;
        ulong step = Math.Max(1, slotCount / (ulong)sample.Length / 2);
        int taken = 0;
        for (ulong i = 0; i < slotCount && taken < sample.Length; i += step)
        {
            ulong slot = Volatile.Read(ref table[1 + i]);
            if (slot != 0)
                sample[taken++] = (nint)(slot & AddressMask);
        }

        return taken;
    }

    private static int Limit(ulong slots) => (int)Math.Min(slots / 8 * 5, int.MaxValue / 2);

    private static void Place(ulong* table, ulong slot, ulong hash)
    {
        ulong mask = table[0];
        ulong i = hash & mask;
        while (table[1 + i] != 0)
            i = (i + 1) & mask;
        Volatile.Write(ref table[1 + i], slot);
    }

    private ulong* NewTable(ulong slots)
    {
        ulong* table = (ulong*)_arena.AllocateZeroed((long)(slots + 1) * sizeof(ulong));
        table[0] = slots - 1;
        return table;
    }

    // Four times larger while small, so that a key is moved a third of a time on average; nodes are read for their hash
    // some slots ahead, so that the misses overlap.
    private void Grow()
    {
        ulong* old = (ulong*)_table;
        ulong oldSlots = old[0] + 1;
        ulong slots = oldSlots * (oldSlots < 1 << 18 ? 4UL : 2UL);
        ulong* grown = NewTable(slots);
        for (ulong i = 0; i < oldSlots; i++)
        {
            if (Sse.IsSupported && i + PrefetchDistance < oldSlots)
                Sse.Prefetch0((void*)(old[1 + i + PrefetchDistance] & AddressMask));
            ulong slot = old[1 + i];
            if (slot != 0)
                Place(grown, slot, ((KeyNode*)(slot & AddressMask))->HashLow);
        }

        _countMax = Limit(slots);
        Volatile.Write(ref _table, (nint)grown);
    }
}
