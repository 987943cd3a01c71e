using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm.Tables;
using static Kvasir.Storage.Tests.Lsm.TableFixture;

namespace Kvasir.Storage.Tests.Lsm.Tables;

public sealed class TableStoreConcurrencyTests
{
    private const int Keys = 300;
    private const int Flushes = 150;

    /// <summary>
    /// Every flush rewrites every key; a value says which sequence number wrote it. Readers on their own threads see
    /// each key no older than the last flush they knew of, whatever is compacted, closed, evicted and deleted meanwhile.
    /// </summary>
    [Fact]
    public async Task ReadersSeeNoOlderStateThanTheyKnowOf()
    {
        var files = new MemoryFileSystem();
        var scheduler = new InlineScheduler();
        var environment = new EngineEnvironment(files, scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        TableStore store = TableStore.Open(Folder, environment, SmallOptions with { OpenFilesMax = 3 });
        long flushed = 0;
        Task writer = Task.Run(() =>
        {
            for (int flush = 1; flush <= Flushes; flush++)
            {
                ulong first = (ulong)(flush - 1) * Keys;
                store.Flush(
                    new SortedSource(Enumerable.Range(0, Keys).Select(i => Entry(i, first + (ulong)i + 1))), [],
                    new LogPosition((ulong)flush), first + Keys);
                Volatile.Write(ref flushed, flush);
                while (store.LevelZeroTables > 12)
                    Thread.Yield();
            }
        });
        Task[] compactors = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            while (!writer.IsCompleted || store.CompactionDue)
            {
                store.RunCompaction(() => [store.FlushedSequence]);
                scheduler.RunAll();
            }
        }))];
        Task[] readers = [.. Enumerable.Range(0, 2).Select(seed => Task.Run(() =>
        {
            var random = new SeededRandom((ulong)seed);
            while (!writer.IsCompleted)
                ReadSome(store, random, Volatile.Read(ref flushed));
        }))];

        await Task.WhenAll([writer, .. compactors, .. readers]);
        scheduler.RunAll();
        Assert.Equal(store.GetStatistics().Levels.Sum(l => l.Files), files.Paths.Count(TableInspector.Knows));
        store.Dispose();
        Assert.Equal(0, files.OpenFiles);
        Assert.Equal(0, environment.Memory.CacheBytes);
    }

    private static void ReadSome(TableStore store, SeededRandom random, long flushed)
    {
        if (flushed == 0)
            return;
        ulong oldest = (ulong)(flushed - 1) * Keys;
        ISortedView set = store.Acquire();
        var value = new BytesBuffer();
        for (int n = 0; n < 20; n++)
        {
            int i = random.Next(Keys);
            value.Clear();
            byte[] key = Key($"key{i:D4}");
            Assert.True(set.TryGet(key, StableHash.Hash64(key), ulong.MaxValue >> 8, value, out LookupResult result));
            CheckValue(i, result.Sequence, value.WrittenSpan, oldest);
        }

        if (random.OneIn(10))
        {
            var iterators = new List<InternalIterator>();
            set.AddIterators(iterators, bypassCache: random.OneIn(2));
            foreach (InternalIterator iterator in iterators)
            {
                for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
                {
                    int i = int.Parse(System.Text.Encoding.ASCII.GetString(iterator.UserKey[3..]), System.Globalization.CultureInfo.InvariantCulture);
                    CheckValue(i, iterator.Trailer.Sequence, iterator.Value, 0);
                }

                iterator.Dispose();
            }
        }

        set.Release();
    }

    private static Version Entry(int key, ulong sequence)
    {
        var value = new byte[40];
        BinaryPrimitives.WriteUInt64LittleEndian(value, sequence);
        BinaryPrimitives.WriteInt32LittleEndian(value.AsSpan(8), key);
        return new Version(Key($"key{key:D4}"), new Trailer(sequence, ValueKind.Value), value);
    }

    private static void CheckValue(int key, ulong sequence, ReadOnlySpan<byte> value, ulong oldest)
    {
        Assert.Equal(sequence, BinaryPrimitives.ReadUInt64LittleEndian(value));
        Assert.Equal(key, BinaryPrimitives.ReadInt32LittleEndian(value[8..]));
        Assert.True(sequence > oldest, $"key {key}: {sequence} is older than {oldest}");
    }
}
