using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Space;
using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>
/// The one writer of a store. Sees its own writes; nobody else does before <see cref="Commit"/> has returned, and then they are
/// durable. Disposed without a commit, nothing has happened. One thread at a time.
/// </summary>
public sealed unsafe class WriteTransaction : BTreeTransaction
{
    private const int Scratches = 3;

    private readonly TreeEditor _graveEditor;
    private TreeRoot _dead;
    private byte[]? _user;
    private bool _isChanging;

    internal WriteTransaction(BTreeStore store, CommittedState state, ReaderSlot slot, FreeSpace space, DirtyPages dirty, PageBuffers buffers)
        : base(store, state, slot)
    {
        Space = space;
        Dirty = dirty;
        Buffers = buffers;
        Editor = new TreeEditor(this);
        _graveEditor = new TreeEditor(this);
        _dead = state.Meta.Dead;
        NowMs = store.NowMs;
        Deadlines = new DeadlineIndex(this, state.Meta.Deadlines);
        Root = new WritableBucket(this, parent: null, name: [], state.Meta.Root);
    }

    /// <summary>The outermost bucket. One thread at a time; what is written there is durable when the transaction commits.</summary>
    public WritableBucket Root { get; }

    /// <summary>
    /// A few bytes that go with the commit, for the store's user: 512 at most. They stay until they are set again. One thread at a time; durable
    /// when the transaction commits.
    /// </summary>
    public ReadOnlySpan<byte> UserData
    {
        get => _user ?? State.Meta.User;
        set
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value.Length, MetaPage.UserBytesMax);
            Enter();
            _user = value.ToArray();
            Exit();
        }
    }

    internal FreeSpace Space { get; }

    internal TreeEditor Editor { get; }

    internal TreeRoot Dead => _dead;

    /// <summary>What expires, and when.</summary>
    internal DeadlineIndex Deadlines { get; }

    private PageBuffers Buffers { get; }

    /// <summary>
    /// Makes everything durable, then visible. <see cref="Files.DiskFullException"/>: nothing has happened.
    /// <see cref="Files.WritesStoppedException"/>: it may have, and the store takes no more writes until it is opened again.
    /// The transaction is over in any case. One that a callback was given is committed by who gave it:
    /// <see cref="InvalidOperationException"/>, and so is its disposal. One thread at a time.
    /// </summary>
    public void Commit()
    {
        Store.RefuseEndByActor();
        Enter();
        if (_isChanging)
            ThrowHalfChanged();
        try
        {
            Root.Flush();

            // Pages that were copied from the map and changed must be what was there.
            EnsureMapped();
            if (HasChanged)
                Store.Commit(this);
            else if (MustTrim)
                Store.CutEnd(State.Meta.PageCount);
        }
        finally
        {
            EndUse();
            Dispose();
        }
    }

    internal bool HasChanged => Dirty!.Count != 0 || _user is not null || Root.Tree != State.Meta.Root || _dead != State.Meta.Dead || Deadlines.Index.Tree != State.Meta.Deadlines || (MustTrim && Space.CanTrim);

    /// <summary>Free pages at the end of the file are to go with the commit.</summary>
    internal bool MustTrim { get; set; }

    /// <summary>What is written is counted as work on what is there, and not as what somebody put.</summary>
    internal bool IsUpkeep
    {
        get;
        set
        {
            // It works for an end of the file that runs empty.
            field = value;
            Space.TakesLowest |= value;
        }
    }

    /// <summary>A change begins. One that throws before <see cref="EndChange"/> leaves pages half changed.</summary>
    internal void BeginChange()
    {
        if (_isChanging)
            ThrowHalfChanged();
        _isChanging = true;
    }

    internal void EndChange()
    {
        _isChanging = false;
        Deadlines.Settle();
    }

    internal bool IsChanging => _isChanging;

    /// <summary>Memory for a page, for those who rebuild one: 0 and 1 for cells on their way, 2 for the page.</summary>
    internal byte* Scratch(int which)
    {
        Check.That(which < Scratches);
        return Store.ScratchPage(which);
    }

    /// <summary>The page as the transaction's own, to be changed in place.</summary>
    internal byte* Touch(uint number, int level, out uint touched)
    {
        byte* page = Dirty!.Find(number);
        if (page is not null)
        {
            touched = number;
            return page;
        }

        byte* source = Node(number, level);
        touched = Space.Allocate(1, isBranch: level > 0);
        page = Buffers.Take();
        Buffer.MemoryCopy(source, page, Layout.PageBytes, Layout.PageBytes);
        EnsureMapped();
        Dirty.Add(touched, page, 1);
        Space.FreeCommitted(number, 1);
        return page;
    }

    internal byte* NewNode(int level, out uint number)
    {
        number = Space.Allocate(1, isBranch: level > 0);
        byte* page = Buffers.Take();
        new Span<byte>(page, Layout.PageBytes).Clear();
        NodePage.Clear(page, Layout.PageBytes, level);
        Dirty!.Add(number, page, 1);
        return page;
    }

    internal void FreeNode(uint number)
    {
        if (Dirty!.Find(number) is null)
        {
            Space.FreeCommitted(number, 1);
            return;
        }

        Buffers.Return((byte*)Dirty.Remove(number).Memory);
        Space.FreeOwn(number, 1);
    }

    /// <summary>A run that holds a value.</summary>
    internal uint NewRun(ReadOnlySpan<byte> value) => FillRun(Space.Allocate(Layout.RunPages(value.Length)), value);

    /// <summary>As <see cref="NewRun"/>, but before a page; 0 where there is no place.</summary>
    internal uint NewRunBefore(ReadOnlySpan<byte> value, uint limit)
    {
        uint number = Space.AllocateBefore(Layout.RunPages(value.Length), limit);
        return number == 0 ? 0 : FillRun(number, value);
    }

    internal void FreeRun(uint number, uint pages)
    {
        if (Dirty!.Find(number) is null)
        {
            Space.FreeCommitted(number, pages);
            return;
        }

        DirtyPage run = Dirty.Remove(number);
        Check.That(run.Run == pages);
        Buffers.ReturnRun((byte*)run.Memory);
        Space.FreeOwn(number, pages);
    }

    /// <summary>A tree that nobody reaches any more is to be freed, page by page, later.</summary>
    internal void Bury(TreeRoot tree)
    {
        Span<byte> key = stackalloc byte[GraveKeyBytes];
        WriteGraveKey(key, tree);
        Check.That(_graveEditor.Put(ref _dead, key, EntryKind.Value, default));
    }

    /// <summary>Takes one of the lowest buried trees, so that the list of them stays short: a page's children come before its neighbours.</summary>
    internal bool Unbury(out TreeRoot tree)
    {
        tree = default;
        if (_dead.IsEmpty)
            return false;
        byte* page = Node(_dead.Page, (int)_dead.Level);
        for (int level = (int)_dead.Level; level > 0;)
            page = Node(NodePage.Child(page, 0), --level);
        ReadOnlySpan<byte> first = NodePage.Key(page, 0);
        tree = new TreeRoot(BinaryPrimitives.ReadUInt32BigEndian(first[1..]), first[0]);
        Span<byte> key = stackalloc byte[GraveKeyBytes];
        first.CopyTo(key);
        _graveEditor.Remove(ref _dead, key);
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        Store.RefuseEndByActor();
        if (disposing && Leave())
            Store.EndWrite();
    }

    internal const int GraveKeyBytes = 5;

    [DoesNotReturn]
    private static void ThrowHalfChanged() =>
        throw new InvalidOperationException("a write of the transaction has failed half-way: it can only be disposed");

    private static void WriteGraveKey(Span<byte> key, TreeRoot tree)
    {
        key[0] = checked((byte)tree.Level);
        BinaryPrimitives.WriteUInt32BigEndian(key[1..], tree.Page);
    }

    private uint FillRun(uint number, ReadOnlySpan<byte> value)
    {
        uint pages = Layout.RunPages(value.Length);
        byte* run = Buffers.TakeRun(pages);
        PageHeader* header = (PageHeader*)run;
        *header = default;
        header->Kind = PageKind.Overflow;
        header->Extent = pages;
        header->ValueBytes = (uint)value.Length;
        var body = new Span<byte>(run + PageHeader.Bytes, checked((int)((long)pages << Layout.Shift)) - PageHeader.Bytes);
        value.CopyTo(body);
        body[value.Length..].Clear();
        Dirty!.Add(number, run, pages);
        return number;
    }
}
