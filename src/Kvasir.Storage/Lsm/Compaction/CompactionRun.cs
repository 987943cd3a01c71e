using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// Merges the inputs of one plan into outputs, leaving out what nobody can see any more:
/// <list type="number">
/// <item>a version whose next newer one is seen by the same snapshots;</item>
/// <item>a version below a range tombstone that the same snapshots see;</item>
/// <item>a tombstone that every snapshot sees, when no older version can lie below the outputs;</item>
/// <item>an expired value, which counts as a tombstone once its deadline is behind the horizon.</item>
/// </list>
/// Versions of one key are never spread over two tables.
/// </summary>
internal sealed class CompactionRun
{
    private readonly CompactionPlan _plan;
    private readonly LsmOptions _options;
    private readonly SnapshotStripes _stripes;
    private readonly long _expiryHorizonMs;
    private readonly int[] _belowIndex;
    private readonly TableFile[] _grandparents;
    private byte[] _currentKey = new byte[256];
    private int _currentLength = -1;
    private int _grandparentIndex;
    private long _grandparentBytes;

    public CompactionRun(CompactionPlan plan, LsmOptions options, SnapshotStripes stripes, long expiryHorizonMs)
    {
        _plan = plan;
        _options = options;
        _stripes = stripes;
        _expiryHorizonMs = expiryHorizonMs;
        _belowIndex = new int[plan.Set.LevelCount];
        int grandparents = plan.OutputLevel + 1;
        _grandparents = plan.OutputLevel > 0 && grandparents < plan.Set.LevelCount
            ? CompactionPicker.Overlapping(plan.Set.Level(grandparents), plan.Hull)
            : [];
    }

    public long BytesRead { get; private set; }

    public TombstoneThinning ReadTombstones()
    {
        var tombstones = new List<RangeTombstone>();
        foreach ((_, TableFile table) in _plan.AllInputs)
            table.AddRangeTombstones(tombstones);

        return new TombstoneThinning(tombstones, _stripes, MayExistBelow);
    }

    /// <summary>Cancelled, it throws between two entries; nothing is installed then, and the outputs go.</summary>
    public void Run(TombstoneThinning tombstones, TableOutputs outputs, CancellationToken cancellation)
    {
        using var merge = new CompactionMerge(OpenSources(tombstones));
        merge.SeekToFirst();
        int lastStripe = -1;
        uint entries = 0;
        while (merge.Valid)
        {
            if ((++entries & 1023) == 0)
                cancellation.ThrowIfCancellationRequested();
            InternalIterator entry = merge.Current;
            ReadOnlySpan<byte> key = entry.UserKey;
            Trailer trailer = entry.Trailer;
            int stripe = _stripes.Of(trailer.Sequence);
            bool newKey = !key.SequenceEqual(CurrentKey);
            if (newKey)
            {
                if (ShouldSplit(key, outputs))
                    outputs.Split(key);
                SetCurrentKey(key);
            }
            else if (stripe == lastStripe && stripe != _stripes.Open)
            {
                merge.Next();
                continue;
            }

            lastStripe = stripe;
            if (tombstones.Hides(key, trailer.Sequence, stripe))
            {
                merge.Next();
                continue;
            }

            long expiresAtMs = entry.ExpiresAtMs;
            ReadOnlySpan<byte> value = entry.Value;
            if (trailer.Kind == ValueKind.ExpiringValue && expiresAtMs <= _expiryHorizonMs)
            {
                trailer = new Trailer(trailer.Sequence, ValueKind.Tombstone);
                expiresAtMs = 0;
                value = default;
            }

            bool droppable = trailer.Kind == ValueKind.Tombstone && stripe == 0 && _stripes.Open > 0 && !MayExistBelow(key);
            if (!droppable)
                outputs.Add(key, trailer, expiresAtMs, value);
            merge.Next();
        }
    }

    private ReadOnlySpan<byte> CurrentKey => _currentLength < 0 ? default : _currentKey.AsSpan(0, _currentLength);

    private void SetCurrentKey(ReadOnlySpan<byte> key)
    {
        if (_currentKey.Length < key.Length)
            _currentKey = new byte[key.Length * 2];
        key.CopyTo(_currentKey);
        _currentLength = key.Length;
    }

    private List<InternalIterator> OpenSources(TombstoneThinning tombstones)
    {
        var sources = new List<InternalIterator>();
        foreach ((int level, TableFile[] tables) in _plan.Inputs)
        {
            TableFile[] read = [.. tables.Where(t => !tombstones.HidesAll(t))];
            foreach (TableFile table in read)
                BytesRead += table.SizeBytes;
            if (level == 0)
            {
                foreach (TableFile table in read)
                    sources.Add(new LevelIterator([table], bypassCache: true, fullReadAhead: true, keep: null));
            }
            else if (read.Length > 0)
            {
                sources.Add(new LevelIterator(read, bypassCache: true, fullReadAhead: true, keep: null));
            }
        }

        return sources;
    }

    private bool ShouldSplit(ReadOnlySpan<byte> nextKey, TableOutputs outputs)
    {
        
        while (_grandparentIndex < _grandparents.Length && _grandparents[_grandparentIndex].Bounds.EndsBefore(nextKey))
        {
            _grandparentBytes += _grandparents[_grandparentIndex].SizeBytes;
            _grandparentIndex++;
        }

        long written = outputs.CurrentBytes;
        if (written == 0)
        {
            _grandparentBytes = 0;
            return false;
        }

        bool tooMuchBelow = _grandparentBytes > CompactionPicker.GrandparentBytesMax(_options);
        if (!tooMuchBelow && written < _options.TableBytes)
            return false;
        _grandparentBytes = 0;
        // Level zero orders by age: one table, however large.
        return !_plan.WithinLevelZero;
    }

    /// <summary>Asked with ascending keys: the place in each level below only moves forward.</summary>
    private bool MayExistBelow(ReadOnlySpan<byte> key)
    {
        if (_plan.WithinLevelZero)
            return true;
        for (int level = _plan.OutputLevel + 1; level < _belowIndex.Length; level++)
        {
            TableFile[] tables = _plan.Set.Level(level);
            ref int at = ref _belowIndex[level];
            while (at < tables.Length && tables[at].Bounds.EndsBefore(key))
                at++;
            if (at < tables.Length && key.SequenceCompareTo(tables[at].Bounds.Start) >= 0)
                return true;
        }

        return false;
    }

    private bool MayExistBelow(KeyBounds range)
    {
        if (_plan.WithinLevelZero)
            return true;
        for (int level = _plan.OutputLevel + 1; level < _plan.Set.LevelCount; level++)
        {
            if (CompactionPicker.Overlapping(_plan.Set.Level(level), range).Length > 0)
                return true;
        }

        return false;
    }
}
