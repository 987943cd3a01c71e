using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.MemTables;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.Rows;

/// <summary>
/// Values that reads found in tables, or that a flush has just put there, by key, outside the garbage-collected heap: a hit
/// costs a fraction of a search in blocks. Cut into stripes by hash, each behind a short lock.
/// <para>
/// <b>Never older than the tables of the current read state.</b> A flush brings its keys up to date here after its tables
/// are written and before the state is replaced; until then its memtables answer for them. A reader offers what it found
/// only while its state is still the current one, which is checked under the lock that the flush will need for that key.
/// </para>
/// </summary>
internal sealed unsafe class RowCache
{
    private const int StripeCount = 16;
    private const int UpdateAhead = 16;

    private readonly RowBudget _budget;
    private readonly RowStripe[] _stripes = new RowStripe[StripeCount];

    public RowCache(MemoryBudget budget)
    {
        _budget = RowBudget.Of(budget);
        for (int i = 0; i < StripeCount; i++)
            _stripes[i] = new RowStripe(_budget);
    }

    public long Bytes => Sum(static stripe => stripe.Bytes);

    public long Count => Sum(static stripe => stripe.Count);

    public long Hits => Sum(static stripe => stripe.Hits);

    public long Misses => Sum(static stripe => stripe.Misses);

    /// <summary>
    /// The row of a key, if it is here and no newer than <paramref name="sequence"/>; its value is appended to
    /// <paramref name="value"/> unless that is null. What has expired counts as not here.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGet(
        ReadOnlySpan<byte> key, ulong hash, ulong sequence, TimeProvider time, BytesBuffer? value, out RowInfo row) =>
        StripeOf(hash).TryGet(key, hash, sequence, time, value, out row);

    /// <summary>Asks for the line in which a search of this hash begins, so that the misses of several searches overlap.</summary>
    public void PrefetchBucket(ulong hash) => StripeOf(hash).PrefetchBucket(hash);

    /// <summary>Asks for the rows with this hash, after <see cref="PrefetchBucket"/>.</summary>
    public void PrefetchRow(ulong hash) => StripeOf(hash).PrefetchRow(hash);

    /// <summary>
    /// Offers what a read found in the tables of <paramref name="state"/> as their newest version. Not taken when the
    /// state is no longer current, or, where something else would have to go, when the key was not offered before.
    /// </summary>
    public void Offer(
        ReadOnlySpan<byte> key, ulong hash, in RowInfo row, ReadOnlySpan<byte> value, ref ReadState? current, ReadState state)
    {
        if (RowStripe.Fits(key.Length, value.Length))
            StripeOf(hash).Offer(key, hash, row, value, ref current, state);
    }

    /// <summary>
    /// Brings the rows of a memtable's keys to what its flush has put into the tables; with <paramref name="adds"/>, adds
    /// those that are missing while there is room without evicting anything.
    /// </summary>
    public void Update(MemTable memTable, bool adds)
    {
        if (Count == 0 && !adds)
            return;
        ulong limit = memTable.SequenceLimit;
        Span<ulong> hashes = stackalloc ulong[UpdateAhead];
        KeyNode* next = memTable.FirstInserted;
        while (next != null)
        {
            KeyNode* first = next;
            int count = 0;
            for (; next != null && count < UpdateAhead; next = KeyNode.LoadNextInserted(next))
                hashes[count++] = StableHash.Hash64(KeyNode.Key(next));
            foreach (ulong hash in hashes[..count])
                StripeOf(hash).PrefetchBucket(hash);
            KeyNode* node = first;
            for (int i = 0; i < count; i++, node = KeyNode.LoadNextInserted(node))
            {
                ValueVersion* version = KeyNode.Visible(node, limit);
                if (version != null)
                    StripeOf(hashes[i]).Update(KeyNode.Key(node), hashes[i], version, adds);
            }
        }
    }

    /// <summary>Drops rows that range tombstones cover.</summary>
    public void RemoveCovered(RangeTombstoneFragments tombstones)
    {
        if (tombstones.IsEmpty)
            return;
        foreach (RowStripe stripe in _stripes)
            stripe.RemoveCovered(tombstones);
    }

    /// <summary>Gives memory back until the share that caches have now is kept.</summary>
    public void Trim()
    {
        bool some = true;
        while (some && _budget.IsExceeded)
        {
            some = false;
            foreach (RowStripe stripe in _stripes)
                some |= _budget.IsExceeded && stripe.GiveBackOne();
        }
    }

    public void Free()
    {
        foreach (RowStripe stripe in _stripes)
            stripe.Free();
    }

    private RowStripe StripeOf(ulong hash) => _stripes[(hash >> 44) & (StripeCount - 1)];

    private long Sum(Func<RowStripe, long> of)
    {
        long sum = 0;
        foreach (RowStripe stripe in _stripes)
            sum += of(stripe);
        return sum;
    }
}

/// <summary>What is known of a row beside its bytes.</summary>
internal readonly record struct RowInfo(ulong Sequence, long ExpiresAtMs, int ValueLength);
