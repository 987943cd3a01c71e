using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Checkers;

public sealed class LinearizabilityCheckerTests
{
    [Theory]
    [InlineData("")]
    [InlineData("r nil 0-1")]
    [InlineData("w 1 0-1; r 1 2-3")]
    [InlineData("w 1 0-10; r nil 1-2; r 1 3-4")]
    [InlineData("w 1 0-10; w 2 0-10; r 1 11-12")]
    [InlineData("w 1 0-10; w 2 0-10; r 2 11-12")]
    [InlineData("w 1 0-1; w 2 2-9; r 1 3-4; r 2 5-6")]
    // An unknown outcome: at once, late, or never.
    [InlineData("w 1 0-?; r nil 1-2; r nil 3-4")]
    [InlineData("w 1 0-?; r nil 1-2; r 1 1000-1001")]
    [InlineData("w 1 0-?; r nil 1-2; w 2 5-6; r 2 7-8; r 1 1000-1001; r 1 1002-1003")]
    [InlineData("cas [1,2] 0-?; w 1 3-4; r 2 5-6")]
    [InlineData("del 0-?; w 1 3-4; r 1 5-6; r nil 7-8")]
    // Compare and set.
    [InlineData("w 1 0-1; cas [1,2] 2-3; r 2 4-5")]
    [InlineData("w 1 0-1; cas [2,3]>0 2-3; r 1 4-5")]
    [InlineData("w 1 0-9; cas [1,2]>0 1-2; r 1 10-11")]
    [InlineData("w 1 0-9; cas [1,1] 1-20; r nil 1-2")]
    [InlineData("cas [nil,1] 0-1; r 1 2-3")]
    // Exchange.
    [InlineData("xchg 1>nil 0-1; xchg 2>1 2-3; r 2 4-5")]
    [InlineData("xchg 1>2 0-9; xchg 2>nil 0-9; r 1 10-11")]
    [InlineData("w 1 0-1; xchg 2 2-?; r 1 3-4; xchg 3>2 5-6; r 3 7-8")]
    [InlineData("xchg 1>1 2-3; w 1 0-9")]
    // Others.
    [InlineData("incr 1>1 0-9; incr 1>2 0-9; incr 1>3 0-9; r 3 10-11")]
    [InlineData("incr 5>5 0-9; incr nil>6 0-9; r 6 10-11")]
    [InlineData("incr 1 0-?; incr 1 0-?; incr 1 0-?; r 2 4-5; r 3 6-7")]
    [InlineData("w 10 0-1; incr -3>7 2-3; incr 1 4-5; r 8 6-7")]
    [InlineData("app 1 0-1; app 2 2-3; r [1,2] 4-5")]
    [InlineData("app 1 0-9; app 2 0-9; r [2] 1-2; r [2,1] 10-11")]
    [InlineData("app 1>2 0-9; app 2>1 0-9; r [2,1] 10-11")]
    [InlineData("app a 0-?; app b 0-?; app c 0-?; r [c,a] 5-6; r [c,a,b] 7-8")]
    [InlineData("r [] 0-1; r nil 1-2; app 1 3-4")]
    [InlineData("nx 1>1 0-1; nx 2>0 2-3; r 1 4-5; del nil>1 6-7; nx 2>1 8-9; r 2 10-11")]
    [InlineData("nx 1 0-?; nx 2>0 2-3; r 1 4-5")]
    [InlineData("del nil>0 0-1; w 1 2-3; del nil>1 4-5; r nil 6-7; del 8-9")]
    public void TheseHaveAnOrder(string timeline)
    {
        Assert.Equal(Verdict.Valid, Check(timeline).Verdict);
        Assert.Equal(timeline.Length > 0, BruteForce.IsLinearizable(HistoryOperation.Pair(Timeline.Parse(timeline))) && timeline.Length > 0);
    }

    [Theory]
    [InlineData("r 1 0-1")]
    [InlineData("w 1 0-1; r nil 2-3")]
    [InlineData("w 1 2-3; r 1 0-1")]
    [InlineData("w 1 0-1; w 2 2-3; r 1 4-5")]
    // A value that was seen and then not: the classic new-old inversion.
    [InlineData("w 1 0-1; w 2 2-20; r 2 3-4; r 1 5-6")]
    [InlineData("w 1 0-10; w 2 0-10; r 1 11-12; r 2 13-14")]
    [InlineData("w 1 0-10; w 2 0-10; r 1 11-20; r 2 11-20; r 1 21-22; r 2 23-24")]
    [InlineData("w 1 0-?; r 1 1-2; r nil 3-4")]
    [InlineData("w 1 0-?; r nil 1-2; r 1 5-6; w 2 7-8; r 1 9-10")]
    [InlineData("w 1 5-?; r 1 0-1")]
    [InlineData("w 1 0-1; cas [2,3] 2-3")]
    [InlineData("w 1 0-1; cas [1,2]>0 2-3")]
    [InlineData("w 1 0-1; cas [1,2] 2-3; cas [1,3] 4-5")]
    [InlineData("w 1 0-1; cas [1,2] 2-9; cas [1,3] 2-9")]
    [InlineData("xchg 1>nil 0-9; xchg 2>nil 0-9")]
    [InlineData("w 1 0-1; xchg 2>nil 2-3")]
    [InlineData("w 1 0-1; xchg 2>1 2-3; xchg 3>1 4-5")]
    [InlineData("w 1 0-1; xchg 2>1 2-9; xchg 3>1 2-9")]
    [InlineData("incr 1>1 0-9; incr 1>1 0-9")]
    [InlineData("incr 1>1 0-1; incr 1>3 2-3")]
    [InlineData("incr 1 0-?; incr 1 0-?; r 3 4-5")]
    [InlineData("app 1 0-1; app 2 2-3; r [2,1] 4-5")]
    [InlineData("app 1 0-9; app 2 0-9; r [2] 10-11")]
    [InlineData("app 1 0-9; app 2 0-9; r [1,2] 10-11; r [2,1] 12-13")]
    [InlineData("app 1>1 0-9; app 2>1 0-9")]
    [InlineData("app a 0-?; app b 0-?; r [a] 5-6; r [b] 7-8")]
    [InlineData("nx 1>1 0-9; nx 2>1 0-9")]
    [InlineData("nx 1>0 0-1")]
    [InlineData("w 1 0-1; del nil>0 2-3")]
    [InlineData("del nil>1 0-1")]
    public void TheseHaveNone(string timeline)
    {
        CheckReport report = Check(timeline);
        Assert.Equal(Verdict.Invalid, report.Verdict);
        Assert.False(BruteForce.IsLinearizable(HistoryOperation.Pair(Timeline.Parse(timeline))));
        Assert.Contains("contradict each other", report.Explain(), StringComparison.Ordinal);
    }

    [Theory]
    // A read states how old it may be; until then it may show what was current.
    [InlineData("w 1 0-1; w 2 10-11; r 1 15-16@5", Verdict.Valid)]
    [InlineData("w 1 0-1; w 2 10-11; r 1 15-16@4", Verdict.Valid)]
    [InlineData("w 1 0-1; w 2 10-11; r 1 15-16@3", Verdict.Invalid)]
    [InlineData("w 1 0-1; w 2 10-11; r 1 15-16@100", Verdict.Valid)]
    [InlineData("w 1 0-1; w 2 10-11; r nil 15-16@100", Verdict.Valid)]
    [InlineData("w 1 0-1; w 2 10-11; r 2 15-16@100", Verdict.Valid)]
    [InlineData("w 1 0-1; w 2 10-11; r 3 15-16@100; w 3 17-18", Verdict.Invalid)]
    [InlineData("w 1 0-1; w 2 10-11; r 2 15-16; r 1 17-18@2", Verdict.Invalid)]
    [InlineData("w 1 0-1; w 2 10-11; r 1 17-18@7; r 2 15-16", Verdict.Valid)]
    public void AReadIsHeldToTheAgeItStates(string timeline, Verdict verdict) => Assert.Equal(verdict, Check(timeline).Verdict);

    [Theory]
    [InlineData("r nil 0-1; incr 1>1 2-3", Verdict.Invalid)]
    [InlineData("r 0 0-1; incr 1>1 2-3; r 1 4-5; del 6-7; r 0 8-9; r nil 9-10", Verdict.Valid)]
    [InlineData("r 0 0-1; incr 1>2 2-3", Verdict.Invalid)]
    public void ACounterBeginsAtZero(string timeline, Verdict verdict)
    {
        string asCounter = timeline.Replace("r nil 0-1; incr 1>1", "r nil 0-1; incr 1>2", StringComparison.Ordinal);
        Assert.Equal(verdict, LinearizabilityChecker.Check(Timeline.Parse(asCounter), _ => KeyModel.Counter()).Verdict);
    }

    [Fact]
    public void KeysAreJudgedApart()
    {
        HistoryEvent[] events = [.. Timeline.Parse("w 1 0-1; r 1 2-3").Select(e => e with { Key = "good" })
            .Concat(Timeline.Parse("w 1 0-1; r 2 2-3").Select(e => e with { Key = "bad", Process = e.Process + 10 }))];
        CheckReport report = LinearizabilityChecker.Check(events, _ => KeyModel.Plain());
        Assert.Equal([("bad", Verdict.Invalid), ("good", Verdict.Valid)], report.Keys.Select(k => (k.Key, k.Verdict)));
        Assert.Equal(Verdict.Invalid, report.Verdict);
    }

    [Fact]
    public void ABoundThatIsMetGivesNoVerdict()
    {
        List<HistoryEvent> events = SimulatedRegister.Run(seed: 1, operations: 300, clients: 10, unknownOneIn: 10);
        KeyVerdict steps = LinearizabilityChecker.Check(events, _ => KeyModel.Plain(), new CheckLimits { StepsMax = 5 }).Keys[0];
        Assert.Equal((Verdict.Unknown, "the number of steps"), (steps.Verdict, steps.Bound));
        KeyVerdict memory = LinearizabilityChecker.Check(events, _ => KeyModel.Plain(), new CheckLimits { BytesMax = 100 }).Keys[0];
        Assert.Equal((Verdict.Valid, (string?)null), (memory.Verdict, memory.Bound));
        events = SimulatedRegister.Run(seed: 1, operations: 5000, clients: 10, unknownOneIn: 10);
        memory = LinearizabilityChecker.Check(events, _ => KeyModel.Plain(), new CheckLimits { BytesMax = 100 }).Keys[0];
        Assert.Equal((Verdict.Unknown, "the memory"), (memory.Verdict, memory.Bound));
    }

    [Fact]
    public void AFailureNamesWhatContradictsAndNothingElse()
    {
        // A hundred innocent operations around three guilty ones.
        string innocent = string.Concat(Enumerable.Range(0, 50).Select(i => $"w {100 + i} {i * 10}-{(i * 10) + 2}; r {100 + i} {(i * 10) + 3}-{(i * 10) + 4};"));
        string explanation = Check(innocent + "w 1 600-601; w 2 610-700; r 2 620-621; r 1 630-631; r 2 640-641").Explain();
        Assert.Contains("Up to the end of 102 operations there is an order, and none with the next one to end:\n    process 206: read -> 1,", explanation, StringComparison.Ordinal);
        Assert.Contains("These 3 contradict each other", explanation, StringComparison.Ordinal);
        Assert.DoesNotContain("write 107", explanation, StringComparison.Ordinal);
    }

    private static CheckReport Check(string timeline) => LinearizabilityChecker.Check(Timeline.Parse(timeline), _ => KeyModel.Plain());
}
