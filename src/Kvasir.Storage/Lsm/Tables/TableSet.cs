using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm.SSTables;

namespace Kvasir.Storage.Lsm.Tables;

/// <summary>
/// The tables of one moment by level ("version" in LevelDB's words), and the log position they make durable. Level zero
/// is ordered newest first and may overlap; deeper levels are ordered by key and never do. Immutable but for its
/// reference count.
/// </summary>
internal sealed class TableSet : ISortedView
{
    private readonly Action<TableFile> _dropped;
    private readonly TableFile[][] _levels;
    private readonly bool _anyRangeTombstones;
    private IReadOnlyList<RangeTombstone>? _rangeTombstones;
    private ReferenceCount _references = new(1);

    /// <param name="dropped">Told of each table that no set names any more.</param>
    public TableSet(TableFile[][] levels, LogPosition flushedPosition, ulong lastSequence, Action<TableFile> dropped)
    {
        _levels = levels;
        FlushedPosition = flushedPosition;
        LastSequence = lastSequence;
        _dropped = dropped;
        for (int level = 0; level < levels.Length; level++)
        {
            TableFile[] tables = levels[level];
            for (int i = 0; i < tables.Length; i++)
            {
                TableFile table = tables[i];
                table.AddReference();
                _anyRangeTombstones |= table.HasRangeTombstones;
                if (level > 0 && i > 0)
                    Check.That(tables[i - 1].Bounds.EndsBefore(table.Bounds.Start), $"tables {tables[i - 1].Number} and {table.Number} of level {level} overlap");
            }
        }
    }

    public LogPosition FlushedPosition { get; }

    public StateDigest FlushedDigest { get; init; }

    public ulong LastSequence { get; }

    public int LevelCount => _levels.Length;

    public TableFile[] Level(int level) => _levels[level];

    public IReadOnlyList<RangeTombstone> RangeTombstones
    {
        get
        {
            if (!_anyRangeTombstones)
                return [];
            return _rangeTombstones ??= CollectRangeTombstones();
        }
    }

    public bool AnyRangeTombstones => _anyRangeTombstones;

    public static long Bytes(TableFile[] tables)
    {
        long sum = 0;
        foreach (TableFile table in tables)
            sum += table.SizeBytes;
        return sum;
    }

    /// <summary>The first of ordered tables that does not end before the key; their number for none.</summary>
    public static int FindTable(TableFile[] tables, ReadOnlySpan<byte> userKey)
    {
        int low = 0;
        int high = tables.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (tables[middle].Bounds.EndsBefore(userKey))
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    public bool TryGet(ReadOnlySpan<byte> userKey, ulong keyHash, ulong sequence, BytesBuffer? value, out LookupResult result)
    {
        ulong covering = 0;
        foreach (TableFile table in _levels[0])
        {
            if (table.SmallestSequence <= sequence && table.Bounds.Contains(userKey)
                && Look(table, userKey, keyHash, sequence, value, ref covering, out result))
                return true;
        }

        for (int level = 1; level < _levels.Length; level++)
        {
            TableFile[] tables = _levels[level];
            if (tables.Length == 0)
                continue;
            int at = FindTable(tables, userKey);
            if (at < tables.Length && userKey.SequenceCompareTo(tables[at].Bounds.Start) >= 0
                && Look(tables[at], userKey, keyHash, sequence, value, ref covering, out result))
                return true;
        }

        result = new LookupResult(covering, Deleted: true, ExpiresAtMs: 0, ValueLength: 0);
        return covering != 0;
    }

    public void AddIterators(List<InternalIterator> iterators, bool bypassCache)
    {
        for (int level = 0; level < _levels.Length; level++)
        {
            TableFile[] tables = _levels[level];
            if (tables.Length == 0)
                continue;
            if (level > 0)
            {
                iterators.Add(new LevelIterator(tables, bypassCache, fullReadAhead: false, this));
                continue;
            }

            foreach (TableFile table in tables)
                iterators.Add(new LevelIterator([table], bypassCache, fullReadAhead: false, this));
        }
    }

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        long sum = 0;
        foreach (TableFile[] tables in _levels)
        {
            foreach (TableFile table in tables)
            {
                if (table.Bounds.EndsBefore(start) || (!end.IsEmpty && end.SequenceCompareTo(table.Bounds.Start) <= 0))
                    continue;
                bool whole = start.SequenceCompareTo(table.Bounds.Start) <= 0 && (end.IsEmpty || table.Bounds.EndsBefore(end));
                sum += whole ? table.SizeBytes : EstimatePart(table, start, end);
            }
        }

        return sum;
    }

    public long UncoveredBytesWithin(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        long sum = 0;
        for (int level = 0; level < _levels.Length; level++)
        {
            TableFile[] tables = _levels[level];
            for (int i = level == 0 ? 0 : FindTable(tables, start); i < tables.Length; i++)
            {
                TableFile table = tables[i];
                bool endsWithin = end.IsEmpty || table.Bounds.EndsBefore(end);
                if (level > 0 && !endsWithin)
                    break;
                if (endsWithin && !table.Covered && start.SequenceCompareTo(table.Bounds.Start) <= 0)
                    sum += table.SizeBytes;
            }
        }

        return sum;
    }

    public void AddReference() => Check.That(TryAddReference());

    public bool TryAddReference() => _references.TryAdd();

    public void Release()
    {
        if (!_references.Release())
            return;
        foreach (TableFile[] tables in _levels)
        {
            foreach (TableFile table in tables)
            {
                if (table.Release())
                    _dropped(table);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Look(
        TableFile table, ReadOnlySpan<byte> userKey, ulong keyHash, ulong sequence, BytesBuffer? value, ref ulong covering, out LookupResult result)
    {
        SSTableReader reader = table.AcquireReader();
        try
        {
            if (table.HasRangeTombstones)
                covering = Math.Max(covering, reader.Tombstones.Covering(userKey, sequence));
            if (!reader.MayContain(keyHash))
            {
                result = default;
                return false;
            }

            int before = value?.Length ?? 0;
            if (!reader.TryGet(userKey, sequence, value, out result))
                return false;
            if (result.Sequence >= covering)
                return true;
            value?.Truncate(before);
            result = new LookupResult(covering, Deleted: true, ExpiresAtMs: 0, ValueLength: 0);
            return true;
        }
        finally
        {
            reader.Release();
        }
    }

    private static long EstimatePart(TableFile table, ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        SSTableReader reader = table.AcquireReader();
        try
        {
            long from = reader.OffsetOf(start);
            long to = end.IsEmpty ? reader.DataEnd : reader.OffsetOf(end);
            return Math.Max(0, to - from);
        }
        finally
        {
            reader.Release();
        }
    }

    private List<RangeTombstone> CollectRangeTombstones()
    {
        var all = new List<RangeTombstone>();
        foreach (TableFile[] tables in _levels)
        {
            foreach (TableFile table in tables)
                table.AddRangeTombstones(all);
        }

        return all;
    }
}
