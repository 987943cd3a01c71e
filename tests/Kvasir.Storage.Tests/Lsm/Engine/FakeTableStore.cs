using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Tests.Lsm.Engine;

/// <summary>What a table store keeps on disk: survives the store, so that an engine can be opened again.</summary>
internal sealed class FakeTableFiles
{
    public List<FakeVersion> Versions { get; set; } = [];

    public List<RangeTombstone> Tombstones { get; set; } = [];

    public LogPosition Position { get; set; }

    public ulong Sequence { get; set; }

    public StateDigest Digest { get; set; }
}

internal sealed record FakeVersion(byte[] Key, Trailer Trailer, byte[] Value, long ExpiresAtMs)
{
    public static int Compare(FakeVersion x, FakeVersion y) => Compare(x, y.Key, y.Trailer);

    public static int Compare(FakeVersion x, ReadOnlySpan<byte> key, Trailer trailer)
    {
        int order = x.Key.AsSpan().SequenceCompareTo(key);
        return order != 0 ? order : trailer.Packed.CompareTo(x.Trailer.Packed);
    }
}

/// <summary>A table store in a sorted list: every flush makes a new set; a compaction drops what no snapshot sees.</summary>
internal sealed class FakeTableStore : ISortedStore
{
    private readonly FakeTableFiles _files;
    private readonly Lock _lock = new();
    private readonly Lock _installing = new();
    private readonly List<FakeTableSet> _replaced = [];
    private FakeTableSet _set;
    private int _flushesSinceCompaction;

    public FakeTableStore(FakeTableFiles? files = null)
    {
        _files = files ?? new FakeTableFiles();
        _set = new FakeTableSet([.. _files.Versions], [.. _files.Tombstones]);
    }

    /// <summary>Thrown by the next flushes while set.</summary>
    public Exception? FlushFailure { get; set; }

    /// <summary>Thrown by the next compactions while set.</summary>
    public Exception? CompactionFailure { get; set; }

    public int CompactionsBegun { get; private set; }

    public Action? DuringFlush { get; set; }

    public int Flushes { get; private set; }

    public bool Disposed { get; private set; }

    public int KeyBytesMax => int.MaxValue;

    public int ValueBytesMax => int.MaxValue;

    public bool KeepsVersions => true;

    public LogPosition FlushedPosition => _files.Position;

    public StateDigest FlushedDigest => _files.Digest;

    public ulong FlushedSequence => _files.Sequence;

    public bool CompactionDue => _flushesSinceCompaction >= 4;

    public bool WaitsForSnapshots => false;

    public long CompactionDebtBytes { get; set; }

    public int LevelZeroTables { get; set; }

    public Func<bool, double> WorkShare { get; set; } = static _ => 1;

    public IReadOnlyList<FakeVersion> Versions => _set.Versions;

    public ISortedView Acquire()
    {
        lock (_lock)
        {
            _set.AddReference();
            return _set;
        }
    }

    public void Flush(
        InternalIterator source, IReadOnlyList<RangeTombstone> tombstones, LogPosition position, ulong lastSequence, StateDigest digest = default)
    {
        DuringFlush?.Invoke();
        if (FlushFailure is { } failure)
            throw failure;
        var flushed = new List<FakeVersion>();
        for (source.SeekToFirst(); source.Valid; source.Next())
        {
            var version = new FakeVersion(
                source.UserKey.ToArray(), source.Trailer, source.Value.ToArray(), source.ExpiresAtMs);
            Assert.True(flushed.Count == 0 || FakeVersion.Compare(flushed[^1], version) < 0, "a flush out of order");
            Assert.True(version.Trailer.Sequence <= lastSequence);
            flushed.Add(version);
        }

        Assert.True(position >= _files.Position, "a flush whose position goes back");
        Assert.All(tombstones, tombstone => Assert.True(tombstone.Sequence <= lastSequence));
        lock (_installing)
        {
            var versions = new List<FakeVersion>(_set.Versions);
            versions.AddRange(flushed);
            versions.Sort(FakeVersion.Compare);
            for (int i = 1; i < versions.Count; i++)
                Assert.True(FakeVersion.Compare(versions[i - 1], versions[i]) != 0, "a version flushed twice");
            Flushes++;
            _flushesSinceCompaction++;
            _files.Digest = digest;
            Install(versions, [.. _set.Tombstones, .. tombstones], position, lastSequence);
        }
    }

    public bool RunCompaction(Func<ulong[]> snapshots, CancellationToken cancellation = default)
    {
        if (!CompactionDue)
            return false;
        CompactionsBegun++;
        if (CompactionFailure is { } failure)
            throw failure;
        _flushesSinceCompaction = 0;
        Compact(snapshots);
        return true;
    }

    public bool DropCovered(Func<ulong[]> snapshots) => false;

    public void NoteOldestSnapshot(ulong oldest) { }

    public void CompactRange(byte[]? start, byte[]? end, Func<ulong[]> snapshots, Action? refresh = null, CancellationToken cancellation = default) =>
        Compact(snapshots);

    public void Checkpoint(string folder, CancellationToken cancellation = default) => throw new NotSupportedException();

    public void Ingest(IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> sorted, ulong sequence)
    {
        var versions = new List<FakeVersion>(_set.Versions);
        foreach ((ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value) in sorted)
            versions.Add(new FakeVersion(key.ToArray(), new Trailer(sequence, ValueKind.Value), value.ToArray(), 0));
        versions.Sort(FakeVersion.Compare);
        Install(versions, [.. _set.Tombstones], _files.Position, sequence);
    }

    public SortedStoreStatistics GetStatistics() => new() { EntryCount = _set.Versions.Length };

    public void Dispose()
    {
        Assert.False(Disposed);
        Disposed = true;
        _set.Release();
        Assert.DoesNotContain(_replaced, set => set.References > 0);
    }

    private void Compact(Func<ulong[]> snapshotsNow)
    {
        lock (_installing)
        {
            // After the input is settled: a snapshot taken later sees nothing older than what the input ends with.
            ulong[] snapshots = snapshotsNow();
            var kept = new List<FakeVersion>();
            FakeVersion? newer = null;
            foreach (FakeVersion version in _set.Versions)
            {
                bool newest = newer is null || !newer.Key.AsSpan().SequenceEqual(version.Key);
                ulong replaced = newest ? ulong.MaxValue : newer!.Trailer.Sequence;
                newer = version;
                foreach (RangeTombstone tombstone in _set.Tombstones)
                {
                    if (tombstone.Sequence > version.Trailer.Sequence && tombstone.Covers(version.Key))
                        replaced = Math.Min(replaced, tombstone.Sequence);
                }

                ulong sequence = version.Trailer.Sequence;
                if (replaced == ulong.MaxValue || Array.Exists(snapshots, s => s >= sequence && s < replaced))
                    kept.Add(version);
            }

            Install(kept, [.. _set.Tombstones], _files.Position, _files.Sequence);
        }
    }

    private void Install(List<FakeVersion> versions, List<RangeTombstone> tombstones, LogPosition position, ulong sequence)
    {
        FakeTableSet old;
        lock (_lock)
        {
            old = _set;
            _replaced.Add(old);
            _set = new FakeTableSet([.. versions], [.. tombstones]);
            _files.Versions = versions;
            _files.Tombstones = tombstones;
            _files.Position = position;
            _files.Sequence = sequence;
        }

        old.Release();
    }
}

internal sealed class FakeTableSet(FakeVersion[] versions, RangeTombstone[] tombstones) : ISortedView
{
    private int _references = 1;

    public FakeVersion[] Versions => versions;

    public RangeTombstone[] Tombstones => tombstones;

    public IReadOnlyList<RangeTombstone> RangeTombstones => tombstones;

    public int References => _references;

    public bool TryGet(ReadOnlySpan<byte> userKey, ulong keyHash, ulong sequence, BytesBuffer? value, out LookupResult result)
    {
        Assert.True(_references > 0, "a table set used after its release");
        Assert.Equal(StableHash.Hash64(userKey), keyHash);
        ulong cover = 0;
        foreach (RangeTombstone tombstone in tombstones)
        {
            if (tombstone.Sequence <= sequence && tombstone.Covers(userKey))
                cover = Math.Max(cover, tombstone.Sequence);
        }

        int index = LowerBound(userKey, Trailer.Seek(sequence));
        bool found = index < versions.Length && versions[index].Key.AsSpan().SequenceEqual(userKey);
        if (!found || versions[index].Trailer.Sequence < cover)
        {
            result = new LookupResult(cover, Deleted: true, 0, 0);
            return cover != 0;
        }

        FakeVersion version = versions[index];
        bool deleted = version.Trailer.Kind == ValueKind.Tombstone;
        if (!deleted)
            value?.Append(version.Value);
        result = new LookupResult(version.Trailer.Sequence, deleted, version.ExpiresAtMs, version.Value.Length);
        return true;
    }

    public void AddIterators(List<InternalIterator> iterators, bool bypassCache)
    {
        // In parts, as levels are, so that merging is put to work.
        Assert.True(_references > 0, "a table set used after its release");
        iterators.Add(new FakeIterator(Array.FindAll(versions, version => version.Key.Length % 2 == 0)));
        iterators.Add(new FakeIterator(Array.FindAll(versions, version => version.Key.Length % 2 != 0)));
    }

    public long EstimateSize(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end) => 0;

    public long UncoveredBytesWithin(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end) => 0;

    public void AddReference() => Interlocked.Increment(ref _references);

    public void Release() => Assert.True(Interlocked.Decrement(ref _references) >= 0, "a table set released twice");

    private int LowerBound(ReadOnlySpan<byte> key, Trailer trailer)
    {
        int index = 0;
        int high = versions.Length;
        while (index < high)
        {
            int middle = (index + high) / 2;
            if (FakeVersion.Compare(versions[middle], key, trailer) < 0)
                index = middle + 1;
            else
                high = middle;
        }

        return index;
    }
}

/// <summary>An internal iterator over a sorted array.</summary>
internal sealed class FakeIterator(FakeVersion[] versions) : InternalIterator
{
    private int _index = -1;

    public override bool Valid => (uint)_index < (uint)versions.Length;

    public override ReadOnlySpan<byte> UserKey => versions[_index].Key;

    public override Trailer Trailer => versions[_index].Trailer;

    public override ReadOnlySpan<byte> Value => versions[_index].Value;

    public override long ExpiresAtMs => versions[_index].ExpiresAtMs;

    public override void SeekToFirst() => _index = 0;

    public override void SeekToLast() => _index = versions.Length - 1;

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        _index = 0;
        while (_index < versions.Length && FakeVersion.Compare(versions[_index], userKey, trailer) < 0)
            _index++;
    }

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer)
    {
        _index = versions.Length - 1;
        while (_index >= 0 && FakeVersion.Compare(versions[_index], userKey, trailer) > 0)
            _index--;
    }

    public override void Next() => _index++;

    public override void Previous() => _index--;
}
