using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Storage.Tests.Lsm.Engine;

public class LsmEngineTests : IDisposable
{
    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(1));
    private readonly MemoryBudget _memory = new(MemoryBudget.MinimumBytes);
    private readonly FakeTableStore _tables = new();
    private readonly WriteBatch _batch = new();
    private readonly BytesBuffer _value = new();
    private readonly BufferedEngine _engine;
    private ulong _position;

    public LsmEngineTests()
    {
        var environment = new EngineEnvironment(new SimulatedFileSystem(new SeededRandom(2)), _scheduler, _memory);
        _engine = new BufferedEngine(_tables, environment, new LsmOptions());
    }

    public void Dispose()
    {
        _engine.Dispose();
        Assert.Equal(0, _memory.WriteBytes);
        Assert.Equal(0, _memory.CacheBytes);
    }

    [Fact]
    public void StagedWritesAreSeenByTheWriterAlone()
    {
        Stage("k", "v");
        Assert.Null(Get("k", ReadView.Published));
        Assert.Equal("v", Get("k", ReadView.Applied));
        _engine.Publish(Next());
        Assert.Equal("v", Get("k", ReadView.Published));
        Assert.Null(Get("k", ReadView.Stable));
        _engine.MarkStable(new LogPosition(_position));
        Assert.Equal("v", Get("k", ReadView.Stable));
    }

    [Fact]
    public void DiscardingWhatIsStagedBringsBackWhatWasThere()
    {
        Put("k", "old");
        Stage("k", "new");
        Stage("other", "x");
        _batch.Clear();
        _batch.DeleteRange([], []);
        _engine.Stage(_batch.Bytes);
        Assert.Null(Get("k", ReadView.Applied));
        _engine.DiscardAfter(_engine.PublishedPosition);
        Assert.Equal("old", Get("k", ReadView.Applied));
        Assert.Null(Get("other", ReadView.Applied));
    }

    [Fact]
    public void SequenceNumbersOfDiscardedWritesAreNotGivenAgain()
    {
        Put("k", "1");
        LogPosition first = _engine.PublishedPosition;
        Put("k", "2");
        ulong discarded = _engine.LastSequence.Value;
        _engine.DiscardAfter(first);
        Assert.Equal("1", Get("k", ReadView.Published));
        Assert.Equal(first, _engine.PublishedPosition);
        Put("k", "3");
        Assert.True(_engine.LastSequence.Value > discarded);
        Assert.Equal("3", Get("k", ReadView.Published));
    }

    [Fact]
    public void WhatIsStableCannotBeDiscarded()
    {
        Put("k", "1");
        Put("k", "2");
        _engine.MarkStable(new LogPosition(_position));
        Assert.Throws<InvariantViolationException>(() => _engine.DiscardAfter(new LogPosition(1)));
    }

    [Fact]
    public void ABatchThatMakesNoSenseLeavesNothingBehind()
    {
        _batch.Clear();
        _batch.Put("good"u8, "x"u8);
        byte[] bad = [.. _batch.Bytes, 77];
        Assert.Throws<InvariantViolationException>(() => _engine.Stage(bad));
        Assert.Null(Get("good", ReadView.Applied));
        _engine.Publish(Next());
        Assert.Equal(default, _engine.PublishedPosition);
    }

    [Fact]
    public void OnlyWhatIsStableReachesTheFiles()
    {
        Put("a", "stable");
        _engine.MarkStable(new LogPosition(_position));
        LogPosition stable = _engine.PublishedPosition;
        Put("a", "unstable");
        Put("b", "unstable");
        _engine.Flush();
        _engine.WaitForFlush();
        Assert.Equal(stable, _engine.FlushedPosition);
        Assert.Equal("stable", Encoding.UTF8.GetString(Assert.Single(_tables.Versions).Value));
        Assert.Equal(new LogPosition(stable.Value + 1), _engine.OldestUnflushedPosition);
        _engine.MarkStable(new LogPosition(_position));
        _scheduler.RunAll();
        Assert.Equal(new LogPosition(_position), _engine.FlushedPosition);
        Assert.Null(_engine.OldestUnflushedPosition);
        Assert.Equal("unstable", Get("a", ReadView.Published));
    }

    [Fact]
    public void AFailedFlushKeepsReadsAndResumesWhenThereIsSpace()
    {
        Put("k", "v");
        _engine.MarkStable(new LogPosition(_position));
        _tables.FlushFailure = new DiskFullException("no space");
        _engine.Flush();
        var stopped = Assert.Throws<WritesStoppedException>(_engine.WaitForFlush);
        Assert.IsType<DiskFullException>(stopped.InnerException);
        Assert.Same(_tables.FlushFailure, _engine.BackgroundFailure);
        Assert.Equal("v", Get("k", ReadView.Published));
        Assert.False(_engine.TryResume());
        _tables.FlushFailure = null;
        Assert.True(_engine.TryResume());
        Assert.Null(_engine.BackgroundFailure);
        Assert.Equal(new LogPosition(_position), _engine.FlushedPosition);
        Assert.Equal("v", Get("k", ReadView.Published));
    }

    [Fact]
    public void AskedToGoOnItTriesInTheBackground()
    {
        Put("k", "v");
        _engine.MarkStable(new LogPosition(_position));
        _tables.FlushFailure = new DiskFullException("no space");
        _engine.Flush();
        _scheduler.RunAll();
        Assert.NotNull(_engine.BackgroundFailure);
        _engine.RequestResume();
        Assert.Null(_engine.BackgroundFailure);
        _scheduler.RunAll();
        Assert.Same(_tables.FlushFailure, _engine.BackgroundFailure);
        _tables.FlushFailure = null;
        _engine.RequestResume();
        _scheduler.RunAll();
        Assert.Null(_engine.BackgroundFailure);
        Assert.Equal(new LogPosition(_position), _engine.FlushedPosition);
    }

    [Fact]
    public void ACompactionThatKeepsFailingIsToldUntilOneEndsWellAndTriedMoreAndMoreRarely()
    {
        _tables.CompactionFailure = new DiskFullException("no space");
        for (int i = 0; i < 4; i++)
            PutAndFlush();
        Assert.Same(_tables.CompactionFailure, _engine.BackgroundFailure);

        // The first time it may have been mended meanwhile.
        Assert.True(_engine.TryResume());
        _scheduler.RunAll();
        Assert.Equal(2, _tables.CompactionsBegun);
        for (int i = 0; i < 600; i++)
        {
            _scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            Assert.False(_engine.TryResume());
            _scheduler.RunAll();
        }

        Assert.InRange(_tables.CompactionsBegun, 20, 40);

        // Flushes are not held up.
        PutAndFlush();
        Assert.Null(_engine.OldestUnflushedPosition);
        Assert.Same(_tables.CompactionFailure, _engine.BackgroundFailure);

        _tables.CompactionFailure = null;
        for (int i = 0; i < 21 && _engine.BackgroundFailure is not null; i++)
        {
            _scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            _engine.RequestResume();
            _scheduler.RunAll();
        }

        Assert.Null(_engine.BackgroundFailure);
        Assert.False(_tables.CompactionDue);
        Assert.True(_engine.TryResume());

        void PutAndFlush()
        {
            Put("k", "v");
            _engine.MarkStable(new LogPosition(_position));
            _engine.Flush();
            _engine.WaitForFlush();
            _scheduler.RunAll();
        }
    }

    [Fact]
    public void WithMemoryFullAndTheDiskFullWritesAreRefusedWhole()
    {
        _tables.FlushFailure = new DiskFullException("no space");
        byte[] value = new byte[100_000];
        int written = 0;
        var stopped = Assert.Throws<WritesStoppedException>(() =>
        {
            for (; written < 1000; written++)
            {
                _batch.Clear();
                _batch.Put(BitConverter.GetBytes(written), value);
                _engine.Stage(_batch.Bytes);
                _engine.Publish(Next());
                _engine.MarkStable(new LogPosition(_position));
                _scheduler.RunAll();
            }
        });
        Assert.IsType<DiskFullException>(stopped.InnerException);
        Assert.True(_memory.WriteBytes <= _memory.WriteLimitBytes + (2 << 20));
        Assert.True(_engine.SuggestWriteDelay(100) > TimeSpan.Zero);
        Assert.True(_engine.Get(BitConverter.GetBytes(written - 1), ReadView.Published, null).Found);
        _tables.FlushFailure = null;
        Assert.True(_engine.TryResume());
        Put("k", "v");
        Assert.Equal("v", Get("k", ReadView.Published));
    }

    [Fact]
    public void ADeletedKeyTellsWhichMutationDecided()
    {
        Put("k", "v");
        _batch.Clear();
        _batch.Delete("k"u8);
        _engine.Stage(_batch.Bytes);
        _engine.Publish(Next());
        Assert.Equal(new EntryInfo(false, _engine.LastSequence, 0, 0), _engine.Get("k"u8, ReadView.Published, null));
        _engine.MarkStable(new LogPosition(_position));
        SequenceNumber deletion = _engine.LastSequence;
        _engine.Flush();
        _engine.WaitForFlush();
        Assert.Equal(new EntryInfo(false, deletion, 0, 0), _engine.Get("k"u8, ReadView.Published, null));
        Assert.Equal(default, _engine.Get("nothing"u8, ReadView.Published, null));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AFlushKeepsRowsOnlyWhereReadsAreExpected(bool areExpected)
    {
        var environment = new EngineEnvironment(new SimulatedFileSystem(new SeededRandom(3)), _scheduler, _memory);
        using var engine = new BufferedEngine(new FakeTableStore(), environment, new LsmOptions { KeepsFlushedRows = true });
        engine.ExpectReads(areExpected);
        _batch.Clear();
        _batch.Put("k"u8, "v"u8);
        engine.Stage(_batch.Bytes);
        engine.Publish(Next());
        engine.MarkStable(new LogPosition(_position));
        engine.Flush();
        engine.WaitForFlush();
        Assert.Equal(areExpected, _memory.CacheBytes != 0);
        Assert.True(engine.Get("k"u8, ReadView.Published, null).Found);
    }

    [Fact]
    public void AnIteratorOutlivesTheMemTableThatItReads()
    {
        Put("a", "1");
        Put("b", "2");
        _engine.MarkStable(new LogPosition(_position));
        using EngineIterator iterator = _engine.CreateIterator(default);
        iterator.SeekToFirst();
        _engine.Flush();
        _engine.WaitForFlush();
        Put("a", "3");
        Assert.Equal("1", Encoding.UTF8.GetString(iterator.Value));
        iterator.Next();
        Assert.Equal("2", Encoding.UTF8.GetString(iterator.Value));
    }

    [Fact]
    public void TheClockIsTheOneOfTheRead()
    {
        long now = _scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();
        _batch.Clear();
        _batch.Put("k"u8, "v"u8, now + 10);
        _engine.Stage(_batch.Bytes);
        _engine.Publish(Next());
        Assert.Equal("v", Get("k", ReadView.Published));
        using EngineIterator before = _engine.CreateIterator(default);
        _scheduler.Clock.Elapse(TimeSpan.FromMilliseconds(10));
        Assert.Null(Get("k", ReadView.Published));
        before.SeekToFirst();
        Assert.True(before.Valid);
        using EngineIterator after = _engine.CreateIterator(default);
        after.SeekToFirst();
        Assert.False(after.Valid);
        using EngineIterator sweep = _engine.CreateIterator(new IteratorOptions { IncludeExpired = true });
        sweep.SeekToFirst();
        Assert.Equal(now + 10, sweep.ExpiresAtMs);
    }

    [Fact]
    public void WhatIsIngestedIsSeenOverOlderDeletions()
    {
        Put("a", "1");
        _batch.Clear();
        _batch.DeleteRange([], []);
        _engine.Stage(_batch.Bytes);
        _engine.Publish(Next());
        _engine.MarkStable(new LogPosition(_position));
        _engine.Ingest([KeyValuePair.Create<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>("a"u8.ToArray(), "2"u8.ToArray())]);
        Assert.Equal("2", Get("a", ReadView.Published));
        Assert.Equal("2", Get("a", ReadView.Stable));
        Assert.Equal(_engine.LastSequence, _engine.StableSequence);
    }

    [Fact]
    public void ASnapshotCannotBeUsedOnAnotherEngine()
    {
        var environment = new EngineEnvironment(new SimulatedFileSystem(new SeededRandom(2)), _scheduler, _memory);
        using var other = new BufferedEngine(new FakeTableStore(), environment, new LsmOptions());
        using EngineSnapshot snapshot = other.CreateSnapshot();
        Assert.Throws<InvariantViolationException>(() => _engine.Get("k"u8, ReadView.At(snapshot), null));
    }

    [Fact]
    public void CachedReadsAndWritesAllocateNothing()
    {
        for (int i = 0; i < 100; i++)
            Put("key" + i, "value");
        _engine.MarkStable(new LogPosition(_position));
        _engine.Flush();
        _engine.WaitForFlush();
        byte[] cached = "key1"u8.ToArray(), written = "key2"u8.ToArray();
        void Round()
        {
            _value.Clear();
            Assert.True(_engine.Get(cached, ReadView.Published, _value).Found);
            _batch.Clear();
            _batch.Put(written, cached);
            _engine.Stage(_batch.Bytes);
            _engine.Publish(Next());
            _engine.MarkStable(new LogPosition(_position));
            Assert.True(_engine.Get(written, ReadView.Published, null).Found);
            Assert.True(_engine.SuggestWriteDelay(100) == TimeSpan.Zero);
        }

        for (int i = 0; i < 2000; i++)
            Round();
        long hits = _engine.GetStatistics().CacheHits;
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 5; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++)
                Round();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
        Assert.Equal(hits + 500, _engine.GetStatistics().CacheHits);
    }

    private LogPosition Next() => new(++_position);

    private void Stage(string key, string value)
    {
        _batch.Clear();
        _batch.Put(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value));
        _engine.Stage(_batch.Bytes);
    }

    private void Put(string key, string value)
    {
        Stage(key, value);
        _engine.Publish(Next());
    }

    private string? Get(string key, in ReadView view)
    {
        _value.Clear();
        return _engine.Get(Encoding.UTF8.GetBytes(key), view, _value).Found ? Encoding.UTF8.GetString(_value.WrittenSpan) : null;
    }
}
