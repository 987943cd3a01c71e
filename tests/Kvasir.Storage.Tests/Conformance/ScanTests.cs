using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Snapshots and walks: one moment each, whatever is written, flushed and compacted meanwhile.</summary>
public sealed class ScanTests
{
    [Theory, EveryEngine]
    public void ASnapshotIsItsMomentWhateverComes(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        var held = new List<(EngineSnapshot Snapshot, SortedDictionary<string, string> Content)>();
        var random = new SeededRandom(9);
        for (int round = 0; round < 30; round++)
        {
            world.Write(
                b =>
                {
                    for (int i = 0; i < 8; i++)
                        b.Put(Bytes(Key(random.Next(40))), Bytes($"round {round}"));
                    b.Delete(Bytes(Key(random.Next(40))));
                    if (random.OneIn(4))
                        b.DeleteRange(Bytes(Key(random.Next(20))), Bytes(Key(20 + random.Next(20))));
                },
                isStable: random.OneIn(2));
            world.Stage(b => b.Put("staged"u8, "never seen"u8));
            held.Add((world.Engine.CreateSnapshot(), world.All()));
            Assert.Equal(world.Engine.LastSequence, held[^1].Snapshot.Sequence);
            world.Engine.DiscardAfter(world.Engine.PublishedPosition);
            if (round % 3 == 0)
                world.Flush();
            if (round % 7 == 0)
                world.Engine.Compact();
            if (held.Count > 6)
            {
                int gone = random.Next(held.Count);
                held[gone].Snapshot.Dispose();
                held.RemoveAt(gone);
            }

            foreach ((EngineSnapshot snapshot, SortedDictionary<string, string> content) in held)
            {
                Assert.Equal(content, world.All(ReadView.At(snapshot)));
                for (int i = 0; i < 40; i++)
                    Assert.Equal(content.GetValueOrDefault(Key(i)), world.Get(Key(i), ReadView.At(snapshot)));
            }
        }

        held.ForEach(h => h.Snapshot.Dispose());
    }

    [Theory, EveryEngine]
    public void ASnapshotIsDisposedOnceAndNotReadAfterwards(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        EngineSnapshot snapshot = world.Engine.CreateSnapshot();
        using EngineSnapshot same = world.Engine.CreateSnapshot();
        SortedDictionary<string, string> content = world.All();
        snapshot.Dispose();
        snapshot.Dispose();
        Assert.Throws<ObjectDisposedException>(() => world.Engine.Get("key0001"u8, ReadView.At(snapshot), value: null));
        Assert.Throws<ObjectDisposedException>(() => world.Engine.CreateScan(new IteratorOptions { View = ReadView.At(snapshot) }));

        // Whatever the other one holds would be gone now if its count were wrong.
        world.DeleteRange("", "");
        world.FlushAndCompact();
        Assert.Equal(content, world.All(ReadView.At(same)));
    }

    [Theory, EveryEngine]
    public void ASnapshotCannotBeUsedOnAnotherEngine(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        IStorageEngine other = world.OpenOther(world.Disk.Root + "/other");
        using EngineSnapshot snapshot = other.CreateSnapshot();
        Assert.Throws<ArgumentException>(() => world.Engine.Get("k"u8, ReadView.At(snapshot), value: null));
        Assert.Throws<ArgumentException>(() => world.Engine.CreateScan(new IteratorOptions { View = ReadView.At(snapshot) }));
    }

    [Theory, EveryEngine]
    public void AScanGoesThroughItsBoundsInTheOrderOfTheEngine(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int i = 0; i < 300; i++)
        {
            world.Put(Key(i), "value " + i);
            if (i == 200)
                world.Flush();
        }

        byte[][] keys = [.. Enumerable.Range(0, 300).Select(i => Bytes(Key(i))).Order(Comparer<byte[]>.Create((x, y) => world.Compare(x, y)))];
        Assert.Equal(keys, Scan(world.Engine, default).Select(r => r.Key));
        Assert.Equal(keys[100..200], Scan(world.Engine, new IteratorOptions { LowerBound = keys[100], UpperBound = keys[200] }).Select(r => r.Key));
        Assert.Equal(keys[100..], Scan(world.Engine, new IteratorOptions { LowerBound = keys[100], KeysOnly = true }).Select(r => r.Key));
        Assert.Equal(keys[..200], Scan(world.Engine, new IteratorOptions { UpperBound = keys[200], BypassCache = true }).Select(r => r.Key));
        Assert.Empty(Scan(world.Engine, new IteratorOptions { LowerBound = keys[200], UpperBound = keys[100] }));

        // A bound, and a place to seek, need not be a key.
        byte[] gone = keys[150];
        world.Write(b => b.Delete(gone));
        using EngineScan scan = world.Engine.CreateScan(new IteratorOptions { LowerBound = gone, UpperBound = keys[200] });
        scan.SeekToFirst();
        Assert.Equal(keys[151], scan.Key);
        scan.Seek(keys[10]);
        Assert.Equal(keys[151], scan.Key);
        scan.Seek(keys[199]);
        Assert.Equal(keys[199], scan.Key);
        scan.Next();
        Assert.False(scan.Valid);
        scan.Seek(keys[250]);
        Assert.False(scan.Valid);
        scan.Seek(keys[160]);
        Assert.Equal(keys[160], scan.Key);
    }

    [Theory, EveryEngine]
    public void AScanGoesOnWhereAnotherOneStopped(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int i = 0; i < 200; i++)
            world.Put(Key(i), "v");
        using EngineSnapshot snapshot = world.Engine.CreateSnapshot();
        var seen = new List<byte[]>();
        while (true)
        {
            // Of the last key not even the version need be there any more.
            using EngineScan scan = world.Engine.CreateScan(new IteratorOptions { View = ReadView.At(snapshot) });
            if (seen.Count == 0)
                scan.SeekToFirst();
            else
                scan.Seek(seen[^1]);
            if (scan.Valid && seen.Count > 0 && scan.Key.SequenceEqual(seen[^1]))
                scan.Next();
            if (!scan.Valid)
                break;
            for (int i = 0; i < 7 && scan.Valid; i++, scan.Next())
                seen.Add(scan.Key.ToArray());
            world.Delete(Key(seen.Count % 200));
            world.Put("new" + seen.Count, "v");
            if (seen.Count % 5 == 0)
                world.Flush();
        }

        Assert.Equal(200, seen.Count);
        Assert.Equal(200, seen.Select(k => Convert.ToHexString(k)).Distinct(StringComparer.Ordinal).Count());
    }

    [Theory, EveryEngine]
    public void AScanSeesTheMomentOfItsCreation(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int i = 0; i < 120; i++)
            world.Put(Key(i), "before");
        world.Write(b => b.Put("unstable"u8, "x"u8), isStable: false);
        using EngineScan published = world.Engine.CreateScan(default);
        using EngineScan stable = world.Engine.CreateScan(new IteratorOptions { View = ReadView.Stable });
        published.SeekToFirst();
        for (int i = 0; i < 120; i++)
        {
            world.Write(b =>
            {
                b.Put(Bytes(Key(i)), "after"u8);
                b.Put(Bytes("late" + i), "x"u8);
                b.Delete(Bytes(Key((i + 60) % 120)));
            });
            if (i % 30 == 0)
                world.FlushAndCompact();
        }

        int count = 0;
        for (; published.Valid; published.Next(), count++)
            Assert.True(published.Value.SequenceEqual("before"u8) || published.Key.SequenceEqual("unstable"u8));
        Assert.Equal(121, count);
        count = 0;
        for (stable.SeekToFirst(); stable.Valid; stable.Next(), count++)
            Assert.Equal("before"u8, stable.Value);
        Assert.Equal(120, count);
        Assert.Equal(0, stable.Valid ? 1 : 0);
    }

    [Theory, EveryEngine]
    public void AScanIsDisposedOnceAndNotMovedAfterwards(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        SortedDictionary<string, string> content = world.All();
        EngineScan scan = world.Engine.CreateScan(default);
        using EngineScan other = world.Engine.CreateScan(default);
        scan.SeekToFirst();
        scan.Dispose();
        scan.Dispose();
        Assert.False(scan.Valid);
        Assert.Throws<ObjectDisposedException>(scan.SeekToFirst);
        Assert.Throws<ObjectDisposedException>(() => scan.Seek("key0001"u8));
        world.DeleteRange("", "");
        world.FlushAndCompact();
        int count = 0;
        for (other.SeekToFirst(); other.Valid; other.Next())
            count++;
        Assert.Equal(content.Count, count);
    }

    [Theory, EveryEngine]
    public void AnOrderedEngineGoesBothWays(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        if (world.Engine is not IOrderedEngine ordered)
            return;
        for (int i = 0; i < 100; i += 2)
        {
            world.Put(Key(i), "v" + i);
            if (i % 30 == 0)
                world.Flush();
        }

        using EngineIterator iterator = ordered.CreateIterator(new IteratorOptions { LowerBound = Bytes(Key(10)), UpperBound = Bytes(Key(90)) });
        iterator.SeekToLast();
        for (int i = 88; i >= 10; i -= 2, iterator.Previous())
            Assert.Equal(Bytes(Key(i)), iterator.Key);
        Assert.False(iterator.Valid);
        iterator.SeekForPrevious(Bytes(Key(51)));
        Assert.Equal(Bytes(Key(50)), iterator.Key);
        iterator.Next();
        Assert.Equal(Bytes(Key(52)), iterator.Key);
        iterator.Previous();
        iterator.Previous();
        Assert.Equal(Bytes(Key(48)), iterator.Key);
        iterator.SeekForPrevious(Bytes(Key(9)));
        Assert.False(iterator.Valid);
        iterator.SeekForPrevious(Bytes(Key(99)));
        Assert.Equal(Bytes(Key(88)), iterator.Key);
        iterator.Dispose();
        Assert.Throws<ObjectDisposedException>(iterator.SeekToLast);
        Assert.Throws<ObjectDisposedException>(() => iterator.SeekForPrevious("key0001"u8));

        ordered.CompactRange(Bytes(Key(20)), Bytes(Key(40)));
        Assert.Equal(50, world.All().Count);
    }
}
