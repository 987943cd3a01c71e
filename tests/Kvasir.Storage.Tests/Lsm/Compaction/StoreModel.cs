using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.Compaction;

/// <summary>One memtable's worth of mutations, ready to be flushed.</summary>
internal sealed record FlushInput(List<Version> Versions, List<RangeTombstone> Tombstones, LogPosition Position, ulong LastSequence);

/// <summary>Everything ever flushed: says what a view at a sequence number must show, and checks a store against it.</summary>
internal sealed class StoreModel
{
    public const int KeySpace = 120;

    private readonly Dictionary<string, List<Version>> _versions = new(StringComparer.Ordinal);
    private readonly List<RangeTombstone> _tombstones = [];

    public ulong LastSequence { get; private set; }

    public LogPosition Position { get; private set; }

    public StoreModel Clone()
    {
        var clone = new StoreModel { LastSequence = LastSequence, Position = Position };
        foreach ((string key, List<Version> list) in _versions)
            clone._versions.Add(key, [.. list]);
        clone._tombstones.AddRange(_tombstones);
        return clone;
    }

    public void Apply(FlushInput input)
    {
        foreach (Version version in input.Versions)
        {
            string key = Convert.ToHexString(version.Key);
            if (!_versions.TryGetValue(key, out List<Version>? list))
                _versions.Add(key, list = []);
            list.Add(version);
        }

        _tombstones.AddRange(input.Tombstones);
        LastSequence = Math.Max(LastSequence, input.LastSequence);
        Position = input.Position;
    }

    public static byte[] KeyOf(int i) => Key($"key{i:D4}");

    public FlushInput Draw(SeededRandom random, long nowMs, int count)
    {
        var versions = new SortedSet<Version>();
        var tombstones = new List<RangeTombstone>();
        ulong sequence = LastSequence;
        for (int i = 0; i < count; i++)
        {
            sequence++;
            byte[] key = KeyOf(random.Next(KeySpace));
            int action = random.Next(20);
            if (action == 0)
            {
                int from = random.Next(KeySpace);
                byte[]? end = random.OneIn(10) ? null : KeyOf(from + 1 + random.Next(20));
                tombstones.Add(new RangeTombstone(random.OneIn(10) ? [] : KeyOf(from), end, sequence));
                continue;
            }

            ValueKind kind = action < 6 ? ValueKind.Tombstone : action < 9 ? ValueKind.ExpiringValue : ValueKind.Value;
            var value = new byte[kind == ValueKind.Tombstone ? 0 : random.Next(80)];
            random.NextBytes(value);
            if (random.OneIn(2))
                Array.Fill(value, (byte)action);
            long deadline = kind == ValueKind.ExpiringValue ? nowMs + random.Next(-50, 5000) : 0;
            versions.Add(new Version(key, new Trailer(sequence, kind), value, deadline));
        }

        return new FlushInput([.. versions], tombstones, new LogPosition(Position.Value + (ulong)count), sequence);
    }

    /// <summary>The live value at a view, or null.</summary>
    public Version? Visible(byte[] key, ulong sequence, long nowMs)
    {
        if (!_versions.TryGetValue(Convert.ToHexString(key), out List<Version>? list))
            return null;
        Version? newest = null;
        foreach (Version version in list)
        {
            if (version.Trailer.Sequence <= sequence && (newest is null || version.Trailer.Sequence > newest.Trailer.Sequence))
                newest = version;
        }

        if (newest is null || newest.Trailer.Kind == ValueKind.Tombstone
            || (newest.Trailer.Kind == ValueKind.ExpiringValue && newest.ExpiresAtMs <= nowMs))
            return null;
        foreach (RangeTombstone tombstone in _tombstones)
        {
            if (tombstone.Sequence > newest.Trailer.Sequence && tombstone.Sequence <= sequence && tombstone.Covers(key))
                return null;
        }

        return newest;
    }

    public void Check(TableStore store, IEnumerable<ulong> views, long nowMs, string where)
    {
        ISortedView set = store.Acquire();
        try
        {
            foreach (ulong view in views)
                CheckView(set, view, nowMs, where);
        }
        finally
        {
            set.Release();
        }
    }

    private void CheckView(ISortedView set, ulong view, long nowMs, string where)
    {
        var value = new BytesBuffer();
        var expected = new List<Version>();
        for (int i = 0; i < KeySpace; i++)
        {
            byte[] key = KeyOf(i);
            Version? visible = Visible(key, view, nowMs);
            if (visible is not null)
                expected.Add(visible);
            value.Clear();
            bool found = set.TryGet(key, StableHash.Hash64(key), view, value, out LookupResult result)
                && !result.Deleted && (result.ExpiresAtMs == 0 || result.ExpiresAtMs > nowMs);
            Assert.True(found == visible is not null, $"{where}: key {i} at {view}, expected {visible}, found {found} {result}");
            if (visible is null)
                continue;
            Assert.True(result.Sequence == visible.Trailer.Sequence, $"{where}: key {i} at {view}");
            Assert.True(value.WrittenSpan.SequenceEqual(visible.Value), $"{where}: key {i} at {view}");
        }

        List<Version> scanned = Scan(set, view, nowMs);
        Assert.True(
            expected.Select(v => v.ToString()).SequenceEqual(scanned.Select(v => v.ToString()), StringComparer.Ordinal),
            $"{where}: scan at {view}");
    }

    /// <summary>The plainest reading of all iterators together.</summary>
    private static List<Version> Scan(ISortedView set, ulong view, long nowMs)
    {
        var iterators = new List<InternalIterator>();
        set.AddIterators(iterators, bypassCache: true);
        var tombstones = new FragmentedTombstones(set.RangeTombstones);
        var all = new SortedSet<Version>();
        foreach (InternalIterator iterator in iterators)
        {
            List<Version> forward = ReadAll(iterator);
            AssertSame(forward, ReadAllBackward(iterator));
            all.UnionWith(forward);
            iterator.Dispose();
        }

        var live = new List<Version>();
        byte[]? last = null;
        foreach (Version version in all)
        {
            if (version.Trailer.Sequence > view || (last is not null && last.AsSpan().SequenceEqual(version.Key)))
                continue;
            last = version.Key;
            bool dead = version.Trailer.Kind == ValueKind.Tombstone || (version.ExpiresAtMs != 0 && version.ExpiresAtMs <= nowMs)
                || tombstones.Covering(version.Key, view) > version.Trailer.Sequence;
            if (!dead)
                live.Add(version);
        }

        return live;
    }
}
