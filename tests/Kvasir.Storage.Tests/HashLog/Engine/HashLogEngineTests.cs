using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using static Kvasir.Storage.Tests.HashLog.Engine.LogWorld;

namespace Kvasir.Storage.Tests.HashLog.Engine;

public sealed class HashLogEngineTests
{
    [Fact]
    public void RecordsOfASegmentLieByToken()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { SegmentBytes = 64 << 10, FlushBytes = 64 << 10 });
        for (int i = 0; i < 100; i++)
            world.Put(LogWorld.Key(i), "value");
        world.Flush();
        string path = Assert.Single(world.Disk.Paths, p => p.EndsWith(".log", StringComparison.Ordinal));
        byte[] segment = world.Disk.ReadAll(path);
        string text = System.Text.Encoding.Latin1.GetString(segment);
        string[] byToken = [.. Enumerable.Range(0, 100).Select(LogWorld.Key).OrderBy(k => StableHash.Hash64(LogWorld.Bytes(k)))];
        Assert.Equal(byToken, byToken.OrderBy(k => text.IndexOf(k, StringComparison.Ordinal)));
    }

    [Fact]
    public void WhoWaitsForMemoryDoesNotWaitForMoreToBeWritten()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { FlushBytes = 64 << 20, TailChunkBytes = 64 << 10 });
        for (int i = 0; i < 1500; i++)
            world.Put(LogWorld.Key(i), new string('v', 1000));

        // Somebody else has much of the rest: writers wait, and so this engine does not grow to where it would flush.
        world.Memory.AddWrite(11 * world.Memory.WriteLimitBytes / 16);
        Assert.True(world.Engine.SuggestWriteDelay(1000) > TimeSpan.Zero);
        world.Scheduler.RunAll();
        Assert.Null(world.Engine.OldestUnflushedPosition);
        Assert.Equal(TimeSpan.Zero, world.Engine.SuggestWriteDelay(1000));
        world.Memory.AddWrite(-11 * world.Memory.WriteLimitBytes / 16);
    }

    [Fact]
    public void AGetReadsTheDiskOnceAtMost()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { TailBytes = 0 });
        for (int i = 0; i < 300; i++)
            world.Put(LogWorld.Key(i), new string('v', i * 30));
        world.Flush();
        int reads = 0;
        world.Disk.BeforeOperation = operation => reads += operation.Kind == DiskOperationKind.Read ? 1 : 0;
        int most = 0;
        for (int i = 0; i < 300; i++)
        {
            int before = reads;
            Assert.Equal(i * 30, world.Get(LogWorld.Key(i))!.Length);
            most = Math.Max(most, reads - before);
        }

        Assert.Equal(1, most);
        Assert.InRange(reads, 250, 300);
        int absent = reads;
        Assert.Null(world.Get("absent"));
        Assert.Equal(absent, reads);
        world.Disk.BeforeOperation = null;
    }

    [Fact]
    public void ReadsInMemoryAllocateNothing()
    {
        using var world = new LogWorld();
        world.Put("a", "value");
        var value = new BytesBuffer();
        byte[] key = Bytes("a");
        Assert.Equal(0, Allocations.Least(() =>
        {
            value.Clear();
            world.Engine.Get(key, ReadView.Published, value);
        }));
    }

    [Fact]
    public void AMergeLeavesWhatIsAlive()
    {
        using var world = new LogWorld();
        for (int round = 0; round < 20; round++)
        {
            for (int i = 0; i < 100; i++)
                world.Put(LogWorld.Key(i), $"round {round} of {i}");
            world.Flush();
        }

        EngineStatistics statistics = world.Engine.GetStatistics();
        Assert.True(statistics.CompactionBytesRead > 0);
        Assert.InRange(statistics.DiskBytes, 0, 100 * 80 * 4);
        SortedDictionary<string, string> all = world.All();
        Assert.Equal(100, all.Count);
        world.Reopen();
        Assert.Equal(all, world.All());
    }

    [Fact]
    public void OnlyGarbageThatAMergeIsDueForIsOwed()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { SmallSegmentsMax = 100 });
        for (int i = 0; i < 100; i++)
            world.Put(LogWorld.Key(i), new string('a', 30));
        world.Flush();

        // A fifth of each segment is garbage now, and that is not worth a merge.
        for (int i = 0; i < 100; i += 5)
            world.Put(LogWorld.Key(i), new string('b', 30));
        world.Flush();
        Assert.Equal(0, world.Engine.GetStatistics().CompactionDebtBytes);
        using (world.Engine.CreateSnapshot())
        {
            for (int i = 0; i < 100; i++)
                world.Put(LogWorld.Key(i), new string('c', 30));
            world.Engine.Flush();
            world.Engine.WaitForFlush();
            Assert.True(world.Engine.GetStatistics().CompactionDebtBytes > 0);

            // What the snapshot sees cannot go, and nobody owes it.
            world.Scheduler.RunAll();
            Assert.Equal(0, world.Engine.GetStatistics().CompactionDebtBytes);
        }

        world.Put("one more", "");
        world.Flush();
        Assert.Equal(0, world.Engine.GetStatistics().CompactionDebtBytes);
    }

    [Fact]
    public void MergesTakeTheWorstWhenAllTogetherHaveTooMuchGarbage()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { FlushBytes = 1 << 20, SegmentBytes = 8 << 10, MergeBytesMax = 32 << 10 });
        var random = new SeededRandom(7);
        long live = 0, largest = 0;
        for (int round = 0; round < 60; round++)
        {
            for (int i = 0; i < 500; i++)
                world.Put(LogWorld.Key(round == 0 ? i : random.Next(500)), new string('v', 60));
            world.Flush();
            largest = Math.Max(largest, world.Engine.GetStatistics().DiskBytes);
            if (round == 0)
                live = largest;
        }

        // Half of it may be garbage, and a flush comes before the merge that makes up for it.
        EngineStatistics statistics = world.Engine.GetStatistics();
        Assert.InRange(largest, live, live * 3);
        Assert.True(
            statistics.CompactionBytesWritten < statistics.FlushBytesWritten / 2,
            $"merges wrote {statistics.CompactionBytesWritten} bytes for {statistics.FlushBytesWritten} bytes of flushes");
    }

    [Fact]
    public void AValueAsLargeAsTheMemoryForWritesHoldsNobodyUpOnceItIsFlushed()
    {
        using var world = new LogWorld();
        int bytes = (int)world.Memory.WriteLimitBytes;
        world.Put("large", new string('v', bytes));
        Assert.True(world.Engine.SuggestWriteDelay(1) > TimeSpan.Zero);
        world.Flush();
        Assert.Equal(TimeSpan.Zero, world.Engine.SuggestWriteDelay(1));
        Assert.Equal(bytes, world.Get("large")!.Length);
    }

    [Fact]
    public void WhatOthersHaveInMemoryHoldsNobodyUpForEver()
    {
        HashLogOptions options = HashLogOptions.Tiny with { FlushBytes = 64 << 20, TailChunkBytes = 1 << 20 };
        using var world = new LogWorld(options);
        using HashLogEngine other = HashLogEngine.Open("/other", new EngineEnvironment(world.Disk, world.Scheduler, world.Memory), options);
        int written = 0;
        for (; !world.Memory.WriteLimitReached && written < 1000; written++)
        {
            // Nobody flushes before there is no memory left, so nobody may wait before.
            Assert.Equal(TimeSpan.Zero, other.SuggestWriteDelay(1));
            world.Put(LogWorld.Key(written), new string('v', 100_000));
        }

        Assert.True(other.SuggestWriteDelay(1) > TimeSpan.Zero);
        world.Flush();
        Assert.Equal(TimeSpan.Zero, other.SuggestWriteDelay(1));
        Assert.InRange(world.Memory.WriteBytes, 0, options.TailChunkBytes);
        Assert.Equal(written, world.All().Count);
    }

    [Fact]
    public void WhatIsWithdrawnLeavesNothingAboveWhatItHadSuperseded()
    {
        using var world = new LogWorld();
        world.Put("a", "stays");
        world.Write(b => b.Put("a"u8, "goes"u8), isStable: false);
        world.Engine.DiscardAfter(new LogPosition(world.Position - 1));
        Assert.Equal("stays", world.Get("a"));
        for (int i = 0; i < 20; i++)
        {
            world.Put(LogWorld.Key(i), "first");
            world.Put(LogWorld.Key(i), "second");
        }

        world.Flush();
        world.Reopen();
        Assert.Equal("stays", world.Get("a"));
    }

    /// <summary>More keys and fewer than are on their way into the index at once, each written over while its last version may still be.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(20)]
    public void WhatIsOnItsWayIntoTheIndexIsReadScannedAndDeleted(int keys)
    {
        using var world = new LogWorld();
        for (int round = 0; round < 5; round++)
        {
            for (int i = 0; i < keys; i++)
            {
                world.Put(LogWorld.Key(i), $"{round}");
                Assert.Equal($"{round}", world.Get(LogWorld.Key(i)));
                world.Put(LogWorld.Key(i), $"{round} again");
                world.Write(b => b.Put(LogWorld.Bytes(LogWorld.Key(i)), "not published"u8), isStable: false);
                Assert.Equal($"{round} again", world.Get(LogWorld.Key(i), ReadView.Stable));
                world.Engine.DiscardAfter(new LogPosition(world.Position - 1));
                Assert.Equal($"{round} again", world.Get(LogWorld.Key(i)));
            }

            Assert.Equal(keys, world.All().Count);
            world.Delete(LogWorld.Key(0));
            Assert.Null(world.Get(LogWorld.Key(0)));
            world.Put("new", "goes at once");
            world.Delete("new");
            Assert.Null(world.Get("new"));
            Assert.Equal(keys - 1, world.All().Count);
        }
    }

    [Fact]
    public void OfDeletedKeysNothingStaysWhenNothingOlderIsLeft()
    {
        using var world = new LogWorld();
        for (int i = 0; i < 200; i++)
            world.Put(LogWorld.Key(i), "value");
        world.Flush();
        for (int i = 0; i < 200; i++)
            world.Delete(LogWorld.Key(i));
        world.Flush();
        world.Engine.Compact();
        world.Scheduler.RunAll();
        Assert.Equal(0, world.Engine.GetStatistics().DiskBytes);
        world.Reopen();
        Assert.Equal(0, world.Engine.GetStatistics().EstimatedKeys);
        Assert.Empty(world.All());
    }

    [Fact]
    public void ADeletionKeepsAwayWhatIsOlderInAnotherSegment()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { GarbageRatio = 0.9, SmallSegmentsMax = 100 });
        world.Put("a", "old");
        for (int i = 0; i < 30; i++)
            world.Put(LogWorld.Key(i), "value");
        world.Flush();
        world.Delete("a");
        world.Put("b", "x");
        world.Flush();
        world.Put("b", "y");
        world.Flush();
        world.Reopen();
        Assert.Null(world.Get("a"));
        world.Engine.Compact();
        world.Reopen();
        Assert.Null(world.Get("a"));
        Assert.Equal("y", world.Get("b"));
    }

    [Fact]
    public void ExpiredValuesGoWithTheMerges()
    {
        using var world = new LogWorld();
        long now = world.Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();
        for (int i = 0; i < 100; i++)
            world.Put(LogWorld.Key(i), "value", now + 1000);
        world.Put("stays", "value");
        world.Flush();
        world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(["stays"], world.All().Keys);
        world.Engine.Compact();
        world.Scheduler.RunAll();
        world.Reopen();
        Assert.Equal(1, world.Engine.GetStatistics().EstimatedKeys);
        Assert.InRange(world.Engine.GetStatistics().DiskBytes, 1, 200);
    }

    [Fact]
    public void DeletionsOfRangesGoWhenNothingIsLeftBelow()
    {
        using var world = new LogWorld();
        for (int i = 0; i < 100; i++)
            world.Put(LogWorld.Key(i), "value");
        world.Flush();
        world.Write(b => b.DeleteRange([], []));
        world.Put("after", "value");
        world.Flush();
        world.Scheduler.RunAll();
        Assert.Equal(["after"], world.All().Keys);
        world.Engine.Compact();
        world.Reopen();
        Assert.Equal(["after"], world.All().Keys);
        Assert.Contains(LogInspector.Inspect(world.Disk, world.Folder + "/HASHLOG"), p => p.Kind == "segment");
        Assert.DoesNotContain(LogInspector.Inspect(world.Disk, world.Folder + "/HASHLOG"), p => p.Kind == "range deletion");
    }

    /// <summary>Between what a merge knows to be dead and its look at the snapshots there may be one more, and a flush of what is written after it.</summary>
    [Fact]
    public void WhatIsSupersededWhileAMergeBeginsIsThereForASnapshotOfThatMoment()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { TailBytes = 0, TailChunkBytes = 4 << 10 });
        world.Put("key", "old");
        world.Put("expires", "so that it is merged", 4_000_000_000_000);
        world.Flush();
        EngineSnapshot? snapshot = null;
        world.OnHorizon = () =>
        {
            world.OnHorizon = null;
            snapshot = world.Engine.CreateSnapshot();
            world.Put("key", "new");
            world.Flush();
        };

        // And once more, so that files which nobody reads are gone.
        world.Engine.Compact();
        world.Engine.Compact();
        Assert.NotNull(snapshot);
        using (snapshot)
            Assert.Equal("old", world.Get("key", ReadView.At(snapshot)));
        Assert.Equal("new", world.Get("key"));
    }

    [Fact]
    public void ASnapshotSeesItsMomentThroughFlushesAndMerges()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { TailBytes = 0 });
        for (int i = 0; i < 50; i++)
            world.Put(LogWorld.Key(i), "before");
        world.Flush();
        using EngineSnapshot snapshot = world.Engine.CreateSnapshot();
        for (int round = 0; round < 5; round++)
        {
            for (int i = 0; i < 50; i++)
                world.Put(LogWorld.Key(i), "after " + round);
            world.Delete(LogWorld.Key(round));
            world.Flush();
            world.Engine.Compact();
            Assert.Equal(50, world.All(ReadView.At(snapshot)).Count(r => r.Value == "before"));
            Assert.Equal("before", world.Get(LogWorld.Key(round), ReadView.At(snapshot)));
        }

        snapshot.Dispose();
        Assert.Throws<ObjectDisposedException>(() => world.Get(LogWorld.Key(1), ReadView.At(snapshot)));
        world.Engine.Compact();
        world.Scheduler.RunAll();
        Assert.InRange(world.Engine.GetStatistics().DiskBytes, 0, 50 * 64);
    }

    [Fact]
    public void TheOwnerHearsOfAnIndexThatFillsAndNewKeysAreRefusedAtItsEnd()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { IndexBytes = 300_000 });
        int keys = 0;
        IndexFullException? refusal = null;
        while (refusal is null)
        {
            try
            {
                world.Put(LogWorld.Key(keys), "value");
                keys++;
            }
            catch (IndexFullException e)
            {
                refusal = e;
            }
        }

        Assert.InRange(keys, 300_000 / 36, 300_000 / 20);
        Assert.Single(world.Warnings);
        EngineStatistics statistics = world.Engine.GetStatistics();
        Assert.True(statistics.IndexBytes <= statistics.IndexLimitBytes);

        // Nothing of it was staged, also where only some of a batch is too much.
        ulong last = world.Engine.LastSequence.Value;
        var batch = new WriteBatch();
        batch.Put(Bytes(LogWorld.Key(0)), "other"u8);
        batch.Put("new"u8, "value"u8);
        Assert.Throws<IndexFullException>(() => world.Engine.Stage(batch.Bytes));
        Assert.Equal("value", world.Get(LogWorld.Key(0), ReadView.Applied));
        Assert.Equal(last, world.Engine.LastSequence.Value);
        world.Put(LogWorld.Key(0), "other");
        Assert.Equal("other", world.Get(LogWorld.Key(0)));
        for (int i = 0; i < keys / 2; i++)
            world.Delete(LogWorld.Key(i));
        world.Flush();
        world.Engine.Compact();
        for (int i = 0; i < 100; i++)
            world.Put("more" + i, "value");
        Assert.Equal("value", world.Get("more7"));
    }

    [Fact]
    public void AnEngineOfSomebodyElseIsNotOpened()
    {
        var disk = new SimulatedFileSystem(new SeededRandom(3));
        using var world = new LogWorld();
        var memory = new MemoryBudget(MemoryBudget.MinimumBytes);
        var environment = new EngineEnvironment(disk, world.Scheduler, memory) { Owner = new EngineOwner(1, 2) };
        new HashLogEngineFactory().Open("/x", environment).Dispose();
        Assert.Throws<CorruptionException>(() => new HashLogEngineFactory().Open("/x", environment with { Owner = new EngineOwner(1, 3) }));
        Assert.NotEmpty(LogVerifier.Verify(disk, "/x", owner: new EngineOwner(1, 3)));
        Assert.Empty(LogVerifier.Verify(disk, "/x", owner: new EngineOwner(1, 2)));
    }
}
