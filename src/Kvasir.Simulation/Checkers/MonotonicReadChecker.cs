using System.Globalization;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// Does any process, of what it reads of a key, go back in time? For reads that may be stale: each alone may be old, and
/// none may be older than what the same process has seen. Reports only what is certain.
/// </summary>
public static class MonotonicReadChecker
{
    public static CheckReport Check(IReadOnlyList<HistoryEvent> events) =>
        new([.. HistoryOperation.Pair(events).GroupBy(o => o.Key, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal)
            .Select(g => CheckKey(g.Key, [.. g]))]);

    private static KeyVerdict CheckKey(string key, List<HistoryOperation> operations)
    {
        Func<HistoryValue, HistoryValue, bool> isBefore = OrderOf(operations);
        foreach (IGrouping<int, HistoryOperation> process in operations.Where(o => o.Kind == OperationKind.Read && o.IsCertain).GroupBy(o => o.Process))
        {
            HistoryOperation? previous = null;
            foreach (HistoryOperation read in process.OrderBy(o => o.Begin))
            {
                if (previous is not null && isBefore(read.Result, previous.Result))
                {
                    return new KeyVerdict(key, Verdict.Invalid, operations.Count, operations.Count(o => !o.IsCertain))
                    {
                        Explanation = string.Create(CultureInfo.InvariantCulture, $"a process went back in time:\n    {previous}\n    {read}\n"),
                    };
                }

                previous = read;
            }
        }

        return new KeyVerdict(key, Verdict.Valid, operations.Count, operations.Count(o => !o.IsCertain));
    }

    /// <summary>Whether one value surely was there before another, and not after it.</summary>
    private static Func<HistoryValue, HistoryValue, bool> OrderOf(List<HistoryOperation> operations)
    {
        if (operations.TrueForAll(o => o.Kind is OperationKind.Read or OperationKind.Append))
            return static (a, b) => Length(a) < Length(b);
        if (operations.TrueForAll(o => o.Kind == OperationKind.Read || (o.Kind == OperationKind.Increment && (o.Argument.IsNil || o.Argument is { IsNumber: true, Number: > 0 }))))
            return static (a, b) => Number(a) < Number(b);

        // Values written more than once, or by what may not have written them, have no place of their own.
        var writes = new Dictionary<HistoryValue, HistoryOperation?>();
        foreach (HistoryOperation o in operations)
        {
            HistoryValue? written = o.Kind switch
            {
                OperationKind.Write or OperationKind.SetIfAbsent => o.Argument,
                OperationKind.CompareAndSet when o.Argument is { IsList: true, List.Length: 2 } => o.Argument.List[1],
                OperationKind.Delete => HistoryValue.Nil,
                _ => null,
            };
            if (written is { } value && !writes.TryAdd(value, o))
                writes[value] = null;
        }

        if (operations.Exists(o => o.Kind is OperationKind.Increment or OperationKind.Append))
            return static (_, _) => false;
        return (a, b) => a != b
            && writes.GetValueOrDefault(b) is { } later
            && (writes.TryGetValue(a, out HistoryOperation? earlier) ? earlier is not null && earlier.End < later.Begin : a.IsNil);
    }

    private static int Length(HistoryValue list) => list.IsList ? list.List.Length : 0;

    private static long Number(HistoryValue value) => value.IsNumber ? value.Number : 0;
}
