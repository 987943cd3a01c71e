using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.BTree.Trees;

/// <summary>
/// Goes through a bucket both ways. Spans are good until it moves. Beside writes of its own transaction it stays right: it
/// knows the key that it stands on, goes on from there, and fails when the entry itself is asked for and gone. For one thread at a time with its
/// transaction; what it shows is as durable as what <see cref="Bucket.TryGet"/> does.
/// </summary>
public sealed unsafe class BTreeCursor
{
    private const int LineBytes = 64;

    // Leaves that one operation of the disk reads for a cursor that goes straight on, and how many it has to have gone over before.
    private const int ReadAheadLeaves = 16;
    private const int StraightMin = 2;

    private readonly Bucket _bucket;
    private readonly BTreeTransaction _transaction;
    private readonly bool _isWriting;
    private readonly bool _showsExpired;
    private Step[] _path = new Step[4];
    private int _depth;
    private bool _isValid;

    // The leaf, and the entry in it, as they were when the cursor arrived: what it gives out costs no second look at the page.
    private byte* _leaf;
    private int _index;
    private int _count;
    private byte* _keyStart;
    private int _keyBytes;
    private EntryKind _kind;
    private int _valueBytes;
    private CachedPage? _valueHolder;

    // What is left of the leaf behind (or before) this one to be asked from memory, a part with each move, so that it is there on arrival.
    private byte* _ahead;
    private byte* _aheadEnd;
    private int _aheadBytes;
    private int _straight;
    private int _straightStep;

    // Of a write transaction only.
    private byte[] _ownKey = [];
    private int _ownKeyBytes;
    private long _seenWrites;

    internal BTreeCursor(Bucket bucket, bool showsExpired = false)
    {
        _showsExpired = showsExpired;
        _bucket = bucket;
        _transaction = bucket.Transaction;
        _isWriting = _transaction.Dirty is not null;
        _seenWrites = bucket.Writes;
        _transaction.Register(this);
    }

    /// <summary>Stands on an entry. One thread at a time.</summary>
    public bool IsValid => _isValid;

    /// <summary>The key, or the name of the bucket, that it stands on. One thread at a time.</summary>
    public ReadOnlySpan<byte> Key
    {
        get
        {
            Look();
            return new ReadOnlySpan<byte>(_keyStart, _keyBytes);
        }
    }

    /// <summary>The value of the entry; a bucket has none. One thread at a time.</summary>
    public ReadOnlySpan<byte> Value
    {
        get
        {
            Look();
            return _kind == EntryKind.Value ? new ReadOnlySpan<byte>(_keyStart + _keyBytes, _valueBytes) : FarValue();
        }
    }

    /// <summary>Stands on a bucket, which is opened by <see cref="Bucket.FindBucket(ReadOnlySpan{byte})"/>. One thread at a time.</summary>
    public bool IsBucket
    {
        get
        {
            Look();
            return _kind == EntryKind.Bucket;
        }
    }

    /// <summary>When the entry goes; null for one that stays. One thread at a time.</summary>
    public DateTimeOffset? ExpiresAt
    {
        get
        {
            Look();
            return Bucket.DeadlineOf(_keyStart - NodePage.LeafCellHeader);
        }
    }

    /// <summary>To the first entry; false when there is none, as of all that move. One thread at a time.</summary>
    public bool SeekFirst() => Run(CursorMove.First, default);

    /// <summary>To the last entry. One thread at a time.</summary>
    public bool SeekLast() => Run(CursorMove.Last, default);

    /// <summary>To the first entry that is not less than the key. One thread at a time.</summary>
    public bool Seek(ReadOnlySpan<byte> key) => Run(CursorMove.NotLess, key);

    /// <summary>To the last entry that is not greater than the key. One thread at a time.</summary>
    public bool SeekForPrevious(ReadOnlySpan<byte> key) => Run(CursorMove.NotGreater, key);

    /// <summary>To the next entry; it must stand on one. Behind the last it stands nowhere. One thread at a time.</summary>
    public bool Next()
    {
        if (!_isValid)
            ThrowNowhere();
        if (HasMovedOn)
            return Run(CursorMove.Greater, OwnKey());
        Enter();
        Prefetch();
        return Arrive(++_index < _count || ToNextLeaf(), isForward: true);
    }

    /// <summary>To the entry before; it must stand on one. Before the first it stands nowhere. One thread at a time.</summary>
    public bool Previous()
    {
        if (!_isValid)
            ThrowNowhere();
        if (HasMovedOn)
            return Run(CursorMove.Less, OwnKey());
        Enter();
        Prefetch();
        return Arrive(--_index >= 0 || ToPreviousLeaf(), isForward: false);
    }

    /// <summary>The leaf that the cursor stands in, for those that walk the pages.</summary>
    internal byte* Leaf => _leaf;

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

    private ReadOnlySpan<byte> OwnKey() => _ownKey.AsSpan(0, _ownKeyBytes).ToArray();

    /// <summary>A use of pages begins. A bucket that only reads cannot have been deleted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Enter()
    {
        if (_isWriting)
            _bucket.Enter();
        else
            _transaction.Enter();
    }

    /// <summary>The entry is about to be shown: it must still be the one that the cursor stands on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Look()
    {
        if (!_isValid)
            ThrowNowhere();
        _transaction.CheckOpen();
        if (_isWriting)
            FindAgain();
    }

    private void FindAgain()
    {
        Enter();
        if (HasMovedOn)
        {
            byte[] key = _ownKey[.._ownKeyBytes];
            Seek(CursorMove.NotLess, key);
            if (!_isValid || !NodePage.LeafKey(NodePage.Cell(_leaf, _index)).SequenceEqual(key))
            {
                // It still knows where it stood, and can move from there.
                _isValid = true;
                _seenWrites = -1;
                _transaction.Exit();
                throw new InvalidOperationException("the entry that the cursor stood on was deleted");
            }

            _seenWrites = _bucket.Writes;
            Take();
        }

        _transaction.Exit();
    }

    private ReadOnlySpan<byte> FarValue()
    {
        if (_kind == EntryKind.Bucket)
            throw new WrongEntryKindException("the cursor stands on a bucket, which has no value");
        Enter();
        ReadOnlySpan<byte> value = Bucket.FarValue(_transaction, _keyStart - NodePage.LeafCellHeader);
        if (_transaction.IsPositional)
            Hold(ref _valueHolder, _transaction.Latest);
        _transaction.Exit();
        return value;
    }

    /// <summary>The transaction is over, and nothing is read here any more.</summary>
    internal void Unpin()
    {
        Hold(ref _valueHolder, null);
        foreach (ref Step step in _path.AsSpan())
            Hold(ref step.Holder, null);
    }

    private static void Hold(ref CachedPage? holder, CachedPage? page)
    {
        if (ReferenceEquals(holder, page))
            return;
        page?.Pin();
        holder?.Unpin();
        holder = page;
    }

    private bool Run(CursorMove move, ReadOnlySpan<byte> key)
    {
        Enter();

        // The key may be the one that it stands on.
        CachedPage? stoodOn = _depth == 0 ? null : _path[_depth - 1].Holder;
        stoodOn?.Pin();
        Seek(move, key);
        stoodOn?.Unpin();
        return Arrive(_isValid, move is CursorMove.First or CursorMove.NotLess or CursorMove.Greater);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Arrive(bool found, bool isForward)
    {
        _isValid = found;
        if (found)
        {
            Take();
            if (_kind == EntryKind.Expiring)
                PassOverExpired(isForward);
        }

        if (_isWriting)
            Remember();
        _transaction.Exit();
        return _isValid;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void PassOverExpired(bool isForward)
    {
        while (_isValid && !_showsExpired && _transaction.HasExpired(_keyStart - NodePage.LeafCellHeader))
        {
            _isValid = isForward ? ++_index < _count || ToNextLeaf() : --_index >= 0 || ToPreviousLeaf();
            if (_isValid)
                Take();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Take()
    {
        byte* cell = NodePage.Cell(_leaf, _index);
        _kind = NodePage.Kind(cell);
        _keyStart = cell + NodePage.LeafCellHeader;
        _keyBytes = NodePage.LeafKeyBytes(cell);
        _valueBytes = NodePage.ValueBytes(cell);
        if (_transaction.TouchesValues)
            BTreeTransaction.Touch(_keyStart, (long)_keyBytes + _valueBytes);
    }

    private void Remember()
    {
        _seenWrites = _bucket.Writes;
        if (!_isValid)
            return;
        if (_ownKey.Length < _keyBytes)
            _ownKey = new byte[Math.Max(64, _keyBytes)];
        new ReadOnlySpan<byte>(_keyStart, _keyBytes).CopyTo(_ownKey);
        _ownKeyBytes = _keyBytes;
    }

    private void Seek(CursorMove move, ReadOnlySpan<byte> key)
    {
        TreeRoot root = _bucket.Tree;
        _depth = 0;
        _straight = 0;
        _isValid = false;
        if (root.IsEmpty)
            return;
        fixed (byte* start = key)
        {
            uint number = root.Page;
            for (int level = (int)root.Level; ; level--)
            {
                byte* page = _transaction.Node(number, level);
                int last = NodePage.Header(page)->Count - 1;
                if (level == 0)
                {
                    Push(number, page, 0);
                    Settle(move, start, key.Length);
                    return;
                }

                int index = move switch
                {
                    CursorMove.First => 0,
                    CursorMove.Last => last,
                    _ => NodePage.ChildIndex(page, start, key.Length),
                };
                Push(number, page, index);
                number = NodePage.Child(page, index);
            }
        }
    }

    /// <summary>Finds the place in the leaf, which may turn out to be in the one before or after.</summary>
    private void Settle(CursorMove move, byte* key, int keyBytes)
    {
        if (move is CursorMove.First or CursorMove.Last)
        {
            _index = move == CursorMove.First ? 0 : _count - 1;
            _isValid = true;
            return;
        }

        int index = NodePage.LowerBound(_leaf, key, keyBytes, out bool found);
        if (move is CursorMove.NotLess or CursorMove.Greater)
        {
            _index = found && move == CursorMove.Greater ? index + 1 : index;
            _isValid = _index < _count || ToNextLeaf();
        }
        else
        {
            _index = found && move == CursorMove.NotGreater ? index : index - 1;
            _isValid = _index >= 0 || ToPreviousLeaf();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ToNextLeaf()
    {
        int at = _depth - 2;
        while (at >= 0 && _path[at].Index + 1 >= NodePage.Header(_path[at].Page)->Count)
            at--;
        if (at < 0)
            return false;
        _path[at].Index++;
        Descend(at, first: true);
        LookAhead(1);
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ToPreviousLeaf()
    {
        int at = _depth - 2;
        while (at >= 0 && _path[at].Index == 0)
            at--;
        if (at < 0)
            return false;
        _path[at].Index--;
        Descend(at, first: false);
        LookAhead(-1);
        return true;
    }

    /// <summary>
    /// Notes which leaf comes next, where it has the same parent. Its address may be nothing yet: asking for it is no use of it. Where only the file
    /// has it, a cursor that has gone over some leaves the same way has those that lie behind it read, too.
    /// </summary>
    private void LookAhead(int step)
    {
        ref Step above = ref _path[_depth - 2];
        int index = above.Index + step;
        int count = NodePage.Header(above.Page)->Count;
        _straight = _straightStep == step ? _straight + 1 : 1;
        _straightStep = step;
        _ahead = null;
        if ((uint)index < count)
        {
            uint next = NodePage.Child(above.Page, index);
            _ahead = _transaction.Await(next);
            if (_ahead is null && _straight > StraightMin && step > 0 && !_isWriting)
            {
                int together = 1;
                while (together < ReadAheadLeaves && index + together < count && NodePage.Child(above.Page, index + together) == next + together)
                    together++;
                _transaction.ReadAhead(next, together);
                _ahead = _transaction.Await(next);
            }
        }

        int pageBytes = _transaction.Layout.PageBytes;
        _aheadEnd = _ahead is null ? null : _ahead + pageBytes;
        _aheadBytes = Math.Max(LineBytes, pageBytes / _count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Prefetch()
    {
        if (_ahead >= _aheadEnd || !Sse.IsSupported)
            return;
        for (int at = 0; at < _aheadBytes; at += LineBytes)
            Sse.Prefetch0(_ahead + at);
        _ahead += _aheadBytes;
    }

    private void Descend(int from, bool first)
    {
        int depth = _depth;
        _depth = from + 1;
        while (_depth < depth)
        {
            ref Step above = ref _path[_depth - 1];
            uint number = NodePage.Child(above.Page, above.Index);
            byte* page = _transaction.Node(number, depth - 1 - _depth);
            Push(number, page, first ? 0 : NodePage.Header(page)->Count - 1);
        }

        _index = _path[_depth - 1].Index;
    }

    private void Push(uint number, byte* page, int index)
    {
        if (_depth == _path.Length)
            Array.Resize(ref _path, _depth * 2);
        ref Step step = ref _path[_depth++];
        step.Number = number;
        step.Page = page;
        step.Index = index;
        Hold(ref step.Holder, _transaction.Latest);
        _leaf = page;
        _count = NodePage.Header(page)->Count;
    }

    [DoesNotReturn]
    private static void ThrowNowhere() => throw new InvalidOperationException("the cursor stands nowhere");

    private enum CursorMove
    {
        First,
        Last,
        NotLess,
        Greater,
        NotGreater,
        Less,
    }

    /// <summary>A page of the path, with what keeps it in memory. In a leaf the index is the cursor's own.</summary>
    private struct Step
    {
        public byte* Page;
        public uint Number;
        public int Index;
        public CachedPage? Holder;
    }
}
