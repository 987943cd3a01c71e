using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>What keeps pages from staying empty, and the deletion of ranges.</summary>
internal sealed unsafe partial class TreeEditor
{
    /// <summary>
    /// Takes away all entries in [start, end); an empty end means unbounded. Pages that lie in the range whole are not read:
    /// they become trees to be freed later.
    /// </summary>
    public void RemoveRange(ref TreeRoot root, ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        if (root.IsEmpty)
            return;
        byte* page = _transaction.Touch(root.Page, (int)root.Level, out uint number);
        root = new TreeRoot(number, root.Level);
        RemoveWithin(page, start, end, fromStart: start.IsEmpty, toEnd: end.IsEmpty);
        CollapseRoot(ref root);
    }

    /// <summary>Whether a leaf has room for what is in the one after it, or for a part of it that is worth the move.</summary>
    public static bool CanGather(PageLayout layout, byte* left, byte* right)
    {
        int used = NodePage.Used(left, layout.PageBytes);
        return used + NodePage.Used(right, layout.PageBytes) <= RoomyBytes(layout)
            || (used < layout.Usable * 3 / 4 && used + NodePage.SlotBytes + NodePage.CellBytes(right, 0) <= RoomyBytes(layout));
    }

    /// <summary>
    /// Makes the leaf of a key and the way to it the transaction's own, and fills it with what comes after it under the same
    /// parent. <see cref="Settle"/> follows.
    /// </summary>
    public byte* Gather(ref TreeRoot root, ReadOnlySpan<byte> key)
    {
        Descend(ref root, key);
        if (_depth > 1)
        {
            ref Step parent = ref _path[_depth - 2];
            while (parent.Index + 1 < NodePage.Header(parent.Page)->Count)
            {
                if (TryJoin(parent.Page, parent.Index, RoomyBytes(_layout)))
                    continue;
                Shift(parent.Page, parent.Index);
                break;
            }
        }

        return _path[_depth - 1].Page;
    }

    /// <summary>After entries of a path's leaf, or leaves beside it, have gone: the same for the pages above.</summary>
    public void Settle(ref TreeRoot root)
    {
        for (int at = _depth - 1; at > 0; at--)
            FixChild(_path[at - 1].Page, _path[at - 1].Index);
        CollapseRoot(ref root);
    }

    /// <summary>Lets a root go that holds nothing, or nothing but one child.</summary>
    public void CollapseRoot(ref TreeRoot root)
    {
        while (true)
        {
            byte* page = _transaction.Node(root.Page, (int)root.Level);
            int count = NodePage.Header(page)->Count;
            if (count > 1 || (count == 1 && root.Level == 0))
                return;
            uint old = root.Page;
            root = count == 0 ? default : new TreeRoot(NodePage.Child(page, 0), root.Level - 1);
            _transaction.FreeNode(old);
            if (root.IsEmpty)
                return;
        }
    }

    /// <summary>Fills a leaf with entries from the beginning of the one after it, which has more than fit.</summary>
    private void Shift(byte* parent, int index)
    {
        byte* left = _transaction.Node(NodePage.Child(parent, index), 0);
        byte* right = _transaction.Node(NodePage.Child(parent, index + 1), 0);
        int used = NodePage.Used(left, _pageBytes);
        int moved = 0;
        while (used + NodePage.SlotBytes + NodePage.CellBytes(right, moved) <= RoomyBytes(_layout))
            used += NodePage.SlotBytes + NodePage.CellBytes(right, moved++);
        if (moved == 0)
            return;
        ReadOnlySpan<byte> first = NodePage.Key(right, moved);
        ReadOnlySpan<byte> divider = first[..DividerBytes(NodePage.Key(right, moved - 1), first)];
        int bytes = NodePage.BranchCellHeader + divider.Length;
        int room = NodePage.ContiguousFree(parent) + NodePage.Header(parent)->Garbage + NodePage.CellBytes(parent, index + 1);
        if (bytes > room)
            return;
        left = TouchChild(parent, index, 0);
        TouchChild(parent, index + 1, 0);
        uint rightNumber = NodePage.Child(parent, index + 1);
        byte* separator = _transaction.Scratch(0);
        NodePage.WriteBranchCell(separator, rightNumber, divider);
        NodePage.Compact(left, _pageBytes, _transaction.Scratch(2));
        right = _transaction.Node(rightNumber, 0);
        for (int i = 0; i < moved; i++)
        {
            int length = NodePage.CellBytes(right, i);
            Copy(NodePage.Cell(right, i), NodePage.Insert(left, NodePage.Header(left)->Count, length), length);
        }

        NodePage.Remove(right, 0, moved);
        NodePage.Remove(parent, index + 1);
        Check.That(MakeRoom(parent, bytes));
        Copy(separator, NodePage.Insert(parent, index + 1, bytes), bytes);
    }

    private static int RoomyBytes(PageLayout layout) => layout.Usable * 9 / 10;

    private void RemoveWithin(byte* page, ReadOnlySpan<byte> start, ReadOnlySpan<byte> end, bool fromStart, bool toEnd)
    {
        int level = NodePage.Header(page)->Level;
        if (level == 0)
        {
            int low = fromStart ? 0 : PlaceOf(page, start);
            int high = toEnd ? NodePage.Header(page)->Count : PlaceOf(page, end);
            for (int i = low; i < high; i++)
                FreeEntry(NodePage.Cell(page, i));
            if (high > low)
                NodePage.Remove(page, low, high - low);
            return;
        }

        int first = fromStart ? 0 : ChildOf(page, start);
        int last = toEnd ? NodePage.Header(page)->Count - 1 : ChildOf(page, end);
        if (first == last && !(fromStart && toEnd))
        {
            RemoveWithin(TouchChild(page, first, level - 1), start, end, fromStart, toEnd);
            FixChild(page, first);
            return;
        }

        // From behind, so that places before stay what they are. A child that begins with the end has nothing to lose.
        int whole = last;
        if (toEnd)
        {
            whole = last + 1;
        }
        else if (last == 0 || !NodePage.Key(page, last).SequenceEqual(end))
        {
            RemoveWithin(TouchChild(page, last, level - 1), default, end, fromStart: true, toEnd: false);
            if (NodePage.Header(_transaction.Node(NodePage.Child(page, last), level - 1))->Count == 0)
                DropEmpty(page, last);
        }

        int from = fromStart ? 0 : first + 1;
        for (int i = from; i < whole; i++)
            _transaction.Bury(new TreeRoot(NodePage.Child(page, i), (uint)level - 1));
        if (whole > from)
            NodePage.Remove(page, from, whole - from);
        if (!fromStart)
        {
            RemoveWithin(TouchChild(page, first, level - 1), start, default, fromStart: false, toEnd: true);
            FixChild(page, first);
        }
        else if (NodePage.Header(page)->Count > 0)
        {
            FixChild(page, 0);
        }
    }

    private static int PlaceOf(byte* leaf, ReadOnlySpan<byte> key)
    {
        fixed (byte* start = key)
            return NodePage.LowerBound(leaf, start, key.Length, out _);
    }

    private static int ChildOf(byte* branch, ReadOnlySpan<byte> key)
    {
        fixed (byte* start = key)
            return NodePage.ChildIndex(branch, start, key.Length);
    }

    private void FreeEntry(byte* cell)
    {
        Release(cell);
        if (NodePage.Kind(cell) != EntryKind.Bucket)
            return;
        TreeRoot bucket = TreeRoot.Read(new ReadOnlySpan<byte>(NodePage.ValueStart(cell), TreeRoot.Bytes));
        if (!bucket.IsEmpty)
            _transaction.Bury(bucket);
    }

    /// <summary>After entries of a child have gone: takes it away when it is empty, joins it with a neighbour when it is sparse.</summary>
    private void FixChild(byte* parent, int index)
    {
        int level = NodePage.Header(parent)->Level - 1;
        byte* child = _transaction.Node(NodePage.Child(parent, index), level);
        if (NodePage.Header(child)->Count == 0)
        {
            DropEmpty(parent, index);
            return;
        }

        if (NodePage.Used(child, _pageBytes) * 100 >= _layout.Usable * SparsePercent)
            return;
        if (index > 0 && TryJoin(parent, index - 1, _layout.Usable))
            return;
        if (index + 1 < NodePage.Header(parent)->Count)
            TryJoin(parent, index, _layout.Usable);
    }

    private void DropEmpty(byte* parent, int index)
    {
        uint child = NodePage.Child(parent, index);
        NodePage.Remove(parent, index);
        _transaction.FreeNode(child);
    }

    /// <summary>Puts the cells of the child after an index into that child, if they fit; the page after it is free then.</summary>
    private bool TryJoin(byte* parent, int index, int limit)
    {
        int level = NodePage.Header(parent)->Level - 1;
        uint leftNumber = NodePage.Child(parent, index);
        uint rightNumber = NodePage.Child(parent, index + 1);
        byte* left = _transaction.Node(leftNumber, level);
        byte* right = _transaction.Node(rightNumber, level);

        // The first key of a right branch is not in it but in its parent, and has to be now.
        ReadOnlySpan<byte> separator = level == 0 ? default : NodePage.Key(parent, index + 1);
        int extra = level == 0 ? 0 : separator.Length - NodePage.BranchKeyBytes(NodePage.Cell(right, 0));
        if (NodePage.Used(left, _pageBytes) + NodePage.Used(right, _pageBytes) + extra > limit)
            return false;
        left = TouchChild(parent, index, level);
        NodePage.Compact(left, _pageBytes, _transaction.Scratch(2));
        int count = NodePage.Header(right)->Count;
        for (int i = 0; i < count; i++)
        {
            int at = NodePage.Header(left)->Count;
            byte* cell = NodePage.Cell(right, i);
            if (i == 0 && level > 0)
            {
                NodePage.WriteBranchCell(NodePage.Insert(left, at, NodePage.BranchCellHeader + separator.Length), *(uint*)cell, separator);
                continue;
            }

            int bytes = NodePage.CellBytes(right, i);
            Copy(cell, NodePage.Insert(left, at, bytes), bytes);
        }

        NodePage.Remove(parent, index + 1);
        _transaction.FreeNode(rightNumber);
        return true;
    }
}
