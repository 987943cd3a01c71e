using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

public sealed class SegmentFolderTests
{
    [Fact]
    public void LookingForASpareSegmentAllocatesNothing()
    {
        var folder = new SegmentFolder(new JournalWorld(1).Files, JournalWorld.Folder);
        folder.Open();
        folder.MakeSpare(8192, written: false);
        folder.MakeSpare(4096, written: false);
        Assert.True(folder.HasSpare(8192));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            folder.HasSpare(9000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        folder.DeleteSpares();
        Assert.False(folder.HasSpare(1));
    }
}
