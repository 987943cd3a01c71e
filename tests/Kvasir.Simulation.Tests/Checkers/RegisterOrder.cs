using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Checkers;

/// <summary>
/// Another way to the same answer, for registers whose values are each written once (Gibbons and Korach 1997): the write of
/// a value and its reads are a cluster, clusters follow each other, and it is enough to look at pairs of them.
/// </summary>
internal static class RegisterOrder
{
    public static bool IsPossible(List<HistoryOperation> operations)
    {
        List<(int FirstEnd, int LastBegin)> zones = [];
        foreach (IGrouping<HistoryValue, HistoryOperation> cluster in operations.GroupBy(o => o.Kind == OperationKind.Read ? o.Result : o.Argument))
        {
            HistoryOperation[] writes = [.. cluster.Where(o => o.Kind == OperationKind.Write)];
            if (writes.Length > 1 || (writes.Length == 0 && !cluster.Key.IsNil))
                return false;
            int writeBegin = writes.Length == 1 ? writes[0].Begin : -2;
            if (cluster.Any(o => o.Kind == OperationKind.Read && o.End < writeBegin))
                return false;
            int firstEnd = writes.Length == 0 ? -1 : cluster.Min(o => o.End);
            zones.Add((firstEnd, cluster.Max(o => o.Begin)));
        }

        for (int i = 0; i < zones.Count; i++)
        {
            for (int j = 0; j < zones.Count; j++)
            {
                // A zone that ends before it begins to be read holds its value all through: no other may overlap it, if it
                // is such a one, or lie inside it, if it is not. In numbers the two are the same.
                if (i != j && zones[i].FirstEnd < zones[i].LastBegin
                    && zones[i].FirstEnd < zones[j].LastBegin && zones[j].FirstEnd < zones[i].LastBegin)
                    return false;
            }
        }

        return true;
    }
}
