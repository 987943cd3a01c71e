using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Storage.Tests.Lsm.Engine;

/// <summary>A deletion of ranges gives back the disk soon: nothing more needs to be written for it, and nobody needs to ask.</summary>
public sealed class FreedSpaceTests : IDisposable
{
    private static readonly LsmOptions s_options = new() { TableBytes = 64 << 10, CompressFromLevel = 7 };

    private readonly SimulatedFileSystem _files = new(new SeededRandom(1));
    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(2));
    private readonly WriteBatch _batch = new();
    private readonly IOrderedEngine _engine;
    private ulong _position;
    private int _syncsWanted;

    public FreedSpaceTests()
    {
        var environment = new EngineEnvironment(_files, _scheduler, new MemoryBudget(MemoryBudget.MinimumBytes))
        {
            StabilityWanted = () => _syncsWanted++,
        };
        _engine = new LsmEngineFactory(s_options).OpenOrdered("/db", environment);
    }

    public void Dispose() => _engine.Dispose();

    [Fact]
    public void DeletingEverythingEmptiesTheFolder()
    {
        Fill('a');
        Fill('b');
        PublishRange([], []);
        Assert.Equal(1, _syncsWanted);
        StableAndIdle();
        Assert.Empty(Tables);
        Assert.False(Found('a'));
        Assert.Equal(new LogPosition(_position), _engine.FlushedPosition);
    }

    [Fact]
    public void DeletingEverythingEmptiesTheFolderOfADiskThatIsFull()
    {
        Fill('a');
        Fill('b');
        int full = Tables.Count;
        _files.CapacityBytes = long.MaxValue - _files.FreeBytes("/db") + (16 << 10);
        for (char prefix = 'c'; prefix < 'h'; prefix++)
        {
            Write(prefix);
            _engine.Flush();
            Resume();
        }

        Assert.IsType<DiskFullException>(_engine.BackgroundFailure);
        Assert.True(Tables.Count >= full);
        PublishRange([], []);
        StableAndIdle();
        Resume();
        Assert.Empty(Tables);
        Assert.Null(_engine.BackgroundFailure);
        Assert.False(Found('a'));
        Assert.False(Found('g'));

        void Resume()
        {
            for (int i = 0; i < 5; i++)
            {
                _scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
                _scheduler.RunAll();
                _engine.TryResume();
                _scheduler.RunAll();
            }
        }
    }

    [Fact]
    public void DeletingARangeEmptiesItsTablesOnly()
    {
        Fill('a');
        Fill('b');
        PublishRange([(byte)'a'], [(byte)'b']);
        StableAndIdle();
        Assert.InRange(_engine.GetStatistics().DiskBytes, 1, 300 << 10);
        Assert.False(Found('a'));
        Assert.True(Found('b'));
    }

    [Fact]
    public void WhatASnapshotSeesGoesWithTheSnapshot()
    {
        Fill('a');
        EngineSnapshot snapshot = _engine.CreateSnapshot();
        PublishRange([], []);
        StableAndIdle();
        int flushed = _engine.GetStatistics().Levels[0].Files;
        Assert.True(_engine.Get([(byte)'a', 0, 7], ReadView.At(snapshot), null).Found);
        Assert.False(Found('a'));

        // Deleting it again frees nothing more, and is not worth a flush.
        PublishRange([], []);
        StableAndIdle();
        Assert.Equal(flushed, _engine.GetStatistics().Levels[0].Files);
        snapshot.Dispose();
        _scheduler.RunAll();
        Assert.Empty(Tables);
    }

    [Fact]
    public void CollectingInVainUnderASnapshotOfTheEmptyEngineEnds()
    {
        using EngineSnapshot empty = _engine.CreateSnapshot();
        Fill('a');
        Fill('b');
        PublishRange([(byte)'a', 1], [(byte)'b', 0, 9]);
        _engine.MarkStable(_engine.PublishedPosition);
        _engine.Flush();
        _engine.WaitForFlush();
        _engine.CompactRange([], []);

        // A store that goes on collecting what it may not drop is never idle.
        StableAndIdle();
        Assert.True(Found('a'));
        Assert.False(Found('b'));
    }

    [Fact]
    public void WhatIsFlushedWhenTheDeletionComesIsFreedToo()
    {
        Write('a');
        _engine.Flush();
        PublishRange([], []);
        Assert.Empty(Tables);
        StableAndIdle();
        Assert.Empty(Tables);
        Assert.Equal(new LogPosition(_position), _engine.FlushedPosition);
    }

    [Fact]
    public void ManyDeletionsOfLittleDoNotFlushOnceEach()
    {
        for (int i = 0; i < 100; i++)
        {
            _batch.Clear();
            _batch.Put([(byte)'k', (byte)i], new byte[100]);
            Publish();
            PublishRange([], []);
            StableAndIdle();
        }

        Assert.Equal(0, _engine.GetStatistics().FlushBytesWritten);
    }

    [Fact]
    public void ADeletionThatIsDiscardedFreesNothing()
    {
        Fill('a');
        int before = Tables.Count;
        LogPosition stable = _engine.PublishedPosition;
        PublishRange([], []);
        _engine.DiscardAfter(stable);
        StableAndIdle();
        Assert.Equal(before, Tables.Count);
        Assert.True(Found('a'));
    }

    private List<string> Tables => [.. _files.ListFiles("/db").Where(name => name.EndsWith(".sst", StringComparison.Ordinal))];

    private bool Found(char prefix) => _engine.Get([(byte)prefix, 0, 7], ReadView.Published, null).Found;

    private void Fill(char prefix)
    {
        Write(prefix);
        _engine.Flush();
        _engine.WaitForFlush();
        Assert.NotEmpty(Tables);
    }

    private void Write(char prefix)
    {
        var value = new byte[400];
        for (int i = 0; i < 500; i++)
        {
            _batch.Clear();
            _batch.Put([(byte)prefix, (byte)(i >> 8), (byte)i], value);
            Publish();
        }

        _engine.MarkStable(new LogPosition(_position));
    }

    private void PublishRange(byte[] start, byte[] end)
    {
        _batch.Clear();
        _batch.DeleteRange(start, end);
        Publish();
    }

    private void Publish()
    {
        _engine.Stage(_batch.Bytes);
        _engine.Publish(new LogPosition(++_position));
    }

    private void StableAndIdle()
    {
        _engine.MarkStable(_engine.PublishedPosition);
        _scheduler.RunAll();
    }
}
