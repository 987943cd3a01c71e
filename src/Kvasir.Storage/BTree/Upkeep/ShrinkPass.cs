using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.BTree.Upkeep;

/// <summary>
/// One walk through all trees in the order of keys, a bounded part in each transaction: sparse leaves are filled from those after
/// them, and what lies behind the place where the file could end moves to free pages before it. Between the parts anything may be
/// written: the pass goes on at the key where it was.
/// </summary>
internal sealed unsafe class ShrinkPass(uint cutOff)
{
    // Keys from the outermost bucket inwards; empty at the beginning.
    private List<byte[]> _position = [];
    private bool _isInDeadlines;

    /// <summary>Goes on for so many pages. True when it has come to the end.</summary>
    public bool Run(WriteTransaction transaction, int pages)
    {
        int left = pages;
        List<byte[]> from = _position;
        _position = [];
        if (!_isInDeadlines)
        {
            if (!Walk(transaction, transaction.Root, from, depth: 0, ref left))
                return false;
            _isInDeadlines = true;
            from = [];
        }

        return Walk(transaction, transaction.Deadlines.Index, from, depth: 0, ref left);
    }

    private bool Walk(WriteTransaction transaction, WritableBucket bucket, List<byte[]> from, int depth, ref int left)
    {
        byte[] at = depth < from.Count ? from[depth] : [];
        bool resumes = depth + 1 < from.Count;
        BTreeCursor cursor = bucket.OpenPageCursor();
        while (cursor.Seek(at))
        {
            left--;
            List<byte[]> inner = Visit(transaction, bucket, cursor, at, out byte[] last);
            foreach (byte[] name in inner)
            {
                bool isResumed = resumes && name.AsSpan().SequenceEqual(at);
                if (Walk(transaction, bucket.FindBucket(name)!, isResumed ? from : [], isResumed ? depth + 1 : int.MaxValue - 1, ref left))
                    continue;
                _position.Insert(0, name);
                return false;
            }

            resumes = false;

            // The least key after the leaf.
            at = [.. last, 0];
            if (left > 0)
                continue;
            _position.Insert(0, at);
            return false;
        }

        return true;
    }

    /// <summary>Joins and moves one leaf and the way to it; the names of the buckets in it, from a key on, and its last key.</summary>
    private List<byte[]> Visit(WriteTransaction transaction, WritableBucket bucket, BTreeCursor cursor, byte[] from, out byte[] last)
    {
        byte* leaf = cursor.Leaf;
        if (MustMove(transaction, cursor, leaf) || CanPack(transaction, cursor, leaf))
        {
            TreeRoot root = bucket.Tree;
            transaction.BeginChange();
            leaf = transaction.Editor.Gather(ref root, cursor.Key);
            MoveRuns(transaction, leaf);
            last = NodePage.Key(leaf, NodePage.Header(leaf)->Count - 1).ToArray();
            List<byte[]> names = Names(leaf, from);
            transaction.Editor.Settle(ref root);
            bucket.Replace(root);
            transaction.EndChange();
            return names;
        }

        last = NodePage.Key(leaf, NodePage.Header(leaf)->Count - 1).ToArray();
        return Names(leaf, from);
    }

    private bool MustMove(WriteTransaction transaction, BTreeCursor cursor, byte* leaf)
    {
        foreach (uint page in cursor.Pages())
        {
            if (page >= cutOff)
                return true;
        }

        for (int i = 0; i < NodePage.Header(leaf)->Count; i++)
        {
            if (IsFarRun(transaction, NodePage.Cell(leaf, i)))
                return true;
        }

        return false;
    }

    private bool IsFarRun(WriteTransaction transaction, byte* cell)
    {
        uint* reference = NodePage.Run(cell);
        return reference is not null && reference[0] + transaction.Layout.RunPages(reference[1]) > cutOff;
    }

    private static bool CanPack(WriteTransaction transaction, BTreeCursor cursor, byte* leaf)
    {
        uint sibling = cursor.NextSibling();
        return sibling != 0 && TreeEditor.CanGather(transaction.Layout, leaf, transaction.Node(sibling, 0));
    }

    private void MoveRuns(WriteTransaction transaction, byte* leaf)
    {
        for (int i = 0; i < NodePage.Header(leaf)->Count; i++)
        {
            byte* cell = NodePage.Cell(leaf, i);
            if (!IsFarRun(transaction, cell))
                continue;
            uint* reference = NodePage.Run(cell);
            var value = new ReadOnlySpan<byte>(transaction.Overflow(reference[0], reference[1]), (int)reference[1]);
            uint moved = transaction.NewRunBefore(value, reference[0]);
            if (moved == 0)
                continue;
            transaction.FreeRun(reference[0], transaction.Layout.RunPages(reference[1]));
            reference[0] = moved;
        }
    }

    private static List<byte[]> Names(byte* leaf, ReadOnlySpan<byte> from)
    {
        List<byte[]> names = [];
        for (int i = 0; i < NodePage.Header(leaf)->Count; i++)
        {
            byte* cell = NodePage.Cell(leaf, i);
            if (NodePage.Kind(cell) == EntryKind.Bucket && NodePage.LeafKey(cell).SequenceCompareTo(from) >= 0)
                names.Add(NodePage.LeafKey(cell).ToArray());
        }

        return names;
    }
}
