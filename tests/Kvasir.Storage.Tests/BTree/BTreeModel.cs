using Kvasir.Primitives;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>What a bucket must hold, and random operations on both.</summary>
internal sealed class BTreeModel(SeededRandom random, bool largeValues, SortedDictionary<byte[], byte[]>? map = null)
{
    private readonly SortedDictionary<byte[], byte[]> _map = map ?? new SortedDictionary<byte[], byte[]>(Comparer<byte[]>.Create((x, y) => x.AsSpan().SequenceCompareTo(y)));

    public int Round { get; set; }

    public int Count => _map.Count;

    public BTreeModel Clone() => new(random, largeValues, new SortedDictionary<byte[], byte[]>(_map, _map.Comparer)) { Round = Round };

    public List<(byte[] Key, byte[] Value)> Entries() => [.. _map.Select(e => (e.Key, e.Value))];

    public byte[] RandomKey(int max)
    {
        int kind = random.Next(20);
        if (kind == 0 && _map.Count > 0)
            return _map.Keys.ElementAt(random.Next(_map.Count));
        if (kind < 3)
        {
            // The shortest ones, too: with an empty value a page holds nothing smaller.
            var odd = new byte[random.Next(kind == 1 ? max + 1 : 3)];
            random.NextBytes(odd);
            return odd;
        }

        return BTreeWorld.Key($"key:{random.Next(3000):D6}");
    }

    public byte[] RandomValue()
    {
        int kind = random.Next(30);
        int length = kind == 0 ? random.Next(largeValues ? 200_000 : 20_000) : kind < 3 ? random.Next(5000) : kind < 6 ? random.Next(2) : random.Next(120);
        var value = new byte[length];
        random.NextBytes(value);
        return value;
    }

    public void Step(WritableBucket bucket)
    {
        byte[] key = RandomKey(bucket.KeyBytesMax);
        switch (random.Next(40))
        {
            case < 22:
                byte[] value = RandomValue();
                bucket.Put(key, value);
                _map[key] = value;
                break;
            case < 34:
                Assert.Equal(_map.Remove(key), bucket.Delete(key));
                break;
            case 34:
                byte[] other = random.OneIn(20) ? [] : RandomKey(bucket.KeyBytesMax);
                byte[] start = random.OneIn(20) ? [] : key;
                if (!random.OneIn(15) && start.AsSpan().StartsWith("key:"u8) && int.TryParse(start.AsSpan(4), out int from))
                    other = BTreeWorld.Key($"key:{from + random.Next(100):D6}");
                bucket.DeleteRange(start, other);
                foreach (byte[] gone in _map.Keys.Where(k => k.AsSpan().SequenceCompareTo(start) >= 0 && (other.Length == 0 || k.AsSpan().SequenceCompareTo(other) < 0)).ToArray())
                    _map.Remove(gone);
                break;
            default:
                Assert.Equal(_map.GetValueOrDefault(key), bucket.Get(key));
                break;
        }
    }

    public void PutMany(WritableBucket bucket, int count, int bytes)
    {
        for (int i = 0; i < count; i++)
        {
            byte[] key = BTreeWorld.Key($"key:{i:D6}");
            var value = new byte[bytes];
            value[i % bytes] = (byte)random.Next(256);
            bucket.Put(key, value);
            _map[key] = value;
        }
    }

    public void DeleteAll(WritableBucket bucket)
    {
        bucket.DeleteRange(default, default);
        _map.Clear();
    }

    public void AssertSame(Bucket bucket)
    {
        BTreeModelTests.AssertEqual(Entries(), BTreeWorld.ReadAll(bucket));
        BTreeCursor cursor = bucket.OpenCursor();
        for (int i = 0; i < 20; i++)
        {
            byte[] key = RandomKey(900);
            Assert.Equal(_map.GetValueOrDefault(key), bucket.Get(key));
            byte[]? next = _map.Keys.FirstOrDefault(k => k.AsSpan().SequenceCompareTo(key) >= 0);
            Assert.Equal(next, cursor.Seek(key) ? cursor.Key.ToArray() : null);
            byte[]? previous = _map.Keys.LastOrDefault(k => k.AsSpan().SequenceCompareTo(key) <= 0);
            Assert.Equal(previous, cursor.SeekForPrevious(key) ? cursor.Key.ToArray() : null);
        }
    }
}
