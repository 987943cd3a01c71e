using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>
/// A bucket in a write transaction, for one thread at a time. What is written to it is durable when the transaction commits, and has not
/// happened before.
/// </summary>
public sealed unsafe class WritableBucket : Bucket
{
    private const int OverflowReferenceBytes = 8;

    // Walks over buckets call themselves for each level, on stacks of whatever size.
    private const int LevelsMax = 1000;

    private readonly WriteTransaction _transaction;
    private readonly int _level;
    private readonly byte[] _name;
    private readonly WritableBucket? _parent;
    private readonly SortedDictionary<byte[], WritableBucket> _open = new(KeyComparer.Instance);

    // What its parent's entry says.
    private TreeRoot _stored;
    private bool _isDeleted;

    internal WritableBucket(WriteTransaction transaction, WritableBucket? parent, byte[] name, TreeRoot root)
        : base(transaction, root)
    {
        _parent = parent;
        _level = parent is null ? 0 : parent._level + 1;
        _transaction = transaction;
        _name = name;
        _stored = root;
    }

    /// <summary>The longest key; longer ones are refused. Any thread.</summary>
    public int KeyBytesMax => _transaction.Layout.KeyBytesMax;

    /// <summary>
    /// Sets the value of a key, which stays until it is deleted or put anew, whatever time to live it had. Neither span is kept. One thread at a
    /// time; durable when the transaction commits.
    /// </summary>
    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) => Put(key, value, expiresAtMs: 0);

    /// <inheritdoc cref="Put(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>
    public void Put(string key, string value)
    {
        using var keyBytes = new TextBytes(key);
        using var valueBytes = new TextBytes(value);
        Put(keyBytes.Span, valueBytes.Span);
    }

    /// <summary>
    /// Sets the value of a key that goes by itself. From that time on it is not there for transactions that begin; its space is free soon after,
    /// at a price of what has expired and not of what is there. Neither span is kept. One thread at a time; durable when the transaction commits.
    /// </summary>
    /// <param name="key">As of the other one.</param>
    /// <param name="value">As of the other one.</param>
    /// <param name="timeToLive">Counted from the beginning of the transaction, in milliseconds, by the clock of the store.</param>
    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, TimeSpan timeToLive) => Put(key, value, ExpiresAtMs(timeToLive));

    /// <inheritdoc cref="Put(ReadOnlySpan{byte}, ReadOnlySpan{byte}, TimeSpan)"/>
    public void Put(string key, string value, TimeSpan timeToLive)
    {
        using var keyBytes = new TextBytes(key);
        using var valueBytes = new TextBytes(value);
        Put(keyBytes.Span, valueBytes.Span, timeToLive);
    }

    /// <summary>
    /// Gives a key another time to live, counted from the beginning of the transaction, or none with null. False when it has no value. One thread
    /// at a time; durable when the transaction commits.
    /// </summary>
    public bool SetTimeToLive(ReadOnlySpan<byte> key, TimeSpan? timeToLive)
    {
        long expiresAtMs = timeToLive is { } time ? ExpiresAtMs(time) : 0;
        if (!TryGet(key, out ReadOnlySpan<byte> value))
            return false;
        Put(key, value, expiresAtMs);
        return true;
    }

    /// <inheritdoc cref="SetTimeToLive(ReadOnlySpan{byte}, TimeSpan?)"/>
    public bool SetTimeToLive(string key, TimeSpan? timeToLive)
    {
        using var keyBytes = new TextBytes(key);
        return SetTimeToLive(keyBytes.Span, timeToLive);
    }

    private void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        CheckKey(key);
        CheckValue(value);
        BeginChange();
        TreeRoot root = Tree;
        int header = expiresAtMs == 0 ? 0 : Deadline.HeaderBytes;
        bool isInline = NodePage.LeafCellHeader + key.Length + header + value.Length + NodePage.SlotBytes <= _transaction.Layout.CellBytesMax;
        bool done = expiresAtMs == 0
            ? isInline ? _transaction.Editor.Put(ref root, key, EntryKind.Value, value) : PutRun(ref root, key, EntryKind.Overflow, default, value)
            : PutExpiring(ref root, key, value, expiresAtMs, isInline);
        EndChange(root);
        if (!done)
            throw new WrongEntryKindException("the key names a bucket, and a value was to be put there: delete the bucket first");
    }

    private bool PutExpiring(ref TreeRoot root, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long expiresAtMs, bool isInline)
    {
        // On the stack, for the value may be one that this transaction has read.
        Span<byte> cell = stackalloc byte[Deadline.HeaderBytes + (isInline ? value.Length : 0)];
        _transaction.Deadlines.WriteNext(cell, expiresAtMs, isOfRun: !isInline);
        bool done;
        if (isInline)
        {
            value.CopyTo(cell[Deadline.HeaderBytes..]);
            done = _transaction.Editor.Put(ref root, key, EntryKind.Expiring, cell);
        }
        else
        {
            done = PutRun(ref root, key, EntryKind.Expiring, cell, value);
        }

        if (done)
            _transaction.Deadlines.Add(cell[..Deadline.KeyBytes], this, key);
        return done;
    }

    private bool PutRun(ref TreeRoot root, ReadOnlySpan<byte> key, EntryKind kind, ReadOnlySpan<byte> header, ReadOnlySpan<byte> value)
    {
        uint number = _transaction.NewRun(value);
        Span<byte> cell = stackalloc byte[Deadline.HeaderBytes + OverflowReferenceBytes];
        header.CopyTo(cell);
        BinaryPrimitives.WriteUInt32LittleEndian(cell[header.Length..], number);
        BinaryPrimitives.WriteUInt32LittleEndian(cell[(header.Length + sizeof(uint))..], (uint)value.Length);
        bool done = _transaction.Editor.Put(ref root, key, kind, cell[..(header.Length + OverflowReferenceBytes)]);
        if (!done)
            _transaction.FreeRun(number, _transaction.Layout.RunPages(value.Length));
        return done;
    }

    /// <summary>Takes a key and its value away; false when it has none. One thread at a time; durable when the transaction commits.</summary>
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

    /// <inheritdoc cref="Delete(ReadOnlySpan{byte})"/>
    public bool Delete(string key)
    {
        using var keyBytes = new TextBytes(key);
        return Delete(keyBytes.Span);
    }

    /// <summary>
    /// Takes away all entries in [start, end), buckets too; an empty end means unbounded. What lies in the range is let go of by
    /// whole pages, which become free later. One thread at a time; durable when the transaction commits.
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

    /// <summary>A bucket within this one, one object for each; null where there is none. One thread at a time.</summary>
    public override WritableBucket? FindBucket(ReadOnlySpan<byte> key)
    {
        byte[] name = key.ToArray();
        Enter();
        _transaction.Exit();
        if (_open.TryGetValue(name, out WritableBucket? open))
            return open;
        if (!FindRoot(key, out TreeRoot root))
            return null;
        open = new WritableBucket(_transaction, this, name, root);
        _open.Add(name, open);
        return open;
    }

    /// <inheritdoc cref="FindBucket(ReadOnlySpan{byte})"/>
    public override WritableBucket? FindBucket(string key)
    {
        using var keyBytes = new TextBytes(key);
        return FindBucket(keyBytes.Span);
    }

    /// <summary>The bucket of that name, made where there is none. One thread at a time; durable when the transaction commits.</summary>
    public WritableBucket GetOrCreateBucket(ReadOnlySpan<byte> key)
    {
        CheckKey(key);
        if (FindBucket(key) is { } found)
            return found;
        if (_level == LevelsMax)
            throw new InvalidOperationException($"buckets lie in one another at most {LevelsMax} deep");
        PutRoot(key, default);
        return FindBucket(key)!;
    }

    /// <inheritdoc cref="GetOrCreateBucket(ReadOnlySpan{byte})"/>
    public WritableBucket GetOrCreateBucket(string key)
    {
        using var keyBytes = new TextBytes(key);
        return GetOrCreateBucket(keyBytes.Span);
    }

    /// <summary>
    /// Deletes a bucket and all that is in it; false when there is none. Takes no time for what is in it: its pages become free
    /// later. One thread at a time; durable when the transaction commits.
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

    /// <inheritdoc cref="DeleteBucket(ReadOnlySpan{byte})"/>
    public bool DeleteBucket(string key)
    {
        using var keyBytes = new TextBytes(key);
        return DeleteBucket(keyBytes.Span);
    }

    /// <summary>The names of the buckets that lead to this one, outermost first.</summary>
    internal void AppendPath(List<byte[]> path)
    {
        if (_parent is null)
            return;
        _parent.AppendPath(path);
        path.Add(_name);
    }

    /// <summary>Whether the key names a bucket; it may as well have a value.</summary>
    internal bool HasBucket(ReadOnlySpan<byte> key)
    {
        Enter();
        byte* cell = FindStoredCell(key);
        bool isBucket = cell is not null && NodePage.Kind(cell) == EntryKind.Bucket;
        _transaction.Exit();
        return isBucket;
    }

    /// <summary>Takes away the entry of a key if it is the one with that deadline, expired as it may be; false for any other and none.</summary>
    internal bool RemoveExpiring(ReadOnlySpan<byte> key, ReadOnlySpan<byte> deadline)
    {
        Enter();
        byte* cell = FindStoredCell(key);
        bool isIt = cell is not null && NodePage.Kind(cell) == EntryKind.Expiring
            && new ReadOnlySpan<byte>(NodePage.ValueStart(cell), Deadline.KeyBytes).SequenceEqual(deadline);
        _transaction.Exit();
        if (isIt)
            RemoveEntry(key);
        return isIt;
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

    private long ExpiresAtMs(TimeSpan timeToLive) => Deadlines.After(_transaction.NowMs, timeToLive);

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
