using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Upkeep;

/// <summary>Frees the pages of trees that nothing leads to any more: deleted buckets, and what deleted ranges held whole.</summary>
internal static unsafe class DeadTrees
{
    /// <summary>Frees so many tree pages at most, and the overflow runs that they name.</summary>
    public static void Free(WriteTransaction transaction, int pages)
    {
        transaction.BeginChange();
        for (int left = pages; left > 0 && transaction.Unbury(out TreeRoot tree); left--)
        {
            byte* page = transaction.Node(tree.Page, (int)tree.Level);
            CachedPage? holder = transaction.Latest;
            holder?.Pin();
            int count = NodePage.Header(page)->Count;
            for (int i = 0; i < count; i++)
            {
                if (tree.Level > 0)
                    transaction.Bury(new TreeRoot(NodePage.Child(page, i), tree.Level - 1));
                else
                    FreeEntry(transaction, NodePage.Cell(page, i));
            }

            transaction.FreeNode(tree.Page);
            holder?.Unpin();
        }

        transaction.EndChange();
    }

    private static void FreeEntry(WriteTransaction transaction, byte* cell)
    {
        uint* reference = NodePage.Run(cell);
        if (reference is not null)
            transaction.FreeRun(reference[0], transaction.Layout.RunPages(reference[1]));
        if (NodePage.Kind(cell) == EntryKind.Expiring)
        {
            transaction.Deadlines.Forget(cell);
        }
        else if (NodePage.Kind(cell) == EntryKind.Bucket)
        {
            TreeRoot bucket = TreeRoot.Read(new ReadOnlySpan<byte>(NodePage.ValueStart(cell), TreeRoot.Bytes));
            if (!bucket.IsEmpty)
                transaction.Bury(bucket);
        }
    }
}
