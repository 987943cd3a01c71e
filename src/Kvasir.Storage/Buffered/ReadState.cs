using System.Runtime.CompilerServices;
using Kvasir.Storage.Buffered.MemTables;

namespace Kvasir.Storage.Buffered;

/// <summary>
/// Everything a read looks at, newest first: the active memtable, the frozen ones, the tables. Immutable, replaced as a
/// whole. Readers hold it by a count in one of many stripes, so that they do not share a cache line; when it is replaced,
/// the stripes are closed and what they held is added up in one count, whose last holder frees what only this state named.
/// <para>
/// Invariant: from the moment a stripe is closed it never counts again, and (stripes closed and summed) implies that
/// <c>_retired</c> is the number of holders. An attempt on a closed stripe fails, and its caller takes the current state.
/// </para>
/// </summary>
internal sealed class ReadState
{
    private const int StripeCount = 16;
    private const int StripeWords = 16;
    private const long Closed = long.MinValue / 2;
    private const long NotYetSummed = 1L << 40;

    private readonly long[] _stripes = new long[StripeCount * StripeWords];
    private long _retired = NotYetSummed;

    /// <summary>Takes over the reference to the tables, and takes one to each memtable.</summary>
    public ReadState(MemTable[] memTables, ISortedView tables)
    {
        MemTables = memTables;
        Tables = tables;
        foreach (MemTable memTable in memTables)
            memTable.AddReference();
    }

    /// <summary>The active one, then the frozen ones, newest first.</summary>
    public MemTable[] MemTables { get; }

    public ISortedView Tables { get; }

    /// <summary>Takes hold; false when the state has been replaced. <paramref name="stripe"/> goes back to <see cref="Leave"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryEnter(out int stripe)
    {
        stripe = (Environment.CurrentManagedThreadId & (StripeCount - 1)) * StripeWords;
        return Interlocked.Increment(ref _stripes[stripe]) > 0;
    }

    /// <summary>From any thread.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Leave(int stripe)
    {
        if (Interlocked.Decrement(ref _stripes[stripe]) < 0)
            LeaveRetired(1);
    }

    /// <summary>Called once, after the state was replaced.</summary>
    public void Retire()
    {
        long holders = 0;
        for (int stripe = 0; stripe < _stripes.Length; stripe += StripeWords)
            holders += Interlocked.Exchange(ref _stripes[stripe], Closed);
        LeaveRetired(NotYetSummed - holders);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void LeaveRetired(long count)
    {
        if (Interlocked.Add(ref _retired, -count) != 0)
            return;
        foreach (MemTable memTable in MemTables)
            memTable.Release();
        Tables.Release();
    }
}
