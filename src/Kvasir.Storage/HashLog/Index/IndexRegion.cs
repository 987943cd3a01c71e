using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;

namespace Kvasir.Storage.HashLog.Index;

/// <summary>
/// The keys of one stretch of tokens: a hash table of buckets that are one cache line each, in the order of the tokens, probed
/// linearly. A bucket has three entries: their tokens, their locations, their checks. One writer at a time; readers need no lock,
/// because a location is one word, written last, and what it leads to has the whole key.
/// <para>
/// Never grows: whoever finds it full makes another, and gives the pages back when no reader is left.
/// </para>
/// </summary>
internal sealed unsafe class IndexRegion
{
    public const int PagesMax = 8;
    public const int EntriesPerBucket = 3;
    public const int EntriesPerPage = BucketsPerPage * EntriesPerBucket;

    private const int BucketBytes = 64;
    private const int BucketsPerPage = PagePool.PageBytes / BucketBytes;
    private const int LocationsAt = 3;
    private const int ChecksAt = 12;

    // A place in a walk: how many buckets it has gone, and the entry within the bucket in so many bits.
    private const int EntryBits = 2;
    private const int EntryMask = (1 << EntryBits) - 1;

    // Beyond this a search passes over too many buckets.
    private const double FillMax = 0.87;
    private const double FillPacked = 0.85;

    private readonly RegionPages _pages;
    private readonly int _buckets;

    /// <param name="depth">Bits of the token, from the top, that all of its keys share.</param>
    public IndexRegion(PagePool pool, int pageCount, int depth)
    {
        Check.That(pageCount is >= 1 and <= PagesMax);
        Depth = depth;
        PageCount = pageCount;
        _buckets = pageCount * BucketsPerPage;
        for (int i = 0; i < pageCount; i++)
            _pages[i] = (nint)pool.Take();
    }

    public int Depth { get; }

    public int PageCount { get; }

    public int BucketCount => _buckets;

    /// <summary>Entries in use, those of removed keys, too.</summary>
    public int Used { get; private set; }

    /// <summary>Of keys that are there.</summary>
    public int Live { get; private set; }

    public bool IsFull => Used >= (int)(_buckets * EntriesPerBucket * FillMax);

    /// <summary>More keys of the same stretch, where tokens crowd so that no split would part them.</summary>
    public IndexRegion? Overflow { get; set; }

    /// <summary>As few pages as hold so many keys and one more.</summary>
    public static int FewestPagesFor(int keys) => Math.Clamp((int)Math.Ceiling((keys + 1) / (EntriesPerPage * FillPacked)), 1, PagesMax);

    public static int PagesFor(int keys) => Math.Clamp((int)Math.Ceiling(keys / (EntriesPerPage * 0.75)), 1, PagesMax);

    /// <summary>Where the entry's location lies; null when the key is not here.</summary>
    public ulong* Find(ulong token, uint check)
    {
        for (int i = BucketOf(token), left = _buckets; left > 0; left--, i = i + 1 == _buckets ? 0 : i + 1)
        {
            ulong* bucket = Bucket(i);
            for (int e = 0; e < EntriesPerBucket; e++)
            {
                ulong location = bucket[LocationsAt + e];
                if (location == Location.None)
                    return null;
                if (bucket[e] == token && location != Location.Removed && ((uint*)bucket)[ChecksAt + e] == check)
                    return bucket + LocationsAt + e;
            }
        }

        return null;
    }

    /// <summary>The key is not here, and the region is not full.</summary>
    public void Insert(ulong token, uint check, ulong location)
    {
        for (int i = BucketOf(token); ; i = i + 1 == _buckets ? 0 : i + 1)
        {
            ulong* bucket = Bucket(i);
            for (int e = 0; e < EntriesPerBucket; e++)
            {
                ulong there = bucket[LocationsAt + e];
                if (there > Location.Removed)
                    continue;
                if (there == Location.None)
                    Used++;
                Live++;
                bucket[e] = token;
                ((uint*)bucket)[ChecksAt + e] = check;
                Volatile.Write(ref bucket[LocationsAt + e], location);
                return;
            }
        }
    }

    public void Remove(ulong* location)
    {
        Volatile.Write(ref *location, Location.Removed);
        Live--;
    }

    /// <summary>The next location behind <paramref name="at"/> (zero at first) of a key with this token; false at the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryNext(ulong token, ref int at, out ulong location)
    {
        int index = BucketOf(token) + (at >> EntryBits);
        ulong* bucket = Bucket(index >= _buckets ? index - _buckets : index);
        for (int left = _buckets - (at >> EntryBits); left > 0; left--)
        {
            for (; (at & EntryMask) < EntriesPerBucket; at++)
            {
                location = Volatile.Read(ref bucket[LocationsAt + (at & EntryMask)]);
                if (location == Location.None)
                    return false;
                if (Volatile.Read(ref bucket[at & EntryMask]) == token && location != Location.Removed)
                {
                    at++;
                    return true;
                }
            }

            at = (at | EntryMask) + 1;
            index++;
            bucket = Bucket(index >= _buckets ? index - _buckets : index);
        }

        location = Location.None;
        return false;
    }

    public void Prefetch(ulong token)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(Bucket(BucketOf(token)));
    }

    /// <summary>Keys whose token has the bit, without those of regions that overflow from here.</summary>
    public int CountWith(ulong bit)
    {
        int count = 0;
        for (int i = 0; i < _buckets; i++)
        {
            ulong* bucket = Bucket(i);
            for (int e = 0; e < EntriesPerBucket; e++)
                count += bucket[LocationsAt + e] > Location.Removed && (bucket[e] & bit) != 0 ? 1 : 0;
        }

        return count;
    }

    /// <summary>A key here, if one is in this entry of this bucket. By the writer.</summary>
    public bool TryGet(int index, int e, out IndexEntry entry)
    {
        ulong* bucket = Bucket(index);
        entry = new IndexEntry(bucket[e], ((uint*)bucket)[ChecksAt + e], bucket[LocationsAt + e]);
        return entry.Location > Location.Removed;
    }

    /// <summary>Inserts all keys of another region of the same stretch, without those that overflow from there. There is room.</summary>
    public void InsertAll(IndexRegion other)
    {
        for (int i = 0; i < other._buckets; i++)
        {
            for (int e = 0; e < EntriesPerBucket; e++)
            {
                if (other.TryGet(i, e, out IndexEntry entry))
                    Insert(entry.Token, entry.Check, entry.Location);
            }
        }
    }

    /// <summary>All keys, in the order of the table.</summary>
    public void AddTo(List<IndexEntry> entries)
    {
        for (int i = 0; i < _buckets; i++)
        {
            ulong* bucket = Bucket(i);
            for (int e = 0; e < EntriesPerBucket; e++)
            {
                ulong location = Volatile.Read(ref bucket[LocationsAt + e]);
                if (location > Location.Removed)
                    entries.Add(new IndexEntry(bucket[e], ((uint*)bucket)[ChecksAt + e], location));
            }
        }

        Overflow?.AddTo(entries);
    }

    public void Free(PagePool pool)
    {
        for (int i = 0; i < PageCount; i++)
            pool.Return((byte*)_pages[i]);
    }

    // Of the bits below those that all keys here share, the highest choose the bucket: order is kept.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int BucketOf(ulong token) => (int)((((token << Depth) >> 32) * (ulong)_buckets) >> 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong* Bucket(int index) =>
        (ulong*)(_pages[(int)((uint)index / BucketsPerPage)] + (nint)((uint)index % BucketsPerPage * BucketBytes));

    [InlineArray(PagesMax)]
    private struct RegionPages
    {
        private nint _page;
    }
}

/// <summary>A key as the index knows it.</summary>
internal readonly record struct IndexEntry(ulong Token, uint Check, ulong Location);
