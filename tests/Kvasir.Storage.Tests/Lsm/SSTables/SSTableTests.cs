using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm.Cache;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.SSTables;

public sealed class SSTableTests
{
    private readonly BlockCache _cache = new(new MemoryBudget(MemoryBudget.MinimumBytes));

    public static TheoryData<ulong, int, int, bool> Shapes()
    {
        var data = new TheoryData<ulong, int, int, bool>();
        ulong seed = 1;
        foreach (int restart in new[] { 1, 2, 16, 1000 })
        {
            foreach (int block in new[] { 64, 300, 4096 })
            {
                data.Add(seed++, restart, block, false);
                data.Add(seed++, restart, block, true);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void ATableReadsLikeTheSortedListItWasMadeOf(ulong seed, int restart, int block, bool compress)
    {
        var random = new SeededRandom(seed);
        var files = new MemoryFileSystem();
        List<Version> model = RandomVersions(random, 1500, 200, 60);
        Write(files, "/t", 7, model, new SSTableWriterOptions { RestartInterval = restart, BlockBytes = block, Compress = compress });
        SSTableReader reader = Read(files, "/t", 7, _cache);

        foreach (bool bypass in new[] { false, true })
        {
            using SSTableIterator iterator = reader.CreateIterator(bypass);
            AssertSame(model, ReadAll(iterator));
            AssertSame(model, ReadAllBackward(iterator));
            using var expected = new SortedSource(model);
            for (int i = 0; i < 2000; i++)
            {
                Step(random, model, expected, iterator, $"seed {seed} step {i}");
            }
        }

        CheckLookups(random, model, reader);
        reader.Release();
        Assert.Equal(0, files.OpenFiles);
    }

    [Fact]
    public void AValueOfManyMebibytesIsABlockOfItsOwn()
    {
        var files = new MemoryFileSystem();
        var big = new byte[20 << 20];
        new SeededRandom(3).NextBytes(big);
        Version[] model =
        [
            Put("a", 1, "small"), new(Key("b"), new Trailer(2, ValueKind.Value), big), Put("c", 3, "small"),
        ];
        Write(files, "/t", 1, model);
        SSTableReader reader = Read(files, "/t", 1, _cache);
        var value = new BytesBuffer();
        Assert.True(reader.TryGet(Key("b"), 10, value, out LookupResult result));
        Assert.Equal(big.Length, result.ValueLength);
        Assert.True(value.WrittenSpan.SequenceEqual(big));
        using SSTableIterator iterator = reader.CreateIterator(bypassCache: true);
        AssertSame(model, ReadAll(iterator));
        reader.Release();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void EveryFlippedByteIsNoticed(bool compress)
    {
        var files = new MemoryFileSystem();
        List<Version> model = RandomVersions(new SeededRandom(5), 120, 40, 30);
        Write(
            files, "/t", 1, model, new SSTableWriterOptions { BlockBytes = 512, Compress = compress },
            new RangeTombstone(Key("u"), Key("v"), 9));
        byte[] good = files.Bytes("/t");
        for (int i = 0; i < good.Length; i++)
        {
            byte[] bad = [.. good];
            bad[i] ^= (byte)(1 << (i % 8));
            files.SetBytes("/t", bad);
            AssertDamaged(files, i);
        }

        for (int length = 0; length < good.Length; length++)
        {
            files.SetBytes("/t", good[..length]);
            AssertDamaged(files, length);
        }

        Assert.Equal(0, files.OpenFiles);
    }

    [Fact]
    public void ABlockOfAnotherPlaceOrTableIsNoticed()
    {
        var files = new MemoryFileSystem();
        Version[] model = [.. Enumerable.Range(0, 100).Select(i => Put($"k{i:D4}", 5, "value"))];
        var options = new SSTableWriterOptions { BlockBytes = 256 };
        Write(files, "/t", 1, model, options);
        Write(files, "/u", 2, model, options);
        byte[] t = files.Bytes("/t");
        byte[] u = files.Bytes("/u");
        SSTableReader reader = Read(files, "/t", 1, _cache);
        BlockHandle first = reader.Handle(0);
        BlockHandle second = reader.Handle(1);
        reader.Release();
        Assert.Equal(first.Length, second.Length);

        byte[] misplaced = [.. t];
        Array.Copy(t, first.Offset, misplaced, second.Offset, first.Length + SSTableFormat.BlockTrailerBytes);
        files.SetBytes("/t", misplaced);
        AssertDamaged(files, 0);

        byte[] foreign = [.. t];
        Array.Copy(u, first.Offset, foreign, first.Offset, first.Length + SSTableFormat.BlockTrailerBytes);
        files.SetBytes("/t", foreign);
        AssertDamaged(files, 0);
    }

    private void AssertDamaged(MemoryFileSystem files, int at)
    {
        var thrown = Assert.ThrowsAny<Storage.Files.StorageException>(() =>
        {
            SSTableReader reader = Read(files, "/t", 1, _cache);
            try
            {
                using SSTableIterator iterator = reader.CreateIterator(bypassCache: true);
                ReadAll(iterator);
            }
            finally
            {
                reader.Release();
            }
        });
        Assert.True(thrown is Storage.Files.CorruptionException or Storage.Files.FormatTooNewException, $"byte {at}: {thrown}");
    }

    private static void Step(SeededRandom random, List<Version> model, SortedSource expected, SSTableIterator iterator, string where)
    {
        int action = random.Next(8);
        if (!expected.Valid && action < 4)
            action = 4;
        Version target = model[random.Next(model.Count)];
        byte[] key = random.OneIn(3) ? [.. target.Key, (byte)random.Next(256)] : target.Key;
        Trailer trailer = random.OneIn(2) ? target.Trailer : Trailer.Seek((ulong)random.Next(1600));
        switch (action)
        {
            case < 2:
                expected.Next();
                iterator.Next();
                break;
            case < 4:
                expected.Previous();
                iterator.Previous();
                break;
            case 4 or 5:
                expected.Seek(key, trailer);
                iterator.Seek(key, trailer);
                break;
            case 6:
                expected.SeekForPrevious(key, trailer);
                iterator.SeekForPrevious(key, trailer);
                break;
            default:
                expected.SeekToLast();
                iterator.SeekToLast();
                break;
        }

        Assert.True(expected.Valid == iterator.Valid, where);
        if (expected.Valid)
            Assert.True(Current(expected).ToString() == Current(iterator).ToString(), where);
    }

    private static void CheckLookups(SeededRandom random, List<Version> model, SSTableReader reader)
    {
        var value = new BytesBuffer();
        for (int i = 0; i < 3000; i++)
        {
            byte[] key = model[random.Next(model.Count)].Key;
            if (random.OneIn(4))
                key = [.. key, (byte)random.Next(256)];
            ulong sequence = (ulong)random.Next(1600);
            Version? expected = model.FirstOrDefault(v => v.Key.AsSpan().SequenceEqual(key) && v.Trailer.Sequence <= sequence);
            value.Clear();
            bool found = reader.TryGet(key, sequence, value, out LookupResult result);
            Assert.Equal(expected is not null, found);
            if (expected is null)
                continue;
            Assert.True(reader.MayContain(StableHash.Hash64(key)));
            Assert.Equal(expected.Trailer.Sequence, result.Sequence);
            Assert.Equal(expected.Trailer.Kind == ValueKind.Tombstone, result.Deleted);
            Assert.Equal(expected.ExpiresAtMs, result.ExpiresAtMs);
            Assert.True(value.WrittenSpan.SequenceEqual(expected.Value));
        }
    }
}
