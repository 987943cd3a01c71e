using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Storage.Tests.Lsm.Engine;

/// <summary>The digest of what an engine has published: chained, withdrawn with what is withdrawn, and as durable as that.</summary>
public sealed class StateDigestTests : IDisposable
{
    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(1));
    private readonly SimulatedFileSystem _disk = new(new SeededRandom(2));
    private readonly MemoryBudget _memory = new(MemoryBudget.MinimumBytes);
    private readonly List<IOrderedEngine> _open = [];

    public void Dispose()
    {
        foreach (IOrderedEngine engine in _open)
            engine.Dispose();
    }

    [Fact]
    public void ItIsTheSameHoweverTheOperationsAreStaged()
    {
        IOrderedEngine one = Open("/one"), other = Open("/other");
        Assert.Equal(StateDigest.Empty, one.PublishedDigest);
        Action<WriteBatch>[] operations =
        [
            batch => batch.Put("a"u8, "1"u8),
            batch => batch.Put("b"u8, "2"u8, 5000),
            batch => batch.Delete("a"u8),
            batch => batch.DeleteRange("c"u8, "d"u8),
        ];
        Stage(one, operations);
        one.Publish(new LogPosition(7));
        foreach (Action<WriteBatch> operation in operations)
            Stage(other, operation);
        Assert.Equal(StateDigest.Empty, other.PublishedDigest);
        other.Publish(new LogPosition(7));
        Assert.Equal(one.PublishedDigest, other.PublishedDigest);
        Assert.NotEqual(StateDigest.Empty, one.PublishedDigest);
    }

    [Fact]
    public void ItIsTheSameWhereManyBatchesAreAppliedAtOnce()
    {
        IOrderedEngine one = Open("/one"), other = Open("/other");
        var random = new SeededRandom(5);
        for (ulong position = 1; position < 400;)
        {
            var payloads = new BytesBuffer();
            var batches = new List<LoggedBatch>();
            for (int left = random.Next(50); left >= 0; left--)
            {
                var batch = new WriteBatch();
                for (int operations = random.Next(4); operations > 0; operations--)
                {
                    if (random.OneIn(9))
                        batch.DeleteRange([(byte)random.Next(200)], [(byte)(200 + random.Next(50))]);
                    else
                        batch.Put([(byte)random.Next(256)], [(byte)operations], random.Next(3));
                }

                batches.Add(new LoggedBatch(payloads.Length, batch.Bytes.Length, new LogPosition(position)));
                payloads.Append(batch.Bytes);
                one.Stage(batch.Bytes);
                if (random.OneIn(6))
                    continue;
                one.Publish(new LogPosition(position));
                position += 1 + (ulong)random.Next(2);
            }

            one.Publish(new LogPosition(position++));
            other.Apply(payloads.WrittenSpan, batches.ToArray());
            Assert.Equal(one.PublishedDigest, other.PublishedDigest);
        }

        Assert.Equal(one.PublishedPosition, other.PublishedPosition);
        Assert.NotEqual(StateDigest.Empty, one.PublishedDigest);
    }

    [Fact]
    public void WhatIsAppliedAtOnceIsUnflushedFromItsFirstBatchOn()
    {
        IOrderedEngine engine = Open("/one");
        byte[] batch = BytesOf(b => b.Put("a"u8, "1"u8));
        engine.Apply(batch, [new LoggedBatch(0, 0, new LogPosition(3)), new LoggedBatch(0, batch.Length, new LogPosition(4)), new LoggedBatch(0, batch.Length, new LogPosition(9)), new LoggedBatch(0, 0, new LogPosition(11))]);
        Assert.Equal(new LogPosition(4), engine.OldestUnflushedPosition);
        Assert.Equal(new LogPosition(9), engine.PublishedPosition);
        engine.MarkStable(new LogPosition(8));
        Assert.Equal(StateDigest.Empty, engine.StableDigest);
        engine.MarkStable(new LogPosition(9));
        Assert.Equal(engine.PublishedDigest, engine.StableDigest);
        engine.Apply(batch, [new LoggedBatch(0, 0, new LogPosition(12))]);
        Assert.Equal(new LogPosition(9), engine.PublishedPosition);
    }

    [Theory]
    [InlineData("a", "1", 0, 8)]
    [InlineData("b", "1", 0, 7)]
    [InlineData("a", "2", 0, 7)]
    [InlineData("a", "1", 9, 7)]
    [InlineData("", "a1", 0, 7)]
    [InlineData("a", null, 0, 7)]
    public void EverythingThatDiffersShows(string key, string? value, long expiresAtMs, ulong position)
    {
        IOrderedEngine one = Open("/one"), other = Open("/other");
        Write(one, 7, "a", "1");
        Stage(other, batch =>
        {
            if (value is null)
                batch.Delete(Encoding.UTF8.GetBytes(key));
            else
                batch.Put(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value), expiresAtMs);
        });
        other.Publish(new LogPosition(position));
        Assert.NotEqual(one.PublishedDigest, other.PublishedDigest);

        // And ever after.
        Write(one, 9, "x", "y");
        Write(other, 9, "x", "y");
        Assert.NotEqual(one.PublishedDigest, other.PublishedDigest);
    }

    [Fact]
    public void WhatIsTakenBackLeavesNoTrace()
    {
        IOrderedEngine one = Open("/one"), other = Open("/other");
        Write(one, 1, "a", "1");
        Write(one, 2, "b", "2");
        StateDigest two = one.PublishedDigest;
        Write(one, 3, "c", "3");
        Write(one, 4, "d", "4");
        Stage(one, batch => batch.Put("staged"u8, "x"u8));
        one.MarkStable(new LogPosition(1));
        one.DiscardAfter(new LogPosition(2));
        Assert.Equal(two, one.PublishedDigest);
        Write(one, 3, "other", "3");

        Write(other, 1, "a", "1");
        Assert.Equal(one.StableDigest, other.PublishedDigest);
        Write(other, 2, "b", "2");
        Write(other, 3, "other", "3");
        Assert.Equal(one.PublishedDigest, other.PublishedDigest);
        one.DiscardAfter(new LogPosition(1));
        Assert.Equal(one.StableDigest, one.PublishedDigest);
    }

    [Fact]
    public void ARestartBringsBackThatOfWhatIsInFiles()
    {
        IOrderedEngine engine = Open("/one");
        for (ulong i = 1; i <= 5; i++)
            Write(engine, i, "k" + i, "v");
        engine.MarkStable(new LogPosition(3));
        StateDigest three = engine.StableDigest, five = engine.PublishedDigest;
        Flush(engine);
        Assert.Equal(3UL, engine.FlushedPosition.Value);
        Close(engine);

        engine = Open("/one");
        Assert.Equal(three, engine.PublishedDigest);
        Assert.Equal(three, engine.StableDigest);
        Write(engine, 4, "k4", "v");
        Write(engine, 5, "k5", "v");
        Assert.Equal(five, engine.PublishedDigest);
        engine.MarkStable(new LogPosition(5));
        Flush(engine);
        Close(engine);
        Assert.Equal(five, Open("/one").PublishedDigest);
    }

    [Fact]
    public void ASnapshotBringsThatOfItsOrigin()
    {
        IOrderedEngine engine = Open("/copy");
        StateDigest origin = new(12345);
        engine.MarkStable(new LogPosition(40));
        Stage(engine, batch => batch.Put("a"u8, "1"u8));
        engine.AssumeDigest(origin);
        engine.Publish(new LogPosition(1));
        Assert.Equal(origin, engine.PublishedDigest);
        Flush(engine);
        Write(engine, 41, "b", "2");
        StateDigest next = engine.PublishedDigest;
        Assert.NotEqual(origin, next);
        Close(engine);
        engine = Open("/copy");
        Assert.Equal(origin, engine.PublishedDigest);
        Write(engine, 41, "b", "2");
        Assert.Equal(next, engine.PublishedDigest);
    }

    [Fact]
    public void FilesThatDoNotTellItLeaveItUnknownUntilItIsAssumed()
    {
        IOrderedEngine engine = Open("/old", keepsDigest: false);
        Write(engine, 1, "a", "1");
        engine.MarkStable(new LogPosition(1));
        Flush(engine);
        Close(engine);
        engine = Open("/old");
        Assert.True(engine.PublishedDigest.IsUnknown);
        Write(engine, 2, "b", "2");
        Assert.True(engine.PublishedDigest.IsUnknown);
        engine.AssumeDigest(new StateDigest(77));
        engine.MarkStable(new LogPosition(2));
        Assert.Equal(new StateDigest(77), engine.StableDigest);
    }

    private IOrderedEngine Open(string folder, bool keepsDigest = true)
    {
        var environment = new EngineEnvironment(_disk, _scheduler, _memory) { KeepsDigest = keepsDigest };
        var engine = (IOrderedEngine)new LsmEngineFactory(LsmOptions.Tiny).Open(folder, environment);
        _open.Add(engine);
        return engine;
    }

    private void Close(IOrderedEngine engine)
    {
        _open.Remove(engine);
        engine.Dispose();
    }

    private static void Flush(IOrderedEngine engine)
    {
        engine.Flush();
        engine.WaitForFlush();
    }

    private static void Write(IOrderedEngine engine, ulong position, string key, string value)
    {
        Stage(engine, batch => batch.Put(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value)));
        engine.Publish(new LogPosition(position));
    }

    private static void Stage(IOrderedEngine engine, params ReadOnlySpan<Action<WriteBatch>> operations) => engine.Stage(BytesOf(operations));

    private static byte[] BytesOf(params ReadOnlySpan<Action<WriteBatch>> operations)
    {
        var batch = new WriteBatch();
        foreach (Action<WriteBatch> operation in operations)
            operation(batch);
        return batch.Bytes.ToArray();
    }
}
