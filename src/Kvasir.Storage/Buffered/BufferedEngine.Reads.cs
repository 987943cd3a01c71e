using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Buffered.MemTables;
using Kvasir.Storage.Buffered.Rows;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered;

/// <summary>The way of a read: memtables newest first, then rows that earlier reads found, then tables.</summary>
internal sealed unsafe partial class BufferedEngine
{
    private long NowMs => _environment.Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

    public EntryInfo Get(ReadOnlySpan<byte> key, in ReadView view, BytesBuffer? value)
    {
        ulong hash = StableHash.Hash64(key);
        ReadState state = Enter(view, out int stripe, out HeldState? held);
        try
        {
            // The view is fixed after the state is held. A write between the two may be in a memtable that the state
            // does not name: the answer is then that of a moment earlier, at which this read was already under way.
            return Get(state, key, hash, SequenceOf(view), value, useRows: view.Kind != ReadViewKind.Snapshot && _options.CachesRows);
        }
        finally
        {
            Leave(state, stripe, held);
        }
    }

    public void ExpectReads(bool areExpected) => Volatile.Write(ref _expectsNoReads, !areExpected);

    public void Prefetch(ReadOnlySpan<ulong> hashes, bool values)
    {
        Span<nint> nodes = stackalloc nint[hashes.Length];
        ReadState state = Enter(out int stripe);
        try
        {
            foreach (MemTable memTable in state.MemTables)
                memTable.PrefetchSlots(hashes);
            foreach (MemTable memTable in state.MemTables)
                memTable.PrefetchNodes(hashes, nodes);

            if (!values)
                return;

            // Those that memtables do not hold; of those that they do, a value that was written over lies elsewhere.
            for (int i = 0; i < hashes.Length; i++)
            {
                if (nodes[i] == 0)
                    _rows.PrefetchBucket(hashes[i]);
            }

            for (int i = 0; i < hashes.Length; i++)
            {
                if (nodes[i] == 0)
                    _rows.PrefetchRow(hashes[i]);
                else
                    ValueVersion.Prefetch(KeyNode.LoadNewest((KeyNode*)nodes[i]));
            }
        }
        finally
        {
            state.Leave(stripe);
        }
    }

    public EngineScan CreateScan(in IteratorOptions options) => CreateIterator(options);

    public EngineIterator CreateIterator(in IteratorOptions options)
    {
        // Of many keys, those of one publication must all be seen or none: the state must be one that names everything
        // up to the sequence number, so it must still be current after that was read.
        ReadState state;
        int stripe;
        HeldState? held;
        ulong sequence;
        while (true)
        {
            state = Enter(options.View, out stripe, out held);
            try
            {
                sequence = SequenceOf(options.View);
            }
            catch
            {
                Leave(state, stripe, held);
                throw;
            }

            if (held is not null || Volatile.Read(ref _state) == state)
                break;
            state.Leave(stripe);
        }

        var hold = new ReadHold(state, stripe, held);
        var sources = new List<InternalIterator>();
        try
        {
            var tombstones = new List<RangeTombstone>();
            foreach (MemTable memTable in state.MemTables)
            {
                memTable.AddRangeTombstones(tombstones, after: 0, sequence);
                memTable.AddIterators(sources, sequence);
            }

            foreach (RangeTombstone tombstone in state.Tables.RangeTombstones)
            {
                if (tombstone.Sequence <= sequence)
                    tombstones.Add(tombstone);
            }

            state.Tables.AddIterators(sources, options.BypassCache);
            return new LiveIterator(MergingIterator.Over(sources), tombstones, sequence, options, NowMs, hold);
        }
        catch
        {
            foreach (InternalIterator source in sources)
                source.Dispose();
            hold.Dispose();
            throw;
        }
    }

    private EntryInfo Get(ReadState state, ReadOnlySpan<byte> key, ulong hash, ulong sequence, BytesBuffer? value, bool useRows)
    {
        foreach (MemTable memTable in state.MemTables)
        {
            ulong cover = memTable.RangeTombstoneCount == 0 ? 0 : memTable.CoveringSequence(key, sequence);
            ValueVersion* version = memTable.Find(key, hash, sequence);
            if (version != null && version->Trailer >> 8 > cover)
                return Answer(version, value);
            // Everything older lies below the tombstone.
            if (cover != 0)
                return new EntryInfo(Found: false, new SequenceNumber(cover), ExpiresAtMs: 0, ValueLength: 0);
        }

        if (useRows && _rows.TryGet(key, hash, sequence, _environment.Scheduler.Time, value, out RowInfo row))
            return new EntryInfo(Found: true, new SequenceNumber(row.Sequence), row.ExpiresAtMs, row.ValueLength);
        int lengthBefore = value?.Length ?? 0;
        if (!state.Tables.TryGet(key, hash, sequence, value, out LookupResult result))
            return default;
        var found = new SequenceNumber(result.Sequence);
        if (result.Deleted || (result.ExpiresAtMs != 0 && result.ExpiresAtMs <= NowMs))
        {
            value?.Truncate(lengthBefore);
            return new EntryInfo(Found: false, found, result.Deleted ? 0 : result.ExpiresAtMs, ValueLength: 0);
        }

        if (useRows && value is not null)
        {
            var read = new RowInfo(result.Sequence, result.ExpiresAtMs, result.ValueLength);
            _rows.Offer(key, hash, read, value.WrittenSpan[lengthBefore..], ref _state, state);
        }

        return new EntryInfo(Found: true, found, result.ExpiresAtMs, result.ValueLength);
    }

    private EntryInfo Answer(ValueVersion* version, BytesBuffer? value)
    {
        var sequence = new SequenceNumber(version->Trailer >> 8);
        long expiresAtMs = ValueVersion.ExpiresAtMs(version);
        if (ValueVersion.IsTombstone(version))
            return new EntryInfo(Found: false, sequence, ExpiresAtMs: 0, ValueLength: 0);
        if (expiresAtMs != 0 && expiresAtMs <= NowMs)
            return new EntryInfo(Found: false, sequence, expiresAtMs, ValueLength: 0);
        value?.Append(ValueVersion.Value(version));
        return new EntryInfo(Found: true, sequence, expiresAtMs, version->ValueLength);
    }

    private ulong SequenceOf(in ReadView view)
    {
        switch (view.Kind)
        {
            case ReadViewKind.Published:
                return _progress.Published;
            case ReadViewKind.Applied:
                return _progress.LastAssigned;
            case ReadViewKind.Stable:
                return _progress.StableSequence;
            default:
                if (view.Snapshot is not SnapshotList.BufferedSnapshot snapshot || snapshot.Owner != this)
                    throw new ArgumentException("the snapshot is of another store", nameof(view));
                ObjectDisposedException.ThrowIf(view.Snapshot.IsDisposed, view.Snapshot);
                return view.Snapshot.Sequence.Value;
        }
    }

    private sealed class ReadHold(ReadState state, int stripe, HeldState? held) : IDisposable
    {
        public void Dispose() => Leave(state, stripe, held);
    }
}
