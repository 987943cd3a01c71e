using System.Globalization;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Tests.Lsm.Engine;

/// <summary>Flushes and compactions rest where nobody waits for them, and nowhere else.</summary>
public sealed class WorkPaceTests : IDisposable
{
    private const int MemTableBytes = 64 << 10;

    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(1));
    private readonly FakeTableStore _tables = new();
    private readonly LsmOptions _options = new() { MemTableBytes = MemTableBytes };
    private readonly BufferedEngine _engine;
    private ulong _position;

    public WorkPaceTests()
    {
        var environment = new EngineEnvironment(new SimulatedFileSystem(new SeededRandom(2)), _scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        _engine = new BufferedEngine(_tables, environment, _options);
    }

    public void Dispose() => _engine.Dispose();

    [Theory]
    [InlineData(0.25, 2, 6)]
    [InlineData(0.1, 1, 9)]
    [InlineData(0.1, 10, 20)]
    [InlineData(0.1, 0.5, 0)]
    [InlineData(1, 5, 0)]
    public void ARestIsInProportionToTheWork(double share, double workedMs, double restMs)
    {
        var pace = new WorkPace(_scheduler) { Share = _ => share };
        long begun = pace.Begin();
        _scheduler.Clock.Elapse(TimeSpan.FromMilliseconds(workedMs));
        long before = _scheduler.Time.GetTimestamp();
        pace.Rest(isFlush: true, ref begun);
        Assert.Equal(restMs, _scheduler.Time.GetElapsedTime(before).TotalMilliseconds, 1e-6);

        // A burst that was too short goes on.
        Assert.Equal(workedMs >= 1, begun == _scheduler.Time.GetTimestamp());
    }

    [Fact]
    public void NobodyRestsOnAThreadThatAnotherJobWaitsFor()
    {
        var pace = new WorkPace(_scheduler) { Share = _ => 0.1 };
        long begun = pace.Begin();
        _scheduler.Clock.Elapse(TimeSpan.FromMilliseconds(2));
        _scheduler.Schedule(new Job(), JobPriority.Flush);
        long before = _scheduler.Time.GetTimestamp();
        pace.Rest(isFlush: true, ref begun);
        Assert.Equal(before, _scheduler.Time.GetTimestamp());
    }

    [Fact]
    public void AFlushOfWhatFilledSlowlyTakesAsMuchAsItMustAndOneOfWhatFilledFastAll()
    {
        Fill(TimeSpan.FromSeconds(1));
        Assert.Equal(1, Share(isFlush: true));
        _scheduler.RunAll();

        Fill(TimeSpan.FromSeconds(3));
        Assert.InRange(Share(isFlush: true), 0.1, 0.2);
        double before = 0;
        for (int used = 0; used < 4; used++)
        {
            Put(MemTableBytes / 10);
            double share = Share(isFlush: true);
            Assert.True(share > before, $"{share} after {before}");
            before = share;
        }

        Assert.InRange(before, 0.7, 1);
    }

    [Fact]
    public void ACompactionGetsMoreTheMoreTablesCome()
    {
        Fill(TimeSpan.FromSeconds(3));
        int trigger = _options.LevelZeroCompactionTrigger;
        _tables.LevelZeroTables = trigger;
        Assert.Equal(0.1, Share(isFlush: false));
        _tables.LevelZeroTables = trigger + (trigger / 2);
        Assert.Equal(0.5, Share(isFlush: false));
        _tables.LevelZeroTables = 2 * trigger;
        Assert.Equal(1, Share(isFlush: false));
        _tables.LevelZeroTables = trigger;
        _tables.CompactionDebtBytes = _options.LevelBaseBytes;
        Assert.Equal(0.5, Share(isFlush: false));
    }

    [Fact]
    public void NobodyWaitsForARest()
    {
        Fill(TimeSpan.FromSeconds(3));
        Assert.True(Share(isFlush: true) < 1);

        // Nothing is written: nobody is disturbed.
        Assert.Equal(1, _tables.WorkShare(true));
        Assert.True(Share(isFlush: true) < 1);

        // A second memtable waits.
        Fill(TimeSpan.FromSeconds(3));
        Assert.Equal(1, Share(isFlush: true));
        _scheduler.RunAll();

        // Somebody asked for a flush, of the only memtable there is, which has had time.
        Put(10);
        _scheduler.Clock.Elapse(TimeSpan.FromSeconds(3));
        _engine.Flush();
        Assert.Equal(2, _engine.MemTableCount);
        Assert.Equal(1, Share(isFlush: true));
    }

    private double Share(bool isFlush)
    {
        Put(10);
        return _tables.WorkShare(isFlush);
    }

    /// <summary>Until a memtable is full, and so much time goes by.</summary>
    private void Fill(TimeSpan time)
    {
        _scheduler.Clock.Elapse(time);
        int frozen = _engine.MemTableCount;
        while (_engine.MemTableCount == frozen)
            Put(1000);
    }

    private void Put(int bytes)
    {
        var batch = new WriteBatch();
        batch.Put(Encoding.UTF8.GetBytes((++_position).ToString(CultureInfo.InvariantCulture)), new byte[bytes]);
        _engine.Stage(batch.Bytes);
        _engine.Publish(new LogPosition(_position));
        _engine.MarkStable(new LogPosition(_position));
    }

    private sealed class Job : IBackgroundJob
    {
        public string Name => "of another engine";

        public void Run()
        {
        }
    }
}
