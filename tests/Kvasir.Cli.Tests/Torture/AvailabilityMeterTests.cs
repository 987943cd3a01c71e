using Kvasir.Cli.Torture.Clusters;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Tests.Torture;

public sealed class AvailabilityMeterTests
{
    private readonly AvailabilityMeter _meter = new(key => key[0] - 'a');
    private readonly List<HistoryEvent> _events = [];
    private int _process;

    [Fact]
    public void TheGapIsFromTheKillToTheFirstAnswerOfWhatWasAskedAfterIt()
    {
        _meter.Killed(Ms(1000), [0]);
        Write("a1", 900, 1050);
        Write("a1", 1010, 1400);
        Write("a1", 1020, 1300, EventKind.Info);
        Write("b1", 1020, 1030);
        Read("a1", 1020, 1025);
        Take();
        Assert.Equal([TimeSpan.FromMilliseconds(400)], _meter.Gaps());
    }

    [Fact]
    public void OfSeveralShardsTheSlowestCounts()
    {
        _meter.Killed(Ms(1000), [0, 1, 2]);
        Write("a1", 1010, 1100);
        Write("b1", 1010, 1700);
        Write("c1", 1010, 1200);
        Take();
        Assert.Equal([TimeSpan.FromMilliseconds(700)], _meter.Gaps());
    }

    [Fact]
    public void AShardThatTakesNoWriteAnyMoreHasNoGapButNoEnd()
    {
        _meter.Killed(Ms(1000), [0, 1]);
        _meter.Killed(Ms(1500), [0]);
        _meter.Killed(Ms(1600), []);
        Write("a1", 1510, 1600);
        Take();
        Assert.Equal([null, TimeSpan.FromMilliseconds(100)], _meter.Gaps());
    }

    [Fact]
    public void AShardThatNoClientUsesIsNotWaitedFor()
    {
        AvailabilityMeter meter = new(key => key[0] - 'a', [0]);
        meter.Killed(Ms(1000), [0, 1]);
        Write("a1", 1010, 1100);
        meter.Take(_events);
        Assert.Equal([TimeSpan.FromMilliseconds(100)], meter.Gaps());
    }

    [Fact]
    public void AGapReachesOverTheEndOfAPart()
    {
        _meter.Killed(Ms(1000), [0]);
        Write("a1", 500, 600);
        Take();
        Assert.Equal([null], _meter.Gaps());
        Write("a2", 1800, 1900);
        Take();
        Assert.Equal([TimeSpan.FromMilliseconds(900)], _meter.Gaps());
    }

    [Fact]
    public void SecondsAreCountedAndTheLongestSilenceOfWritesIsKnown()
    {
        Write("a1", 100, 200);
        Read("a1", 300, 900);
        Write("a1", 2100, 2500);
        Read("a1", 2600, 2700);
        Write("a1", 2600, 2650, EventKind.Fail);
        Take();
        Assert.Equal([2, 0, 2], _meter.Answered);
        Assert.Equal([1, 0, 1], _meter.Written);
        Assert.Equal(TimeSpan.FromMilliseconds(2300), _meter.LongestSilence);
    }

    [Fact]
    public void TheMedianIsOfThoseThatEnded()
    {
        Assert.Null(AvailabilityMeter.Median([null]));
        Assert.Equal(TimeSpan.FromMilliseconds(2), AvailabilityMeter.Median([TimeSpan.FromMilliseconds(9), null, TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(2)]));
        Assert.Equal(TimeSpan.FromMilliseconds(3), AvailabilityMeter.Median([TimeSpan.FromMilliseconds(4), TimeSpan.FromMilliseconds(2)]));
    }

    private static long Ms(long milliseconds) => milliseconds * 1_000_000;

    private void Write(string key, long begin, long end, EventKind kind = EventKind.Ok) => Add(OperationKind.Write, key, begin, end, kind);

    private void Read(string key, long begin, long end) => Add(OperationKind.Read, key, begin, end, EventKind.Ok);

    private void Add(OperationKind operation, string key, long begin, long end, EventKind kind)
    {
        _process++;
        _events.Add(new HistoryEvent(_process, EventKind.Invoke, operation, key, default, Ms(begin)));
        _events.Add(new HistoryEvent(_process, kind, operation, key, default, Ms(end)));
    }

    private void Take()
    {
        _meter.Take([.. _events.OrderBy(e => e.TimeNs)]);
        _events.Clear();
    }
}
