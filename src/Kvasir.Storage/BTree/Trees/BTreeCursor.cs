using System.Diagnostics.CodeAnalysis;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>
/// Goes through a bucket both ways. Spans are good until it moves. Beside writes of its own transaction it stays right: it
/// knows the key that it stands on, goes on from there, and fails when the entry itself is asked for and gone.
/// </summary>
public sealed unsafe class BTreeCursor
{
    private readonly Bucket _bucket;
    private readonly bool _isWriting;
    private Step[] _path = new Step[4];
    private int _depth;
    private bool _isValid;

    // Of a write transaction only.
    private byte[] _key = [];
    private int _keyBytes;
    private long _seenWrites;

    internal BTreeCursor(Bucket bucket)
    {
        _bucket = bucket;
        _isWriting = bucket.Transaction.Dirty is not null;
        _seenWrites = bucket.Writes;
    }

    /// <summary>Stands on an entry.</summary>
    public bool IsValid => _isValid;

    public ReadOnlySpan<byte> Key
    {
        get
        {
            byte* cell = Current();
            return NodePage.LeafKey(cell);
        }
    }

    /// <summary>The value of the entry; a bucket has none.</summary>
    public ReadOnlySpan<byte> Value
    {
        get
        {
            byte* cell = Current();
            if (NodePage.Kind(cell) == EntryKind.Value)
                return new ReadOnlySpan<byte>(NodePage.ValueStart(cell), NodePage.ValueBytes(cell));
            if (NodePage.Kind(cell) == EntryKind.Bucket)
                throw new WrongEntryKindException("the cursor stands on a bucket, which has no value");
            _bucket.Enter();
            ReadOnlySpan<byte> value = Bucket.OverflowValue(_bucket.Transaction, cell);
            if (_bucket.Transaction.IsPositional)
                Top.Value = _bucket.Transaction.Latest;
            _bucket.Transaction.Exit();
            return value;
        }
    }

    public bool IsBucket => NodePage.Kind(Current()) == EntryKind.Bucket;

    private ref Step Top => ref _path[_depth - 1];

    public bool SeekFirst() => Run(Move.First, default);

    public bool SeekLast() => Run(Move.Last, default);

    /// <summary>To the first entry that is not less than the key.</summary>
    public bool Seek(ReadOnlySpan<byte> key) => Run(Move.NotLess, key);

    /// <summary>To the last entry that is not greater than the key.</summary>
    public bool SeekForPrevious(ReadOnlySpan<byte> key) => Run(Move.NotGreater, key);

    public bool Next()
    {
        Check.That(_isValid, $"a cursor that stands nowhere cannot move");
        if (HasMovedOn)
            return Run(Move.Greater, OwnKey());
        _bucket.Enter();
        ref Step top = ref Top;
        bool found = ++top.Index < NodePage.Header(top.Page)->Count || ToNextLeaf();
        return Arrive(found);
    }

    public bool Previous()
    {
        Check.That(_isValid, $"a cursor that stands nowhere cannot move");
        if (HasMovedOn)
            return Run(Move.Less, OwnKey());
        _bucket.Enter();
        bool found = --Top.Index >= 0 || ToPreviousLeaf();
        return Arrive(found);
    }

    /// <summary>The leaf that the cursor stands in, for those that walk the pages.</summary>
    internal byte* Leaf => Top.Page;

    /// <summary>Numbers of the pages from the root to the leaf.</summary>
    internal IEnumerable<uint> Pages()
    {
        for (int i = 0; i < _depth; i++)
            yield return _path[i].Number;
    }

    /// <summary>The leaf after this one, where both have one parent; else 0.</summary>
    internal uint NextSibling()
    {
        if (_depth < 2)
            return 0;
        ref Step above = ref _path[_depth - 2];
        return above.Index + 1 < NodePage.Header(above.Page)->Count ? NodePage.Child(above.Page, above.Index + 1) : 0;
    }

    private bool HasMovedOn => _isWriting && _seenWrites != _bucket.Writes;

    private ReadOnlySpan<byte> OwnKey() => _key.AsSpan(0, _keyBytes).ToArray();

    private byte* Current()
    {
        if (!_isValid)
            ThrowNowhere();
        _bucket.Enter();
        if (HasMovedOn)
        {
            byte[] key = _key[.._keyBytes];
            Seek(Move.NotLess, key);
            if (!_isValid || !NodePage.LeafKey(NodePage.Cell(Top.Page, Top.Index)).SequenceEqual(key))
            {
                // It still knows where it stood, and can move from there.
                _isValid = true;
                _seenWrites = -1;
                _bucket.Transaction.Exit();
                throw new InvalidOperationException("the entry that the cursor stood on was deleted");
            }

            _seenWrites = _bucket.Writes;
        }

        byte* cell = NodePage.Cell(Top.Page, Top.Index);
        _bucket.Transaction.Exit();
        return cell;
    }

    private bool Run(Move move, ReadOnlySpan<byte> key)
    {
        _bucket.Enter();
        Seek(move, key);
        return Arrive(_isValid);
    }

    private bool Arrive(bool found)
    {
        _isValid = found;
        if (_isWriting)
            Remember();
        _bucket.Transaction.Exit();
        return found;
    }

    private void Remember()
    {
        _seenWrites = _bucket.Writes;
        if (!_isValid)
            return;
        ReadOnlySpan<byte> key = NodePage.LeafKey(NodePage.Cell(Top.Page, Top.Index));
        if (_key.Length < key.Length)
            _key = new byte[Math.Max(64, key.Length)];
        key.CopyTo(_key);
        _keyBytes = key.Length;
    }

    private void Seek(Move move, ReadOnlySpan<byte> key)
    {
        TreeRoot root = _bucket.Tree;
        _depth = 0;
        _isValid = false;
        if (root.IsEmpty)
            return;
        fixed (byte* start = key)
        {
            uint number = root.Page;
            for (int level = (int)root.Level; ; level--)
            {
                byte* page = _bucket.Transaction.Node(number, level);
                int last = NodePage.Header(page)->Count - 1;
                if (level == 0)
                {
                    Push(number, page, 0);
                    Settle(move, start, key.Length, last);
                    return;
                }

                int index = move switch
                {
                    Move.First => 0,
                    Move.Last => last,
                    _ => NodePage.ChildIndex(page, start, key.Length),
                };
                Push(number, page, index);
                number = NodePage.Child(page, index);
            }
        }
    }

    /// <summary>Finds the place in the leaf, which may turn out to be in the one before or after.</summary>
    private void Settle(Move move, byte* key, int keyBytes, int last)
    {
        if (move is Move.First or Move.Last)
        {
            Top.Index = move == Move.First ? 0 : last;
            _isValid = true;
            return;
        }

        int index = NodePage.LowerBound(Top.Page, key, keyBytes, out bool found);
        if (move is Move.NotLess or Move.Greater)
        {
            Top.Index = found && move == Move.Greater ? index + 1 : index;
            _isValid = Top.Index <= last || ToNextLeaf();
        }
        else
        {
            Top.Index = found && move == Move.NotGreater ? index : index - 1;
            _isValid = Top.Index >= 0 || ToPreviousLeaf();
        }
    }

    private bool ToNextLeaf()
    {
        int at = _depth - 2;
        while (at >= 0 && _path[at].Index + 1 >= NodePage.Header(_path[at].Page)->Count)
            at--;
        if (at < 0)
            return false;
        _path[at].Index++;
        Descend(at, first: true);
        return true;
    }

    private bool ToPreviousLeaf()
    {
        int at = _depth - 2;
        while (at >= 0 && _path[at].Index == 0)
            at--;
        if (at < 0)
            return false;
        _path[at].Index--;
        Descend(at, first: false);
        return true;
    }

    private void Descend(int from, bool first)
    {
        int depth = _depth;
        _depth = from + 1;
        while (_depth < depth)
        {
            uint number = NodePage.Child(Top.Page, Top.Index);
            byte* page = _bucket.Transaction.Node(number, depth - 1 - _depth);
            Push(number, page, first ? 0 : NodePage.Header(page)->Count - 1);
        }
    }

    private void Push(uint number, byte* page, int index)
    {
        if (_depth == _path.Length)
            Array.Resize(ref _path, _depth * 2);
        ref Step step = ref _path[_depth++];
        step.Number = number;
        step.Page = page;
        step.Index = index;
        step.Holder = _bucket.Transaction.Latest;
        step.Value = null;
    }

    [DoesNotReturn]
    private static void ThrowNowhere() => throw new InvalidOperationException("the cursor stands nowhere");

    private enum Move
    {
        First,
        Last,
        NotLess,
        Greater,
        NotGreater,
        Less,
    }

    /// <summary>A page of the path, with what keeps it and the value that was read from it in memory.</summary>
    private struct Step
    {
        public byte* Page;
        public uint Number;
        public int Index;
        public CachedPage? Holder;
        public CachedPage? Value;
    }
}
