using System.Globalization;
using System.Text;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// A few accounts in one shard, between which clients move money: two keys are read and written in one transaction, or none is. A read sees
/// all accounts at one moment, so their sum is always the same. In histories a bank is one key.
/// </summary>
internal static class Bank
{
    /// <summary>Banks that there are.</summary>
    public const int Count = 2;

    public const int Accounts = 5;

    /// <summary>What is in an account that nobody has written to.</summary>
    public const int BalanceFirst = 20;

    public const long Total = Accounts * BalanceFirst;

    private const string Prefix = "{bank ";

    /// <summary>In braces, so that all accounts are where it is.</summary>
    public static string Name(int number) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{number}}}");

    public static bool Is(string key) => key.StartsWith(Prefix, StringComparison.Ordinal);

    public static int NumberOf(string bank) => int.Parse(bank.AsSpan()[Prefix.Length..^1], CultureInfo.InvariantCulture);

    /// <summary>
    /// A transfer [from to amount], which gives 1, or 0 where there is not so much; or a read, which gives [[account balance] ...]. What it
    /// writes is staged.
    /// </summary>
    public static HistoryValue Execute(ClientRequest request, Execution execution, Replica replica)
    {
        if (request.IsRead)
        {
            return HistoryValue.Of([.. Enumerable.Range(0, Accounts)
                .Select(i => HistoryValue.Of(HistoryValue.Of(i), HistoryValue.Of(Balance(request, execution, replica, i))))]);
        }

        Check.That(request.Kind == OperationKind.Transfer);
        int from = (int)request.Argument.List[0].Number, to = (int)request.Argument.List[1].Number;
        long amount = request.Argument.List[2].Number;
        long has = Balance(request, execution, replica, from);
        if (has < amount)
            return HistoryValue.Of(0);
        long had = Balance(request, execution, replica, to);
        Put(request, execution, replica, from, has - amount);
        Put(request, execution, replica, to, had + amount);
        return HistoryValue.Of(1);
    }

    private static long Balance(ClientRequest request, Execution execution, Replica replica, int account)
    {
        var bytes = new BytesBuffer();
        return execution.Get(replica, KeyOf(request, account), bytes).Found ? long.Parse(bytes.WrittenSpan, CultureInfo.InvariantCulture) : BalanceFirst;
    }

    private static void Put(ClientRequest request, Execution execution, Replica replica, int account, long balance) =>
        execution.Put(replica, KeyOf(request, account), [], Encoding.UTF8.GetBytes(balance.ToString(CultureInfo.InvariantCulture)), 0);

    private static byte[] KeyOf(ClientRequest request, int account) =>
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{request.Key}:{account}"));
}
