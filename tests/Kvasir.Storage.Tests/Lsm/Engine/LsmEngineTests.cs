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
