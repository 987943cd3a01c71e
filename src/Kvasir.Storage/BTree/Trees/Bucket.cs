using System.Diagnostics.CodeAnalysis;
using System.Text;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>
/// A sorted map of keys to values and to further buckets, as its transaction sees it. Keys order by unsigned bytes. It belongs, as all buckets and
/// cursors of its transaction do together, to one thread at a time.
/// </summary>
public unsafe class Bucket
{
    internal Bucket(BTreeTransaction transaction, TreeRoot root)
    {
        Transaction = transaction;
        Tree = root;
    }

    internal BTreeTransaction Transaction { get; }

    internal TreeRoot Tree { get; set; }

    /// <summary>Counts the writes of the transaction to this bucket, so that cursors notice.</summary>
    internal long Writes { get; private protected set; }

    /// <summary>Whether there is neither a key nor a bucket in it. One thread at a time.</summary>
    public bool IsEmpty
    {
        get
        {
            Enter();
            Transaction.Exit();
            return Tree.IsEmpty || (Transaction.NowMs != 0 && !OpenCursor().SeekFirst());
        }
    }

    /// <summary>
    /// The value of a key, without a copy. A bucket is no value. What is shown is durable, but for the transaction's own writes, which are so when it
    /// commits. One thread at a time.
    /// </summary>
    public bool TryGet(ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        BTreeTransaction transaction = Transaction;
        Enter();
        byte* cell = FindCell(key);
        if (cell is null || NodePage.Kind(cell) == EntryKind.Bucket)
        {
            transaction.Exit();
            value = default;
            return false;
        }

        if (NodePage.Kind(cell) == EntryKind.Value)
        {
            value = new ReadOnlySpan<byte>(NodePage.ValueStart(cell), NodePage.ValueBytes(cell));
            if (transaction.TouchesValues)
                BTreeTransaction.Touch(NodePage.ValueStart(cell), value.Length);
        }
        else
        {
            value = FarValue(transaction, cell);
        }

        if (transaction.IsPositional)
            transaction.RetainLatest();
        transaction.Exit();
        return true;
    }

    /// <summary>A copy of the value, or null; as durable as what <see cref="TryGet"/> shows. One thread at a time.</summary>
    public byte[]? Get(ReadOnlySpan<byte> key)
    {
        if (!TryGet(key, out ReadOnlySpan<byte> value))
            return null;
        byte[] copy = value.ToArray();
        Transaction.EnsureReadable();
        return copy;
    }

    /// <inheritdoc cref="Get(ReadOnlySpan{byte})"/>
    public string? GetString(string key)
    {
        using var keyBytes = new TextBytes(key);
        if (!TryGet(keyBytes.Span, out ReadOnlySpan<byte> value))
            return null;
        string text = Encoding.UTF8.GetString(value);
        Transaction.EnsureReadable();
        return text;
    }

    /// <summary>Whether the key has a value. One thread at a time.</summary>
    public bool Contains(ReadOnlySpan<byte> key) => TryGet(key, out _);

    /// <inheritdoc cref="Contains(ReadOnlySpan{byte})"/>
    public bool Contains(string key)
    {
        using var keyBytes = new TextBytes(key);
        return Contains(keyBytes.Span);
    }

    /// <summary>When the key goes; null for one that stays, or is not there. One thread at a time.</summary>
    public DateTimeOffset? ExpiresAt(ReadOnlySpan<byte> key)
    {
        Enter();
        byte* cell = FindCell(key);
        DateTimeOffset? at = cell is null ? null : DeadlineOf(cell);
        Transaction.Exit();
        return at;
    }

    /// <inheritdoc cref="ExpiresAt(ReadOnlySpan{byte})"/>
    public DateTimeOffset? ExpiresAt(string key)
    {
        using var keyBytes = new TextBytes(key);
        return ExpiresAt(keyBytes.Span);
    }

    /// <summary>A bucket within this one; null where there is none. One thread at a time.</summary>
    public virtual Bucket? FindBucket(ReadOnlySpan<byte> key) => FindRoot(key, out TreeRoot root) ? new Bucket(Transaction, root) : null;

    /// <inheritdoc cref="FindBucket(ReadOnlySpan{byte})"/>
    public virtual Bucket? FindBucket(string key)
    {
        using var keyBytes = new TextBytes(key);
        return FindBucket(keyBytes.Span);
    }

    /// <summary>Stands nowhere until it is sent somewhere. One thread at a time.</summary>
    public BTreeCursor OpenCursor()
    {
        Enter();
        Transaction.Exit();
        return new BTreeCursor(this);
    }

    /// <summary>Of all entries that pages have, expired ones too, for those that walk the pages.</summary>
    internal BTreeCursor OpenPageCursor() => new(this, showsExpired: true);

    /// <summary>
    /// Which part of all entries lies before a key, roughly, by its place in each of the pages on the way to it: from 0 to 1, and never less
    /// for a greater key. Reads no more pages than a lookup.
    /// </summary>
    internal double PartBefore(ReadOnlySpan<byte> key)
    {
        Enter();
        double part = 0, width = 1;
        fixed (byte* start = key)
        {
            uint number = Tree.Page;
            for (int level = Tree.IsEmpty ? -1 : (int)Tree.Level; level >= 0; level--)
            {
                byte* page = Transaction.Node(number, level);
                int index = level == 0 ? NodePage.LowerBound(page, start, key.Length, out _) : NodePage.ChildIndex(page, start, key.Length);
                width /= NodePage.Header(page)->Count;
                part += width * index;
                if (level > 0)
                    number = NodePage.Child(page, index);
            }
        }

        Transaction.Exit();
        return part;
    }

    /// <summary>Of an entry that expires, or whose value lies in a run.</summary>
    internal static ReadOnlySpan<byte> FarValue(BTreeTransaction transaction, byte* cell)
    {
        uint* reference = NodePage.Run(cell);
        if (reference is not null)
            return new ReadOnlySpan<byte>(transaction.Overflow(reference[0], reference[1]), (int)reference[1]);
        var value = new ReadOnlySpan<byte>(NodePage.ValueStart(cell) + Deadline.HeaderBytes, NodePage.ValueBytes(cell) - Deadline.HeaderBytes);
        if (transaction.TouchesValues)
            BTreeTransaction.Touch(NodePage.ValueStart(cell), value.Length + Deadline.HeaderBytes);
        return value;
    }

    internal static DateTimeOffset? DeadlineOf(byte* cell) => NodePage.Kind(cell) == EntryKind.Expiring
        ? Deadlines.At(Deadline.AtMs(NodePage.ValueStart(cell)))
        : null;

    /// <summary>A use of the bucket begins, and fails if there is no such bucket any more.</summary>
    internal virtual void Enter() => Transaction.Enter();

    private protected bool FindRoot(ReadOnlySpan<byte> key, out TreeRoot root)
    {
        Enter();
        byte* cell = FindCell(key);
        if (cell is not null && NodePage.Kind(cell) != EntryKind.Bucket)
        {
            Transaction.Exit();
            ThrowValueForBucket();
        }

        root = cell is null ? default : TreeRoot.Read(new ReadOnlySpan<byte>(NodePage.ValueStart(cell), TreeRoot.Bytes));
        Transaction.Exit();
        return cell is not null;
    }

    [DoesNotReturn]
    private protected static void ThrowValueForBucket() => throw new WrongEntryKindException("the key has a value, and a bucket was meant");

    /// <summary>The cell of a key in its leaf; null when there is none, or when it has expired.</summary>
    private protected byte* FindCell(ReadOnlySpan<byte> key)
    {
        byte* cell = FindStoredCell(key);
        return cell is null || Transaction.HasExpired(cell) ? null : cell;
    }

    private protected byte* FindStoredCell(ReadOnlySpan<byte> key)
    {
        TreeRoot root = Tree;
        if (root.IsEmpty)
            return null;
        BTreeTransaction transaction = Transaction;
        fixed (byte* start = key)
        {
            int level = (int)root.Level;
            byte* page = transaction.Node(root.Page, level);
            while (level > 0)
                page = transaction.Node(NodePage.Child(page, NodePage.ChildIndex(page, start, key.Length)), --level);
            int index = NodePage.LowerBound(page, start, key.Length, out bool found);
            return found ? NodePage.Cell(page, index) : null;
        }
    }
}
