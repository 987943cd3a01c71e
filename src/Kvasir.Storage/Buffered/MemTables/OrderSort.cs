using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// Sorts and merges runs. Sorting compares eight bytes at a time and looks at a key again only for keys that agree in
/// them: a most-significant-first sort with eight-byte digits, each digit sorted by the platform's sort of plain numbers.
/// </summary>
internal static unsafe class OrderSort
{
    private const int ComparisonGroup = 12;
    private const int DepthMax = 64;

    /// <summary>Brings a run whose nodes were filled in any order into order. Keys are unique.</summary>
    public static void Sort(OrderRun run)
    {
        int shared = int.MaxValue;
        ReadOnlySpan<byte> first = run.KeyAt(0);
        bool ascending = true;
        for (int i = 0; i < run.Count; i++)
        {
            ReadOnlySpan<byte> key = run.KeyAt(i);
            shared = Math.Min(shared, first.CommonPrefixLength(key));
            if (ascending && i > 0)
                ascending = run.KeyAt(i - 1).SequenceCompareTo(key) < 0;
        }

        run.SharedLength = shared;
        run.LoadPrefixes();
        if (!ascending)
            SortGroup(run.PrefixSpan, run.NodeSpan, shared, depth: 0);
    }

    /// <summary>The keys of both runs, which share none, in a new run.</summary>
    public static OrderRun Merge(MemoryBudget budget, OrderRun a, OrderRun b)
    {
        var merged = new OrderRun(budget, a.Count + b.Count);
        int shared = a.KeyAt(0).CommonPrefixLength(b.KeyAt(0));
        shared = Math.Min(shared, Math.Min(a.SharedLength, b.SharedLength));
        merged.SharedLength = shared;
        bool aShort = a.SharedLength == shared, bShort = b.SharedLength == shared;
        int i = 0, j = 0;
        for (int k = 0; k < merged.Count; k++)
        {
            bool fromA = j == b.Count || (i < a.Count && (aShort && bShort
                ? Before(a, i, b, j, shared)
                : a.KeyAt(i).SequenceCompareTo(b.KeyAt(j)) < 0));
            (OrderRun run, int at, bool same) = fromA ? (a, i++, aShort) : (b, j++, bShort);
            merged.Nodes[k] = run.Nodes[at];
            merged.Prefixes[k] = same ? run.Prefixes[at] : OrderRun.PrefixOf(run.KeyAt(at), shared);
        }

        return merged;
    }

    private static bool Before(OrderRun a, int i, OrderRun b, int j, int shared)
    {
        ulong x = a.Prefixes[i], y = b.Prefixes[j];
        return x != y ? x < y : a.KeyAt(i)[shared..].SequenceCompareTo(b.KeyAt(j)[shared..]) < 0;
    }

    // On entry the prefixes are the digits at start, and all keys agree before start. On return they are so again.
    private static void SortGroup(Span<ulong> prefixes, Span<nint> nodes, int start, int depth)
    {
        prefixes.Sort(nodes);
        for (int i = 0; i < prefixes.Length;)
        {
            int end = i + 1;
            while (end < prefixes.Length && prefixes[end] == prefixes[i])
                end++;
            if (end - i > 1)
                SortEqual(prefixes[i..end], nodes[i..end], start, depth);
            i = end;
        }
    }

    // A padded digit may be equal for keys that end inside it; comparing whole keys puts those right.
    private static void SortEqual(Span<ulong> prefixes, Span<nint> nodes, int start, int depth)
    {
        ReadOnlySpan<byte> first = KeyNode.Key((KeyNode*)nodes[0]);
        int shared = first.Length;
        bool longer = true;
        foreach (nint node in nodes)
        {
            ReadOnlySpan<byte> key = KeyNode.Key((KeyNode*)node);
            longer &= key.Length >= start + 8;
            shared = Math.Min(shared, first.CommonPrefixLength(key));
        }

        if (nodes.Length <= ComparisonGroup || !longer || depth >= DepthMax)
        {
            nodes.Sort(static (x, y) => KeyNode.Key((KeyNode*)x).SequenceCompareTo(KeyNode.Key((KeyNode*)y)));
            return;
        }

        ulong outer = prefixes[0];
        for (int i = 0; i < nodes.Length; i++)
            prefixes[i] = OrderRun.PrefixOf(KeyNode.Key((KeyNode*)nodes[i]), shared);
        SortGroup(prefixes, nodes, shared, depth + 1);
        prefixes.Fill(outer);
    }
}
