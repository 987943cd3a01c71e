using Kvasir.Primitives;
using Kvasir.Raft.Log;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Tests.Log;

public sealed class TermLogTests
{
    [Fact]
    public void AgreesWithAPlainListOfTermsWhateverIsDone()
    {
        for (ulong seed = 1; seed <= 200; seed++)
        {
            var random = new SeededRandom(seed);
            var model = new List<ulong>();
            int compacted = 0;
            var log = new TermLog(LogIndex.Zero, Term.Zero, [], LogIndex.Zero);
            ulong baseTerm = 0;
            for (int step = 0; step < 200; step++)
            {
                switch (random.Next(6))
                {
                    case < 3:
                        ulong term = (model.Count == compacted ? Math.Max(baseTerm, 1) : model[^1]) + (ulong)random.Next(3);
                        int count = 1 + random.Next(4);
                        log.Append(log.LastIndex.Next, log.LastIndex + (ulong)count, new Term(term));
                        model.AddRange(Enumerable.Repeat(term, count));
                        break;
                    case 3 when model.Count > compacted:
                        int from = random.Next(compacted + 1, model.Count + 1);
                        log.TruncateFrom(new LogIndex((ulong)from));
                        model.RemoveRange(from - 1, model.Count - from + 1);
                        break;
                    case 4:
                        int to = random.Next(compacted, model.Count + 1);
                        log.Compact(new LogIndex((ulong)to));
                        if (to > compacted)
                            (compacted, baseTerm) = (to, model[to - 1]);
                        break;
                    case 5 when random.OneIn(10):
                        int index = model.Count + random.Next(5);
                        ulong at = (model.Count == 0 ? 0 : model[^1]) + 1;
                        model.AddRange(Enumerable.Repeat(at, index - model.Count));
                        log.Reset(new LogIndex((ulong)index), new Term(at));
                        (compacted, baseTerm) = (index, at);
                        break;
                }

                IsEqual(model, compacted, baseTerm, log, $"seed {seed}, step {step}");
            }
        }
    }

    [Theory]
    // log, index, term, expected index and term
    [InlineData("1 1 2 2 3", 5, 3, 5, 3)]
    [InlineData("1 1 2 2 3", 5, 2, 4, 2)]
    [InlineData("1 1 2 2 3", 5, 1, 2, 1)]
    [InlineData("1 1 2 2 3", 9, 2, 4, 2)] // beyond the end
    [InlineData("1 1 2 2 3", 3, 9, 3, 2)]
    [InlineData("4 4 4", 3, 2, 0, 0)]
    [InlineData("", 0, 5, 0, 0)]
    public void SkipsWholeTermsInSearchOfWhereTwoLogsCanMeet(string terms, ulong index, ulong term, ulong expected, ulong expectedTerm)
    {
        var log = new TermLog(LogIndex.Zero, Term.Zero, [], LogIndex.Zero);
        foreach (string t in terms.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            log.Append(log.LastIndex.Next, log.LastIndex.Next, new Term(ulong.Parse(t)));
        Assert.Equal((new LogIndex(expected), new Term(expectedTerm)), log.LastNotAbove(new LogIndex(index), new Term(term)));
    }

    [Fact]
    public void RefusesWhatNoLogCanBe()
    {
        var log = new TermLog(new LogIndex(5), new Term(2), [new TermRun(new LogIndex(6), new Term(3))], new LogIndex(8));
        Assert.Throws<InvariantViolationException>(() => log.Append(new LogIndex(10), new LogIndex(10), new Term(3)));
        Assert.Throws<InvariantViolationException>(() => log.Append(new LogIndex(9), new LogIndex(9), new Term(2)));
        Assert.Throws<InvariantViolationException>(() => log.TruncateFrom(new LogIndex(5)));
        Assert.Throws<InvariantViolationException>(() => log.TermAt(new LogIndex(4)));
        Assert.Throws<InvariantViolationException>(() => log.TermAt(new LogIndex(9)));
        Assert.Throws<InvariantViolationException>(
            () => new TermLog(LogIndex.Zero, Term.Zero, [new TermRun(new LogIndex(2), new Term(1))], new LogIndex(2)));
    }

    private static void IsEqual(List<ulong> model, int compacted, ulong baseTerm, TermLog log, string where)
    {
        Assert.True(log.LastIndex.Value == (ulong)model.Count && log.BaseIndex.Value == (ulong)compacted, where);
        Assert.True(log.BaseTerm.Value == baseTerm, where);
        for (int i = compacted + 1; i <= model.Count; i++)
        {
            var index = new LogIndex((ulong)i);
            Assert.True(log.TermAt(index).Value == model[i - 1], where);
            int end = i;
            while (end < model.Count && model[end] == model[i - 1])
                end++;
            Assert.True(log.RunEnd(index).Value == (ulong)end, where);
        }

        ulong term = model.Count == 0 ? 0 : model[^1];
        int other = model.FindIndex(compacted, t => t != term);
        LogIndex expected = other < 0 ? LogIndex.Max : new LogIndex((ulong)other + 1);
        Assert.True(log.FirstOfAnotherTerm(log.BaseIndex.Next, log.LastIndex, new Term(term)) == expected, where);
        Assert.False(log.TryTermAt(log.LastIndex.Next, out _));
    }
}
