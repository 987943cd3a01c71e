using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Batches, deletions, deadlines, and keys and values of every size.</summary>
public sealed class BatchTests
{
    [Theory, EveryEngine]
    public void OperationsOfABatchHappenInTheirOrder(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("before", "x");
        world.Flush();
        world.Write(b =>
        {
            b.Put("a"u8, "1"u8);
            b.Put("a"u8, "2"u8);
            b.Put("b"u8, "1"u8);
            b.Delete("b"u8);
            b.Delete("c"u8);
            b.Put("c"u8, "1"u8);
            b.Put("d"u8, "covered"u8);
            b.DeleteRange("before"u8, "e"u8);
            b.Put("c"u8, "after"u8);
        });
        Assert.Equal([("a", "2"), ("c", "after")], world.All().Where(r => r.Key != "b").Select(r => (r.Key, r.Value)));
        Assert.Null(world.Get("b"));
        world.FlushAndCompact();
        world.Reopen();
        Assert.Equal([("a", "2"), ("c", "after")], world.All().Select(r => (r.Key, r.Value)));
    }

    [Theory, EveryEngine]
    public void ABatchOfThousandsIsSeenWholeOrNotAtAll(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Stage(b =>
        {
            for (int i = 0; i < 5000; i++)
                b.Put(Bytes(Key(i)), Bytes("value " + i));
        });
        Assert.Empty(world.All());
        world.Engine.Publish(new LogPosition(1));
        Assert.Equal(5000, world.All().Count);
        Assert.Empty(world.All(ReadView.Stable));
        world.Engine.MarkStable(new LogPosition(1));
        world.Flush();
        world.Reopen();
        Assert.Equal(5000, world.All().Count);
        Assert.Equal(new LogPosition(1), world.Engine.FlushedPosition);
    }

    [Theory, EveryEngine]
    public void ADeletedKeyStaysAway(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "old");
        world.Put("stays", "x");
        world.Flush();
        world.Put("a", "newer");
        world.Flush();
        world.Delete("a");
        world.Delete("never there");
        Assert.Null(world.Get("a"));
        Assert.Equal(["stays"], world.All().Keys);
        world.Flush();
        Assert.Equal(["stays"], world.All().Keys);
        world.Reopen();
        Assert.Equal(["stays"], world.All().Keys);
        world.FlushAndCompact();
        Assert.Equal(["stays"], world.All().Keys);
        world.Reopen();
        Assert.Equal(["stays"], world.All().Keys);
        world.Put("a", "again");
        world.FlushAndCompact();
        world.Reopen();
        Assert.Equal("again", world.Get("a"));
    }

    [Theory, EveryEngine]
    public void ARangeIsDeletedFromItsStartToBeforeItsEnd(string engine, DiskKind disk)
    {
        foreach ((string start, string end, int from, int behind) in new[]
        {
            (Key(5), Key(9), 5, 9), ("", Key(9), 0, 9), (Key(5), "", 5, 20), ("", "", 0, 20), (Key(9), Key(5), 0, 0), (Key(5), Key(5), 0, 0),
        })
        {
            foreach (bool inFiles in new[] { false, true })
            {
                using var world = new EngineWorld(engine, disk);
                for (int i = 0; i < 20; i++)
                    world.Put(Key(i), "v");
                if (inFiles)
                    world.Flush();
                world.DeleteRange(start, end);
                string[] left = [.. Enumerable.Range(0, 20).Where(i => i < from || i >= behind).Select(Key)];
                Assert.Equal(left, world.All().Keys);
                world.Put(Key(6), "after");
                left = [.. left.Append(Key(6)).Distinct().Order(StringComparer.Ordinal)];
                Assert.Equal(left, world.All().Keys);
                world.Flush();
                Assert.Equal(left, world.All().Keys);
                world.Reopen();
                Assert.Equal(left, world.All().Keys);
                Assert.Equal("after", world.Get(Key(6)));
            }
        }
    }

    [Theory, EveryEngine]
    public void AValueDiesAtItsDeadlineByTheClockOfTheRead(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        long deadline = world.NowMs + 1000;
        world.Put("flushed", "v", deadline);
        world.Flush();
        world.Put("memory", "v", deadline);
        world.Put("lives", "v", deadline + 1);
        using EngineScan before = world.Engine.CreateScan(default);
        using EngineSnapshot snapshot = world.Engine.CreateSnapshot();
        Assert.Equal(deadline, world.Engine.Get("flushed"u8, ReadView.Published, value: null).ExpiresAtMs);
        world.Scheduler.Clock.Elapse(TimeSpan.FromMilliseconds(999));
        Assert.Equal(3, world.All().Count);
        world.Scheduler.Clock.Elapse(TimeSpan.FromMilliseconds(1));
        Assert.Equal(["lives"], world.All().Keys);
        Assert.Equal(["lives"], world.All(ReadView.At(snapshot)).Keys);
        foreach (string key in new[] { "flushed", "memory" })
        {
            EntryInfo info = world.Engine.Get(Bytes(key), ReadView.Published, value: null);
            Assert.Equal((false, deadline), (info.Found, info.ExpiresAtMs));
        }

        // A scan keeps the clock of its creation; the one that sweeps sees the dead as well.
        int seen = 0;
        for (before.SeekToFirst(); before.Valid; before.Next())
            seen++;
        Assert.Equal(3, seen);
        Assert.Equal(3, Scan(world.Engine, new IteratorOptions { IncludeExpired = true }).Count);
    }

    [Theory, EveryEngine]
    public void ADeadlineGoesWithTheValueThatHadIt(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "1", world.NowMs + 10);
        world.Put("b", "1");
        world.Flush();
        world.Put("a", "2");
        world.Put("b", "2", world.NowMs + 10);
        world.Flush();
        world.Scheduler.Clock.Elapse(TimeSpan.FromSeconds(1));
        Assert.Equal([("a", "2")], world.All().Select(r => (r.Key, r.Value)));
        Assert.Equal(0, world.Engine.Get("a"u8, ReadView.Published, value: null).ExpiresAtMs);
        world.FlushAndCompact();
        world.Reopen();

        // What lay below the dead value does not come back.
        Assert.Equal([("a", "2")], world.All().Select(r => (r.Key, r.Value)));
    }

    [Theory, EveryEngine]
    public void WhatIsDeadBeforeTheHorizonMayGoAndTheRestIsThereForItsOwner(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        long horizon = 0;
        world.Environment = world.Environment with { ExpiryHorizon = now => Math.Min(now, Volatile.Read(ref horizon)) };
        world.Reopen();
        long deadline = world.NowMs + 10;
        for (int i = 0; i < 50; i++)
            world.Put(Key(i), "v", deadline);
        world.Flush();
        world.Scheduler.Clock.Elapse(TimeSpan.FromSeconds(1));
        world.FlushAndCompact();
        Assert.Empty(world.All());
        Assert.Equal(50, Scan(world.Engine, new IteratorOptions { IncludeExpired = true }).Count);
        Assert.Equal(deadline, world.Engine.Get(Bytes(Key(7)), ReadView.Published, value: null).ExpiresAtMs);
        Volatile.Write(ref horizon, long.MaxValue);
        world.Put("other", "v");
        world.FlushAndCompact();
        Assert.Equal(["other"], world.All().Keys);
    }

    [Theory, EveryEngine]
    public void KeysAndValuesAreAnyBytes(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        var random = new SeededRandom(6);
        int longest = Math.Min(world.Engine.KeyBytesMax, 70_000);
        byte[][] keys =
        [
            [], [0], [0, 0], [255], [255, 255, 255], [0, 255], [1, 0, 1],
            .. new[] { 1, 7, 8, 9, 100, 127, 128, 500, longest - 1, longest }.Select(length => Random(random, length)),
        ];
        byte[][] values = [.. new[] { 0, 1, 127, 128, 4095, 4096, 4097, 65_535, 65_536, 1 << 20, (5 << 20) + 3 }.Select(length => Random(random, length))];
        var expected = new Dictionary<byte[], byte[]>();
        int next = 0;
        foreach (byte[] key in keys)
        {
            byte[] value = values[next++ % values.Length];
            expected[key] = value;
            world.Write(b => b.Put(key, value));
            world.Scheduler.RunAll();
        }

        foreach (byte[] value in values)
        {
            byte[] key = [.. Random(random, 20)];
            expected[key] = value;
            world.Write(b => b.Put(key, value));
            world.Scheduler.RunAll();
        }

        AssertThere();
        world.Flush();
        AssertThere();
        world.Reopen();
        AssertThere();
        world.FlushAndCompact();
        AssertThere();
        world.Reopen();
        AssertThere();
        world.Write(b =>
        {
            foreach (byte[] key in expected.Keys)
                b.Delete(key);
        });
        Assert.Empty(world.All());
        world.FlushAndCompact();
        world.Reopen();
        Assert.Empty(world.All());

        void AssertThere()
        {
            foreach ((byte[] key, byte[] value) in expected)
                Assert.True(EngineWorld.Get(world.Engine, key).AsSpan().SequenceEqual(value), $"a key of {key.Length} bytes, a value of {value.Length}");
            List<(byte[] Key, byte[] Value)> rows = Scan(world.Engine, default);
            Assert.Equal(expected.Count, rows.Count);
            for (int i = 1; i < rows.Count; i++)
                Assert.True(world.Compare(rows[i - 1].Key, rows[i].Key) < 0);
            Assert.All(rows, r => Assert.True(r.Value.AsSpan().SequenceEqual(expected.Single(e => e.Key.AsSpan().SequenceEqual(r.Key)).Value)));
        }
    }

    private static byte[] Random(SeededRandom random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
