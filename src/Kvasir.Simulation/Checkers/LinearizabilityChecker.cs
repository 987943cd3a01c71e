using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// Is there one order of all operations, in keeping with real time, that one copy of the data would have answered so? Keys
/// are independent of each other, so each is asked by itself (Herlihy and Wing: linearizability is local).
/// </summary>
/// <remarks>
/// A read that states an age is held to what it states: it may show what was current up to that long before it began, so
/// its interval begins that much earlier.
/// </remarks>
public static class LinearizabilityChecker
{
    /// <param name="events">In the order of time.</param>
    /// <param name="model">Makes a fresh model for a key.</param>
    /// <param name="limits">When to give up and say so.</param>
    public static CheckReport Check(IReadOnlyList<HistoryEvent> events, Func<string, ISequentialModel> model, CheckLimits? limits = null)
    {
        limits ??= CheckLimits.Default;
        long deadline = DeadlineOf(limits);
        List<HistoryOperation> operations = HistoryOperation.Pair(events);
        if (operations.Any(o => o.AgeNs is not null))
            operations = Aged(operations, events);
        return new CheckReport([.. operations.GroupBy(o => o.Key, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal)
            .Select(g => CheckKey(g.Key, [.. g], model, limits, deadline))]);
    }

    private static KeyVerdict CheckKey(
        string key, List<HistoryOperation> operations, Func<string, ISequentialModel> model, CheckLimits limits, long deadline)
    {
        (LinearizabilitySearch search, Verdict verdict) = LinearizabilitySearch.Decide(operations, () => model(key), limits, deadline);
        return new KeyVerdict(key, verdict, operations.Count, operations.Count(o => !o.IsCertain))
        {
            Steps = search.Steps,
            Bound = search.Bound,
            Explanation = verdict == Verdict.Invalid ? new FailureExplanation(operations, () => model(key), limits, deadline).Make() : null,
        };
    }

    private static long DeadlineOf(CheckLimits limits)
    {
        if (limits.Time is not { } time)
            return long.MaxValue;
        TimeProvider clock = limits.Clock ?? throw new ArgumentException("a limit of time needs a clock", nameof(limits));
        double ticks = time.TotalSeconds * clock.TimestampFrequency;
        return ticks > long.MaxValue / 4 ? long.MaxValue : clock.GetTimestamp() + (long)ticks;
    }

    /// <summary>Moves the beginning of each aged read before whatever happened as early as it may be.</summary>
    private static List<HistoryOperation> Aged(List<HistoryOperation> operations, IReadOnlyList<HistoryEvent> events)
    {
        // The latest time up to each line: lines say the order, and a clock may step back a little between two of them.
        long[] latest = new long[events.Count];
        long last = long.MinValue;
        for (int i = 0; i < latest.Length; i++)
            latest[i] = last = Math.Max(last, events[i].TimeNs);

        int Earliest(HistoryOperation o)
        {
            long since = o.BeginNs - o.AgeNs!.Value;
            int at = Array.BinarySearch(latest, since);
            at = at < 0 ? ~at : at;
            while (at > 0 && latest[at - 1] >= since)
                at--;
            return Math.Min(2 * at, 2 * o.Begin) - 1;
        }

        return [.. operations
            .Select(o => o with
            {
                Begin = o.AgeNs is null ? 2 * o.Begin : Earliest(o),
                End = o.End == int.MaxValue ? int.MaxValue : 2 * o.End,
            })
            .OrderBy(o => o.Begin)];
    }
}
