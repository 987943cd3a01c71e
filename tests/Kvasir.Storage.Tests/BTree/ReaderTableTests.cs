using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.BTree.Transactions;

namespace Kvasir.Storage.Tests.BTree;

public sealed class ReaderTableTests
{
    /// <summary>
    /// Somebody may look for old readers while a place is taken anew: the one that takes it was ended for the age of the one before, had its
    /// thread been stopped between two instructions.
    /// </summary>
    [Fact]
    public void APlaceThatWasLeftSaysNothingOfTheAgeOfWhoHadIt()
    {
        var table = new ReaderTable();
        CommittedState current = new(
            new MetaPage { Layout = new PageLayout(PageLayout.PageBytesMin, identity: 1), Transaction = 7, PageCount = 3, SlotBits = [] }, 0, null!);
        ReaderSlot slot = table.Enter(ref current, now: 1, out _);
        Assert.Equal([(7UL, 1L)], table.TakeUntoldBefore(50));
        ReaderTable.Leave(slot);

        // As it is when it was taken, and nothing else is known.
        slot.Generation++;
        slot.Reading = 1;
        table.EndBefore(50, TransactionEnd.TooOld);
        Assert.NotEqual(slot.Generation, slot.Ended);
        Assert.Empty(table.TakeUntoldBefore(50));
        Assert.Empty(table.List());
        Assert.Equal(0UL, table.Oldest(7));
    }
}
