using System.Numerics;
using Kvasir.Primitives;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>Something that has the token of a key.</summary>
internal interface ITokened
{
    ulong Token { get; }
}

/// <summary>
/// Sorts by token, and keeps what has the same token in its order. Tokens are hashes, so their highest bits part them evenly: one pass
/// puts each where few others belong. Where somebody chose keys whose tokens crowd, those are sorted by comparing.
/// </summary>
internal static unsafe class TokenSort
{
    private const int FewMax = 24;
    private const int BucketBitsMax = 20;

    public static bool IsSorted<T>(ReadOnlySpan<T> items) where T : struct, ITokened
    {
        for (int i = 1; i < items.Length; i++)
        {
            if (items[i].Token < items[i - 1].Token)
                return false;
        }

        return true;
    }

    public static void Sort<T>(Span<T> items) where T : unmanaged, ITokened
    {
        if (IsSorted<T>(items))
            return;
        if (items.Length <= FewMax)
        {
            SortFew(items);
            return;
        }

        int bits = Math.Min(BitOperations.Log2((uint)items.Length) - 1, BucketBitsMax);
        long endsBytes = ((1L << bits) + 1) * sizeof(int);
        long sortedBytes = (long)items.Length * sizeof(T);
        void* ends = BulkMemory.AllocateZeroed(endsBytes);
        void* sorted = null;
        try
        {
            sorted = BulkMemory.Allocate(sortedBytes);
            SortByBuckets(items, bits, new Span<int>(ends, (1 << bits) + 1), new Span<T>(sorted, items.Length));
        }
        finally
        {
            if (sorted != null)
                BulkMemory.Free(sorted, sortedBytes);
            BulkMemory.Free(ends, endsBytes);
        }
    }

    private static void SortByBuckets<T>(Span<T> items, int bits, Span<int> at, Span<T> sorted) where T : struct, ITokened
    {
        int shift = 64 - bits;
        foreach (ref readonly T item in items)
            at[(int)(item.Token >> shift) + 1]++;
        for (int i = 1; i < at.Length; i++)
            at[i] += at[i - 1];
        foreach (ref readonly T item in items)
            sorted[at[(int)(item.Token >> shift)]++] = item;

        // Now each says where its bucket ends.
        int start = 0;
        for (int i = 0; i < 1 << bits; i++)
        {
            Span<T> bucket = sorted[start..at[i]];
            if (bucket.Length <= FewMax)
                SortFew(bucket);
            else
                SortMany(bucket);
            start = at[i];
        }

        sorted.CopyTo(items);
    }

    private static void SortFew<T>(Span<T> items) where T : struct, ITokened
    {
        for (int i = 1; i < items.Length; i++)
        {
            T item = items[i];
            int to = i;
            for (; to > 0 && items[to - 1].Token > item.Token; to--)
                items[to] = items[to - 1];
            items[to] = item;
        }
    }

    private static void SortMany<T>(Span<T> items) where T : struct, ITokened
    {
        var ordered = new (ulong Token, int Order, T Item)[items.Length];
        for (int i = 0; i < ordered.Length; i++)
            ordered[i] = (items[i].Token, i, items[i]);
        Array.Sort(ordered, static (x, y) => x.Token != y.Token ? x.Token.CompareTo(y.Token) : x.Order.CompareTo(y.Order));
        for (int i = 0; i < ordered.Length; i++)
            items[i] = ordered[i].Item;
    }
}
