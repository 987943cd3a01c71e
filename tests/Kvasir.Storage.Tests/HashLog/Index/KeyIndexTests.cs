using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Readers;

namespace Kvasir.Storage.Tests.HashLog.Index;

public sealed unsafe class KeyIndexTests : IDisposable
{
    private readonly MemoryBudget _budget = new(64L << 20);
    private readonly ReclamationEpoch _epoch = new();
    private readonly KeyIndex _index;

    public KeyIndexTests() => _index = new KeyIndex(_budget, _epoch);

    public void Dispose() => _index.Free();

    [Fact]
    public void WhatIsInsertedRemovedAndReplacedIsFoundAsInADictionary()
    {
        var random = new SeededRandom(7);
        var model = new SortedDictionary<(ulong, uint), ulong>();
        for (int i = 0; i < 300_000; i++)
        {
            if (i % 7_000 == 0)
                _index.Trim();
            ulong token = StableHash.Hash64(BitConverter.GetBytes(random.Next(60_000)));
            uint check = (uint)(token * 31);
            using KeyIndex.HeldShard held = _index.Lock(token);
            ulong* there = held.Find(token, check);
            Assert.Equal(model.TryGetValue((token, check), out ulong expected) ? expected : 0, there == null ? 0 : *there);
            if (there != null && random.OneIn(2))
            {
                held.Remove(token, check);
                model.Remove((token, check));
                continue;
            }

            ulong location = 2 + random.NextUInt64() % (1UL << 62);
            if (there == null)
                held.Insert(token, check, location);
            else
                *there = location;
            model[(token, check)] = location;
        }

        Assert.Equal(model.Count, _index.Count);
        Assert.Equal(model.Select(m => new IndexEntry(m.Key.Item1, m.Key.Item2, m.Value)), All());
    }

    [Fact]
    public void TrimmedToWhatIsLeft()
    {
        Fill(100_000);
        long full = _index.UsedBytes;
        List<IndexEntry> all = All();
        foreach (IndexEntry entry in all.Where((_, i) => i % 4 != 0))
            Remove(entry);
        _index.Trim();
        Assert.InRange(_index.UsedBytes, full / 4, full / 2);
        Assert.Equal(all.Where((_, i) => i % 4 == 0), All());
        foreach (IndexEntry entry in All())
            Remove(entry);
        _index.Trim();
        Assert.Equal(0, _index.UsedBytes);
        Fill(1000);
        Assert.Equal(1000, _index.Count);
    }

    [Theory]
    [InlineData(9_500)]
    [InlineData(10_700)]
    [InlineData(12_500)]
    [InlineData(15_000)]
    [InlineData(17_500)]
    public void WhatIsGivenBackIsEnoughForAsManyOthers(int keys)
    {
        Fill(keys);
        long full = _index.UsedBytes;
        List<IndexEntry> all = All();
        foreach (IndexEntry entry in all.Where((_, i) => i % 8 == 0))
            Remove(entry);
        _index.Trim();
        Fill((keys + 7) / 8, from: keys);
        Assert.Equal(keys, _index.Count);

        // Others fall into other regions: a page more here and there.
        Assert.InRange(_index.UsedBytes, full / 2, full * 103 / 100);
    }

    [Theory]
    [InlineData(1_000)]
    [InlineData(10_000)]
    [InlineData(100_000)]
    [InlineData(400_000)]
    public void KeysTakeNoMoreThanThirtyTwoBytesEach(int keys)
    {
        Fill(keys);
        Assert.InRange((double)_index.UsedBytes / keys, 20, keys < 10_000 ? 36 : 32);
    }

    [Fact]
    public void KeysThatWereToldOfAheadTakeNoMoreThanOthers()
    {
        using var index = new IndexHolder(new KeyIndex(_budget, _epoch, expectedKeys: 200_000));
        for (int i = 0; i < 200_000; i++)
        {
            ulong token = StableHash.Hash64(BitConverter.GetBytes(i));
            using KeyIndex.HeldShard held = index.Index.Lock(token);
            held.Insert(token, (uint)i, (ulong)i + 2);
        }

        Assert.InRange((double)index.Index.UsedBytes / 200_000, 20, 32);
    }

    [Fact]
    public void AWalkIsInTheOrderOfTokens()
    {
        Fill(50_000);
        ulong before = 0;
        int count = 0;
        foreach (IndexEntry entry in All())
        {
            Assert.True(entry.Token >= before);
            before = entry.Token;
            count++;
        }

        Assert.Equal(50_000, count);
    }

    [Fact]
    public void KeysWhoseTokensCrowdAreFoundAllTheSame()
    {
        // All in one place: nothing would part them.
        for (uint i = 0; i < 5_000; i++)
        {
            ulong token = 0xABCDEF0000000000 + (i / 4);
            using KeyIndex.HeldShard held = _index.Lock(token);
            held.Insert(token, i, i + 2);
        }

        for (uint i = 0; i < 5_000; i++)
        {
            using KeyIndex.HeldShard held = _index.Lock(0xABCDEF0000000000 + (i / 4));
            Assert.Equal(i + 2, *held.Find(0xABCDEF0000000000 + (i / 4), i));
        }

        Assert.Equal(5_000, All().Count);
        Assert.InRange(_index.AllocatedBytes, 0, 1 << 20);
    }

    [Fact]
    public void CandidatesOfATokenAreAllOfItsKeys()
    {
        for (uint i = 0; i < 20; i++)
        {
            using KeyIndex.HeldShard held = _index.Lock(77);
            held.Insert(77, i, 100 + i);
        }

        var found = new List<ulong>();
        int ticket = _epoch.Enter();
        KeyIndex.Candidates candidates = _index.Find(77);
        while (candidates.MoveNext())
            found.Add(candidates.Current);
        _epoch.Leave(ticket);
        Assert.Equal(Enumerable.Range(100, 20).Select(i => (ulong)i), found.Order());
    }

    [Fact]
    public void PagesAreGivenBackWhenNoReaderIsLeft()
    {
        int ticket = _epoch.Enter();
        Fill(20_000);
        long held = _index.AllocatedBytes;
        _epoch.Leave(ticket);
        _epoch.Advance();
        long used = _index.UsedBytes;
        Assert.True(used < held, $"{used} of {held} bytes");
        Assert.True(_epoch.TryDrain());
        _index.Free();
        Assert.Equal(0, _budget.CacheBytes);
    }

    private void Remove(IndexEntry entry)
    {
        using KeyIndex.HeldShard held = _index.Lock(entry.Token);
        held.Remove(entry.Token, entry.Check);
    }

    private void Fill(int keys, int from = 0)
    {
        for (int i = from; i < from + keys; i++)
        {
            ulong token = StableHash.Hash64(BitConverter.GetBytes(i));
            using KeyIndex.HeldShard held = _index.Lock(token);
            held.Insert(token, (uint)i, (ulong)i + 2);
        }
    }

    private List<IndexEntry> All()
    {
        var all = new List<IndexEntry>();
        var region = new List<IndexEntry>();
        for (ulong? from = 0; from is { } token;)
        {
            from = _index.ReadRegion(token, region);
            all.AddRange(region);
        }

        return all;
    }

    private sealed class IndexHolder(KeyIndex index) : IDisposable
    {
        public KeyIndex Index => index;

        public void Dispose() => index.Free();
    }
}
