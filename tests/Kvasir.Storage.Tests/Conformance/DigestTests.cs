using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using static Kvasir.Storage.Tests.Conformance.EngineWorld;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>The digest of what an engine has published: chained, withdrawn with what is withdrawn, and as durable as that.</summary>
public sealed class DigestTests
{
    [Theory, EveryEngine]
    public void ItIsTheChainOverTheOperationsInEveryEngine(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        var random = new SeededRandom(4);
        StateDigest expected = StateDigest.Empty;
        Assert.Equal(expected, world.Engine.PublishedDigest);
        for (int i = 0; i < 300; i++)
        {
            byte[] batch = DrawBatch(random, i);
            var reader = new BatchReader(batch);
            while (reader.MoveNext())
                expected = expected.With(reader);
            world.Engine.Stage(batch);
            world.Engine.Publish(new LogPosition((ulong)i + 1));
            expected = expected.At(new LogPosition((ulong)i + 1));
            Assert.Equal(expected, world.Engine.PublishedDigest);
            world.Engine.MarkStable(new LogPosition((ulong)i + 1));
            Assert.Equal(expected, world.Engine.StableDigest);
        }

        world.FlushAndCompact();
        world.Reopen();
        Assert.Equal(expected, world.Engine.PublishedDigest);
        Assert.Equal(expected, world.Engine.StableDigest);
    }

    [Theory, EveryEngine]
    public void BatchesThatAreAppliedAtOnceAreAsIfStagedAndPublishedOneByOne(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        IStorageEngine other = world.OpenOther(world.Disk.Root + "/other");
        var random = new SeededRandom(5);
        for (ulong position = 1; position < 300;)
        {
            var payloads = new BytesBuffer();
            var batches = new List<LoggedBatch>();
            ulong? last = null;
            for (int left = random.Next(50); left >= 0; left--)
            {
                byte[] batch = random.OneIn(6) ? [] : DrawBatch(random, left);
                payloads.Append([1, 2, 3]);
                batches.Add(new LoggedBatch(payloads.Length, batch.Length, new LogPosition(position)));
                payloads.Append(batch);
                world.Engine.Stage(batch);
                if (batch.Length != 0)
                    last = position;
                if (random.OneIn(6))
                    continue;
                world.Engine.Publish(new LogPosition(position));
                position += 1 + (ulong)random.Next(2);
            }

            world.Engine.Publish(new LogPosition(position++));
            other.Apply(payloads.WrittenSpan, batches.ToArray());
            Assert.Equal(world.Engine.PublishedDigest, other.PublishedDigest);
            Assert.Equal(world.Engine.PublishedPosition, other.PublishedPosition);
            Assert.Equal(world.Engine.OldestUnflushedPosition, other.OldestUnflushedPosition);
            Assert.Equal(world.Engine.LastSequence, other.LastSequence);
            if (last is not null && random.OneIn(4))
                Assert.Equal(world.All(), All(other));
            if (!random.OneIn(5))
                continue;
            foreach (IStorageEngine one in new[] { world.Engine, other })
            {
                one.MarkStable(world.Engine.PublishedPosition);
                one.Flush();
                one.WaitForFlush();
            }

            Assert.Equal(world.Engine.StableDigest, other.StableDigest);
            Assert.Equal(world.Engine.FlushedPosition, other.FlushedPosition);
        }

        Assert.Equal(world.All(), All(other));
    }

    [Theory, EveryEngine]
    public void WhatIsAppliedAtOnceIsUnflushedFromItsFirstBatchOn(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        byte[] batch = BytesOf(b => b.Put("a"u8, "1"u8));
        world.Engine.Apply(batch,
        [
            new LoggedBatch(0, 0, new LogPosition(3)), new LoggedBatch(0, batch.Length, new LogPosition(4)),
            new LoggedBatch(0, batch.Length, new LogPosition(9)), new LoggedBatch(0, 0, new LogPosition(11)),
        ]);
        Assert.Equal(new LogPosition(4), world.Engine.OldestUnflushedPosition);
        Assert.Equal(new LogPosition(9), world.Engine.PublishedPosition);
        world.Engine.MarkStable(new LogPosition(8));
        Assert.Equal(StateDigest.Empty, world.Engine.StableDigest);
        world.Engine.MarkStable(new LogPosition(9));
        Assert.Equal(world.Engine.PublishedDigest, world.Engine.StableDigest);
        world.Engine.Apply(batch, [new LoggedBatch(0, 0, new LogPosition(12))]);
        Assert.Equal(new LogPosition(9), world.Engine.PublishedPosition);
    }

    [Theory, EveryEngine]
    public void WhatAFlushLeavesOfThoseAppliedAtOnceIsUnflushedFromItsFirstOn(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        Write(world.Engine, 3, b => b.Put("stable"u8, "1"u8));
        world.Engine.MarkStable(new LogPosition(3));
        byte[] batch = BytesOf(b => b.Put("a"u8, "1"u8));
        world.Engine.Apply(batch, [new LoggedBatch(0, batch.Length, new LogPosition(4)), new LoggedBatch(0, batch.Length, new LogPosition(9))]);
        world.Engine.Flush();
        world.Engine.WaitForFlush();
        Assert.Equal(new LogPosition(3), world.Engine.FlushedPosition);
        Assert.Equal(new LogPosition(4), world.Engine.OldestUnflushedPosition);
    }

    [Theory, EveryEngine]
    public void EverythingThatDiffersShowsEverAfter(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        Write(world.Engine, 8, b => b.Put("a"u8, "1"u8));
        Write(world.Engine, 9, b => b.Put("x"u8, "y"u8));
        (string Key, string? Value, long ExpiresAtMs, ulong Position)[] others =
        [
            ("a", "1", 0, 7), ("b", "1", 0, 8), ("a", "2", 0, 8), ("a", "1", 9, 8), ("", "a1", 0, 8), ("a", null, 0, 8),
        ];
        foreach ((string key, string? value, long expiresAtMs, ulong position) in others)
        {
            IStorageEngine other = world.OpenOther(world.Disk.Root + "/" + Convert.ToHexString(Encoding.UTF8.GetBytes($"{key}{value}{expiresAtMs}{position}")));
            Write(other, position, b =>
            {
                if (value is null)
                    b.Delete(Bytes(key));
                else
                    b.Put(Bytes(key), Bytes(value), expiresAtMs);
            });
            Write(other, 9, b => b.Put("x"u8, "y"u8));
            Assert.NotEqual(world.Engine.PublishedDigest, other.PublishedDigest);
        }
    }

    [Theory, EveryEngine]
    public void WhatIsTakenBackLeavesNoTrace(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        IStorageEngine one = world.Engine, other = world.OpenOther(world.Disk.Root + "/other");
        Write(one, 1, b => b.Put("a"u8, "1"u8));
        Write(one, 2, b => b.Put("b"u8, "2"u8));
        StateDigest two = one.PublishedDigest;
        Write(one, 3, b => b.Put("c"u8, "3"u8));
        Write(one, 4, b => b.Put("d"u8, "4"u8));
        one.Stage(BytesOf(b => b.Put("staged"u8, "x"u8)));
        one.MarkStable(new LogPosition(1));
        one.DiscardAfter(new LogPosition(2));
        Assert.Equal(two, one.PublishedDigest);
        Write(one, 3, b => b.Put("other"u8, "3"u8));

        Write(other, 1, b => b.Put("a"u8, "1"u8));
        Assert.Equal(one.StableDigest, other.PublishedDigest);
        Write(other, 2, b => b.Put("b"u8, "2"u8));
        Write(other, 3, b => b.Put("other"u8, "3"u8));
        Assert.Equal(one.PublishedDigest, other.PublishedDigest);
        one.DiscardAfter(new LogPosition(1));
        Assert.Equal(one.StableDigest, one.PublishedDigest);
    }

    [Theory, EveryEngine]
    public void ARestartBringsBackThatOfWhatIsInFiles(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        for (ulong i = 1; i <= 5; i++)
            Write(world.Engine, i, b => b.Put(Bytes("k" + i), "v"u8));
        world.Engine.MarkStable(new LogPosition(3));
        StateDigest three = world.Engine.StableDigest, five = world.Engine.PublishedDigest;
        world.Flush();
        Assert.Equal(3UL, world.Engine.FlushedPosition.Value);
        world.Reopen();
        Assert.Equal(three, world.Engine.PublishedDigest);
        Assert.Equal(three, world.Engine.StableDigest);
        Write(world.Engine, 4, b => b.Put("k4"u8, "v"u8));
        Write(world.Engine, 5, b => b.Put("k5"u8, "v"u8));
        Assert.Equal(five, world.Engine.PublishedDigest);
        world.Engine.MarkStable(new LogPosition(5));
        world.Flush();
        world.Reopen();
        Assert.Equal(five, world.Engine.PublishedDigest);
    }

    [Theory, EveryEngine]
    public void ASnapshotOfAnotherReplicaBringsThatOfItsOrigin(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk, keepsDigest: true);
        StateDigest origin = new(12345);
        world.Engine.MarkStable(new LogPosition(40));
        world.Stage(b => b.Put("a"u8, "1"u8));
        world.Engine.AssumeDigest(origin);
        world.Engine.Publish(new LogPosition(1));
        Assert.Equal(origin, world.Engine.PublishedDigest);
        world.Flush();
        Write(world.Engine, 41, b => b.Put("b"u8, "2"u8));
        StateDigest next = world.Engine.PublishedDigest;
        Assert.NotEqual(origin, next);
        world.Reopen();
        Assert.Equal(origin, world.Engine.PublishedDigest);
        Write(world.Engine, 41, b => b.Put("b"u8, "2"u8));
        Assert.Equal(next, world.Engine.PublishedDigest);
    }

    [Theory, EveryEngine]
    public void FilesThatDoNotTellItLeaveItUnknownUntilItIsAssumed(string engine, DiskKind disk)
    {
        using var world = new EngineWorld(engine, disk);
        world.Put("a", "1");
        Assert.True(world.Engine.PublishedDigest.IsUnknown);
        world.Flush();
        world.Environment = world.Environment with { KeepsDigest = true };
        world.Reopen();
        Assert.True(world.Engine.PublishedDigest.IsUnknown);
        Write(world.Engine, 2, b => b.Put("b"u8, "2"u8));
        Assert.True(world.Engine.PublishedDigest.IsUnknown);
        world.Engine.AssumeDigest(new StateDigest(77));
        world.Engine.MarkStable(new LogPosition(2));
        Assert.Equal(new StateDigest(77), world.Engine.StableDigest);
    }

    private static void Write(IStorageEngine engine, ulong position, Action<WriteBatch> fill)
    {
        engine.Stage(BytesOf(fill));
        engine.Publish(new LogPosition(position));
    }

    private static byte[] DrawBatch(SeededRandom random, int number) => BytesOf(b =>
    {
        for (int n = random.Next(1, 4); n > 0; n--)
        {
            if (random.OneIn(10))
                b.DeleteRange(Bytes(Key(random.Next(40))), Bytes(Key(random.Next(80))));
            else if (random.OneIn(4))
                b.Delete(Bytes(Key(random.Next(80))));
            else
                b.Put(Bytes(Key(random.Next(80))), Bytes("v" + number), random.OneIn(3) ? 4_000_000_000_000 : 0);
        }
    });
}
