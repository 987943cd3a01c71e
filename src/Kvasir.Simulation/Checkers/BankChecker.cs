using System.Globalization;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// Money moves between the accounts of a bank (a key of the history) and is neither made nor lost: every read of all
/// accounts, [[account balance] ...], shows the same accounts and the same total.
/// </summary>
public static class BankChecker
{
    /// <param name="events">In any order.</param>
    /// <param name="total">What is in the bank; null takes it from its first read.</param>
    public static CheckReport Check(IReadOnlyList<HistoryEvent> events, long? total = null) =>
        new([.. HistoryOperation.Pair(events).GroupBy(o => o.Key, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal)
            .Select(g => CheckBank(g.Key, [.. g], total))]);

    private static KeyVerdict CheckBank(string key, List<HistoryOperation> operations, long? total)
    {
        var verdict = new KeyVerdict(key, Verdict.Valid, operations.Count, operations.Count(o => !o.IsCertain));
        HashSet<HistoryValue>? accounts = null;
        foreach (HistoryOperation read in operations.Where(o => o.Kind == OperationKind.Read && o.IsCertain))
        {
            HashSet<HistoryValue> names = [];
            Int128 sum = 0;
            if (!read.Result.IsList)
                return Broken(verdict, read, "a read of a bank is a list of [account balance]");
            foreach (HistoryValue account in read.Result.List)
            {
                if (!account.IsList || account.List.Length != 2 || !account.List[1].IsNumber || !names.Add(account.List[0]))
                    return Broken(verdict, read, "a read of a bank is a list of [account balance], each account once");
                sum += account.List[1].Number;
            }

            accounts ??= names;
            if (!accounts.SetEquals(names))
                return Broken(verdict, read, "an account has come or gone");
            if (total is { } expected && sum != expected)
                return Broken(verdict, read, string.Create(CultureInfo.InvariantCulture, $"the total is {sum}, not {expected}"));
            total ??= (long)sum;
        }

        return verdict;
    }

    private static KeyVerdict Broken(KeyVerdict verdict, HistoryOperation read, string what) =>
        verdict with { Verdict = Verdict.Invalid, Explanation = $"{what}:\n    {read}\n" };
}
