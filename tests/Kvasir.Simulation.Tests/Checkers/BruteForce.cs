using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Checkers;

/// <summary>
/// Tries every order, on the values themselves, with nothing clever: what the real checker is compared with. For a handful
/// of operations.
/// </summary>
internal static class BruteForce
{
    public static bool IsLinearizable(List<HistoryOperation> operations) => Search(operations, 0, HistoryValue.Nil);

    /// <summary>Whether the order is one of real time and the answers are those of one copy; all certain ones must be in it.</summary>
    public static bool Explains(IReadOnlyList<HistoryOperation> order, List<HistoryOperation> operations)
    {
        HistoryValue state = HistoryValue.Nil;
        int ended = int.MinValue;
        for (int i = order.Count - 1, soonest = int.MaxValue; i >= 0; i--)
        {
            if (order[i].Begin > soonest)
                return false;
            soonest = Math.Min(soonest, order[i].End);
        }

        foreach (HistoryOperation operation in order)
        {
            if (!Apply(operation, ref state))
                return false;
            ended = Math.Max(ended, operation.Begin);
        }

        return order.Distinct().Count() == order.Count && operations.Where(o => o.IsCertain).All(order.Contains);
    }

    private static bool Search(List<HistoryOperation> operations, int placed, HistoryValue state)
    {
        int firstEnd = int.MaxValue;
        bool done = true;
        for (int i = 0; i < operations.Count; i++)
        {
            if ((placed & (1 << i)) == 0 && operations[i].IsCertain)
            {
                done = false;
                firstEnd = Math.Min(firstEnd, operations[i].End);
            }
        }

        if (done)
            return true;
        for (int i = 0; i < operations.Count; i++)
        {
            HistoryValue next = state;
            if ((placed & (1 << i)) == 0 && operations[i].Begin < firstEnd && Apply(operations[i], ref next)
                && Search(operations, placed | (1 << i), next))
                return true;
        }

        return false;
    }

    private static bool Apply(HistoryOperation operation, ref HistoryValue state)
    {
        HistoryValue argument = operation.Argument;
        HistoryValue? result = operation.IsCertain && !operation.Result.IsNil ? operation.Result : null;
        bool isAbsent = state.IsNil || state is { IsList: true, List.Length: 0 };
        switch (operation.Kind)
        {
            case OperationKind.Read:
                bool readsAbsent = operation.Result.IsNil || operation.Result is { IsList: true, List.Length: 0 };
                return !operation.IsCertain || (isAbsent ? readsAbsent : operation.Result == state);
            case OperationKind.Write:
                state = argument;
                return true;
            case OperationKind.Exchange:
                bool met = !operation.IsCertain || (isAbsent ? operation.Result.IsNil : operation.Result == state);
                state = argument;
                return met;
            case OperationKind.CompareAndSet:
                bool equal = isAbsent ? argument.List[0].IsNil : state == argument.List[0];
                if (result is { IsNumber: true, Number: 0 })
                    return !equal;
                if (equal)
                    state = argument.List[1];
                return equal;
            case OperationKind.Increment:
                if (!isAbsent && !state.IsNumber)
                    return false;
                state = HistoryValue.Of((isAbsent ? 0 : state.Number) + (argument.IsNil ? 1 : argument.Number));
                return result is null || result == state;
            case OperationKind.Append:
                if (!isAbsent && !state.IsList)
                    return false;
                HistoryValue[] list = isAbsent ? [argument] : [.. state.List, argument];
                state = HistoryValue.Of(list);
                return result is null || result.Value.Number == list.Length;
            case OperationKind.SetIfAbsent:
                if (isAbsent)
                    state = argument;
                return result is null || result.Value.Number == (isAbsent ? 1 : 0);
            case OperationKind.Delete:
                state = HistoryValue.Nil;
                return result is null || result.Value.Number == (isAbsent ? 0 : 1);
            default:
                throw new ArgumentException(operation.ToString());
        }
    }
}
