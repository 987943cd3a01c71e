using Kvasir.Primitives;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>What a bucket must hold, values that may have a deadline and buckets of its own, and random operations on both.</summary>
internal sealed class BTreeBucketModel(bool keysExpire)
{
    private static readonly Comparer<byte[]> s_order = Comparer<byte[]>.Create((x, y) => x.AsSpan().SequenceCompareTo(y));

    private SortedDictionary<byte[], (byte[] Value, long ExpiresAtMs)> _values = new(s_order);
    private readonly SortedDictionary<byte[], BTreeBucketModel> _buckets = new(s_order);

    /// <summary>Tells one state of the whole from another.</summary>
    public int Stamp { get; set; }

    public BTreeBucketModel Clone()
    {
        var clone = new BTreeBucketModel(keysExpire)
        {
            _values = new SortedDictionary<byte[], (byte[] Value, long ExpiresAtMs)>(_values, s_order),
            Stamp = Stamp,
        };
        foreach ((byte[] name, BTreeBucketModel inner) in _buckets)
            clone._buckets.Add(name, inner.Clone());
        return clone;
    }

    public void Step(SeededRandom random, WritableBucket bucket, long nowMs, int depth = 0)
    {
        if (depth < 3 && _buckets.Count > 0 && random.OneIn(2))
        {
            byte[] inner = _buckets.Keys.ElementAt(random.Next(_buckets.Count));
            _buckets[inner].Step(random, bucket.FindBucket(inner)!, nowMs, depth + 1);
            return;
        }

        byte[] key = RandomKey(random);

        // No value has a key with it.
        byte[] name = [.. RandomKey(random), (byte)'b'];
        switch (random.Next(30))
        {
            case 0:
                bucket.GetOrCreateBucket(name);
                _buckets.TryAdd(name, new BTreeBucketModel(keysExpire));
                break;
            case 1:
                Assert.Equal(_buckets.Remove(name), bucket.DeleteBucket(name));
                break;
            case 2:
                DeleteRange(bucket, key, BTreeWorld.Key($"{random.Next(200):D4}"));
                break;
            case < 8:
                Put(random, bucket, key, timeToLive: null, nowMs);
                break;
            case < 20:
                Put(random, bucket, key, keysExpire ? RandomTime(random) : null, nowMs);
                break;
            case < 23 when keysExpire:
                SetTimeToLive(bucket, key, random.OneIn(3) ? null : RandomTime(random), nowMs);
                break;
            default:
                Assert.Equal(IsThere(key, nowMs), bucket.Delete(key));
                _values.Remove(key);
                break;
        }
    }

    public void AssertSame(Bucket bucket, long nowMs)
    {
        List<(byte[] Key, byte[] Value)> live = [.. _values.Where(e => e.Value.ExpiresAtMs > nowMs).Select(e => (e.Key, e.Value.Value))];
        BTreeModelTests.AssertEqual(live, BTreeWorld.ReadAll(bucket));
        Assert.Equal(live.Count == 0 && _buckets.Count == 0, bucket.IsEmpty);
        BTreeCursor cursor = bucket.OpenCursor();
        List<byte[]> names = [];
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
        {
            if (cursor.IsBucket)
            {
                names.Add(cursor.Key.ToArray());
                continue;
            }

            long deadline = _values[cursor.Key.ToArray()].ExpiresAtMs;
            DateTimeOffset? expected = deadline == long.MaxValue ? null : DateTimeOffset.FromUnixTimeMilliseconds(deadline);
            Assert.Equal(expected, cursor.ExpiresAt);
            Assert.Equal(expected, bucket.ExpiresAt(cursor.Key));
            Assert.True(bucket.TryGet(cursor.Key, out ReadOnlySpan<byte> value) && value.SequenceEqual(cursor.Value));
        }

        foreach ((byte[] key, (byte[] _, long expiresAtMs)) in _values)
            Assert.Equal(expiresAtMs > nowMs, bucket.Contains(key));
        Assert.Equal(_buckets.Keys, names);
        foreach ((byte[] name, BTreeBucketModel inner) in _buckets)
            inner.AssertSame(bucket.FindBucket(name)!, nowMs);
    }

    // Some of them the shortest that there are: with an empty value a page holds nothing smaller.
    private static byte[] RandomKey(SeededRandom random)
    {
        byte[] key = BTreeWorld.Key($"{random.Next(200):D4}");
        return random.OneIn(12) ? key[^random.Next(3)..] : key;
    }

    private static TimeSpan RandomTime(SeededRandom random) => TimeSpan.FromMilliseconds(random.Next(1, 3000));

    private static byte[] RandomValue(SeededRandom random)
    {
        int length = random.Next(30) switch
        {
            0 => random.Next(12_000),

            // About as long as what a page takes in.
            < 4 => random.Next(1900, 2050),
            < 7 => random.Next(2),
            _ => random.Next(200),
        };
        var value = new byte[length];
        random.NextBytes(value);
        return value;
    }

    private static long DeadlineMs(TimeSpan? timeToLive, long nowMs) => timeToLive is { } time ? nowMs + (long)time.TotalMilliseconds : long.MaxValue;

    private static bool IsWithin(byte[] key, byte[] start, byte[] end) =>
        key.AsSpan().SequenceCompareTo(start) >= 0 && key.AsSpan().SequenceCompareTo(end) < 0;

    private void Put(SeededRandom random, WritableBucket bucket, byte[] key, TimeSpan? timeToLive, long nowMs)
    {
        byte[] value = RandomValue(random);
        if (timeToLive is { } time)
            bucket.Put(key, value, time);
        else
            bucket.Put(key, value);
        _values[key] = (value, DeadlineMs(timeToLive, nowMs));
    }

    private void SetTimeToLive(WritableBucket bucket, byte[] key, TimeSpan? timeToLive, long nowMs)
    {
        bool isThere = IsThere(key, nowMs);
        Assert.Equal(isThere, bucket.SetTimeToLive(key, timeToLive));
        if (isThere)
            _values[key] = (_values[key].Value, DeadlineMs(timeToLive, nowMs));
    }

    private void DeleteRange(WritableBucket bucket, byte[] start, byte[] end)
    {
        bucket.DeleteRange(start, end);
        foreach (byte[] gone in _values.Keys.Where(k => IsWithin(k, start, end)).ToArray())
            _values.Remove(gone);
        foreach (byte[] gone in _buckets.Keys.Where(k => IsWithin(k, start, end)).ToArray())
            _buckets.Remove(gone);
    }

    private bool IsThere(byte[] key, long nowMs) => _values.TryGetValue(key, out (byte[] Value, long ExpiresAtMs) value) && value.ExpiresAtMs > nowMs;
}
