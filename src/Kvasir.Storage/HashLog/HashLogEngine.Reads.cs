using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Readers;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog;

/// <summary>The way of a read: the index, then a record in memory, or one read of a segment.</summary>
internal sealed unsafe partial class HashLogEngine
{
    [ThreadStatic]
    private static BytesBuffer? t_scratch;

    internal long NowMs => _environment.Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

    public EntryInfo Get(ReadOnlySpan<byte> key, in ReadView view, BytesBuffer? value)
    {
        ulong token = StableHash.Hash64(key);
        int ticket = _epoch.Enter();
        int start = value?.Length ?? 0;
        try
        {
            ThrowIfDisposed();
            while (true)
            {
                ulong sequence = SequenceOf(view);
                SearchOutcome found = Find(key, token, sequence, value, out EntryInfo info);

                // What this view saw may have been superseded, flushed and let go since it was fixed, and behind it there is something older, or
                // nothing: a later view sees what did that.
                if (found is SearchOutcome.Yes or SearchOutcome.No || SequenceOf(view) == sequence)
                    return info;
                value?.Truncate(start);
            }
        }
        finally
        {
            _epoch.Leave(ticket);
        }
    }

    public void Prefetch(ReadOnlySpan<ulong> hashes, bool values)
    {
        int ticket = _epoch.Enter();
        try
        {
            ThrowIfDisposed();
            _index.Prefetch(hashes);
            if (values)
                _index.PrefetchRecords(hashes);
        }
        finally
        {
            _epoch.Leave(ticket);
        }
    }

    public EngineSnapshot CreateSnapshot()
    {
        ThrowIfDisposed();
        return new LogSnapshot(this, _snapshots, _snapshots.Take(() => _progress.Published));
    }

    public EngineScan CreateScan(in IteratorOptions options)
    {
        ThrowIfDisposed();
        ReadView view = options.View;
        ulong sequence = _snapshots.Take(() => SequenceOf(view));

        // It goes by the index: what it sees has to be there.
        SettleWithLock();
        return new LogScan(this, _snapshots, sequence, options, options.IncludeExpired ? long.MinValue : NowMs);
    }

    /// <summary>
    /// The first token at or after <paramref name="from"/> in a region of the index, with those behind it, each once; returns the first
    /// token of the next region, null when there is none.
    /// </summary>
    internal ulong? ReadTokens(ulong from, List<IndexEntry> entries)
    {
        int ticket = _epoch.Enter();
        try
        {
            ThrowIfDisposed();
            return _index.ReadRegion(from, entries);
        }
        finally
        {
            _epoch.Leave(ticket);
        }
    }

    /// <summary>Reads what the entries from a place on name, as much as <paramref name="ahead"/> wants; the place behind it.</summary>
    internal int ReadAhead(ScanAhead ahead, List<IndexEntry> entries, int from)
    {
        int ticket = _epoch.Enter();
        try
        {
            ThrowIfDisposed();
            return ahead.Read(entries, from, _index, _table);
        }
        finally
        {
            _epoch.Leave(ticket);
        }
    }

    /// <summary>All keys of a token that a kept view sees; <paramref name="nowMs"/> is when they must be alive.</summary>
    internal void ReadRows(ulong token, ulong sequence, long nowMs, bool keysOnly, ScanAhead ahead, ScanRows rows)
    {
        int ticket = _epoch.Enter();
        try
        {
            ThrowIfDisposed();
            RangeDeletions ranges = Volatile.Read(ref _ranges);
            BytesBuffer scratch = Scratch();
            KeyIndex.Candidates candidates = _index.Find(token);
            while (candidates.MoveNext())
            {
                if (!TryFindVersion(candidates.Current, token, sequence, ahead, scratch, out SegmentRecord record)
                    || record.Kind == RecordKind.Tombstone || (record.ExpiresAtMs != 0 && record.ExpiresAtMs <= nowMs)
                    || ranges.Cover(record.Key, sequence) > record.Sequence)
                    continue;
                rows.Add(record, keysOnly);
            }
        }
        finally
        {
            _epoch.Leave(ticket);
        }
    }

    internal static BytesBuffer Scratch()
    {
        BytesBuffer scratch = t_scratch ??= new BytesBuffer(4096);
        scratch.ClearAndTrim(1 << 20);
        return scratch;
    }

    /// <summary>Inside the epoch.</summary>
    internal SearchOutcome Find(ReadOnlySpan<byte> key, ulong token, ulong sequence, BytesBuffer? value, out EntryInfo info)
    {
        RangeDeletions ranges = Volatile.Read(ref _ranges);
        TailRecord* pending = _pending.Find(token, key, sequence);
        if (pending != null)
        {
            info = Answer(pending, ranges.IsEmpty ? 0 : ranges.Cover(key, sequence), value);
            return SearchOutcome.Yes;
        }

        KeyIndex.Candidates candidates = _index.Find(token);
        while (candidates.MoveNext())
        {
            ulong location = candidates.Current;

            // Where the value lies is known by the first line only: the others would be waited for after it.
            if (Sse.IsSupported && Location.IsMemory(location))
                TailRecord.Prefetch(TailRecord.At(location));
            bool isOther = false;
            bool isThere = false;
            while (Location.IsMemory(location))
            {
                TailRecord* record = TailRecord.At(location);
                isOther = record->KeyLength != key.Length || !key.SequenceEqual(TailRecord.Key(record));
                if (isOther)
                    break;
                if (record->Sequence <= sequence)
                {
                    info = Answer(record, ranges.IsEmpty ? 0 : ranges.Cover(key, sequence), value);
                    return SearchOutcome.Yes;
                }

                location = Volatile.Read(ref record->Previous);
                isThere = true;
            }

            if (isOther || (location == Location.None && !isThere))
                continue;
            SearchOutcome found = FindOnDisk(key, token, location, sequence, ranges, value, out info);
            if (found != SearchOutcome.No)
                return found == SearchOutcome.Yes && isThere ? SearchOutcome.YesBehindNewer : found;
        }

        ulong cover = ranges.IsEmpty ? 0 : ranges.Cover(key, sequence);
        info = new EntryInfo(Found: false, new SequenceNumber(cover), ExpiresAtMs: 0, ValueLength: 0);
        return SearchOutcome.No;
    }

    private SearchOutcome FindOnDisk(
        ReadOnlySpan<byte> key, ulong token, ulong location, ulong sequence, RangeDeletions ranges, BytesBuffer? value, out EntryInfo info)
    {
        BytesBuffer buffer = value ?? Scratch();
        int start = buffer.Length;
        SegmentRecord record = location == Location.None ? default : _table[location].Read(location, buffer);
        info = default;
        if (location != Location.None && !record.Key.SequenceEqual(key))
            return SearchOutcome.No;
        bool isOld = location == Location.None || record.Sequence > sequence;
        if (isOld)
        {
            if (!TryFindOld(token, sequence, key, buffer, out record))
            {
                ulong range = ranges.Cover(key, sequence);
                info = new EntryInfo(Found: false, new SequenceNumber(range), ExpiresAtMs: 0, ValueLength: 0);
                return SearchOutcome.NewerOnly;
            }
        }

        ulong cover = ranges.IsEmpty ? 0 : ranges.Cover(key, sequence);
        info = AnswerOf(record.Kind, record.Sequence, record.ExpiresAtMs, record.Value.Length, cover);
        if (info.Found && value is not null)
        {
            // Where the record was read to is where its value belongs.
            record.Value.CopyTo(value.GetSpan(record.Value.Length));
            value.Advance(record.Value.Length);
        }

        Check.That(value is null || value.Length == start + (info.Found ? info.ValueLength : 0));
        return isOld ? SearchOutcome.YesBehindNewer : SearchOutcome.Yes;
    }

    /// <summary>The newest version at or before a sequence number, of the key whose newest version lies at the location.</summary>
    private bool TryFindVersion(ulong location, ulong token, ulong sequence, ScanAhead ahead, BytesBuffer buffer, out SegmentRecord record)
    {
        record = default;
        TailRecord* newest = Location.IsMemory(location) ? TailRecord.At(location) : null;
        while (Location.IsMemory(location))
        {
            TailRecord* version = TailRecord.At(location);
            if (version->Sequence <= sequence)
            {
                record = RecordOf(version);
                return true;
            }

            location = Volatile.Read(ref version->Previous);
        }

        if (location != Location.None && _table[location] is var segment && !ahead.TryFind(location, segment, out record))
            record = segment.Read(location, buffer);
        if (location != Location.None && record.Sequence <= sequence)
            return true;
        byte[] key = newest != null ? TailRecord.Key(newest).ToArray() : record.Key.ToArray();
        return TryFindOld(token, sequence, key, buffer, out record);
    }

    /// <summary>A version that is gone from the key's chain, or was never in it, and that a snapshot sees.</summary>
    private bool TryFindOld(ulong token, ulong sequence, ReadOnlySpan<byte> key, BytesBuffer buffer, out SegmentRecord record)
    {
        foreach (OldVersion version in _oldVersions.Of(token))
        {
            record = _table[version.Location].Read(version.Location, buffer);
            if (record.Sequence <= sequence && record.Key.SequenceEqual(key))
                return true;
        }

        record = default;
        return false;
    }

    private EntryInfo Answer(TailRecord* record, ulong cover, BytesBuffer? value)
    {
        EntryInfo info = AnswerOf(record->Kind, record->Sequence, TailRecord.ExpiresAtMs(record), record->ValueLength, cover);
        if (info.Found)
            value?.Append(TailRecord.Value(record));
        return info;
    }

    private EntryInfo AnswerOf(RecordKind kind, ulong sequence, long expiresAtMs, int valueLength, ulong cover)
    {
        if (cover > sequence)
            return new EntryInfo(Found: false, new SequenceNumber(cover), ExpiresAtMs: 0, ValueLength: 0);
        var number = new SequenceNumber(sequence);
        if (kind == RecordKind.Tombstone)
            return new EntryInfo(Found: false, number, ExpiresAtMs: 0, ValueLength: 0);
        if (kind == RecordKind.ExpiringValue && expiresAtMs <= NowMs)
            return new EntryInfo(Found: false, number, expiresAtMs, ValueLength: 0);
        return new EntryInfo(Found: true, number, expiresAtMs, valueLength);
    }

    private static SegmentRecord RecordOf(TailRecord* record) => new()
    {
        Kind = record->Kind,
        Sequence = record->Sequence,
        ExpiresAtMs = TailRecord.ExpiresAtMs(record),
        Key = TailRecord.Key(record),
        Value = TailRecord.Value(record),
    };

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
                if (view.Snapshot is not LogSnapshot snapshot || snapshot.Owner != this)
                    throw new ArgumentException("the snapshot is of another store", nameof(view));
                ObjectDisposedException.ThrowIf(view.Snapshot.IsDisposed, view.Snapshot);
                return view.Snapshot.Sequence.Value;
        }
    }

    internal enum SearchOutcome
    {
        No,
        Yes,

        /// <summary>
        /// There are versions that the view does not see, and the files have one that it does: those in between that nobody could see any more
        /// are not in the files.
        /// </summary>
        YesBehindNewer,

        /// <summary>The key is there, and nothing of it as old as the view.</summary>
        NewerOnly,
    }
}
