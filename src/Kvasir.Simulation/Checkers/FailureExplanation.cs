using System.Globalization;
using System.Text;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// Says of a key that is not linearizable where it breaks and, as shortly as it can, why. Both by asking again: of ever
/// shorter beginnings of the history, then of ever fewer of the operations.
/// </summary>
/// <remarks>
/// An operation that changes the state is not taken out but loosened: it may then have happened at any time after it began,
/// or not at all. What is left contradicts itself even so. (Taken out, a write would leave its reads unexplained, and any
/// history could be "explained" like that.)
/// </remarks>
internal sealed class FailureExplanation
{
    private const long StepsPerSearch = 200_000;
    private const int OrderShown = 6;
    private const int OperationsShown = 40;

    private readonly List<HistoryOperation> _operations;
    private readonly Func<ISequentialModel> _model;
    private readonly CheckLimits _limits;
    private readonly long _deadline;
    private int _searches;

    public FailureExplanation(List<HistoryOperation> operations, Func<ISequentialModel> model, CheckLimits limits, long deadline)
    {
        _operations = operations;
        _model = model;
        _limits = limits with { StepsMax = Math.Min(limits.StepsMax, StepsPerSearch), BytesMax = Math.Min(limits.BytesMax, 1 << 28) };
        _deadline = deadline;
    }

    public string Make()
    {
        int[] ends = [.. _operations.Where(o => o.IsCertain).Select(o => o.End).Order()];

        // The whole is known to be invalid, nothing at all to be valid.
        int good = -1, bad = ends.Length - 1;
        while (bad - good > 1)
        {
            int middle = (good + bad) / 2;
            if (IsInvalid(Until(ends[middle])))
                bad = middle;
            else
                good = middle;
        }

        var text = new StringBuilder();
        HistoryOperation culprit = _operations.First(o => o.End == ends[bad]);
        text.Append(CultureInfo.InvariantCulture, $"not linearizable. Up to the end of {bad} operations there is an order, and none with the next one to end:\n");
        text.Append(CultureInfo.InvariantCulture, $"    {culprit}\n");
        if (good >= 0)
            AppendOrder(text, Until(ends[good]));
        AppendCore(text, Until(ends[bad]));
        return text.ToString();
    }

    /// <summary>What was known at the end of one operation: whatever had not ended by then might have happened or not.</summary>
    private List<HistoryOperation> Until(int end) =>
        [.. _operations.Where(o => o.Begin <= end).Select(o => o.End <= end ? o : Loosened(o))];

    private static HistoryOperation Loosened(HistoryOperation o) =>
        o with { Outcome = EventKind.Info, Result = HistoryValue.Nil, End = int.MaxValue };

    private bool IsInvalid(List<HistoryOperation> operations)
    {
        if (++_searches > _limits.ExplainingSearchesMax)
            return false;
        return LinearizabilitySearch.Decide(operations, _model, _limits, _deadline).Verdict == Verdict.Invalid;
    }

    private void AppendOrder(StringBuilder text, List<HistoryOperation> operations)
    {
        (LinearizabilitySearch search, Verdict verdict) = LinearizabilitySearch.Decide(operations, _model, _limits, _deadline);
        if (verdict != Verdict.Valid)
            return;
        List<HistoryOperation> order = search.Order();
        text.Append(CultureInfo.InvariantCulture, $"  An order of what came before leaves {search.FinalState} and ends with:\n");
        foreach (HistoryOperation operation in order.TakeLast(OrderShown))
            text.Append(CultureInfo.InvariantCulture, $"    {operation}\n");
    }

    private void AppendCore(StringBuilder text, List<HistoryOperation> operations)
    {
        if (!IsInvalid(operations))
            return;
        List<HistoryOperation> certain = [.. operations.Where(o => o.IsCertain)];
        bool[] kept = new bool[certain.Count];
        Array.Fill(kept, true);
        for (int chunk = Math.Max(1, certain.Count / 2); ; chunk /= 2)
        {
            for (int start = 0; start < certain.Count; start += chunk)
            {
                int end = Math.Min(start + chunk, certain.Count);
                bool[] saved = kept[start..end];
                if (!saved.Contains(true))
                    continue;
                Array.Fill(kept, false, start, end - start);
                if (!IsInvalid(With(operations, certain, kept)))
                    saved.CopyTo(kept, start);
            }

            if (chunk == 1)
                break;
        }

        HistoryOperation[] core = [.. certain.Where((_, i) => kept[i])];
        HistoryOperation[] writers = Writers(core, operations);
        text.Append(CultureInfo.InvariantCulture, $"  These {core.Length} contradict each other, whatever the others did:\n");
        Append(text, core);
        if (writers.Length > 0)
        {
            text.Append("  What they saw was written by:\n");
            Append(text, writers);
        }
    }

    private static void Append(StringBuilder text, HistoryOperation[] operations)
    {
        foreach (HistoryOperation operation in operations.Take(OperationsShown))
            text.Append(CultureInfo.InvariantCulture, $"    {operation}\n");
        if (operations.Length > OperationsShown)
            text.Append(CultureInfo.InvariantCulture, $"    and {operations.Length - OperationsShown} more\n");
    }

    private List<HistoryOperation> With(List<HistoryOperation> operations, List<HistoryOperation> certain, bool[] kept)
    {
        ISequentialModel model = _model();
        var result = new List<HistoryOperation>(operations.Count);
        int at = 0;
        foreach (HistoryOperation operation in operations)
        {
            if (!operation.IsCertain || kept[at++])
                result.Add(operation);
            else if (model.Encode(operation).Effect != Effect.Same)
                result.Add(Loosened(operation));
        }

        return result;
    }

    /// <summary>Of what is not in the core, that which brought about a state that the core saw.</summary>
    private HistoryOperation[] Writers(HistoryOperation[] core, List<HistoryOperation> operations)
    {
        ISequentialModel model = _model();
        HashSet<long> seen = [];
        foreach (HistoryOperation operation in core)
        {
            ModelOperation encoded = model.Encode(operation);
            if (encoded.Need == Need.Equal)
                seen.Add(encoded.Needed);
        }

        HashSet<(int, int)> shown = [.. core.Select(o => (o.Process, o.Begin))];
        return [.. operations.Where(o => !shown.Contains((o.Process, o.Begin)))
            .Where(o => model.Encode(o) is { Effect: Effect.Set or Effect.ComputedSet } encoded && seen.Contains(encoded.Left))];
    }
}
