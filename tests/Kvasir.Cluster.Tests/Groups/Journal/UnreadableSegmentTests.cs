using Kvasir.Cluster.Groups;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using static Kvasir.Cluster.Tests.Groups.Journal.GroupWorld;

namespace Kvasir.Cluster.Tests.Groups.Journal;

/// <summary>Old entries are wanted for a follower while the disk does not give them: nobody gets them, and the node goes on.</summary>
public sealed class UnreadableSegmentTests
{
    [Fact]
    public void EntriesOfASegmentThatIsGoneAreNotThere()
    {
        using GroupWorld world = Filled();
        string first = world.Files.Paths.Where(static p => p.EndsWith(".segment", StringComparison.Ordinal)).Order(StringComparer.Ordinal).First();
        world.Files.Delete(first);
        Assert.False(world.Read(1, 1, 5).Found);
        Assert.True(world.Read(1, 60, 60).Found);
    }

    [Fact]
    public void EntriesThatTheDiskDoesNotGiveAreNotThereUntilItDoes()
    {
        using GroupWorld world = Filled();
        world.Files.BeforeOperation = static operation =>
        {
            if (operation.Kind == DiskOperationKind.Read)
                throw new StorageException("the disk failed");
        };
        Assert.False(world.Read(1, 1, 5).Found);
        world.Files.BeforeOperation = null;
        Assert.True(world.Read(1, 1, 5).Found);
    }

    private static GroupWorld Filled()
    {
        var world = new GroupWorld(1);
        world.Found(1);
        world.Vote(1, 1, 1);
        for (int i = 0; i < 60; i++)
        {
            world.Append(1, Normal(1, new string('x', 400)));
            world.Sync();
        }

        return world;
    }
}
