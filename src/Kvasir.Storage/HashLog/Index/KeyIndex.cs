using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog.Readers;

namespace Kvasir.Storage.HashLog.Index;

/// <summary>
/// Where the newest version of each key lies, outside the garbage-collected heap. A key is known by its token and a check of 32
/// bits, a hash with a seed of the engine's own; whoever reads compares the whole key with the record. Tokens are in order: the
/// highest bits choose a shard, the next a region by a directory that doubles on its own, the next a bucket. What is full is
/// replaced by something a little larger, or by its two halves, so that no insertion waits for more than a region.
/// <para>
/// Readers take no lock; they enter the <see cref="ReclamationEpoch"/> first. Whoever changes something holds the shard's lock,
/// for a moment, and never while the disk works.
/// </para>
/// </summary>
internal sealed unsafe class KeyIndex
{
    private const int ShardBits = 4;
    private const int ShardCount = 1 << ShardBits;

    // Of a region and the directory's word for it.
    private const int RegionOverheadBytes = 128;
    private const int KeysPerRegionExpected = 420;

    // More bits than the number of keys explains: tokens crowd, and splitting would not part them.
    private const int DepthSlack = 7;

    private readonly Shard[] _shards = new Shard[ShardCount];

    // Apart from the locks, which whoever writes changes with every key: readers want these lines for themselves.
    private readonly IndexRegion?[][] _directories = new IndexRegion?[ShardCount][];
    private readonly PagePool _pool;
    private readonly ReclamationEpoch _epoch;
    private long _regions;

    // Regions take no page before they need it.
    private bool _isTight;

    /// <param name="budget">Where its memory counts.</param>
    /// <param name="epoch">That readers enter.</param>
    /// <param name="expectedKeys">That will be inserted soon.</param>
    public KeyIndex(MemoryBudget budget, ReclamationEpoch epoch, long expectedKeys = 0)
    {
        _pool = new PagePool(budget);
        _epoch = epoch;
        int depth = 0;
        while ((expectedKeys >> (depth + ShardBits)) > KeysPerRegionExpected)
            depth++;
        for (int i = 0; i < ShardCount; i++)
        {
            _shards[i] = new Shard(i);
            _directories[i] = new IndexRegion?[1 << depth];
        }
    }

    public long Count
    {
        get
        {
            long count = 0;
            foreach (Shard shard in _shards)
                count += Volatile.Read(ref shard.Count);
            return count;
        }
    }

    /// <summary>What the keys take.</summary>
    public long UsedBytes => _pool.UsedBytes + (Interlocked.Read(ref _regions) * RegionOverheadBytes);

    public long AllocatedBytes => _pool.AllocatedBytes + (Interlocked.Read(ref _regions) * RegionOverheadBytes);

    /// <summary>Until it is disposed nobody else changes entries of this token's shard.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public HeldShard Lock(ulong token)
    {
        Shard shard = _shards[token >> (64 - ShardBits)];
        shard.Enter();
        return new HeldShard(this, shard);
    }

    /// <summary>Candidates for a key of this token; inside the epoch.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Candidates Find(ulong token) => new(RegionOf(token), token);

    public bool Contains(ulong token, uint check) => Lookup(token, check) != Location.None;

    /// <summary>Where the newest version of a key lies; nowhere when it is not here. Inside the epoch, or by the writer.</summary>
    public ulong Lookup(ulong token, uint check)
    {
        for (IndexRegion? region = RegionOf(token); region is not null; region = region.Overflow)
        {
            ulong* there = region.Find(token, check);
            if (there != null)
                return Volatile.Read(ref *there);
        }

        return Location.None;
    }

    /// <summary>Asks for the cache line in which a search for the token begins.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(ulong token) => RegionOf(token)?.Prefetch(token);

    /// <summary>Asks for the cache lines in which a search for these tokens begins.</summary>
    public void Prefetch(ReadOnlySpan<ulong> tokens)
    {
        foreach (ulong token in tokens)
            RegionOf(token)?.Prefetch(token);
    }

    /// <summary>Asks for the records in memory that these tokens lead to.</summary>
    public void PrefetchRecords(ReadOnlySpan<ulong> tokens)
    {
        foreach (ulong token in tokens)
            PrefetchRecord(token);
    }

    /// <summary>Asks for the record in memory that this token leads to.</summary>
    public void PrefetchRecord(ulong token)
    {
        if (!Sse.IsSupported)
            return;
        Candidates candidates = Find(token);
        if (!candidates.MoveNext() || !Location.IsMemory(candidates.Current))
            return;
        byte* record = (byte*)Location.Address(candidates.Current);
        Sse.Prefetch0(record);
        Sse.Prefetch0(record + 64);
    }

    /// <summary>
    /// Fills <paramref name="entries"/> with all keys of the region that <paramref name="token"/> lies in, by token, and returns the
    /// first token behind it; null when there is none. Inside the epoch.
    /// </summary>
    public ulong? ReadRegion(ulong token, List<IndexEntry> entries)
    {
        entries.Clear();
        int number = (int)(token >> (64 - ShardBits));
        IndexRegion?[] directory = Volatile.Read(ref _directories[number]);
        int directoryDepth = System.Numerics.BitOperations.Log2((uint)directory.Length);
        IndexRegion? region = directory[PlaceOf(token, directoryDepth)];
        region?.AddTo(entries);
        entries.Sort(static (x, y) => x.Token.CompareTo(y.Token));
        return Behind(token, region?.Depth ?? (directoryDepth + ShardBits));
    }

    /// <summary>
    /// Gives back the pages that keys have left which were removed: a region is made anew as small as it can be, and one without keys goes.
    /// Keys that come make regions grow again, so this is for when there is no room for them; from then on they grow by a page at a time, or
    /// what was given back would go to fewer keys than it came from.
    /// </summary>
    public void Trim()
    {
        Volatile.Write(ref _isTight, true);
        for (ulong? token = 0; token is { } at;)
        {
            Shard shard = _shards[at >> (64 - ShardBits)];
            shard.Enter();
            try
            {
                token = TrimRegion(shard, at);
            }
            finally
            {
                shard.Leave();
            }
        }
    }

    public void Free() => _pool.Free();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private IndexRegion? RegionOf(ulong token)
    {
        IndexRegion?[] directory = Volatile.Read(ref _directories[token >> (64 - ShardBits)]);
        return directory[PlaceOf(token, System.Numerics.BitOperations.Log2((uint)directory.Length))];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int PlaceOf(ulong token, int depth) => (int)((token << ShardBits >> 1) >> (63 - depth));

    /// <summary>The first token behind a stretch whose tokens share so many bits; null behind the last.</summary>
    private static ulong? Behind(ulong token, int depth)
    {
        ulong stretch = 1UL << (64 - depth);
        ulong next = (token & ~(stretch - 1)) + stretch;
        return next == 0 ? null : next;
    }

    private ulong? TrimRegion(Shard shard, ulong token)
    {
        IndexRegion?[] directory = _directories[shard.Number];
        int directoryDepth = System.Numerics.BitOperations.Log2((uint)directory.Length);
        if (directory[PlaceOf(token, directoryDepth)] is not { } first)
            return Behind(token, directoryDepth + ShardBits);
        if (first is { Live: 0, Overflow: null })
        {
            (int start, int count) = StretchOf(directory, first, token);
            for (int i = 0; i < count; i++)
                Volatile.Write(ref directory[start + i], null);
            Retire(first);
            return Behind(token, first.Depth);
        }

        for (IndexRegion? region = first; region is not null; region = region.Overflow)
        {
            int pages = IndexRegion.FewestPagesFor(region.Live);
            if (pages < region.PageCount)
                Rebuild(shard, RegionOf(token)!, region, pages, token);
        }

        return Behind(token, first.Depth);
    }

    private void Insert(Shard shard, ulong token, uint check, ulong location)
    {
        while (true)
        {
            IndexRegion?[] directory = _directories[shard.Number];
            int depth = System.Numerics.BitOperations.Log2((uint)directory.Length);
            int place = PlaceOf(token, depth);
            IndexRegion? region = directory[place];
            if (region is null)
            {
                region = NewRegion(1, depth + ShardBits);
                Volatile.Write(ref directory[place], region);
            }

            // The overflow is the end of the list: what is before it is full.
            while (region.IsFull && region.Overflow is not null)
                region = region.Overflow;
            if (!region.IsFull)
            {
                region.Insert(token, check, location);
                Volatile.Write(ref shard.Count, shard.Count + 1);
                return;
            }

            MakeRoom(shard, directory[place]!, region, token);
        }
    }

    private void MakeRoom(Shard shard, IndexRegion first, IndexRegion full, ulong token)
    {
        // Mostly of removed keys: the same again, without them.
        if (full != first || full.PageCount < IndexRegion.PagesMax || full.Live < full.Used / 2)
        {
            int pages = Volatile.Read(ref _isTight)
                ? IndexRegion.FewestPagesFor(full.Live + (full.Live / 16) + 1)
                : IndexRegion.PagesFor(full.Live + (full.Live / 8) + 1);
            if (full.Live >= full.Used / 2 && !Volatile.Read(ref _isTight))
                pages = Math.Max(pages, full.PageCount + 1);
            if (full.PageCount < IndexRegion.PagesMax || full.Live < full.Used / 2)
            {
                Rebuild(shard, first, full, Math.Min(pages, IndexRegion.PagesMax), token);
                return;
            }

            full.Overflow = NewRegion(1, full.Depth);
            return;
        }

        int keysExpected = (int)Math.Min(int.MaxValue, Count / KeysPerRegionExpected);
        if (first.Depth - ShardBits >= System.Numerics.BitOperations.Log2((uint)Math.Max(keysExpected, 1)) + DepthSlack || first.Depth >= 60)
        {
            full.Overflow = NewRegion(1, full.Depth);
            return;
        }

        Split(shard, first, token);
    }

    private void MaybeShrink(Shard shard, IndexRegion region, ulong token)
    {
        int pages = IndexRegion.PagesFor(region.Live + (region.Live / 4) + 1);
        if (pages < region.PageCount - 1)
            Rebuild(shard, RegionOf(token)!, region, pages, token);
    }

    /// <summary>The list of overflowing regions is made anew as far as it changes: readers go on with the old one.</summary>
    private void Rebuild(Shard shard, IndexRegion first, IndexRegion full, int pages, ulong token)
    {
        IndexRegion made = NewRegion(pages, full.Depth);
        made.InsertAll(full);
        made.Overflow = full.Overflow;
        if (full == first)
        {
            IndexRegion?[] directory = _directories[shard.Number];
            (int start, int count) = StretchOf(directory, first, token);
            for (int i = 0; i < count; i++)
                Volatile.Write(ref directory[start + i], made);
        }
        else
        {
            IndexRegion before = first;
            while (before.Overflow != full)
                before = before.Overflow!;
            before.Overflow = made;
        }

        Retire(full);
    }

    private void Split(Shard shard, IndexRegion full, ulong token)
    {
        IndexRegion?[] directory = _directories[shard.Number];
        int depth = System.Numerics.BitOperations.Log2((uint)directory.Length);
        if (full.Depth == depth + ShardBits)
        {
            var doubled = new IndexRegion?[directory.Length * 2];
            for (int i = 0; i < directory.Length; i++)
                doubled[2 * i] = doubled[(2 * i) + 1] = directory[i];
            Volatile.Write(ref _directories[shard.Number], doubled);
            directory = doubled;
        }

        ulong bit = 1UL << (63 - full.Depth);
        int right = 0;
        int live = 0;
        for (IndexRegion? part = full; part is not null; part = part.Overflow)
        {
            right += part.CountWith(bit);
            live += part.Live;
        }

        IndexRegion low = HalfFor(live - right, full.Depth + 1);
        IndexRegion high = HalfFor(right, full.Depth + 1);
        for (IndexRegion? part = full; part is not null; part = part.Overflow)
        {
            for (int i = 0; i < part.BucketCount; i++)
            {
                for (int e = 0; e < IndexRegion.EntriesPerBucket; e++)
                {
                    if (part.TryGet(i, e, out IndexEntry entry))
                        Append((entry.Token & bit) != 0 ? high : low, entry);
                }
            }
        }

        (int first, int count) = StretchOf(directory, full, token);
        for (int i = 0; i < count; i++)
            Volatile.Write(ref directory[first + i], i < count / 2 ? low : high);
        Retire(full);
    }

    private IndexRegion HalfFor(int keys, int depth) => NewRegion(IndexRegion.PagesFor(keys + 1), depth);

    private void Append(IndexRegion region, in IndexEntry entry)
    {
        while (region.IsFull)
            region = region.Overflow ??= NewRegion(1, region.Depth);
        region.Insert(entry.Token, entry.Check, entry.Location);
    }

    /// <summary>The part of the directory that names a region of this token.</summary>
    private static (int First, int Count) StretchOf(IndexRegion?[] directory, IndexRegion region, ulong token)
    {
        int depth = System.Numerics.BitOperations.Log2((uint)directory.Length);
        int count = 1 << (depth + ShardBits - region.Depth);
        int first = PlaceOf(token, depth) & -count;
        Check.That(directory[first] == region && directory[first + count - 1] == region);
        return (first, count);
    }

    private IndexRegion NewRegion(int pages, int depth)
    {
        Interlocked.Increment(ref _regions);
        return new IndexRegion(_pool, pages, depth);
    }

    private void Retire(IndexRegion region)
    {
        Interlocked.Decrement(ref _regions);
        _epoch.Retire(() => region.Free(_pool));
    }

    /// <summary>The keys of one token, one by one.</summary>
    public ref struct Candidates
    {
        private readonly ulong _token;
        private IndexRegion? _region;
        private int _at;
        private ulong _current;

        internal Candidates(IndexRegion? region, ulong token) => (_region, _token) = (region, token);

        public readonly ulong Current => _current;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool MoveNext()
        {
            while (_region is not null)
            {
                if (_region.TryNext(_token, ref _at, out _current))
                    return true;
                _region = _region.Overflow;
                _at = 0;
            }

            return false;
        }
    }

    /// <summary>The right to change the entries of one shard.</summary>
    public readonly ref struct HeldShard
    {
        private readonly KeyIndex _index;
        private readonly Shard _shard;

        internal HeldShard(KeyIndex index, Shard shard) => (_index, _shard) = (index, shard);

        /// <summary>Where the key's location lies, good until something is inserted or removed; null when it is not here.</summary>
        public ulong* Find(ulong token, uint check)
        {
            for (IndexRegion? region = _index.RegionOf(token); region is not null; region = region.Overflow)
            {
                ulong* location = region.Find(token, check);
                if (location != null)
                    return location;
            }

            return null;
        }

        /// <summary>A key that is not here.</summary>
        public void Insert(ulong token, uint check, ulong location) => _index.Insert(_shard, token, check, location);

        public void Remove(ulong token, uint check)
        {
            for (IndexRegion? region = _index.RegionOf(token); region is not null; region = region.Overflow)
            {
                ulong* location = region.Find(token, check);
                if (location == null)
                    continue;
                region.Remove(location);
                Volatile.Write(ref _shard.Count, _shard.Count - 1);
                _index.MaybeShrink(_shard, region, token);
                return;
            }

            Check.Fail("a key is removed from the index that is not there");
        }

        public void Dispose() => _shard.Leave();
    }

    internal sealed class Shard(int number)
    {
        /// <summary>Keys.</summary>
        public long Count;
        private int _held;

        public int Number => number;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Enter()
        {
            if (Interlocked.CompareExchange(ref _held, 1, 0) != 0)
                EnterSlow();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Leave() => Volatile.Write(ref _held, 0);

        private void EnterSlow()
        {
            var wait = default(SpinWait);
            while (Interlocked.CompareExchange(ref _held, 1, 0) != 0)
                wait.SpinOnce(sleep1Threshold: -1);
        }
    }
}
