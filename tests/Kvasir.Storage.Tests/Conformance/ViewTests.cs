using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>Staged, published, stable: who sees what, and what can be taken back.</summary>
public sealed class ViewTests
{
    [Theory, EveryEngine]
    public void EachViewSeesWhatItMay(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "stable");
        world.Write(b => b.Put("a"u8, "published"u8), isStable: false);
        world.Stage(b => b.Put("a"u8, "staged"u8));
        Assert.Equal("stable", world.Get("a", ReadView.Stable));
        Assert.Equal("published", world.Get("a"));
        Assert.Equal("staged", world.Get("a", ReadView.Applied));
        foreach ((ReadView view, string expected) in new[] { (ReadView.Stable, "stable"), (ReadView.Published, "published"), (ReadView.Applied, "staged") })
            Assert.Equal([("a", expected)], world.All(view).Select(r => (r.Key, r.Value)));
        world.Engine.Publish(new LogPosition(3));
        Assert.Equal("staged", world.Get("a"));
        Assert.Equal("stable", world.Get("a", ReadView.Stable));
        world.Engine.MarkStable(new LogPosition(2));
        Assert.Equal("published", world.Get("a", ReadView.Stable));
        world.Engine.MarkStable(new LogPosition(3));
        Assert.Equal("staged", world.Get("a", ReadView.Stable));
        Assert.Equal(world.Engine.LastSequence, world.Engine.StableSequence);
    }

    [Theory, EveryEngine]
    public void TheWriterReadsItsOwnDeletions(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        for (int i = 0; i < 9; i++)
            world.Put(Key(i), "v");
        world.Flush();
        world.Stage(b => b.Delete(Bytes(Key(1))));
        world.Stage(b => b.DeleteRange(Bytes(Key(3)), Bytes(Key(6))));
        Assert.Equal([Key(0), Key(2), Key(6), Key(7), Key(8)], world.All(ReadView.Applied).Keys);
        Assert.Equal(9, world.All().Count);
        Assert.Equal(9, world.All(ReadView.Stable).Count);
    }

    [Theory, EveryEngine]
    public void DiscardingWhatIsStagedBringsBackWhatWasThere(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("flushed", "old");
        world.Flush();
        world.Put("memory", "old");
        world.Stage(b => b.Put("flushed"u8, "new"u8));
        world.Stage(b => b.Put("memory"u8, "new"u8));
        world.Stage(b => b.Put("other"u8, "x"u8));
        world.Stage(b => b.DeleteRange([], []));
        world.Stage(b => b.Put("other"u8, "y"u8));
        Assert.Equal(["other"], world.All(ReadView.Applied).Keys);
        world.Engine.DiscardAfter(world.Engine.PublishedPosition);
        SortedDictionary<string, string> applied = world.All(ReadView.Applied);
        Assert.Equal([("flushed", "old"), ("memory", "old")], applied.Select(r => (r.Key, r.Value)));
        Assert.Null(world.Get("other", ReadView.Applied));
        world.Put("other", "again");
        Assert.Equal("again", world.Get("other"));
    }

    [Theory, EveryEngine]
    public void DiscardingPublicationsGoesBackToTheStateOfTheirPosition(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        var states = new List<SortedDictionary<string, string>> { world.All() };
        var random = new SeededRandom(3);
        for (int i = 1; i <= 40; i++)
        {
            world.Write(
                b =>
                {
                    b.Put(Bytes(Key(random.Next(12))), Bytes("v" + i));
                    b.Delete(Bytes(Key(random.Next(12))));
                    if (random.OneIn(5))
                        b.DeleteRange(Bytes(Key(random.Next(6))), Bytes(Key(6 + random.Next(6))));
                },
                isStable: i <= 10);
            states.Add(world.All());
            if (i == 5)
                world.Flush();
        }

        for (int i = 40; i >= 10; i--)
        {
            world.Engine.DiscardAfter(new LogPosition((ulong)i));
            Assert.Equal(new LogPosition((ulong)i), world.Engine.PublishedPosition);
            Assert.Equal(states[i], world.All());
            Assert.Equal(states[i], world.All(ReadView.Applied));
            Assert.Equal(states[10], world.All(ReadView.Stable));
        }

        world.Flush();
        world.Reopen();
        Assert.Equal(states[10], world.All());
    }

    [Theory, EveryEngine]
    public void WhatWasDiscardedIsNeverSeenAgain(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("k", "1");
        world.Write(b => b.Put("k"u8, "2"u8), isStable: false);
        world.Write(b => b.Put("gone"u8, "x"u8), isStable: false);
        world.Engine.DiscardAfter(new LogPosition(1));
        SequenceNumber before = world.Engine.LastSequence;
        world.Write(b => b.Put("k"u8, "3"u8));
        Assert.True(world.Engine.LastSequence > before);
        Assert.Equal("3", world.Get("k"));
        Assert.Equal("3", world.Get("k", ReadView.Stable));
        world.FlushAndCompact();
        world.Reopen();
        Assert.Equal([("k", "3")], world.All().Select(r => (r.Key, r.Value)));
    }

    [Theory, EveryEngine]
    public void WhatIsStableCannotBeDiscarded(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("k", "1");
        world.Put("k", "2");
        Assert.Throws<InvariantViolationException>(() => world.Engine.DiscardAfter(new LogPosition(1)));
        Assert.Equal("2", world.Get("k"));
    }

    [Theory, EveryEngine]
    public void PositionsGrow(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("k", "1");
        world.Put("k", "2");
        world.Stage(b => b.Put("k"u8, "3"u8));
        Assert.Throws<InvariantViolationException>(() => world.Engine.Publish(new LogPosition(2)));
        world.Engine.DiscardAfter(world.Engine.PublishedPosition);
        Assert.Equal("2", world.Get("k"));

        // One that goes backwards does nothing.
        world.Engine.MarkStable(new LogPosition(1));
        Assert.Equal("2", world.Get("k", ReadView.Stable));
    }

    [Theory, EveryEngine]
    public void NothingStagedIsNoPublication(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Engine.Publish(new LogPosition(5));
        Assert.Equal(LogPosition.Zero, world.Engine.PublishedPosition);
        Assert.Null(world.Engine.OldestUnflushedPosition);
        world.Put("a", "1");
        Assert.Equal(new LogPosition(1), world.Engine.PublishedPosition);
        world.Engine.Publish(new LogPosition(9));
        Assert.Equal(new LogPosition(1), world.Engine.PublishedPosition);
    }

    [Theory, EveryEngine]
    public void TheLogMayBeDurableAheadOfWhatIsPublished(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Engine.MarkStable(new LogPosition(10));
        world.Write(b => b.Put("a"u8, "1"u8), isStable: false);
        Assert.Equal("1", world.Get("a", ReadView.Stable));
        world.Flush();
        Assert.Equal(new LogPosition(1), world.Engine.FlushedPosition);
        for (int i = 2; i <= 11; i++)
            world.Write(b => b.Put("a"u8, Bytes("" + i)), isStable: false);
        Assert.Equal("10", world.Get("a", ReadView.Stable));
        Assert.Equal("11", world.Get("a"));
    }

    [Theory, EveryEngine]
    public void ABatchThatMakesNoSenseLeavesNothingBehind(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("good", "old");
        byte[] bad = [.. BytesOf(b => b.Put("good"u8, "x"u8)), 77];
        Assert.Throws<InvariantViolationException>(() => world.Engine.Stage(bad));
        Assert.Equal("old", world.Get("good", ReadView.Applied));
        world.Engine.Publish(new LogPosition(2));
        Assert.Equal(new LogPosition(1), world.Engine.PublishedPosition);
        Assert.Equal("old", world.Get("good"));
        world.Put("good", "new");
        Assert.Equal("new", world.Get("good"));
    }

    [Theory, EveryEngine]
    public void SequenceNumbersCountMutationsAndTellWhichOneDecided(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        Assert.Equal(default, world.Engine.Get("k"u8, ReadView.Published, value: null));
        world.Put("k", "1");
        SequenceNumber first = world.Engine.LastSequence;
        Assert.Equal(new EntryInfo(true, first, 0, 1), world.Engine.Get("k"u8, ReadView.Published, value: null));
        world.Put("other", "1");
        world.Flush();
        Assert.Equal(first, world.Engine.Get("k"u8, ReadView.Published, value: null).Sequence);
        Assert.True(world.Engine.LastSequence > first);
        world.Delete("k");
        SequenceNumber deletion = world.Engine.LastSequence;
        Assert.Equal(new EntryInfo(false, deletion, 0, 0), world.Engine.Get("k"u8, ReadView.Published, value: null));

        // Once it is in the files nothing need be left of it.
        world.Flush();
        EntryInfo flushed = world.Engine.Get("k"u8, ReadView.Published, value: null);
        Assert.False(flushed.Found);
        Assert.True(flushed.Sequence == deletion || flushed.Sequence == default);
        world.Reopen();
        Assert.Equal(deletion, world.Engine.LastSequence);
        Assert.Equal(deletion, world.Engine.StableSequence);
    }

    [Theory, EveryEngine]
    public void HintsChangeNothing(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.FillMixed();
        SortedDictionary<string, string> before = world.All();
        ulong[] hashes = [.. Enumerable.Range(0, 64).Select(i => StableHash.Hash64(Bytes(Key(i))))];
        foreach (bool expected in new[] { false, true })
        {
            world.Engine.ExpectReads(expected);
            world.Engine.Prefetch(hashes, values: expected);
            world.Engine.Prefetch([], values: true);
            world.Put(Key(1), "again");
            world.Flush();
            Assert.Equal("again", world.Get(Key(1)));
        }

        Assert.Equal(before.Where(r => r.Key != Key(1)), world.All().Where(r => r.Key != Key(1)));
    }
}
