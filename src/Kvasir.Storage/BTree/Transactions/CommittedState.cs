using Kvasir.Storage.BTree.Pages;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>What one commit made of the file: all that a read transaction needs to know. Never changes.</summary>
/// <param name="Meta">The commit's meta page.</param>
/// <param name="MetaNumber">Which of the two.</param>
/// <param name="Pages">Where its pages are read.</param>
internal sealed record CommittedState(MetaPage Meta, uint MetaNumber, PageSource Pages)
{
    public ulong Transaction => Meta.Transaction;
}
