using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.MemTables;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.Rows;

/// <summary>
/// One part of the row cache. Rows lie in chunks, filled in order; when memory is used up the oldest chunk goes, except
/// for its rows that were read since they were put there, which move to the newest (CLOCK over chunks). Found through
/// buckets of one cache line: eight slots, each 13 bits of hash, a mark for "read since", and the row's address. A full
/// bucket forgets one of its rows: this is a cache.
/// <para>
/// Scan-resistant: when something would have to go, a row is taken only on its second offer within as many offers as
/// there are slots.
/// </para>
/// </summary>
internal sealed unsafe class RowStripe
{
    private const int ChunkBytes = MemoryBudget.ChunkBytes;
    private const int SlotsPerBucket = 8;
    private const int LineBytes = 64;
    private const int BucketsMin = 64;
    private const ulong AddressMask = ((1UL << 48) - 1) & ~7UL;
    private const ulong TagMask = ~((1UL << 48) - 1);
    private const ulong Read = 1;

    private readonly RowBudget _budget;
    private readonly Lock _lock = new();
    private readonly Queue<nint> _chunks = new();
    private ulong* _slots;
    private ushort* _offered;
    private int _bucketCount;
    private byte* _newest;
    private int _newestUsed;
    private long _bytes;
    private int _count;
    private long _hits;
    private long _misses;
    private bool _freed;

    public RowStripe(RowBudget budget) => _budget = budget;

    public long Bytes => Volatile.Read(ref _bytes);

    public int Count => Volatile.Read(ref _count);

    public long Hits => Volatile.Read(ref _hits);

    public long Misses => Volatile.Read(ref _misses);

    private int SlotCount => _bucketCount * SlotsPerBucket;

    public static bool Fits(int keyLength, int valueLength) => CachedRow.SizeOf(keyLength, valueLength) <= ChunkBytes / 8;

    public bool TryGet(
        ReadOnlySpan<byte> key, ulong hash, ulong sequence, TimeProvider time, BytesBuffer? value, out RowInfo row)
    {
        lock (_lock)
        {
            ulong* slot = Find(key, hash);
            if (slot != null)
            {
                CachedRow* found = RowAt(*slot);
                bool expired = found->ExpiresAtMs != 0
                    && found->ExpiresAtMs <= time.GetUtcNow().ToUnixTimeMilliseconds();
                if (found->Sequence <= sequence && !expired)
                {
                    *slot |= Read;
                    _hits++;
                    row = new RowInfo(found->Sequence, found->ExpiresAtMs, found->ValueLength);
                    value?.Append(CachedRow.Value(found));
                    return true;
                }
            }

            _misses++;
            row = default;
            return false;
        }
    }

    /// <summary>Asks for the line of a bucket. Takes no lock: at an address that is out of date nothing is read.</summary>
    public void PrefetchBucket(ulong hash)
    {
        if (Sse.IsSupported && _bucketCount != 0)
            Sse.Prefetch0(BucketOf(hash));
    }

    /// <summary>Asks for the first lines of the rows with this hash.</summary>
    public void PrefetchRow(ulong hash)
    {
        if (!Sse.IsSupported || Count == 0)
            return;
        lock (_lock)
        {
            if (_bucketCount == 0)
                return;
            ulong* bucket = BucketOf(hash);
            for (int i = 0; i < SlotsPerBucket; i++)
            {
                if (bucket[i] == 0 || ((bucket[i] ^ hash) & TagMask) != 0)
                    continue;
                byte* row = (byte*)RowAt(bucket[i]);
                Sse.Prefetch0(row);
                Sse.Prefetch0(row + LineBytes);
                Sse.Prefetch0(row + (2 * LineBytes));
            }
        }
    }

    public void Offer(
        ReadOnlySpan<byte> key, ulong hash, in RowInfo row, ReadOnlySpan<byte> value, ref ReadState? current, ReadState state)
    {
        lock (_lock)
        {
            if (_freed || Volatile.Read(ref current) != state || Find(key, hash) != null)
                return;
            Put(key, hash, row, value, mayEvict: WasOffered(hash));
        }
    }

    public void Update(ReadOnlySpan<byte> key, ulong hash, ValueVersion* version, bool adds)
    {
        lock (_lock)
        {
            ulong* slot = Find(key, hash);
            ReadOnlySpan<byte> value = ValueVersion.Value(version);
            var row = new RowInfo(version->Trailer >> 8, ValueVersion.ExpiresAtMs(version), value.Length);
            if (slot == null)
            {
                if (adds && !_freed && !ValueVersion.IsTombstone(version) && Fits(key.Length, value.Length))
                    Put(key, hash, row, value, mayEvict: false);
                return;
            }

            CachedRow* old = RowAt(*slot);
            if (!ValueVersion.IsTombstone(version) && CachedRow.SizeOf(key.Length, value.Length) <= old->Size)
            {
                CachedRow.Fill(old, row, value);
                return;
            }

            Remove(slot);
            if (!ValueVersion.IsTombstone(version) && Fits(key.Length, value.Length))
                Put(key, hash, row, value, mayEvict: true);
        }
    }

    public void RemoveCovered(RangeTombstoneFragments tombstones)
    {
        lock (_lock)
        {
            for (int i = 0; i < SlotCount; i++)
            {
                if (_slots[i] == 0)
                    continue;
                CachedRow* row = RowAt(_slots[i]);
                ReadOnlySpan<ulong> over = tombstones.Sequences(tombstones.Find(CachedRow.Key(row)));
                if (over.Length != 0 && over[^1] > row->Sequence)
                    Remove(_slots + i);
            }
        }
    }

    /// <summary>Lets the oldest chunk go; false when there is none.</summary>
    public bool GiveBackOne()
    {
        lock (_lock)
        {
            if (_chunks.Count == 0)
                return false;
            var oldest = (byte*)_chunks.Dequeue();
            for (CachedRow* row = FirstRow(oldest); row != null; row = NextRow(oldest, row))
            {
                ulong* slot = SlotOf(row);
                if (slot != null)
                    Remove(slot);
            }

            if (oldest == _newest)
                _newest = null;
            FreeChunk(oldest);
            return true;
        }
    }

    public void Free()
    {
        lock (_lock)
        {
            _freed = true;
            while (_chunks.Count != 0)
                FreeChunk((byte*)_chunks.Dequeue());
            FreeIndex();
            _newest = null;
            _bucketCount = 0;
            Volatile.Write(ref _count, 0);
        }
    }

    private static CachedRow* RowAt(ulong slot) => (CachedRow*)(slot & AddressMask);

    private ulong* BucketOf(ulong hash) => _slots + ((hash & (uint)(_bucketCount - 1)) * SlotsPerBucket);

    private ulong* Find(ReadOnlySpan<byte> key, ulong hash)
    {
        if (_bucketCount == 0)
            return null;
        ulong* bucket = BucketOf(hash);
        for (int i = 0; i < SlotsPerBucket; i++)
        {
            if (((bucket[i] ^ hash) & TagMask) == 0 && bucket[i] != 0 && CachedRow.Key(RowAt(bucket[i])).SequenceEqual(key))
                return bucket + i;
        }

        return null;
    }

    private ulong* SlotOf(CachedRow* row)
    {
        ulong* bucket = BucketOf(row->Hash);
        for (int i = 0; i < SlotsPerBucket; i++)
        {
            if (RowAt(bucket[i]) == row)
                return bucket + i;
        }

        return null;
    }

    private void Put(ReadOnlySpan<byte> key, ulong hash, in RowInfo row, ReadOnlySpan<byte> value, bool mayEvict)
    {
        int size = CachedRow.SizeOf(key.Length, value.Length);
        if (!MakeRoom(size, mayEvict))
            return;
        if (_count >= SlotCount / 8 * 5)
            GrowIndex();
        var place = (CachedRow*)(_newest + _newestUsed);
        _newestUsed += size;
        place->Hash = hash;
        place->Size = size;
        place->KeyLength = (ushort)key.Length;
        key.CopyTo(new Span<byte>(CachedRow.KeyBytes(place), key.Length));
        CachedRow.Fill(place, row, value);
        EndChunk();
        Link(place);
    }

    private static CachedRow* FirstRow(byte* chunk) => ((CachedRow*)chunk)->Size == 0 ? null : (CachedRow*)chunk;

    private static CachedRow* NextRow(byte* chunk, CachedRow* row)
    {
        byte* next = (byte*)row + row->Size;
        bool room = next - chunk <= ChunkBytes - CachedRow.HeaderBytes;
        return room && ((CachedRow*)next)->Size != 0 ? (CachedRow*)next : null;
    }

    // A size of zero ends the rows of a chunk that is not full.
    private void EndChunk()
    {
        if (_newestUsed <= ChunkBytes - CachedRow.HeaderBytes)
            ((CachedRow*)(_newest + _newestUsed))->Size = 0;
    }

    private bool MakeRoom(int size, bool mayEvict)
    {
        if (_newest != null && ChunkBytes - _newestUsed >= size)
            return true;
        byte* chunk = _budget.TryTakeChunk();
        if (chunk != null)
        {
            StartChunk(chunk);
            return true;
        }

        if (!mayEvict)
            return false;
        if (_chunks.Count == 0)
        {
            // A stripe with nothing to evict takes one chunk over the share, so that it takes part at all.
            StartChunk(_budget.TakeChunk());
            return true;
        }

        var oldest = (byte*)_chunks.Dequeue();
        StartChunk(_budget.TakeChunk());
        Rescue(oldest);
        FreeChunk(oldest);
        return ChunkBytes - _newestUsed >= size;
    }

    private void StartChunk(byte* chunk)
    {
        _newest = chunk;
        _newestUsed = 0;
        ((CachedRow*)_newest)->Size = 0;
        _chunks.Enqueue((nint)_newest);
        Volatile.Write(ref _bytes, _bytes + ChunkBytes);
    }

    // Moves what was read, up to half a chunk; the rest is forgotten, so that every round makes room.
    private void Rescue(byte* oldest)
    {
        for (CachedRow* row = FirstRow(oldest); row != null; row = NextRow(oldest, row))
        {
            int size = row->Size;
            ulong* slot = SlotOf(row);
            if (slot == null)
                continue;
            if ((*slot & Read) == 0 || _newestUsed + size > ChunkBytes / 2)
            {
                Remove(slot);
                continue;
            }

            byte* to = _newest + _newestUsed;
            new ReadOnlySpan<byte>(row, size).CopyTo(new Span<byte>(to, size));
            _newestUsed += size;
            *slot = (*slot & TagMask) | (ulong)to;
        }

        EndChunk();
    }

    private void FreeChunk(byte* chunk)
    {
        _budget.ReturnChunk(chunk);
        Volatile.Write(ref _bytes, _bytes - ChunkBytes);
    }

    private void Remove(ulong* slot)
    {
        *slot = 0;
        Volatile.Write(ref _count, _count - 1);
    }

    private void Link(CachedRow* row)
    {
        ulong* bucket = BucketOf(row->Hash);
        ulong* place = null;
        for (int i = 0; i < SlotsPerBucket && place == null; i++)
        {
            if (bucket[i] == 0)
                place = bucket + i;
        }

        for (int i = 0; i < SlotsPerBucket && place == null; i++)
        {
            if ((bucket[i] & Read) == 0)
                place = bucket + i;
            bucket[i] &= ~Read;
        }

        place = place == null ? bucket : place;
        if (*place == 0)
            Volatile.Write(ref _count, _count + 1);
        *place = (row->Hash & TagMask) | (ulong)row;
    }

    private bool WasOffered(ulong hash)
    {
        if (_offered == null)
            return true;
        var mark = (ushort)((hash >> 32) | 1);
        ref ushort place = ref _offered[hash & (uint)(SlotCount - 1)];
        bool was = place == mark;
        place = was ? (ushort)0 : mark;
        return was;
    }

    private void GrowIndex()
    {
        ulong* old = _slots;
        int oldCount = SlotCount;
        ushort* oldOffered = _offered;
        _bucketCount = _bucketCount == 0 ? BucketsMin : _bucketCount * 2;
        long bytes = IndexBytes;
        _slots = AllocateSlots(SlotCount);
        _offered = (ushort*)BulkMemory.AllocateZeroed(SlotCount * 2L);
        Volatile.Write(ref _count, 0);
        for (int i = 0; i < oldCount; i++)
        {
            if (old[i] == 0)
                continue;
            ulong read = old[i] & Read;
            Link(RowAt(old[i]));
            ulong* slot = SlotOf(RowAt(old[i]));
            if (slot != null)
                *slot |= read;
        }

        FreeSlots(old, oldCount);
        FreeOffered(oldOffered, oldCount);
        long grown = bytes - (oldCount * 10L);
        _budget.Add(grown);
        Volatile.Write(ref _bytes, _bytes + grown);
    }

    // A bucket is a cache line.
    private static ulong* AllocateSlots(int count)
    {
        if (count * 8L >= BulkMemory.MappedBytesMin)
            return (ulong*)BulkMemory.AllocateZeroed(count * 8L);
        ulong* slots = (ulong*)NativeMemory.AlignedAlloc((nuint)count * 8, 64);
        NativeMemory.Clear(slots, (nuint)count * 8);
        return slots;
    }

    private static void FreeSlots(ulong* slots, int count)
    {
        if (count * 8L >= BulkMemory.MappedBytesMin)
            BulkMemory.Free(slots, count * 8L);
        else
            NativeMemory.AlignedFree(slots);
    }

    private static void FreeOffered(ushort* offered, int count) => BulkMemory.Free(offered, count * 2L);

    private long IndexBytes => SlotCount * 10L;

    private void FreeIndex()
    {
        FreeSlots(_slots, SlotCount);
        FreeOffered(_offered, SlotCount);
        _budget.Add(-IndexBytes);
        Volatile.Write(ref _bytes, _bytes - IndexBytes);
        _slots = null;
        _offered = null;
    }

    /// <summary>A row in a chunk, followed by its key and its value.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct CachedRow
    {
        public const int HeaderBytes = 32;

        public ulong Hash;
        public ulong Sequence;
        public long ExpiresAtMs;
        public int Size;
        public ushort KeyLength;
        public ushort ValueLength;

        public static int SizeOf(int keyLength, int valueLength) =>
            (int)Math.Min((HeaderBytes + (long)keyLength + valueLength + 7) & ~7L, int.MaxValue);

        public static byte* KeyBytes(CachedRow* row) => (byte*)row + HeaderBytes;

        public static ReadOnlySpan<byte> Key(CachedRow* row) => new((byte*)row + HeaderBytes, row->KeyLength);

        public static ReadOnlySpan<byte> Value(CachedRow* row) =>
            new((byte*)row + HeaderBytes + row->KeyLength, row->ValueLength);

        public static void Fill(CachedRow* row, in RowInfo info, ReadOnlySpan<byte> value)
        {
            row->Sequence = info.Sequence;
            row->ExpiresAtMs = info.ExpiresAtMs;
            row->ValueLength = (ushort)value.Length;
            value.CopyTo(new Span<byte>((byte*)row + HeaderBytes + row->KeyLength, value.Length));
        }
    }
}
