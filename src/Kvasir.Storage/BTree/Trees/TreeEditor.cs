using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>
/// Changes trees within a write transaction: every page on the way to a change is copied once, and from then on changed in
/// place. One for all trees of a transaction, since only one of them changes at a time.
/// </summary>
internal sealed unsafe partial class TreeEditor
{
    // A page that is emptier than this looks for a neighbour that it fits into.
    private const int SparsePercent = 50;

    private readonly WriteTransaction _transaction;
    private readonly PageLayout _layout;
    private readonly int _pageBytes;
    private Step[] _path = new Step[8];
    private int _depth;

    public TreeEditor(WriteTransaction transaction)
    {
        _transaction = transaction;
        _layout = transaction.Layout;
        _pageBytes = _layout.PageBytes;
    }

    /// <summary>
    /// Sets an entry, which may be there; what an overflow value or a bucket has in its cell is given by the caller. False, and
    /// nothing is changed, where a value would take the place of a bucket.
    /// </summary>
    public bool Put(ref TreeRoot root, ReadOnlySpan<byte> key, EntryKind kind, ReadOnlySpan<byte> cellValue)
    {
        int bytes = NodePage.LeafCellHeader + key.Length + cellValue.Length;
        Check.That(key.Length <= _layout.KeyBytesMax && bytes + NodePage.SlotBytes <= _layout.CellBytesMax);
        if (root.IsEmpty)
        {
            _transaction.NewNode(0, out uint number);
            root = new TreeRoot(number, 0);
        }

        bool found = Descend(ref root, key);

        // Before anything is freed: the value may be one that this transaction has read.
        byte* cell = _transaction.Scratch(0);
        NodePage.WriteLeafCell(cell, key, kind, cellValue);
        ref Step leaf = ref _path[_depth - 1];
        if (found)
        {
            byte* old = NodePage.Cell(leaf.Page, leaf.Index);
            if (NodePage.Kind(old) == EntryKind.Bucket && kind != EntryKind.Bucket)
                return false;
            Release(old);
            if (NodePage.CellBytes(leaf.Page, leaf.Index) == bytes)
            {
                Copy(cell, old, bytes);
                return true;
            }

            NodePage.Remove(leaf.Page, leaf.Index);
        }

        InsertCell(ref root, _depth - 1, leaf.Index, cell, bytes);
        return true;
    }

    /// <summary>Takes away an entry that is there.</summary>
    public void Remove(ref TreeRoot root, ReadOnlySpan<byte> key)
    {
        Check.That(!root.IsEmpty && Descend(ref root, key), $"an entry to be removed is not there");
        ref Step leaf = ref _path[_depth - 1];
        Release(NodePage.Cell(leaf.Page, leaf.Index));
        NodePage.Remove(leaf.Page, leaf.Index);
        Settle(ref root);
    }

    /// <summary>Makes the way to a key the transaction's own. Whether the key is there; the path ends at its place.</summary>
    public bool Descend(ref TreeRoot root, ReadOnlySpan<byte> key)
    {
        _depth = 0;
        fixed (byte* start = key)
        {
            int level = (int)root.Level;
            byte* page = _transaction.Touch(root.Page, level, out uint number);
            root = new TreeRoot(number, root.Level);
            while (level > 0)
            {
                int index = NodePage.ChildIndex(page, start, key.Length);
                Push(page, index);
                page = TouchChild(page, index, --level);
            }

            int at = NodePage.LowerBound(page, start, key.Length, out bool found);
            Push(page, at);
            return found;
        }
    }

    public byte* TouchChild(byte* page, int index, int level)
    {
        uint child = NodePage.Child(page, index);
        byte* touched = _transaction.Touch(child, level, out uint number);
        if (number != child)
            NodePage.SetChild(page, index, number);
        return touched;
    }

    private void Push(byte* page, int index)
    {
        if (_depth == _path.Length)
            Array.Resize(ref _path, _depth * 2);
        _path[_depth++] = new Step { Page = page, Index = index };
    }

    /// <summary>A value goes: its run is free, and its deadline means nothing any more.</summary>
    private void Release(byte* cell)
    {
        uint* reference = NodePage.Run(cell);
        if (reference is not null)
            _transaction.FreeRun(reference[0], _layout.RunPages(reference[1]));
        if (NodePage.Kind(cell) == EntryKind.Expiring)
            _transaction.Deadlines.Forget(cell);
    }

    /// <summary>Puts a cell at its place in a page of the path, and splits pages up to the root where there is no room.</summary>
    private void InsertCell(ref TreeRoot root, int at, int index, byte* cell, int bytes)
    {
        int scratch = 0;
        while (true)
        {
            byte* page = _path[at].Page;
            if (MakeRoom(page, bytes))
            {
                Copy(cell, NodePage.Insert(page, index, bytes), bytes);
                return;
            }

            // The separator is built where the cell is not, and becomes the next cell.
            scratch ^= 1;
            byte* separator = _transaction.Scratch(scratch);
            uint right = Split(at, index, cell, bytes, separator, out int separatorBytes);
            if (at == 0)
            {
                int level = NodePage.Header(page)->Level + 1;
                byte* above = _transaction.NewNode(level, out uint number);
                NodePage.WriteBranchCell(NodePage.Insert(above, 0, NodePage.BranchCellHeader), root.Page, default);
                Copy(separator, NodePage.Insert(above, 1, separatorBytes), separatorBytes);
                *(uint*)NodePage.Cell(above, 1) = right;
                root = new TreeRoot(number, (uint)level);
                return;
            }

            cell = separator;
            bytes = separatorBytes;
            at--;
            index = _path[at].Index + 1;
        }
    }

    private bool MakeRoom(byte* page, int bytes)
    {
        int need = bytes + NodePage.SlotBytes;
        if (NodePage.ContiguousFree(page) >= need)
            return true;
        if (NodePage.ContiguousFree(page) + NodePage.Header(page)->Garbage < need)
            return false;
        NodePage.Compact(page, _pageBytes, _transaction.Scratch(2));
        return true;
    }

    /// <summary>
    /// Cuts a page of the path, which a new cell would overfill, into itself and a new page to its right; the cell is in one of
    /// them then. Writes the cell that leads to the right page.
    /// </summary>
    private uint Split(int at, int index, byte* cell, int bytes, byte* separator, out int separatorBytes)
    {
        byte* page = _path[at].Page;
        byte* old = _transaction.Scratch(2);
        Copy(page, old, _pageBytes);
        int level = NodePage.Header(old)->Level;
        int count = NodePage.Header(old)->Count + 1;
        int cut = CutOf(old, at, index, bytes, count);
        byte* right = _transaction.NewNode(level, out uint number);
        ulong transaction = NodePage.Header(page)->Transaction;
        NodePage.Clear(page, _pageBytes, level);
        NodePage.Header(page)->Transaction = transaction;
        for (int i = 0; i < count; i++)
        {
            byte* source = i == index ? cell : NodePage.Cell(old, i < index ? i : i - 1);
            int length = i == index ? bytes : NodePage.CellBytes(old, i < index ? i : i - 1);
            if (i < cut)
                Copy(source, NodePage.Insert(page, i, length), length);
            else if (i == cut && level > 0)
                NodePage.WriteBranchCell(NodePage.Insert(right, 0, NodePage.BranchCellHeader), *(uint*)source, default);
            else
                Copy(source, NodePage.Insert(right, i - cut, length), length);
        }

        ReadOnlySpan<byte> first = cut == index ? KeyOf(cell, level) : KeyOf(NodePage.Cell(old, cut < index ? cut : cut - 1), level);
        ReadOnlySpan<byte> divider = level > 0 ? first : first[..DividerBytes(NodePage.Key(page, cut - 1), first)];
        NodePage.WriteBranchCell(separator, number, divider);
        separatorBytes = NodePage.BranchCellHeader + divider.Length;
        return number;
    }

    /// <summary>
    /// How many cells stay: those that leave the halves most alike, but for the edges of the tree, where keys that come in
    /// order would leave half-empty pages behind.
    /// </summary>
    private int CutOf(byte* old, int at, int index, int bytes, int count)
    {
        if (index == count - 1 && IsEdge(at, last: true))
            return count - 1;
        if (index == 0 && NodePage.Header(old)->Level == 0 && IsEdge(at, last: false))
            return 1;
        int total = 0;
        for (int i = 0; i < count; i++)
            total += CellAt(old, i, index, bytes);
        int left = 0;
        int best = 0;
        int bestDifference = int.MaxValue;
        for (int i = 1; i < count; i++)
        {
            left += CellAt(old, i - 1, index, bytes);
            int difference = Math.Abs(total - left - left);
            if (left > _layout.Usable || total - left > _layout.Usable || difference >= bestDifference)
                continue;
            best = i;
            bestDifference = difference;
        }

        Check.That(best > 0, $"a page cannot be cut in two");
        return best;
    }

    private static int CellAt(byte* old, int i, int index, int bytes) =>
        NodePage.SlotBytes + (i == index ? bytes : NodePage.CellBytes(old, i < index ? i : i - 1));

    private bool IsEdge(int at, bool last)
    {
        for (int i = 0; i < at; i++)
        {
            if (_path[i].Index != (last ? NodePage.Header(_path[i].Page)->Count - 1 : 0))
                return false;
        }

        return true;
    }

    private static ReadOnlySpan<byte> KeyOf(byte* cell, int level) => level == 0 ? NodePage.LeafKey(cell) : NodePage.BranchKey(cell);

    /// <summary>Bytes of the right key that tell it from the left one: no longer separator is needed.</summary>
    private static int DividerBytes(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        int common = left.CommonPrefixLength(right);
        Check.That(common < right.Length, $"two keys of a page are not in order");
        return common + 1;
    }

    private static void Copy(byte* source, byte* target, int bytes) =>
        new ReadOnlySpan<byte>(source, bytes).CopyTo(new Span<byte>(target, bytes));

    private struct Step
    {
        public byte* Page;
        public int Index;
    }
}
