using Kvasir.Primitives;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Checkers;

public sealed class LinearizabilitySearchTests
{
    private static readonly OperationKind[][] s_mixes =
    [
        [OperationKind.Read, OperationKind.Write],
        [OperationKind.Read, OperationKind.Write, OperationKind.CompareAndSet],
        [OperationKind.Read, OperationKind.Increment],
        [OperationKind.Read, OperationKind.Append],
        [OperationKind.Read, OperationKind.Write, OperationKind.SetIfAbsent, OperationKind.Delete],
        [OperationKind.Read, OperationKind.Increment, OperationKind.Write, OperationKind.Delete, OperationKind.CompareAndSet],
        [.. Enum.GetValues<OperationKind>().Where(k => k != OperationKind.Transfer)],
    ];

    // None of these histories is hard: one that is not decided in so many steps shows a search that has lost its way.
    private static readonly CheckLimits s_limits = new() { StepsMax = 2_000_000 };

    [Fact]
    public void AgreesWithEveryOrderTriedOnTensOfThousandsOfTinyHistories()
    {
        int valid = 0, invalid = 0;
        for (ulong seed = 1; seed <= 40_000; seed++)
        {
            List<HistoryOperation> operations = Tiny(new SeededRandom(seed));
            bool expected = BruteForce.IsLinearizable(operations);
            (LinearizabilitySearch search, Verdict verdict) = Decide(operations);
            string Shown() => $"seed {seed}: {verdict}, brute force says {expected}:\n{string.Join('\n', operations.Select(o => $"{o.Begin}-{o.End} {o}"))}";
            Assert.True(verdict == (expected ? Verdict.Valid : Verdict.Invalid), Shown());
            if (expected)
            {
                valid++;
                Assert.True(BruteForce.Explains(search.Order(), operations), Shown());
            }
            else
            {
                invalid++;
            }
        }

        Assert.True(valid > 8_000 && invalid > 8_000, $"{valid} valid, {invalid} invalid: one kind is hardly tried");
    }

    [Theory]
    [InlineData(1, 10, 0, 0)]
    [InlineData(2, 50, 0, 0)]
    [InlineData(3, 10, 15, 0)]
    [InlineData(4, 50, 15, 0)]
    [InlineData(5, 10, 0, 4)]
    [InlineData(6, 25, 30, 5)]
    public void WhatARegisterDidIsAccepted(ulong seed, int clients, int unknownOneIn, int values)
    {
        for (int round = 0; round < 5; round++)
        {
            List<HistoryOperation> operations = HistoryOperation.Pair(SimulatedRegister.Run((seed * 100) + (ulong)round, 1500, clients, unknownOneIn, values));
            (LinearizabilitySearch search, Verdict verdict) = Decide(operations);
            Assert.Equal(Verdict.Valid, verdict);
            Assert.True(BruteForce.Explains(search.Order(), operations));
        }
    }

    [Theory]
    [InlineData(1, 10, 0)]
    [InlineData(2, 50, 0)]
    [InlineData(3, 20, 15)]
    public void OneReadOfSomethingElseIsRefused(ulong seed, int clients, int unknownOneIn)
    {
        var random = new SeededRandom(seed);
        int invalid = 0, unknown = 0;
        for (int round = 0; round < 40; round++)
        {
            // With many clients and refused exchanges the search in full takes long.
            List<HistoryEvent> events = SimulatedRegister.Run((seed * 1000) + (ulong)round, 600, clients, unknownOneIn, cas: clients <= 10);
            int[] reads = [.. Enumerable.Range(0, events.Count).Where(i => events[i] is { Kind: EventKind.Ok, Operation: OperationKind.Read, Value.IsNil: false })];
            int at = reads[random.Next(reads.Length / 2, reads.Length)];
            int begin = events.FindLastIndex(at - 1, e => e.Process == events[at].Process);

            // Values are written once: what was not begun by now, or nothing at all, surely is not here any more or not yet.
            bool future = random.OneIn(2);
            HistoryValue wrong = future
                ? events.Skip(at).FirstOrDefault(e => e is { Kind: EventKind.Invoke, Operation: OperationKind.Write }).Value
                : HistoryValue.Nil;
            if (wrong.IsNil && future)
                continue;
            if (!future && !events.Take(begin).Any(e => e is { Kind: EventKind.Ok, Operation: OperationKind.Write }))
                continue;
            events[at] = events[at] with { Value = wrong };
            Verdict verdict = Decide(HistoryOperation.Pair(events)).Verdict;
            Assert.NotEqual(Verdict.Valid, verdict);
            invalid += verdict == Verdict.Invalid ? 1 : 0;
            unknown += verdict == Verdict.Unknown ? 1 : 0;
        }

        Assert.True(invalid > 10 && invalid > 3 * unknown, $"{invalid} invalid, {unknown} not decided");
    }

    [Fact]
    public void ReadsThatChangePlacesAreRefused()
    {
        // Two reads in a row of one process, with a write in between that both surround: exchanged they go back in time.
        for (ulong seed = 1; seed <= 30; seed++)
        {
            List<HistoryEvent> events = SimulatedRegister.Run(seed, 300, 6, cas: false);
            List<HistoryOperation> reads = [.. HistoryOperation.Pair(events).Where(o => o.Kind == OperationKind.Read)];
            bool done = false;
            for (int i = 0; i < reads.Count && !done; i++)
            {
                HistoryOperation? second = reads.Find(r => r.Begin > reads[i].End && r.Result != reads[i].Result && !reads[i].Result.IsNil);
                if (second is null)
                    continue;
                (events[reads[i].End], events[second.End]) =
                    (events[reads[i].End] with { Value = second.Result }, events[second.End] with { Value = reads[i].Result });
                done = true;
            }

            Assert.True(done);
            bool expected = RegisterOrder.IsPossible(HistoryOperation.Pair(events));
            Assert.Equal(expected ? Verdict.Valid : Verdict.Invalid, Decide(HistoryOperation.Pair(events)).Verdict);
        }
    }

    [Fact]
    public void WhatIsPrunedChangesNoAnswer()
    {
        int invalid = 0;
        for (ulong seed = 1; seed <= 3000; seed++)
        {
            var random = new SeededRandom(seed);
            List<HistoryEvent> events = SimulatedRegister.Run(
                seed, random.Next(8, 60), random.Next(2, 9), random.OneIn(2) ? random.Next(2, 20) : 0, random.OneIn(3) ? random.Next(2, 6) : 0);
            int[] answered = [.. Enumerable.Range(0, events.Count).Where(i => events[i].Kind == EventKind.Ok && !events[i].Value.IsNil)];
            if (answered.Length > 0 && random.OneIn(2))
            {
                int at = answered[random.Next(answered.Length)];
                HistoryValue other = events[answered[random.Next(answered.Length)]].Value;
                events[at] = events[at] with { Value = events[at].Operation == OperationKind.Read ? other : HistoryValue.Of(1 - events[at].Value.Number) };
            }

            List<HistoryOperation> operations = HistoryOperation.Pair(events);
            Verdict expected = new LinearizabilitySearch(operations, KeyModel.Plain(), s_limits, long.MaxValue, hides: false).Run();
            (LinearizabilitySearch search, Verdict verdict) = Decide(operations);
            Assert.True(verdict == expected, $"seed {seed}: {verdict}, and {expected} without pruning");
            Assert.True(verdict != Verdict.Valid || BruteForce.Explains(search.Order(), operations), $"seed {seed}: the order explains nothing");
            invalid += verdict == Verdict.Invalid ? 1 : 0;
        }

        Assert.True(invalid > 300, $"{invalid} invalid: hardly tried");
    }

    private static (LinearizabilitySearch Search, Verdict Verdict) Decide(List<HistoryOperation> operations) =>
        LinearizabilitySearch.Decide(operations, () => KeyModel.Plain(), s_limits, long.MaxValue);

    private static List<HistoryOperation> Tiny(SeededRandom random)
    {
        OperationKind[] mix = s_mixes[random.Next(s_mixes.Length)];
        int count = random.Next(1, 8);
        int values = random.Next(1, 4);
        int[] times = [.. Enumerable.Range(0, 2 * count)];
        for (int i = times.Length - 1; i > 0; i--)
        {
            int other = Math.Max(0, i - random.Next(Math.Min(i + 1, 6)));
            (times[i], times[other]) = (times[other], times[i]);
        }

        HistoryValue Number() => HistoryValue.Of(random.Next(1, values + 1));
        HistoryValue Bit() => random.OneIn(3) ? default : HistoryValue.Of(random.Next(2));
        bool lists = mix.Contains(OperationKind.Append);
        HistoryValue Seen() => random.OneIn(4) ? default
            : lists && !random.OneIn(5) ? HistoryValue.Of([.. Enumerable.Range(0, random.Next(4)).Select(_ => Number())]) : Number();
        List<HistoryOperation> operations = [];
        for (int i = 0; i < count; i++)
        {
            OperationKind kind = mix[random.Next(mix.Length)];
            (HistoryValue argument, HistoryValue result) = kind switch
            {
                OperationKind.Read => (default, Seen()),
                OperationKind.Write => (Number(), default),
                OperationKind.CompareAndSet => (HistoryValue.Of(random.OneIn(3) ? default : Number(), Number()), random.OneIn(3) ? HistoryValue.Of(0) : default),
                OperationKind.Increment => (random.OneIn(2) ? default : HistoryValue.Of(random.Next(-1, 3)), random.OneIn(3) ? default : Number()),
                OperationKind.Append => (Number(), random.OneIn(2) ? default : HistoryValue.Of(random.Next(4))),
                OperationKind.SetIfAbsent => (Number(), Bit()),
                _ => (default, Bit()),
            };
            bool certain = !random.OneIn(4);
            operations.Add(new HistoryOperation
            {
                Process = i,
                Kind = kind,
                Key = "x",
                Argument = argument,
                Result = certain ? result : default,
                Outcome = certain ? EventKind.Ok : EventKind.Info,
                Begin = Math.Min(times[2 * i], times[(2 * i) + 1]),
                End = certain ? Math.Max(times[2 * i], times[(2 * i) + 1]) : int.MaxValue,
            });
        }

        return [.. operations.OrderBy(o => o.Begin)];
    }
}
