using Kvasir.Storage.BTree.Trees;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>
/// Sees one commit for as long as it lives, whatever is written meanwhile; it holds back the pages of that commit until then.
/// One thread at a time; any number of them beside each other.
/// </summary>
public sealed class ReadTransaction : BTreeTransaction
{
    internal ReadTransaction(BTreeStore store, CommittedState state, ReaderSlot slot)
        : base(store, state, slot) => Root = new Bucket(this, state.Meta.Root);

    /// <summary>The outermost bucket. One thread at a time.</summary>
    public Bucket Root { get; }

    /// <summary>What was last committed with <see cref="WriteTransaction.UserData"/>, and is durable. Any thread.</summary>
    public ReadOnlySpan<byte> UserData => State.Meta.User;

    /// <summary>Of the pages that are not free.</summary>
    internal long UsedBytes => (long)(State.Meta.PageCount - State.Meta.FreePages) * Layout.PageBytes;

    protected override void Dispose(bool disposing)
    {
        ReaderSlot slot = Slot;
        if (disposing && Leave())
            Store.EndRead(slot);
    }
}
