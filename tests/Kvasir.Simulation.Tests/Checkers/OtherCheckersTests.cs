using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Checkers;

public sealed class OtherCheckersTests
{
    [Theory]
    [InlineData("w 1 0-1; w 2 2-3; r 1 4-5; r 2 6-7", true)]
    [InlineData("w 1 0-1; w 2 2-3; r 2 4-5; r 1 6-7", false)]
    [InlineData("w 1 0-1; w 2 2-3; r 2 4-5; r nil 6-7", false)]
    // Which was first is not known.
    [InlineData("w 1 0-3; w 2 0-3; r 2 4-5; r 1 6-7", true)]
    [InlineData("w 1 0-?; w 2 2-3; r 2 4-5; r 1 6-7", true)]
    // Written twice: it may be the second one.
    [InlineData("w 1 0-1; w 2 2-3; w 1 4-5; r 2 6-7; r 1 8-9", true)]
    [InlineData("app 1 0-1; app 2 0-1; r [1,2] 4-5; r [1] 6-7", false)]
    [InlineData("incr 1 0-1; incr 1 0-1; r 2 4-5; r 1 6-7", false)]
    [InlineData("incr 1 0-1; incr -1 0-1; r 1 4-5; r 0 6-7", true)]
    public void AProcessDoesNotGoBackInTime(string timeline, bool good)
    {
        List<HistoryEvent> events = [.. Timeline.Parse(timeline).Select(e => e.Operation == OperationKind.Read ? e with { Process = 99 } : e)];
        Assert.Equal(good ? Verdict.Valid : Verdict.Invalid, MonotonicReadChecker.Check(events).Verdict);

        // Different processes have promised each other nothing.
        Assert.Equal(Verdict.Valid, MonotonicReadChecker.Check(Timeline.Parse(timeline)).Verdict);
    }

    [Theory]
    [InlineData("r [[a,5],[b,5]] 0-1; r [[b,7],[a,3]] 2-3", true, "")]
    [InlineData("r [[a,5],[b,5]] 0-1; r [[a,5],[b,4]] 2-3", false, "the total is 9, not 10")]
    [InlineData("r [[a,5],[b,5]] 0-1; r [[a,10]] 2-3", false, "an account has come or gone")]
    [InlineData("r [[a,5],[b,5]] 0-1; r [[a,5],[a,5]] 2-3", false, "each account once")]
    [InlineData("r [[a,5],[b,5]] 0-1; r 7 2-3", false, "a list of [account balance]")]
    public void MoneyIsNeitherMadeNorLost(string reads, bool good, string why)
    {
        List<HistoryEvent> events = [];
        foreach (string read in reads.Split(';'))
        {
            string[] words = read.Trim().Split(' ');
            HistoryValue value = words[1].StartsWith('[')
                ? HistoryValue.Of([.. words[1][1..^1].Split("],").Select(a => a.Trim('[', ']').Split(',')).Select(a => HistoryValue.Of(HistoryValue.Of(a[0]), HistoryValue.Of(long.Parse(a[1]))))])
                : HistoryValue.Of(long.Parse(words[1]));
            events.Add(new HistoryEvent(0, EventKind.Invoke, OperationKind.Read, "bank", default, 0));
            events.Add(new HistoryEvent(0, EventKind.Ok, OperationKind.Read, "bank", value, 0));
        }

        CheckReport report = BankChecker.Check(events);
        Assert.Equal(good ? Verdict.Valid : Verdict.Invalid, report.Verdict);
        Assert.Contains(why, report.Explain(), StringComparison.Ordinal);
        if (good)
            Assert.Equal(Verdict.Invalid, BankChecker.Check(events, total: 11).Verdict);
    }
}
