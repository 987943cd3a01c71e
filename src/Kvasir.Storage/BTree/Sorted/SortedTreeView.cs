using Kvasir.Primitives;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Sorted;

/// <summary>One commit of a tree, for any number of readers, as long as somebody refers to it. Thread-safe.</summary>
internal sealed class SortedTreeView : ISortedView
{
    private const int SpareReaders = 16;
    private const int CountedKeys = 256;

    private readonly BTreeStore _store;

    // Holds back the commit; never read from, since a transaction is for one thread.
    private readonly ReadTransaction _pin;
    private readonly ReadTransaction?[] _spare = new ReadTransaction?[SpareReaders];
    private ReferenceCount _references = new(1);

    public SortedTreeView(BTreeStore store)
    {
        _store = store;
        _pin = store.BeginRead();
    }

    public IReadOnlyList<RangeTombstone> RangeTombstones => [];

    public bool TryGet(ReadOnlySpan<byte> userKey, ulong keyHash, ulong sequence, BytesBuffer? value, out LookupResult result)
    {
        ref ReadTransaction? place = ref _spare[Environment.CurrentManagedThreadId % SpareReaders];
        ReadTransaction reader = Spare(ref place) ?? _store.BeginReadAt(_pin);
        try
        {
            result = default;
            if (userKey.Length > _store.Layout.KeyBytesMax || !reader.Root.TryGet(userKey, out ReadOnlySpan<byte> record))
                return false;
            if (!TreeRecord.TryRead(record, out Trailer trailer, out long expiresAtMs, out ReadOnlySpan<byte> stored))
                throw NoRecord();
            Check.That(trailer.Sequence <= sequence, $"a view at {sequence} reads a tree that has {trailer.Sequence}");
            value?.Append(stored);
            reader.CheckOpen();
            result = new LookupResult(trailer.Sequence, Deleted: false, expiresAtMs, stored.Length);
            return true;
        }
        finally
        {
            // What was read is a copy by now.
            reader.ReleaseRetained();
            if (Interlocked.CompareExchange(ref place, reader, null) is not null)
                reader.Dispose();
        }
    }

    private static ReadTransaction? Spare(ref ReadTransaction? place)
    {
        ReadTransaction? reader = Interlocked.Exchange(ref place, null);
        if (reader is not { IsUnreadable: true })
            return reader;
        reader.Dispose();
        return null;
    }

    public void AddIterators(List<InternalIterator> iterators, bool bypassCache) =>
        iterators.Add(new SortedTreeIterator(_store.BeginReadAt(_pin), this));

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        using ReadTransaction reader = _store.BeginReadAt(_pin);
        Trees.BTreeCursor cursor = reader.Root.OpenCursor();
        long bytes = 0;
        bool isThere = cursor.SeekFirst();
        for (int i = 0; i < CountedKeys && isThere; i++, isThere = cursor.Next())
        {
            if (cursor.Key.SequenceCompareTo(start) >= 0 && (end.IsEmpty || cursor.Key.SequenceCompareTo(end) < 0))
                bytes += cursor.Key.Length + cursor.Value.Length;
        }

        if (!isThere)
            return bytes;

        // Too many to count, and then for every range: what two neighbours have adds up to what both have together.
        double part = (end.IsEmpty ? 1 : reader.Root.PartBefore(end)) - reader.Root.PartBefore(start);
        return (long)(reader.UsedBytes * Math.Clamp(part, 0, 1));
    }

    public long UncoveredBytesWithin(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end) => 0;

    public void AddReference() => _references.Add();

    public void Release()
    {
        if (!_references.Release())
            return;
        foreach (ReadTransaction? reader in _spare)
            reader?.Dispose();
        _pin.Dispose();
    }

    internal CorruptionException NoRecord() => new(_store.Path, 0, "a value that is no record of an engine");
}
