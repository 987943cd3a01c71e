using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>A bucket in a write transaction.</summary>
public sealed unsafe class WritableBucket : Bucket
{
    private const int OverflowReferenceBytes = 8;

    private readonly WriteTransaction _transaction;
    private readonly byte[] _name;
    private readonly SortedDictionary<byte[], WritableBucket> _open = new(KeyComparer.Instance);

    // What its parent's entry says.
    private TreeRoot _stored;
    private bool _isDeleted;

    internal WritableBucket(WriteTransaction transaction, byte[] name, TreeRoot root)
        : base(transaction, root)
    {
        _transaction = transaction;
        _name = name;
        _stored = root;
    }

    /// <summary>The longest key; longer ones are refused.</summary>
    public int KeyBytesMax => _transaction.Layout.KeyBytesMax;

    /// <summary>Sets the value of a key. Neither span is kept.</summary>
    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        CheckKey(key);
        CheckValue(value);
        BeginChange();
        TreeRoot root = Tree;
        bool isInline = NodePage.LeafCellHeader + key.Length + value.Length + NodePage.SlotBytes <= _transaction.Layout.CellBytesMax;
        bool done;
        if (isInline)
        {
            done = _transaction.Editor.Put(ref root, key, EntryKind.Value, value);
        }
        else
        {
            uint* reference = stackalloc uint[2];
            reference[0] = _transaction.NewRun(value);
            reference[1] = (uint)value.Length;
            done = _transaction.Editor.Put(ref root, key, EntryKind.Overflow, new ReadOnlySpan<byte>(reference, OverflowReferenceBytes));
            if (!done)
                _transaction.FreeRun(reference[0], _transaction.Layout.RunPages(value.Length));
        }

        EndChange(root);
        if (!done)
            throw new WrongEntryKindException("the key names a bucket, and a value was to be put there: delete the bucket first");
    }

    /// <summary>Takes a key and its value away; false when it has none.</summary>
    public bool Delete(ReadOnlySpan<byte> key)
    {
        Enter();
        byte* cell = FindCell(key);
        EntryKind kind = cell is null ? EntryKind.Value : NodePage.Kind(cell);
        _transaction.Exit();
        if (cell is null)
            return false;
        if (kind == EntryKind.Bucket)
            throw new WrongEntryKindException("the key names a bucket: it is deleted as one");
        RemoveEntry(key);
        return true;
    }

    /// <summary>
    /// Takes away all entries in [start, end), buckets too; an empty end means unbounded. What lies in the range is let go of by
    /// whole pages, which become free later.
    /// </summary>
    public void DeleteRange(ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        if (!end.IsEmpty && start.SequenceCompareTo(end) >= 0)
            return;
        BeginChange();
        FlushOpen();
        foreach (byte[] name in _open.Keys.ToArray())
        {
            if (start.SequenceCompareTo(name) <= 0 && (end.IsEmpty || end.SequenceCompareTo(name) > 0))
                Forget(name);
        }

        TreeRoot root = Tree;
        _transaction.Editor.RemoveRange(ref root, start, end);
        EndChange(root);
    }

    /// <summary>A bucket within this one, one object for each.</summary>
    public override WritableBucket? FindBucket(ReadOnlySpan<byte> key)
    {
        byte[] name = key.ToArray();
        Enter();
        _transaction.Exit();
        if (_open.TryGetValue(name, out WritableBucket? open))
            return open;
        if (!FindRoot(key, out TreeRoot root))
            return null;
        open = new WritableBucket(_transaction, name, root);
        _open.Add(name, open);
        return open;
    }

    /// <summary>The bucket of that name, made where there is none.</summary>
    public WritableBucket GetOrCreateBucket(ReadOnlySpan<byte> key)
    {
        CheckKey(key);
        if (FindBucket(key) is { } found)
            return found;
        PutRoot(key, default);
        return FindBucket(key)!;
    }

    /// <summary>
    /// Deletes a bucket and all that is in it; false when there is none. Takes no time for what is in it: its pages become free
    /// later.
    /// </summary>
    public bool DeleteBucket(ReadOnlySpan<byte> key)
    {
        if (FindBucket(key) is not { } bucket)
            return false;
        bucket.FlushOpen();
        if (!bucket.Tree.IsEmpty)
        {
            _transaction.BeginChange();
            _transaction.Bury(bucket.Tree);
            _transaction.EndChange();
        }

        Forget(bucket._name);
        RemoveEntry(key);
        return true;
    }

    /// <summary>Writes the roots of the buckets within into their entries, innermost first.</summary>
    internal void Flush() => FlushOpen();

    /// <summary>For those that have moved pages of the tree.</summary>
    internal void Replace(TreeRoot root)
    {
        Tree = root;
        Writes++;
    }

    internal override void Enter()
    {
        base.Enter();
        if (_isDeleted)
        {
            _transaction.Exit();
            throw new InvalidOperationException("the bucket was deleted");
        }
    }

    private void FlushOpen()
    {
        foreach (WritableBucket open in _open.Values)
        {
            open.FlushOpen();
            if (open._stored == open.Tree)
                continue;
            PutRoot(open._name, open.Tree);
            open._stored = open.Tree;
        }
    }

    private void PutRoot(ReadOnlySpan<byte> key, TreeRoot bucket)
    {
        Span<byte> cell = stackalloc byte[TreeRoot.Bytes];
        bucket.Write(cell);
        Enter();
        bool nested = _transaction.IsChanging;
        if (!nested)
            _transaction.BeginChange();
        TreeRoot root = Tree;
        Check.That(_transaction.Editor.Put(ref root, key, EntryKind.Bucket, cell));
        Replace(root);
        if (!nested)
            _transaction.EndChange();
        _transaction.Exit();
    }

    private void RemoveEntry(ReadOnlySpan<byte> key)
    {
        BeginChange();
        TreeRoot root = Tree;
        _transaction.Editor.Remove(ref root, key);
        EndChange(root);
    }

    private void Forget(byte[] name)
    {
        if (!_open.Remove(name, out WritableBucket? bucket))
            return;
        bucket._isDeleted = true;
        foreach (byte[] inner in bucket._open.Keys.ToArray())
            bucket.Forget(inner);
    }

    private void BeginChange()
    {
        Enter();
        _transaction.BeginChange();
    }

    private void EndChange(TreeRoot root)
    {
        Replace(root);
        _transaction.EndChange();
        _transaction.Exit();
    }

    private void CheckKey(ReadOnlySpan<byte> key)
    {
        if (key.Length > KeyBytesMax)
            throw new ArgumentException($"a key of {key.Length} bytes: with pages of {_transaction.Layout.PageBytes} bytes it can have {KeyBytesMax}", nameof(key));
    }

    private void CheckValue(ReadOnlySpan<byte> value)
    {
        if (value.Length > _transaction.Layout.ValueBytesMax)
            throw new ArgumentException($"a value of {value.Length} bytes: with pages of {_transaction.Layout.PageBytes} bytes it can have {_transaction.Layout.ValueBytesMax}", nameof(value));
    }

    private sealed class KeyComparer : IComparer<byte[]>
    {
        public static readonly KeyComparer Instance = new();

        public int Compare(byte[]? x, byte[]? y) => x.AsSpan().SequenceCompareTo(y);
    }
}
