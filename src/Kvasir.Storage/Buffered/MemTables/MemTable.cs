using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// The newest writes, in memory outside the garbage-collected heap (docs/internals/lsm-memory.md): an arena of keys and
/// versions, a hash index for point reads and writes, and an order that is made when an iterator or the flush needs one.
/// One writer at a time; any number of readers beside it without locks, who see versions by sequence number only.
/// Reference-counted by the read states that name it; the memory goes with the last.
/// </summary>
internal sealed unsafe class MemTable
{
    private readonly MemoryBudget _budget;
    private readonly NativeArena _arena;
    private readonly HashIndex _index;
    private readonly KeyOrder _order;
    private nint _firstInserted;
    private KeyNode* _lastInserted;
    private RangeTombstone[] _tombstones = [];
    private ulong _firstSequence;
    private ulong _lastSequence;
    private ulong _sequenceLimit = ulong.MaxValue;
    private ulong _flushedSequence;
    private long _frozenBytes;
    private ReferenceCount _references = new(1);

    public MemTable(MemoryBudget budget, int expectedKeys = 0)
    {
        _budget = budget;
        _arena = new NativeArena(budget);
        _index = new HashIndex(_arena, expectedKeys);
        _order = new KeyOrder(budget);
    }

    /// <summary>Bytes in use, by which a memtable is judged full.</summary>
    public long UsedBytes => _arena.UsedBytes;

    public long AllocatedBytes => _arena.AllocatedBytes;

    public int KeyCount => _index.Count;

    /// <summary>Sequence number of the first mutation put in; zero while empty.</summary>
    public ulong FirstSequence => Volatile.Read(ref _firstSequence);

    /// <summary>Sequence number of the last mutation put in; zero while empty.</summary>
    public ulong LastSequence => Volatile.Read(ref _lastSequence);

    /// <summary>
    /// Mutations above it were discarded: no read, iteration or flush sees them. Only ever goes down.
    /// </summary>
    public ulong SequenceLimit
    {
        get => Volatile.Read(ref _sequenceLimit);
        set => Volatile.Write(ref _sequenceLimit, Math.Min(value, _sequenceLimit));
    }

    /// <summary>Position of the first publication in it that is not in tables yet. Kept by the engine, under its lock.</summary>
    public LogPosition? FirstPosition { get; set; }

    /// <summary>Position of the last publication in it, once frozen. Kept by the engine, under its lock.</summary>
    public LogPosition LastPosition { get; set; }

    /// <summary>Of everything up to that publication. Kept by the engine, under its lock.</summary>
    public StateDigest LastDigest { get; set; }

    /// <summary>Mutations up to here are in tables, too. Kept by the flush.</summary>
    public ulong FlushedSequence
    {
        get => Volatile.Read(ref _flushedSequence);
        set => Volatile.Write(ref _flushedSequence, value);
    }

    public int RangeTombstoneCount => Volatile.Read(ref _tombstones).Length;

    /// <summary>The first of its keys in the order of insertion, or null.</summary>
    public KeyNode* FirstInserted => (KeyNode*)Volatile.Read(ref _firstInserted);

    /// <summary>
    /// Adds a version; <paramref name="sequence"/> is above all before it. Returns the key's node, for
    /// <see cref="Withdraw"/>.
    /// </summary>
    public KeyNode* Add(
        ReadOnlySpan<byte> key, ulong hash, ulong sequence, ValueKind kind, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        NoteSequence(sequence);
        int header = kind == ValueKind.ExpiringValue ? ValueVersion.ExpiringHeaderBytes : ValueVersion.HeaderBytes;
        long versionBytes = (long)header + value.Length;
        KeyNode* node = _index.Find(key, hash);
        ValueVersion* version;
        if (node != null)
        {
            version = (ValueVersion*)_arena.Allocate(versionBytes);
            Fill(version, node->Newest, new Trailer(sequence, kind), value, expiresAtMs);
            KeyNode.StoreNewest(node, version);
            return node;
        }

        // Key and first version lie side by side: a read of a key that was written once touches two or three lines.
        long nodeBytes = (KeyNode.HeaderBytes + key.Length + 7) & ~7L;
        byte* piece = _arena.Allocate(nodeBytes + versionBytes);
        node = (KeyNode*)piece;
        version = (ValueVersion*)(piece + nodeBytes);
        Fill(version, null, new Trailer(sequence, kind), value, expiresAtMs);
        node->Newest = version;
        node->NextInserted = null;
        node->KeyLength = key.Length;
        node->HashLow = (uint)hash;
        key.CopyTo(new Span<byte>(KeyNode.KeyBytes(node), key.Length));
        _index.Add(node, hash);
        if (_lastInserted == null)
            Volatile.Write(ref _firstInserted, (nint)node);
        else
            KeyNode.StoreNextInserted(_lastInserted, node);
        _lastInserted = node;
        return node;
    }

    public void AddRangeTombstone(RangeTombstone tombstone)
    {
        NoteSequence(tombstone.Sequence);
        Volatile.Write(ref _tombstones, [.. _tombstones, tombstone]);
    }

    /// <summary>
    /// Takes back the newest version of a node, which nobody but the writer may have read. Its memory is not reused, so
    /// a reader that passes over it is safe.
    /// </summary>
    public static void Withdraw(KeyNode* node) => KeyNode.StoreNewest(node, node->Newest->Older);

    /// <summary>Takes back range tombstones with a sequence number above <paramref name="sequence"/>.</summary>
    public void WithdrawRangeTombstones(ulong sequence)
    {
        if (_tombstones.Length != 0 && _tombstones[^1].Sequence > sequence)
            Volatile.Write(ref _tombstones, Array.FindAll(_tombstones, t => t.Sequence <= sequence));
    }

    /// <summary>The newest version of the key that a view up to <paramref name="sequence"/> sees, or null.</summary>
    public ValueVersion* Find(ReadOnlySpan<byte> key, ulong hash, ulong sequence)
    {
        KeyNode* node = _index.Find(key, hash);
        return node == null ? null : KeyNode.Visible(node, Math.Min(sequence, SequenceLimit));
    }

    /// <summary>Asks for the cache lines where a look-up of keys with these hashes begins.</summary>
    public void PrefetchSlots(ReadOnlySpan<ulong> hashes) => _index.PrefetchSlots(hashes);

    /// <summary>
    /// Asks for the nodes of keys with these hashes, after <see cref="PrefetchSlots"/>, and tells where they seem to be;
    /// leaves alone what in <paramref name="nodes"/> is not zero, which a newer memtable has.
    /// </summary>
    public void PrefetchNodes(ReadOnlySpan<ulong> hashes, Span<nint> nodes) => _index.PrefetchNodes(hashes, nodes);

    /// <summary>
    /// The sequence number of the newest range tombstone, of those up to <paramref name="sequence"/>, that covers the
    /// key; zero when none does.
    /// </summary>
    public ulong CoveringSequence(ReadOnlySpan<byte> key, ulong sequence)
    {
        RangeTombstone[] tombstones = Volatile.Read(ref _tombstones);
        sequence = Math.Min(sequence, SequenceLimit);
        for (int i = tombstones.Length - 1; i >= 0; i--)
        {
            if (tombstones[i].Sequence <= sequence && tombstones[i].Covers(key))
                return tombstones[i].Sequence;
        }

        return 0;
    }

    /// <summary>Those with sequence numbers above <paramref name="after"/>, up to <paramref name="sequence"/>.</summary>
    public void AddRangeTombstones(List<RangeTombstone> tombstones, ulong after, ulong sequence)
    {
        sequence = Math.Min(sequence, SequenceLimit);
        foreach (RangeTombstone tombstone in Volatile.Read(ref _tombstones))
        {
            if (tombstone.Sequence > after && tombstone.Sequence <= sequence)
                tombstones.Add(tombstone);
        }
    }

    /// <summary>
    /// Iterators that together show, of each key, the newest version up to <paramref name="sequence"/>. The caller keeps
    /// the memtable referenced until they are disposed.
    /// </summary>
    public void AddIterators(List<InternalIterator> iterators, ulong sequence)
    {
        sequence = Math.Min(sequence, SequenceLimit);
        ulong largest = Math.Min(sequence, LastSequence);
        foreach (OrderRun run in AcquireOrder())
            iterators.Add(new VisibleVersionIterator(run, sequence, largest));
    }

    /// <summary>
    /// Forward-only iterators that together show every version above <paramref name="after"/>, up to
    /// <paramref name="sequence"/>, that was not discarded and that somebody may see, who sees at least what was there at
    /// <paramref name="oldestSnapshot"/>: for the flush.
    /// </summary>
    public void AddVersionIterators(List<InternalIterator> iterators, ulong after, ulong sequence, ulong oldestSnapshot)
    {
        sequence = Math.Min(sequence, SequenceLimit);
        foreach (OrderRun run in AcquireOrder())
            iterators.Add(new FlushedVersionIterator(run, after, sequence, oldestSnapshot));
    }

    /// <summary>Bytes of the keys in [start, end), by a sample; an empty end means unbounded.</summary>
    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        Span<nint> sample = stackalloc nint[256];
        int taken = _index.Sample(sample), inside = 0;
        foreach (nint node in sample[..taken])
        {
            ReadOnlySpan<byte> key = KeyNode.Key((KeyNode*)node);
            if (key.SequenceCompareTo(start) >= 0 && (end.IsEmpty || key.SequenceCompareTo(end) < 0))
                inside++;
        }

        return taken == 0 ? 0 : (long)((double)UsedBytes * inside / taken);
    }

    /// <summary>Nothing is added any more. By the writer, once.</summary>
    public void Freeze()
    {
        _frozenBytes = AllocatedBytes;
        _budget.AddFrozen(_frozenBytes);
    }

    public void AddReference() => _references.Add();

    public void Release()
    {
        if (!_references.Release())
            return;
        _order.Free();
        _arena.Free();
        _budget.AddFrozen(-_frozenBytes);
    }

    private static void Fill(
        ValueVersion* version, ValueVersion* older, Trailer trailer, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        version->Older = older;
        version->Trailer = trailer.Packed;
        version->ValueLength = value.Length;
        byte* at = (byte*)version + ValueVersion.HeaderBytes;
        if (trailer.Kind == ValueKind.ExpiringValue)
        {
            *(long*)((byte*)version + ValueVersion.DeadlineOffset) = expiresAtMs;
            at = (byte*)version + ValueVersion.ExpiringHeaderBytes;
        }

        value.CopyTo(new Span<byte>(at, value.Length));
    }

    private List<OrderRun> AcquireOrder()
    {
        var runs = new List<OrderRun>();
        _order.Acquire(FirstInserted, runs);
        return runs;
    }

    private void NoteSequence(ulong sequence)
    {
        Check.That(sequence > _lastSequence);
        Volatile.Write(ref _lastSequence, sequence);
        if (_firstSequence == 0)
            Volatile.Write(ref _firstSequence, sequence);
    }
}
