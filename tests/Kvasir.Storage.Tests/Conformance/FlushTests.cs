using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>From memory into files: flushes, ingests, compactions, and the numbers that tell of them.</summary>
public sealed class FlushTests
{
    [Theory, EveryEngine]
    public void OnlyWhatIsStableReachesTheFiles(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "stable");
        world.Write(b => b.Put("a"u8, "unstable"u8), isStable: false);
        world.Write(b => b.Put("b"u8, "unstable"u8), isStable: false);
        world.Flush();
        Assert.Equal(new LogPosition(1), world.Engine.FlushedPosition);
        Assert.Equal(new LogPosition(2), world.Engine.OldestUnflushedPosition);
        Assert.Equal(new LogPosition(1), world.UnderTest.Tiny.ReadFlushedPosition(world.Disk.Files, world.Folder));
        world.Reopen();
        Assert.Equal([("a", "stable")], world.All().Select(r => (r.Key, r.Value)));
        world.Put("a", "again");
        world.Put("b", "again");
        world.Flush();
        Assert.Equal(new LogPosition(3), world.Engine.FlushedPosition);
        Assert.Null(world.Engine.OldestUnflushedPosition);
        world.Reopen();
        Assert.Equal([("a", "again"), ("b", "again")], world.All().Select(r => (r.Key, r.Value)));
    }

    [Theory, EveryEngine]
    public void AFlushThatWasAskedForGoesOnWhenMoreIsStable(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int round = 0; round < 20; round++)
        {
            for (int i = 0; i < 10; i++)
                world.Write(b => b.Put(Bytes(Key(i)), Bytes($"round {round}")), isStable: false);
            world.Engine.Flush();
            world.Engine.MarkStable(new LogPosition(world.Position - 3));
            world.Flush();
            Assert.Equal(new LogPosition(world.Position - 3), world.Engine.FlushedPosition);
            Assert.Equal(new LogPosition(world.Position - 2), world.Engine.OldestUnflushedPosition);
        }

        world.Engine.MarkStable(new LogPosition(world.Position));
        world.Flush();
        Assert.Null(world.Engine.OldestUnflushedPosition);
        world.Reopen();
        Assert.All(world.All(), r => Assert.Equal("round 19", r.Value));
    }

    [Theory, EveryEngine]
    public void NothingToFlushIsFlushedAtOnce(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Flush();
        world.Engine.WaitForFlush();
        world.Write(b => b.Put("a"u8, "unstable"u8), isStable: false);
        world.Flush();
        Assert.Equal(LogPosition.Zero, world.Engine.FlushedPosition);
        world.Engine.MarkStable(new LogPosition(1));
        world.Flush();
        world.Flush();
        Assert.Equal(new LogPosition(1), world.Engine.FlushedPosition);
    }

    [Theory, EveryEngine]
    public void MemoryThatIsFullIsFlushedUnaskedAndWhoOwnsTheLogIsAskedForIt(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        int asked = 0;
        world.Environment = world.Environment with { StabilityWanted = () => asked++ };
        world.Reopen();
        for (int i = 0; i < 100; i++)
            world.Write(b => b.Put(Bytes(Key(i)), new byte[500]), isStable: false);
        world.Scheduler.RunAll();
        Assert.True(asked > 0);
        Assert.Equal(LogPosition.Zero, world.Engine.FlushedPosition);
        world.Engine.MarkStable(new LogPosition(100));
        world.Scheduler.RunAll();
        Assert.True(world.Engine.FlushedPosition.Value > 50, $"{world.Engine.FlushedPosition}");
    }

    [Theory, EveryEngine]
    public void WhatIsIngestedIsThereAndDurableAtOnce(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int i = 0; i < 10; i++)
            world.Put(Key(i), "old");
        world.Flush();
        world.DeleteRange(Key(3), Key(6));
        world.Delete(Key(7));
        using EngineSnapshot before = world.Engine.CreateSnapshot();
        SortedDictionary<string, string> then = world.All();
        SequenceNumber last = world.Engine.LastSequence;
        string[] keys = [Key(3), Key(4), Key(5), .. Enumerable.Range(100, 400).Select(Key)];
        world.Engine.Ingest(Rows(keys));
        Assert.True(world.Engine.LastSequence > last);
        Assert.Equal(world.Engine.LastSequence, world.Engine.StableSequence);
        Assert.Equal(6 + 403, world.All().Count);
        Assert.Equal(world.All(), world.All(ReadView.Stable));
        Assert.All(keys, key => Assert.Equal("row " + key, world.Get(key)));
        Assert.Equal(then, world.All(ReadView.At(before)));
        before.Dispose();
        world.Reopen();
        Assert.Equal(6 + 403, world.All().Count);
        world.Put(Key(4), "over");
        world.Delete(Key(100));
        world.FlushAndCompact();
        world.Reopen();
        Assert.Equal(6 + 402, world.All().Count);
        Assert.Equal("over", world.Get(Key(4)));
        Assert.Empty(Verify(world));
    }

    [Theory, EveryEngine]
    public void AnIngestThatFailsLeavesNothingAndTheNextOneWorks(string engine, DiskKind disk)
    {
        foreach (int rows in new[] { 0, 1, 300, 6000 })
        {
            using var world = new EngineWorld(engine, disk);
            world.Put("a", "old");
            Assert.Throws<InvalidOperationException>(() => world.Engine.Ingest(Failing(rows)));
            Assert.Equal(["a"], world.All().Keys);
            world.Engine.Ingest([]);
            world.Engine.Ingest(Rows("x1", "x2"));
            world.Put("b", "new");
            Assert.Equal(["a", "b", "x1", "x2"], world.All().Keys);
            world.FlushAndCompact();
            world.Reopen();
            Assert.Equal(["a", "b", "x1", "x2"], world.All().Keys);
            Assert.Empty(Verify(world));
        }
    }

    [Theory, EveryEngine]
    public void AnIngestWantsEverythingStableAndNothingStaged(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Write(b => b.Put("a"u8, "1"u8), isStable: false);
        Assert.Throws<InvariantViolationException>(() => world.Engine.Ingest(Rows("x")));
        world.Engine.MarkStable(new LogPosition(1));
        world.Stage(b => b.Put("b"u8, "1"u8));
        Assert.Throws<InvariantViolationException>(() => world.Engine.Ingest(Rows("x")));
        world.Engine.Publish(new LogPosition(2));
        world.Engine.MarkStable(new LogPosition(2));
        world.Engine.Ingest(Rows("x"));
        Assert.Equal(["a", "b", "x"], world.All().Keys);
    }

    [Theory, EveryEngine]
    public void CompactionLeavesTheContentAndGivesSpaceBack(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < 200; i++)
                world.Put(Key(i), $"round {round} " + new string('v', 1000));
            world.Flush();
        }

        SortedDictionary<string, string> all = world.All();
        world.FlushAndCompact();
        Assert.Equal(all, world.All());
        long full = world.Engine.GetStatistics().DiskBytes;
        Assert.InRange(full, 200, 200 * 1020 * 4);
        using (EngineSnapshot snapshot = world.Engine.CreateSnapshot())
        {
            for (int i = 0; i < 190; i++)
                world.Delete(Key(i));
            world.FlushAndCompact();
            Assert.Equal(all, world.All(ReadView.At(snapshot)));
        }

        world.Put("one more", "v");
        world.FlushAndCompact();
        Assert.Equal(11, world.All().Count);
        long left = world.Engine.GetStatistics().DiskBytes;
        Assert.True(left < full / 2, $"{left} bytes of {full}");
        world.Reopen();
        Assert.Equal(11, world.All().Count);
        Assert.Empty(Verify(world));
    }

    [Theory, EveryEngine]
    public void CompactionDropsWhatHasExpired(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int i = 0; i < 200; i++)
            world.Put(Key(i), new string('v', 1000), i % 10 == 0 ? 0 : world.NowMs + 1000);
        world.FlushAndCompact();
        long full = world.Engine.GetStatistics().DiskBytes;
        using EngineSnapshot snapshot = world.Engine.CreateSnapshot();
        using EngineScan scan = world.Engine.CreateScan(default);
        world.Scheduler.Clock.Advance(TimeSpan.FromSeconds(2));
        world.FlushAndCompact();
        Assert.Equal(20, world.All(ReadView.At(snapshot)).Count);

        // Its clock is that of its creation.
        int seen = 0;
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
            seen++;
        Assert.Equal(200, seen);
        scan.Dispose();
        snapshot.Dispose();
        world.Put("one more", "v");
        world.FlushAndCompact();
        EngineStatistics statistics = world.Engine.GetStatistics();
        Assert.True(statistics.DiskBytes < full / 2, $"{statistics.DiskBytes} bytes of {full}");
        Assert.InRange(statistics.EstimatedKeys, 15, 60);
        Assert.Equal(21, world.All().Count);

        // In memory more of it may be left than in the files.
        world.Reopen();
        Assert.Equal(21, world.All().Count);
        Assert.Equal(21, Scan(world.Engine, new IteratorOptions { IncludeExpired = true }).Count);
    }

    [Theory, EveryEngine]
    public void AnEngineThatWasEmptiedIsEmpty(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Engine.Compact();
        Assert.Empty(world.All());
        world.FillMixed();
        world.DeleteRange("", "");
        world.FlushAndCompact();
        Assert.Empty(world.All());
        world.Reopen();
        Assert.Empty(world.All());
        world.FillMixed();
        Assert.Equal(50, world.All().Count);
    }

    [Theory, EveryEngine]
    public void StatisticsAreWhatTheyCanBe(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        Assert.Equal(0, world.Engine.GetStatistics().EstimatedKeys);
        Assert.Equal(0, world.Engine.EstimateSize([], []));
        Assert.Equal(TimeSpan.Zero, world.Engine.SuggestWriteDelay(1 << 20));
        long written = 0;
        for (int i = 0; i < 500; i++)
        {
            world.Put(Key(i), new string('v', 200));
            written += 200;
            if (i % 100 == 50)
                world.Flush();
        }

        EngineStatistics statistics = world.Engine.GetStatistics();
        Assert.InRange(statistics.EstimatedKeys, 400, 600);
        Assert.InRange(statistics.UserBytesWritten, written, written * 2);
        Assert.InRange(statistics.MemTableBytes, 1, MemoryBudget.MinimumBytes);
        Assert.InRange(statistics.MemoryBytes, statistics.MemTableBytes, MemoryBudget.MinimumBytes);
        Assert.True(statistics.FlushBytesWritten > 0 && statistics.DiskBytes > 0);
        Assert.True(statistics.StallMicroseconds >= 0 && statistics.CompactionDebtBytes >= 0 && statistics.IndexBytes >= 0);

        // Of what is in files alone, so that it can be compared with them; in two halves as in one.
        world.FlushAndCompact();
        statistics = world.Engine.GetStatistics();
        Assert.InRange(statistics.EstimatedKeys, 450, 550);
        Assert.InRange(statistics.DiskBytes, statistics.FlushBytesWritten / 20, world.Disk.FilesIn(world.Folder).Sum(world.Disk.Files.FileLength));
        long all = world.Engine.EstimateSize([], []);
        byte[] middle = Bytes(Key(250));
        long halves = world.Engine.EstimateSize([], middle) + world.Engine.EstimateSize(middle, []);
        Assert.InRange(all, 1, statistics.DiskBytes + statistics.MemTableBytes);
        Assert.InRange(halves, all / 2, all * 2);
        Assert.Equal(0, world.Engine.EstimateSize(middle, middle));
    }

    private static IReadOnlyList<DamageFinding> Verify(EngineWorld world)
    {
        world.Close();
        return world.UnderTest.Verify(world.Disk.Files, world.Folder);
    }

    private static IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> Failing(int rows)
    {
        foreach (KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> row in Rows(Enumerable.Range(0, rows).Select(i => "x" + Key(i))))
            yield return row;
        throw new InvalidOperationException("the source has failed");
    }
}
