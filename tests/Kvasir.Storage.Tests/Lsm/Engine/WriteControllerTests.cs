using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Lsm;

namespace Kvasir.Storage.Tests.Lsm.Engine;

public class WriteControllerTests
{
    private readonly SimulatedClock _clock = new(DateTimeOffset.UnixEpoch + TimeSpan.FromDays(1));

    [Fact]
    public void NobodyWaitsWhenNothingIsOwed()
    {
        var writes = new WriteController(new LsmOptions(), _clock);
        writes.Assess(new WriteLoad(FrozenMemTables: 1, MemoryShare: 0.5, LevelZeroTables: 4, CompactionDebtBytes: 1 << 20));
        writes.Charge(100 << 20);
        Assert.Equal(TimeSpan.Zero, writes.Suggest(memoryShare: 0));
        Assert.Equal(0, writes.StallMicroseconds);
    }

    [Fact]
    public void PressureGrowsWithEachDebtLongBeforeTheEnd()
    {
        foreach (Func<int, WriteLoad> load in new Func<int, WriteLoad>[]
        {
            level => new WriteLoad(FrozenMemTables: 4 + level, 0, 0, 0),
            level => new WriteLoad(0, MemoryShare: 0.6 + (level * 0.11), 0, 0),
            level => new WriteLoad(0, 0, LevelZeroTables: level * 6, 0),
            level => new WriteLoad(0, 0, 0, CompactionDebtBytes: level * (4L << 30)),
        })
        {
            double before = -1;
            for (int level = 1; level < 4; level++)
            {
                var writes = new WriteController(new LsmOptions { FrozenMemTablesMax = 8 }, _clock);
                writes.Assess(load(level));
                _clock.Elapse(TimeSpan.FromMinutes(1));
                writes.Assess(load(level));
                Assert.True(writes.Pressure > before || level == 1, $"{load(level)}: {writes.Pressure} after {before}");
                Assert.True(writes.Pressure < 1, $"{load(level)}");
                before = writes.Pressure;
            }

            Assert.True(before > 0.1);
        }
    }

    [Fact]
    public void WritersStopWhenAResourceIsExhaustedAndAskAgain()
    {
        var writes = new WriteController(new LsmOptions(), _clock);
        writes.Assess(new WriteLoad(FrozenMemTables: 4, 0, 0, 0));
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(WriteController.DelayMax, writes.Suggest(memoryShare: 0));
            _clock.Elapse(WriteController.DelayMax);
        }

        Assert.Equal(500_000, writes.StallMicroseconds);
        writes.Assess(default);
        _clock.Elapse(TimeSpan.FromMinutes(1));
        Assert.Equal(TimeSpan.Zero, writes.Suggest(memoryShare: 0));
    }

    /// <summary>
    /// A disk that carries 20 MB/s under writers that could do 200: level zero grows by what is written and shrinks, four
    /// tables at a stroke, at the disk's pace. The goal of the whole: no second below half of the mean.
    /// </summary>
    [Fact]
    public void AnOverwhelmedDiskSlowsWritersEvenly()
    {
        var writes = new WriteController(new LsmOptions(), _clock);
        const double tableBytes = 16e6, diskBytesPerSecond = 20e6, memoryBytesPerSecond = 200e6;
        const int batch = 10_000;
        double unflushed = 0, compacted = 0;
        int levelZero = 0;
        var seconds = new List<double>();
        double inSecond = 0;
        DateTimeOffset secondEnds = _clock.GetUtcNow() + TimeSpan.FromSeconds(1);
        DateTimeOffset end = _clock.GetUtcNow() + TimeSpan.FromMinutes(10);
        DateTimeOffset before = _clock.GetUtcNow();
        while (_clock.GetUtcNow() < end)
        {
            for (TimeSpan delay = writes.Suggest(memoryShare: 0); delay > TimeSpan.Zero; delay = writes.Suggest(memoryShare: 0))
                _clock.Elapse(delay);
            writes.Charge(batch);
            _clock.Elapse(TimeSpan.FromSeconds(batch / memoryBytesPerSecond));
            inSecond += batch;
            unflushed += batch;
            if (unflushed >= tableBytes)
            {
                unflushed -= tableBytes;
                levelZero++;
                writes.Assess(new WriteLoad(0, 0, levelZero, 0));
            }

            DateTimeOffset now = _clock.GetUtcNow();
            compacted += levelZero >= 4 ? (now - before).TotalSeconds * diskBytesPerSecond : 0;
            before = now;
            if (compacted >= 4 * tableBytes)
            {
                compacted = 0;
                levelZero -= 4;
                writes.Assess(new WriteLoad(0, 0, levelZero, 0));
            }

            while (now >= secondEnds)
            {
                seconds.Add(inSecond);
                inSecond = 0;
                secondEnds += TimeSpan.FromSeconds(1);
            }
        }

        // The first seconds run free until the debt shows.
        List<double> steady = seconds[60..];
        double mean = steady.Average();
        Assert.True(mean > 0.8 * diskBytesPerSecond, $"mean {mean:F0}");
        Assert.True(steady.Min() > 0.5 * mean, $"worst {steady.Min():F0} of mean {mean:F0}");
        Assert.True(levelZero < 24);
    }

    /// <summary>
    /// Flushes that carry 100 MB/s under writers that could do 300, after a second in which they did 20: what was seen then
    /// must not hold them back, and memory must not run out.
    /// </summary>
    [Fact]
    public void AWriterThatWasSlowAtFirstIsHeldBackByTheFlushesAlone()
    {
        var writes = new WriteController(new LsmOptions(), _clock);
        const double flushBytesPerSecond = 100e6, limitBytes = 128e6, memTableBytes = 40e6;
        const int batch = 10_000;
        double active = 0, written = 0, worstShare = 0;
        var frozen = new Queue<double>();
        DateTimeOffset begun = _clock.GetUtcNow(), before = begun;
        while (_clock.GetUtcNow() < begun + TimeSpan.FromSeconds(60))
        {
            double Share() => (active + frozen.Sum()) / limitBytes;
            void Flush()
            {
                double seconds = (_clock.GetUtcNow() - before).TotalSeconds;
                before = _clock.GetUtcNow();
                if (frozen.Count == 0)
                    return;
                _flushed += seconds * flushBytesPerSecond;
                if (_flushed < frozen.Peek())
                    return;
                _flushed = 0;
                frozen.Dequeue();
                writes.Assess(new WriteLoad(frozen.Count, Share(), 0, 0));
            }

            for (TimeSpan delay = writes.Suggest(Share()); delay > TimeSpan.Zero; delay = writes.Suggest(Share()))
            {
                _clock.Elapse(delay);
                Flush();
            }

            bool warm = _clock.GetUtcNow() > begun + TimeSpan.FromSeconds(1);
            writes.Charge(batch);
            _clock.Elapse(TimeSpan.FromSeconds(batch / (warm ? 300e6 : 20e6)));
            Flush();
            active += batch;
            written += batch;
            worstShare = Math.Max(worstShare, Share());
            if (active >= memTableBytes)
            {
                frozen.Enqueue(active);
                active = 0;
                writes.Assess(new WriteLoad(frozen.Count, Share(), 0, 0));
            }
        }

        Assert.True(written > 0.9 * 59 * flushBytesPerSecond, $"{written / 60e6:F0} MB/s");
        Assert.True(worstShare < 1.01, $"{worstShare:F2} of the memory");
    }

    private double _flushed;
}
