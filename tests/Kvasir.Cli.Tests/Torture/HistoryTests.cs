using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Torture.Clusters;
using Kvasir.Primitives;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Tests.Torture;

/// <summary>What clients record of servers that answer, err and lie, and what the judge makes of it.</summary>
public sealed class HistoryTests
{
    private const int Clients = 4;

    [Fact]
    public void AnHonestServerIsFoundHonest()
    {
        FakeStore store = new();
        Outcome outcome = Run(store.Answer);
        Assert.Equal(("valid", null), (outcome.Verdict, outcome.Broken));
        Assert.Equal(outcome.Operations, outcome.Answered);
        Assert.True(outcome.Keys > 30, $"{outcome.Keys} keys");
        Assert.Equal(outcome.Keys, outcome.KeysReadAgain);
    }

    [Fact]
    public void DefiniteErrorsDidNotHappen()
    {
        int asked = 0;
        FakeStore store = new()
        {
            Instead = (words, _) => words[0] != "GET" && ++asked % 7 == 0
                ? FakeStore.Verdict.Of(asked % 2 == 0 ? "-TRYAGAIN the leader is not known\r\n" : "-NOTLEADER ask another\r\n")
                : FakeStore.Verdict.Honest,
        };
        Outcome outcome = Run(store.Answer);
        Assert.Equal(("valid", null), (outcome.Verdict, outcome.Broken));
        Assert.True(outcome.Failed > 50, $"{outcome.Failed} failed");
        Assert.Equal(0, outcome.InDoubt);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WhatMayHaveHappenedIsInDoubtWhetherItDidOrNot(bool happens)
    {
        int asked = 0;
        FakeStore store = new();
        store.Instead = (words, _) =>
        {
            if (words[0] == "GET" || ++asked % 29 != 0)
                return FakeStore.Verdict.Honest;
            if (happens)
                store.Apply(words);
            return asked % 2 == 0 ? FakeStore.Verdict.Closed : FakeStore.Verdict.Of("-TIMEOUT outcome unknown: the leader was lost\r\n");
        };
        Outcome outcome = Run(store.Answer);
        Assert.Equal(("valid", null), (outcome.Verdict, outcome.Broken));
        Assert.True(outcome.InDoubt > 10, $"{outcome.InDoubt} in doubt");
        Assert.True(outcome.KeysReadAgain < outcome.Keys);
    }

    [Fact]
    public void ADefiniteErrorOfSomethingThatHappenedIsALie()
    {
        int asked = 0;
        FakeStore store = new();
        store.Instead = (words, _) =>
        {
            if (words[0] == "GET" || ++asked % 7 != 0)
                return FakeStore.Verdict.Honest;
            store.Apply(words);
            return FakeStore.Verdict.Of("-TRYAGAIN later\r\n");
        };
        Assert.Equal("INVALID", Run(store.Answer).Verdict);
    }

    [Theory]
    [InlineData("GET")]
    [InlineData("SET")]
    [InlineData("INCR")]
    [InlineData("APPEND")]
    public void AnAnsweredWriteThatIsLostIsNoticed(string command)
    {
        // One write in some is acknowledged and not done; or one read in some is of another time.
        int asked = 0;
        Dictionary<string, string> answers = new(StringComparer.Ordinal);
        FakeStore store = new();
        store.Instead = (words, values) =>
        {
            if (words[0] != command || ++asked % 11 != 0)
                return FakeStore.Verdict.Honest;
            if (command == "GET")
                return FakeStore.Verdict.Of("$-1\r\n");
            string? before = values.GetValueOrDefault(words[1]);
            string answer = store.Apply(words);
            if (before is null)
                values.Remove(words[1]);
            else
                values[words[1]] = before;
            return FakeStore.Verdict.Of(answer);
        };
        Outcome outcome = Run(store.Answer);
        Assert.Equal("INVALID", outcome.Verdict);
        Assert.NotNull(outcome.Explanation);
    }

    [Fact]
    public void WhatIsLostLongAfterwardsIsNoticedAtTheEnd()
    {
        FakeStore store = new();
        Outcome outcome = Run(store.Answer, beforeTheEnd: () => store.Instead = (_, values) =>
        {
            string[] lists = [.. values.Where(v => v.Value.Length > 24 && v.Value.EndsWith(';')).Select(v => v.Key).Order(StringComparer.Ordinal).Take(1)];
            foreach (string key in lists)
                values[key] = values[key][..^12];
            store.Instead = null;
            return FakeStore.Verdict.Honest;
        });
        Assert.Equal("INVALID", outcome.Verdict);
        Assert.Contains("though nobody wrote to it", outcome.Explanation, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("INCR", "-ERR value is not an integer or out of range\r\n", "INCR")]
    [InlineData("SET", ":1\r\n", "was answered Integer 1")]
    [InlineData("APPEND", ":7\r\n", "was answered Integer 7")]
    [InlineData("GET", "*0\r\n", "was answered Array")]
    public void WhatNoServerMayAnswerIsNamed(string command, string answer, string says)
    {
        int asked = 0;
        FakeStore store = new()
        {
            Instead = (words, _) => words[0] == command && ++asked == 5 ? FakeStore.Verdict.Of(answer) : FakeStore.Verdict.Honest,
        };
        Outcome outcome = Run(store.Answer);
        Assert.Contains(says, outcome.Broken, StringComparison.Ordinal);
    }

    [Fact]
    public void KeyspacesOfEachEngineHaveKeysOfEachKind()
    {
        string[] keyspaces = [.. TorturedKeyspaces.Parse("lsm, log,btree,log").Select(TorturedKeyspaces.Of)];
        Assert.Equal(["db0", "torture-log", "torture-btree"], keyspaces);
        TortureLane[] lanes = TortureLane.Make(24, 250, keyspaces);
        Assert.Equal(9, lanes.Select(l => (l.Keyspace, l.Kind)).Distinct().Count());
        Assert.All(TortureLane.Make(24, 250), l => Assert.Equal("db0", l.Keyspace));
        Assert.Throws<UsageException>(() => TorturedKeyspaces.Parse("lsm,rocks"));
        Assert.Throws<UsageException>(() => TorturedKeyspaces.Parse(""));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AClusterThatIsGoneIsNotWaitedForKeyByKey(bool isTold)
    {
        FakeStore store = new();
        ScriptedServer server = new(store.Answer);
        TortureLane[] lanes = TortureLane.Make(6, operationsPerKey: 1);
        SeededRandom random = new(1);
        HistoryClock clock = new(TimeProvider.System);
        TimeSpan patience = isTold ? TimeSpan.FromDays(1) : TimeSpan.FromMilliseconds(20);
        HistoryClient reader = new(1, 2, clock, [server.Address], lanes, random.Fork(), TimeSpan.FromMinutes(1));
        using HistoryJudge judge = new(reader, key => (KeyKind)(LaneOf(key) % 3), new AvailabilityMeter(LaneOf), file: null, HistoryFormat.Json, patience);
        using ClientLoad load = new(1, clock, [server.Address], lanes, random.Fork(), TimeSpan.FromMinutes(1), (_, part) => judge.Take(part));
        load.Start();
        Processes.Tools.Until(() => load.Steps >= 5000, "clients ask");
        server.Dispose();
        if (isTold)
            judge.ReadNoMore();
        load.Stop();
        judge.Finish();
        Assert.Equal(Verdict.Valid, judge.Verdict);
        Assert.True(judge.Keys >= 5000, $"{judge.Keys} keys");
    }

    [Theory]
    [InlineData("history.edn", "{:process ")]
    [InlineData("history.jsonl", "{\"process\":")]
    public void AHistoryOnDiskIsJudgedTheSame(string name, string begins)
    {
        using StringWriter file = new();
        FakeStore store = new();
        Outcome outcome = Run(store.Answer, file: file, format: HistoryFiles.FormatOf(name));
        Assert.StartsWith(begins, file.ToString(), StringComparison.Ordinal);
        List<HistoryEvent> events = HistoryFiles.Read(new StringReader(file.ToString()));
        Assert.Equal(outcome.Operations, events.Count(e => e.Kind == EventKind.Invoke));
        Assert.Equal(Verdict.Valid, LinearizabilityChecker.Check(events, key => LaneOf(key) % 3 == (int)KeyKind.Counter ? KeyModel.Counter() : KeyModel.Plain()).Verdict);
    }

    /// <summary>A full disk of this machine's says nothing of the cluster.</summary>
    [Fact]
    public void AHistoryThatCannotBeWrittenIsJudgedAndItIsSaid()
    {
        using FullWriter file = new();
        Outcome outcome = Run(new FakeStore().Answer, file: file);
        Assert.Equal("valid", outcome.Verdict);
        Assert.Equal("the history cannot be written: no room", outcome.Defect);
    }

    [Fact]
    public void AClientThatFailsEndsTheLoadAndWhatAllSawIsJudged()
    {
        // In the middle of an operation of one of them.
        TimeThatFails time = new();
        int fails = 0;
        FakeStore store = new()
        {
            Instead = (_, _) =>
            {
                if (Interlocked.Exchange(ref fails, 0) == 1)
                    time.FailsOnce();
                return FakeStore.Verdict.Honest;
            },
        };
        using ScriptedServer server = new(store.Answer);
        using TestedLoad tested = new(server.Address, time, static key => (KeyKind)(LaneOf(key) % 3));
        tested.Load.Start();
        Processes.Tools.Until(() => tested.Load.Steps >= 500, "clients ask");
        tested.Load.BeginNextPart();
        Processes.Tools.Until(() => tested.Judge.Keys > 0, "the judge has read what was left");
        Volatile.Write(ref fails, 1);
        Processes.Tools.Until(() => tested.Load.Defect is not null, "one has failed");
        tested.Load.Stop();
        tested.Judge.Finish();
        Assert.Equal("a client failed: the clock stands", tested.Load.Defect!.Message);
        Assert.Null(tested.Judge.Defect);
        Assert.Equal((Verdict.Valid, null), (tested.Judge.Verdict, tested.Judge.Explanation));
        Assert.True(tested.Judge.Operations >= tested.Load.Steps && tested.Load.Steps >= 500, $"{tested.Judge.Operations} of {tested.Load.Steps}");
        Assert.Equal(tested.Judge.Operations, tested.Judge.Answered + tested.Judge.InDoubt);
        Assert.InRange(tested.Judge.InDoubt, 0, 1);
    }

    [Fact]
    public void AJudgeThatFailsOverOnePartJudgesTheOthers()
    {
        using ScriptedServer server = new(new FakeStore().Answer);
        int asked = 0;
        using TestedLoad tested = new(server.Address, TimeProvider.System, key => ++asked == 2 ? throw new InvalidOperationException("lost my glasses") : (KeyKind)(LaneOf(key) % 3));
        tested.Load.Start();
        Processes.Tools.Until(() => tested.Load.Steps >= 500, "clients ask");
        tested.Load.BeginNextPart();
        Processes.Tools.Until(() => tested.Judge.Defect is not null, "the judge has failed");
        long judgedLater = tested.Load.Steps;
        Processes.Tools.Until(() => tested.Load.Steps >= judgedLater + 500, "clients ask on");
        tested.Load.Stop();
        tested.Judge.Finish();
        Assert.Equal("the judge failed: lost my glasses", tested.Judge.Defect!.Message);
        Assert.Equal((Verdict.Unknown, "a part of what clients saw is not judged: lost my glasses"), (tested.Judge.Verdict, tested.Judge.Explanation));
        Assert.True(tested.Judge.Operations >= 500 && tested.Judge.Keys > 5, $"{tested.Judge.Operations} operations, {tested.Judge.Keys} keys");
    }

    [Theory]
    [InlineData("TIMEOUT outcome unknown: the leader was lost", ErrorMeaning.Indeterminate)]
    [InlineData("IOERR the disk failed: the write's outcome is unknown until the server restarts. EIO", ErrorMeaning.Indeterminate)]
    [InlineData("NOTLEADER 3", ErrorMeaning.Definite)]
    [InlineData("TRYAGAIN", ErrorMeaning.Definite)]
    [InlineData("CLUSTERDOWN no majority", ErrorMeaning.Definite)]
    [InlineData("MOVED 12 127.0.0.1:7000", ErrorMeaning.Definite)]
    [InlineData("ERR unknown command 'GET'", ErrorMeaning.Unexpected)]
    [InlineData("WRONGTYPE no", ErrorMeaning.Unexpected)]
    internal void ErrorsSayWhetherItHappened(string text, ErrorMeaning meaning) => Assert.Equal(meaning, ErrorWords.MeaningOf(text));

    /// <summary>A few thousand operations of some clients in three parts.</summary>
    private static Outcome Run(Func<string[], string?> answer, Action? beforeTheEnd = null, TextWriter? file = null, HistoryFormat format = HistoryFormat.Json)
    {
        using ScriptedServer one = new(answer), two = new(answer);
        HostPort[] nodes = [one.Address, two.Address];
        TortureLane[] lanes = TortureLane.Make(6, operationsPerKey: 60);
        SeededRandom random = new(1);
        HistoryClock clock = new(TimeProvider.System);
        AvailabilityMeter meter = new(LaneOf);
        TimeSpan patience = TimeSpan.FromMinutes(1);
        HistoryClient reader = new(Clients, Clients + 1, clock, nodes, lanes, random.Fork(), patience);
        using HistoryJudge judge = new(reader, key => (KeyKind)(LaneOf(key) % 3), meter, file, format, patience);
        using ClientLoad load = new(Clients, clock, nodes, lanes, random.Fork(), patience, (_, part) => judge.Take(part));
        load.Start();
        for (int part = 1; part <= 3; part++)
        {
            long enough = 1500 * part;
            Processes.Tools.Until(() => load.Steps >= enough, "clients ask");
            if (part < 3)
                load.BeginNextPart();
        }

        load.Stop();
        judge.Finish();
        beforeTheEnd?.Invoke();
        judge.ReadAgain();
        Assert.Equal(judge.Answered, meter.Answered.Sum());
        Assert.Equal(judge.Operations, judge.Answered + judge.Failed + judge.InDoubt);
        string verdict = judge.Verdict switch { Verdict.Valid => "valid", Verdict.Invalid => "INVALID", _ => "unknown: " + judge.Explanation };
        return new Outcome(
            judge.Operations, judge.Answered, judge.Failed, judge.InDoubt, judge.Keys, judge.KeysReadAgain, verdict, judge.Explanation,
            load.Clients.Select(c => c.BrokenPromise).FirstOrDefault(b => b is not null), judge.Defect?.Message);
    }

    private static int LaneOf(string key) => int.Parse(TortureLane.TagOf(key)[5..^1]);

    private sealed record Outcome(
        long Operations, long Answered, long Failed, long InDoubt, int Keys, int KeysReadAgain, string Verdict, string? Explanation, string? Broken, string? Defect);

    /// <summary>Clients of one server, and their judge.</summary>
    private sealed class TestedLoad : IDisposable
    {
        public TestedLoad(HostPort node, TimeProvider time, Func<string, KeyKind> kindOf)
        {
            TortureLane[] lanes = TortureLane.Make(6, operationsPerKey: 60);
            SeededRandom random = new(1);
            HistoryClock clock = new(time);
            TimeSpan patience = TimeSpan.FromMinutes(1);
            HistoryClient reader = new(Clients, Clients + 1, clock, [node], lanes, random.Fork(), patience);
            Judge = new HistoryJudge(reader, kindOf, new AvailabilityMeter(LaneOf), file: null, HistoryFormat.Json, patience);
            Load = new ClientLoad(Clients, clock, [node], lanes, random.Fork(), patience, (_, part) => Judge.Take(part));
        }

        public HistoryJudge Judge { get; }

        public ClientLoad Load { get; }

        public void Dispose()
        {
            Load.Dispose();
            Judge.Dispose();
        }
    }

    /// <summary>Once, whoever asks next is told nothing.</summary>
    private sealed class TimeThatFails : TimeProvider
    {
        private int _fails;

        public void FailsOnce() => Volatile.Write(ref _fails, 1);

        public override long GetTimestamp() =>
            Interlocked.Exchange(ref _fails, 0) == 1 ? throw new InvalidOperationException("the clock stands") : base.GetTimestamp();
    }

    private sealed class FullWriter : StringWriter
    {
        public override void Flush() => throw new IOException("no room");
    }
}
