using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Buffered.MemTables;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Tests.Lsm.MemTables;

/// <summary>The order that a memtable makes on demand, against a sorted dictionary.</summary>
public unsafe class MemTableOrderTests
{
    private static readonly Comparer<byte[]> s_bytewise =
        Comparer<byte[]>.Create(static (x, y) => x.AsSpan().SequenceCompareTo(y));

    public static TheoryData<int> Shapes => [0, 1, 2, 3, 4, 5];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void KeysComeInOrderHoweverInsertsAndIteratorsInterleave(int shape)
    {
        for (ulong seed = 0; seed < 20; seed++)
        {
            var random = new SeededRandom(seed);
            var budget = new MemoryBudget(MemoryBudget.MinimumBytes);
            var memTable = new MemTable(budget);
            var model = new SortedDictionary<byte[], ulong>(s_bytewise);
            ulong sequence = 0;
            int rounds = 1 + random.Next(30);
            for (int round = 0; round < rounds; round++)
            {
                for (int i = random.Next(random.OneIn(5) ? 2000 : 20); i >= 0; i--)
                {
                    byte[] key = Key(random, shape, sequence);
                    model[key] = ++sequence;
                    memTable.Add(key, StableHash.Hash64(key), sequence, ValueKind.Value, BitConverter.GetBytes(sequence), 0);
                }

                AssertSame(model, memTable, sequence, $"seed {seed}, shape {shape}, round {round}");
                AssertSeeks(model, memTable, sequence, random, shape);
            }

            memTable.Release();
            Assert.Equal(0, budget.WriteBytes);
        }
    }

    [Fact]
    public void AnIteratorKeepsItsViewWhileWritesGoOn()
    {
        var budget = new MemoryBudget(MemoryBudget.MinimumBytes);
        var memTable = new MemTable(budget);
        ulong sequence = 0;
        void Put(string text)
        {
            byte[] key = Encoding.UTF8.GetBytes(text);
            memTable.Add(key, StableHash.Hash64(key), ++sequence, ValueKind.Value, key, 0);
        }

        Put("b");
        Put("d");
        var sources = new List<InternalIterator>();
        memTable.AddIterators(sources, sequence);
        using InternalIterator iterator = MergingIterator.Over(sources);
        ulong view = sequence;
        Put("a");
        Put("b");
        Put("c");
        var seen = new List<string>();
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
        {
            seen.Add(Encoding.UTF8.GetString(iterator.UserKey));
            Assert.True(iterator.Trailer.Sequence <= view);
        }

        Assert.Equal(["b", "d"], seen);
    }

    [Fact]
    public void AWithdrawnWriteIsGoneAndWhatItReplacedIsBack()
    {
        var memTable = new MemTable(new MemoryBudget(MemoryBudget.MinimumBytes));
        byte[] key = "k"u8.ToArray();
        ulong hash = StableHash.Hash64(key);
        memTable.Add(key, hash, 1, ValueKind.Value, "old"u8, 0);
        KeyNode* node = memTable.Add(key, hash, 2, ValueKind.Value, "new"u8, 0);
        byte[] other = "other"u8.ToArray();
        KeyNode* otherNode = memTable.Add(other, StableHash.Hash64(other), 3, ValueKind.Value, "x"u8, 0);
        MemTable.Withdraw(otherNode);
        MemTable.Withdraw(node);
        Assert.True(ValueVersion.Value(memTable.Find(key, hash, ulong.MaxValue)).SequenceEqual("old"u8));
        Assert.True(memTable.Find(other, StableHash.Hash64(other), ulong.MaxValue) == null);
        var sources = new List<InternalIterator>();
        memTable.AddIterators(sources, ulong.MaxValue);
        using (InternalIterator iterator = MergingIterator.Over(sources))
        {
            iterator.SeekToFirst();
            Assert.True(iterator.UserKey.SequenceEqual(key));
            iterator.Next();
            Assert.False(iterator.Valid);
        }

        memTable.Release();
    }

    [Fact]
    public void AnEmptyMemTableTakesLittleMemory()
    {
        var budget = new MemoryBudget(MemoryBudget.MinimumBytes);
        var memTable = new MemTable(budget);
        Assert.True(budget.WriteBytes <= 4096, $"{budget.WriteBytes} bytes");
        memTable.Release();
    }

    private static byte[] Key(SeededRandom random, int shape, ulong sequence)
    {
        switch (shape)
        {
            case 0: // ascending, as a bulk load
                return Encoding.ASCII.GetBytes($"key:{sequence:D12}");
            case 1: // one long shared part
                return Encoding.ASCII.GetBytes($"user:profile:session:{random.Next(5000):D12}");
            case 2: // shared parts that end in zeros, and keys that are parts of others
                return new byte[random.Next(40)];
            case 3:
                byte[] few = new byte[random.Next(24)];
                for (int i = 0; i < few.Length; i++)
                    few[i] = (byte)random.Next(2);
                return few;
            case 4:
                byte[] any = new byte[random.Next(20)];
                random.NextBytes(any);
                return any;
            default: // groups that part only after several digits of eight bytes
                string group = new((char)('a' + random.Next(3)), 30);
                return Encoding.ASCII.GetBytes(group + random.Next(3) + new string('-', 20) + random.Next(500));
        }
    }

    private static void AssertSame(SortedDictionary<byte[], ulong> model, MemTable memTable, ulong sequence, string context)
    {
        var sources = new List<InternalIterator>();
        memTable.AddIterators(sources, sequence);
        Assert.True(sources.Count <= 24, "more runs than the logarithm allows");
        using InternalIterator iterator = MergingIterator.Over(sources);
        iterator.SeekToFirst();
        foreach ((byte[] key, ulong last) in model)
        {
            Assert.True(iterator.Valid && iterator.UserKey.SequenceEqual(key), context);
            Assert.Equal(last, iterator.Trailer.Sequence);
            iterator.Next();
        }

        Assert.False(iterator.Valid);
        iterator.SeekToLast();
        foreach (byte[] key in model.Keys.Reverse())
        {
            Assert.True(iterator.Valid && iterator.UserKey.SequenceEqual(key), context);
            iterator.Previous();
        }

        Assert.False(iterator.Valid);
    }

    private static void AssertSeeks(
        SortedDictionary<byte[], ulong> model, MemTable memTable, ulong sequence, SeededRandom random, int shape)
    {
        byte[][] keys = [.. model.Keys];
        var sources = new List<InternalIterator>();
        memTable.AddIterators(sources, sequence);
        using InternalIterator iterator = MergingIterator.Over(sources);
        for (int i = 0; i < 20; i++)
        {
            byte[] key = Key(random, shape, (ulong)random.NextInt64((long)sequence + 2));
            int index = Array.BinarySearch(keys, key, s_bytewise);
            int at = index < 0 ? ~index : index;
            iterator.Seek(key, Trailer.Seek(sequence));
            Assert.Equal(at < keys.Length, iterator.Valid);
            if (iterator.Valid)
                Assert.True(iterator.UserKey.SequenceEqual(keys[at]));
            int before = index < 0 ? ~index - 1 : index;
            iterator.SeekForPrevious(key, default);
            Assert.Equal(before >= 0, iterator.Valid);
            if (iterator.Valid)
                Assert.True(iterator.UserKey.SequenceEqual(keys[before]));
        }
    }
}
