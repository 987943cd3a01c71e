using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Storage.Tests.Engines;

/// <summary>
/// One hard budget: whatever is written and read, at every operation on the disk (so in the middle of flushes and
/// compactions, too) memtables, caches, open tables and tables in the making stay within it together.
/// </summary>
public sealed class EngineMemoryTests
{
    private const int Keys = 120_000;

    // Of one moment: a memtable's next chunk, or what the last piece of a compaction's memory was too much.
    private const long SlackBytes = 256 << 10;

    [Theory]
    [InlineData(1UL, 20)]
    [InlineData(2UL, 100)]
    [InlineData(3UL, 3000)]
    public void AllMemoryOfAnEngineStaysWithinItsBudget(ulong seed, int valueBytes)
    {
        var random = new SeededRandom(seed);
        var budget = new MemoryBudget(MemoryBudget.MinimumBytes);
        var scheduler = new SimulatedScheduler(random.Fork());
        var files = new SimulatedFileSystem(random.Fork());
        long most = 0;
        files.BeforeOperation = _ => Look();
        using (IOrderedEngine engine = new LsmEngineFactory().OpenOrdered("/engine", new EngineEnvironment(files, scheduler, budget)))
        {
            var batch = new WriteBatch();
            var found = new BytesBuffer();
            byte[] value = new byte[valueBytes];
            Span<byte> key = stackalloc byte[16];
            int keys = Math.Min(Keys, (48 << 20) / valueBytes);
            for (int i = 0; i < 3 * keys; i++)
            {
                BinaryPrimitives.WriteInt64BigEndian(key[8..], random.Next(keys));

                // Half of the time all are writes, so that no read makes a cache look at its limit; the other half nearly all are
                // reads: memory goes to and fro.
                bool writes = i / (keys / 4) % 2 == 1 || random.OneIn(16) || i < keys / 4;
                if (!writes)
                {
                    found.Clear();
                    engine.Get(key, ReadView.Published, found);
                    Look();
                    continue;
                }

                random.NextBytes(value);
                batch.Clear();
                batch.Put(key, value);
                engine.Stage(batch.Bytes);
                var position = new LogPosition((ulong)i + 1);
                engine.Publish(position);
                engine.MarkStable(position);
                Look();
                if (engine.SuggestWriteDelay(0) > TimeSpan.Zero || random.OneIn(2000))
                    scheduler.RunAll();
            }

            scheduler.RunAll();
            Assert.True(engine.GetStatistics().CompactionBytesWritten > 0, "nothing was compacted");
        }

        Assert.True(most > budget.TotalBytes * 3 / 4, $"only {most} bytes were ever used");
        Assert.Equal(0, budget.WriteBytes);
        Assert.Equal(0, budget.SpareBytes);
        Assert.Equal(0, budget.CacheBytes);

        void Look()
        {
            long now = budget.WriteBytes + budget.SpareBytes + budget.CacheBytes;
            most = Math.Max(most, now);
            Assert.True(now <= budget.TotalBytes + SlackBytes, $"seed {seed}: {budget.WriteBytes} of writes, {budget.SpareBytes} for more, {budget.CacheBytes} of caches");
        }
    }

    [Fact]
    public void EnginesThatFillTogetherAreFlushedInTurnWhileThereIsRoom()
    {
        const int Engines = 4;
        var random = new SeededRandom(5);
        var budget = new MemoryBudget(4 * MemoryBudget.MinimumBytes);
        var scheduler = new SimulatedScheduler(random.Fork());
        var environment = new EngineEnvironment(new SimulatedFileSystem(random.Fork()), scheduler, budget);
        IOrderedEngine[] engines = [.. Enumerable.Range(0, Engines).Select(i => new LsmEngineFactory().OpenOrdered($"/engine-{i}", environment))];
        var batch = new WriteBatch();
        byte[] value = new byte[1000];
        Span<byte> key = stackalloc byte[16];
        for (int i = 0; i < 60_000; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(key[8..], i);
            random.NextBytes(value);
            batch.Clear();
            batch.Put(key, value);
            IOrderedEngine engine = engines[i % Engines];
            engine.Stage(batch.Bytes);
            var position = new LogPosition((ulong)i + 1);
            engine.Publish(position);
            engine.MarkStable(position);

            // From there on writers are made to wait for memory.
            Assert.InRange(budget.WriteBytes, 0, budget.WriteLimitBytes / 5 * 4);

            // The background is as fast as a flush of what one engine holds takes while the others go on.
            if (i % 1000 == 0)
                scheduler.RunAll();
        }

        // Not all of them at once, and none for a little.
        Assert.All(engines, e => Assert.InRange(e.GetStatistics().FlushBytesWritten, 1L << 20, long.MaxValue));
        foreach (IOrderedEngine engine in engines)
            engine.Dispose();
        scheduler.RunAll();
        Assert.Equal(0, budget.WriteBytes);
        Assert.False(budget.ActiveLimitReached);
    }

    [Fact]
    public unsafe void WhatMemtablesHadIsKeptForTheNextAndGoesBackWhenNobodyNeedsIt()
    {
        const int Chunk = SpareChunks.ChunkBytes;
        var budget = new MemoryBudget(64L << 20);
        var taken = new List<nint>();
        for (int i = 0; i < 8; i++)
            Take();
        long cache = budget.CacheLimitBytes;
        while (taken.Count > 2)
            Return();

        // Caches do not get it, so it is nobody's loss.
        Assert.Equal(6 * Chunk, budget.SpareBytes);
        Assert.Equal(cache, budget.CacheLimitBytes);

        // What was wanted since the last time stays: so many were, and they are back.
        budget.Spares.Rest();
        for (int i = 0; i < 3; i++)
            Take();
        Assert.Equal(3 * Chunk, budget.SpareBytes);
        for (int i = 0; i < 3; i++)
            Return();
        budget.Spares.Rest();
        Assert.Equal(3 * Chunk, budget.SpareBytes);

        // Nobody wanted any, but a few stay: an eighth of what is for writes.
        budget.Spares.Rest();
        Assert.Equal(2 * Chunk, budget.SpareBytes);
        while (taken.Count > 0)
            Return();
        Assert.Equal(4 * Chunk, budget.SpareBytes);
        budget.Trim();
        Assert.Equal(0, budget.SpareBytes);

        void Take()
        {
            taken.Add((nint)budget.Spares.Take());
            budget.AddWrite(Chunk);
        }

        void Return()
        {
            budget.AddWrite(-Chunk);
            budget.Spares.Return((byte*)taken[^1]);
            taken.RemoveAt(taken.Count - 1);
        }
    }
}
