using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

public sealed class SegmentFolderTests
{
    [Theory]
    [InlineData(DiskFault.Failed, DiskOperationKind.Sync)]
    [InlineData(DiskFault.Failed, DiskOperationKind.Write)]
    [InlineData(DiskFault.Full, DiskOperationKind.Write)]
    public void FailuresOfASegmentNameIt(DiskFault fault, DiskOperationKind kind)
    {
        var world = new JournalWorld(1);
        var folder = new SegmentFolder(world.Files, JournalWorld.Folder);
        folder.Open();
        folder.MakeSpare(8192, written: false);
        using IFile segment = folder.Activate(new SegmentHeader(1, 1, 0, 0, 1), 4096);
        world.Files.Faults.Add(new FaultRule(fault, kind));
        DiskFailedException failure = Assert.ThrowsAny<DiskFailedException>(() =>
        {
            segment.Write([1], 4096);
            segment.Sync(SyncMode.Data);
        });
        Assert.Equal(fault == DiskFault.Full, failure is DiskFullException);
        Assert.Equal(folder.PathOf(1), failure.Path);
        Assert.Contains($" of {folder.PathOf(1)} failed: ", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LookingForASpareSegmentAllocatesNothing()
    {
        var folder = new SegmentFolder(new JournalWorld(1).Files, JournalWorld.Folder);
        folder.Open();
        folder.MakeSpare(8192, written: false);
        folder.MakeSpare(4096, written: false);
        Assert.True(folder.HasSpare(8192));
        Assert.Equal(0, Allocations.Least(() => folder.HasSpare(9000)));
        folder.DeleteSpares();
        Assert.False(folder.HasSpare(1));
    }
}
